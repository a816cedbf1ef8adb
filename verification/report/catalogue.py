"""The catalogue of faults for people."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from verification.faults import CATALOGUE, NOT_SHOWN


def show_catalogue(console: Console) -> None:
    """Print a line for each fault, and the known ones that no single step shows."""
    table = Table(title="Faults that real meta-learning code has had")
    for name in ("id", "fault", "what comes back", "seen in"):
        table.add_column(name)
    for fault in CATALOGUE.values():
        table.add_row(fault.id, fault.title, fault.formula, fault.source)
    console.print(table)
    console.print("S, Q: inner and outer cost; φ_k: inner iterates; gF, gM: first- and second-order gradient.")
    console.print("Not shown by one step of these interfaces:")
    for id_, reason in NOT_SHOWN.items():
        console.print(f"  {id_}: {reason}")


def show_fault(id_: str, console: Console) -> None:
    """Print all that is known of one fault; a KeyError lists those that there are."""
    if id_ in NOT_SHOWN:
        text = Text.assemble(("Why: ", "bold"), NOT_SHOWN[id_])
        console.print(Panel(text, title=f"{id_}: known, but not shown by a single step", title_align="left"))
        return
    if id_ not in CATALOGUE:
        raise KeyError(f"fault: expected one of {', '.join(CATALOGUE)}, but got {id_!r}.")
    fault = CATALOGUE[id_]
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
