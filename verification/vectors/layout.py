"""The JSON layout of a problem, both ways: docs/vectors.md, section "A problem"; schema/problem.schema.json.

Numbers are C99 hex floats in strings, arrays are flat with their shape, selections are lists of names for each task.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verification.frameworks import framework
from verification.orders import BY_STEP, SPELLINGS
from verification.problems.families import FAMILIES, Costs, Data, Family, Namespace
from verification.problems.options import Options, Selection
from verification.problems.problem import Problem
from verification.problems.trees import leaves

Json: TypeAlias = dict[str, Any]
Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]

_EMPTY = ("inner_only", "vector", "matrix", "outer_only")  # a quadratic's variables: an absent one has no entries


def has_subnormals(layout: Json, dtype: str) -> bool:
    """Return whether some number of a problem is subnormal in a precision."""
    least = float(np.finfo(dtype).tiny)
    return any(0.0 < abs(float.fromhex(number)) < least for number in _numbers(layout))


def _numbers(layout: Json) -> Iterator[str]:
    yield from layout["rates"].values()
    for group in ("variables", "support", "query"):
        for array in (layout[group] or {}).values():
            yield from array["values"]


def hex_float(number: float) -> str:
    """Return the shortest C99 hex float of a finite number: 0x1.8p+1, 0x0p+0."""
    mantissa, exponent = float(number).hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}"


def to_array(layout: Json) -> NDArray[np.float64]:
    """Return the array that {"shape", "values"} holds."""
    return np.array([float.fromhex(number) for number in layout["values"]]).reshape(layout["shape"])


def from_array(array: NDArray[Any]) -> Json:
    """Return an array as {"shape", "values"}."""
    return {"shape": list(array.shape), "values": [hex_float(number) for number in array.ravel().tolist()]}


def to_problem(
    layout: Json, *, name: str = "vector", framework_name: str = "autograd", dtype: str = "float64"
) -> Problem:
    """Return the problem of a layout, in the arrays of a framework.

    Its `arguments()` are those of a call of `fomaml_step`, `maml_step` or `reptile_step`.

    Raises:
        ValueError: the family is not one that is documented.
    """
    variables = {variable: to_array(leaf) for variable, leaf in layout["variables"].items()}
    skip = 1 if layout["batched"] else 0
    shapes = {variable: leaf.shape[skip:] for variable, leaf in variables.items()}
    support = {variable: to_array(leaf) for variable, leaf in layout["support"].items()}
    query = {variable: to_array(leaf) for variable, leaf in (layout["query"] or layout["support"]).items()}
    rows = len(next(iter(support.values())))
    problem = Problem(
        name=name,
        family=family(layout["family"], tuple(shapes.items())),
        nest={variable: variable for variable in variables},
        batch={"support": support, "query": query},
        variables=variables,
        inner_grad_steps=layout["steps"],
        inner_learning_rate=_rates(layout["rates"]),
        options=Options(
            batched=layout["batched"],
            average_across_steps=layout["average"],
            same_cost=layout["same_cost"],
            inner_v=_selection(layout["inner"], tuple(variables)),
            outer_v=_selection(layout["outer"], tuple(variables)),
            num_tasks=None if rows == layout["num_tasks"] else layout["num_tasks"],
        ),
        framework=framework("numpy"),
        order=BY_STEP[layout["step"]],
    )
    return problem.native(framework_name, dtype)


@cache
def family(name: str, shapes: Shapes) -> Family:
    """Return a documented family for variables of these shapes; a gain that is absent counts as 0.

    It is one for all problems of these shapes: some frameworks compile its costs.
    """
    if name not in FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, but got {name!r}.")
    made = FAMILIES[name]()
    given = dict(shapes)
    known = {variable: given[variable] for variable in made.shapes if variable in given}
    if set(known) != set(given):
        takes = ", ".join(made.shapes)
        raise ValueError(f"variables: expected some of {takes} for {name}, but got {', '.join(given)}.")
    absent = tuple(variable for variable in made.shapes if variable not in given)
    return replace(
        made,
        shapes=known,
        inner_costs=_completed(made.inner_costs, absent),
        outer_costs=_completed(made.outer_costs, absent),
        kink_distances=made.kink_distances and _completed(made.kink_distances, absent),
    )


def _completed(costs: Costs, absent: tuple[str, ...]) -> Costs:
    """Return the costs with the absent variables put in: gains of 0, and parts of a quadratic without entries."""

    def of_present(xp: Namespace, data: Data, v: Data) -> Any:
        first = next(iter(v.values()))
        zero = xp.zeros_like(xp.reshape(first, (first.shape[0], -1))[:, :1])
        return costs(xp, data, {**v, **{name: zero[:, :0] if name in _EMPTY else zero for name in absent}})

    return of_present


def _rates(rates: dict[str, str]) -> Any:
    numbers = {name: float.fromhex(rate) for name, rate in rates.items()}
    if len(set(numbers.values())) == 1:
        return next(iter(numbers.values()))
    return {name: np.asarray(rate) for name, rate in numbers.items()}


def _selection(by_task: list[list[str]], everything: tuple[str, ...]) -> Selection:
    """Return the selection as a step is called with it: None, a list of names, or one list for each task."""
    meant = [tuple(names) for names in by_task]
    if any(set(names) != set(meant[0]) for names in meant):
        return Selection([list(names) for names in meant], meant_by_task=tuple(meant))
    if set(meant[0]) == set(everything):
        return Selection()
    return Selection(list(meant[0]), meant=meant[0])


def from_problem(problem: Problem) -> Json:
    """Return the JSON layout of a problem; nesting is left out, variables go by their names in the family."""
    names, options = problem.names, problem.options
    everything = tuple(names)

    def names_of(selection: Selection) -> list[list[str]]:
        chosen = [selection.of_task(t, everything) for t in range(problem.num_tasks)]
        return [[names[chain] for chain in everything if chain in task] for task in chosen]

    def arrays(tree: Any) -> Json:
        return {key: from_array(_double(problem, leaf)) for key, leaf in leaves(tree).items()}

    rate = problem.inner_learning_rate
    rates = dict.fromkeys(everything, rate) if np.isscalar(rate) else leaves(rate)
    return {
        "family": problem.family.name,
        "step": SPELLINGS[problem.order].step,
        "steps": problem.inner_grad_steps,
        "num_tasks": problem.num_tasks,
        "batched": options.batched,
        "average": options.average_across_steps,
        "same_cost": options.same_cost,
        "inner": names_of(options.inner_v),
        "outer": names_of(options.outer_v),
        "rates": {names[chain]: hex_float(float(problem.framework.to_numpy(leaf))) for chain, leaf in rates.items()},
        "variables": {names[chain]: leaf for chain, leaf in arrays(problem.variables).items()},
        "support": arrays(problem.batch["support"]),
        "query": None if problem.order == "reptile" else arrays(problem.batch["query"]),
    }


def _double(problem: Problem, leaf: Any) -> NDArray[np.float64]:
    return np.asarray(problem.framework.to_numpy(leaf), np.float64)
