"""The catalogue of faults for people."""

from __future__ import annotations

import json

from rich.console import Console
from rich.text import Text

from verification.faults import ALGORITHM_CATALOGUE, CATALOGUE, ENTRIES, MODEL_CATALOGUE, NOT_SHOWN
from verification.reports.tables import print_table, say
from verification.reports.terminal import linked
from verification.texts import spelled
from verification.vectors.reader import DATA


def _killing(id_: str) -> int:
    """Return how many golden vectors tell a known fault from the right answer."""
    manifest = json.loads((DATA / "manifest.json").read_bytes())
    return int(manifest["faults"].get(id_, {"killed_by": 0})["killed_by"])


def show_catalogue(console: Console) -> None:
    """Print a line for each fault, and the known ones that no single step shows."""

    def words(text: str) -> str:
        return spelled(text, console.encoding)

    rows = [
        (fault.id, words(fault.title), words(fault.formula), linked(words(fault.source), console))
        for fault in CATALOGUE.values()
    ]
    head = ("id", "fault", "what comes back", "seen in")
    print_table(head, rows, console, title="Faults that real meta-learning code has had")
    legend = "S, Q: inner and outer cost; φ_k: inner iterates; gF, gM: first- and second-order gradient."
    say(words(legend), console)
    console.print("On a model of your own (refmaml check) the judge also names (C07 and D13 everywhere):")
    for fault in MODEL_CATALOGUE.values():
        say(f"{fault.id}: {words(fault.title)}", console, indent=2)
    console.print("In inner updates, declared or not (--algorithm), the judge also names:")
    for fault in ALGORITHM_CATALOGUE.values():
        say(f"{fault.id}: {words(fault.title)}", console, indent=2)
    console.print("Not shown by one step on the built-in problems:")
    for id_, reason in NOT_SHOWN.items():
        say(f"{id_}: {words(reason)}{'; golden vectors show it' if _killing(id_) else ''}", console, indent=2)


def show_fault(id_: str, console: Console) -> None:
    """Print all that is known of one fault; a KeyError lists those that there are."""
    if id_ in NOT_SHOWN and id_ not in MODEL_CATALOGUE:
        title, lines = f"{id_}: known, but not shown by a single step", [("Why", NOT_SHOWN[id_])]
        if count := _killing(id_):
            lines.append(("Shows on", f"{count} golden vectors; refmaml vectors list --kills {id_}"))
            title = f"{id_}: known, but not shown by a built-in problem: golden vectors show it"
        _show_entry(title, lines, console)
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
    _show_entry(f"{fault.id}: {fault.title}", lines, console)


def _show_entry(title: str, lines: list[tuple[str, str]], console: Console) -> None:
    """Print what is known of one fault, under its name."""
    say(Text(spelled(title, console.encoding), style="bold"), console)
    for name, words in lines:
        line = linked(f"{name}: {spelled(words, console.encoding)}", console)
        line.stylize("bold", 0, len(name) + 1)
        say(line, console, indent=4)
