"""Which relation breaks on which fault: the table in docs/relations.md.

Run ``python tests/verification/relations/kill_table.py`` to write it into the page again.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import broken_steps

from verification import problem
from verification.problems.problem import Problem
from verification.problems.trees import map_leaves
from verification.relations import RELATIONS, check_problem

PAGE = Path(__file__).parents[3] / "docs" / "relations.md"
START, END = "<!-- kill table: start -->", "<!-- kill table: end -->"
PLAIN = "linear-regression"
#: Faults that the plain problem does not show.
SHOWN_BY = {"B11": "average", "C02": "same-cost-average", "F05": "mlp-tanh-mse"}


def asked_of(fault: str, order: int) -> Problem:
    """Return the problem that a fault is shown by, cut to two tasks and two inner steps, which every relation needs."""
    whole = problem(SHOWN_BY.get(fault, PLAIN), order=order)
    return replace(whole, inner_grad_steps=2, batch=map_leaves(lambda leaf: leaf[:2], whole.batch))


@cache
def kills() -> dict[str, list[str]]:
    """Return the relations that break, for each fault."""
    steps = [(name, 1, make) for name, make in broken_steps.FIRST.items()]
    steps += [(name, 2, make) for name, make in broken_steps.SECOND.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inner ascent overflows, which is no news about it
        return {name: check_problem(make(), asked_of(name, order)).broken for name, order, make in steps}


def alone() -> dict[str, list[str]]:
    """Return, for each relation, the faults that no other relation breaks on."""
    return {name: [fault for fault, broken in kills().items() if broken == [name]] for name in RELATIONS}


def table() -> str:
    """Return the table as the page has it."""
    caught, only = kills(), alone()
    lines = ["| relation | faults it breaks on | of these, alone |", "| --- | --- | --- |"]
    for name in RELATIONS:
        found = [fault for fault, broken in caught.items() if name in broken]
        lines.append(f"| `{name}` | {len(found)}: {', '.join(found)} | {', '.join(only[name]) or 'none'} |")
    survivors = [fault for fault, broken in caught.items() if not broken]
    most = max(RELATIONS, key=lambda name: sum(name in broken for broken in caught.values()))
    count = sum(most in broken for broken in caught.values())
    lines += ["", f"The one relation that breaks on most faults is `{most}`, on {count}."]
    lines += [f"Faults: {len(caught)}. Caught by some relation: {len(caught) - len(survivors)}."]
    lines += [f"Not caught by any: {', '.join(survivors) or 'none'}."]
    return "\n".join(lines)


def page_with(text: str) -> str:
    """Return the page with `text` between its marks."""
    before, _, rest = PAGE.read_text("utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{text}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()), "utf-8")
