"""The catalogue of faults for people."""

from __future__ import annotations

import json

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from verification.faults import CATALOGUE, ENTRIES, MODEL_CATALOGUE, NOT_SHOWN
from verification.vectors.reader import DATA


def _killing(id_: str) -> int:
    """Return how many golden vectors tell a known fault from the right answer."""
    manifest = json.loads((DATA / "manifest.json").read_bytes())
    return int(manifest["faults"].get(id_, {"killed_by": 0})["killed_by"])


def show_catalogue(console: Console) -> None:
    """Print a line for each fault, and the known ones that no single step shows."""
    table = Table(title="Faults that real meta-learning code has had")
    for name in ("id", "fault", "what comes back", "seen in"):
        table.add_column(name)
    for fault in CATALOGUE.values():
        table.add_row(fault.id, fault.title, fault.formula, fault.source)
    console.print(table)
    console.print("S, Q: inner and outer cost; φ_k: inner iterates; gF, gM: first- and second-order gradient.")
    console.print("On a model of your own (refmaml check) the judge also names:")
    for fault in MODEL_CATALOGUE.values():
        console.print(f"  {fault.id}: {fault.title}")
    console.print("Not shown by one step on the built-in problems:")
    for id_, reason in NOT_SHOWN.items():
        console.print(f"  {id_}: {reason}{'; golden vectors show it' if _killing(id_) else ''}")


def show_fault(id_: str, console: Console) -> None:
    """Print all that is known of one fault; a KeyError lists those that there are."""
    if id_ in NOT_SHOWN and id_ not in MODEL_CATALOGUE:
        text, what = Text.assemble(("Why: ", "bold"), NOT_SHOWN[id_]), "not shown by a single step"
        if count := _killing(id_):
            text.append_text(
                Text.assemble(("\nShows on: ", "bold"), f"{count} golden vectors; refmaml vectors list --kills {id_}")
            )
            what = "not shown by a built-in problem: golden vectors show it"
        console.print(Panel(text, title=f"{id_}: known, but {what}", title_align="left"))
        return
    if id_ not in ENTRIES:
        raise KeyError(f"fault: expected one of {', '.join(ENTRIES)}, but got {id_!r}.")
    fault = ENTRIES[id_]
    orders = ", ".join(str(order) for order in fault.orders)
    lines = [
        ("What comes back", fault.formula),
        ("Shows on", fault.shows),
        ("In steps of order", orders),
        ("Seen in", fault.source),
        ("What to do", fault.advice),
    ]
    variants = ", ".join(name for name in fault.variants if name)
    if variants:
        lines.insert(1, ("Variants", variants))
    if fault.convention:
        lines.append(("If it is meant", "declare it with --convention; refmaml verify --help lists the names"))
    text = Text("\n").join(Text.assemble((f"{name}: ", "bold"), words) for name, words in lines)
    console.print(Panel(text, title=f"{fault.id}: {fault.title}", title_align="left"))
