"""The algorithms that an author can declare, for people."""

from __future__ import annotations

from rich.console import Console

from verification.algorithms import INGREDIENTS
from verification.reports.tables import print_table, say
from verification.texts import spelled


def show_algorithms(console: Console) -> None:
    """Print a line for each ingredient: how it is spelled, what it does, and where it is from."""

    def words(text: str) -> str:
        return spelled(text, console.encoding)

    rows = [
        (words(ingredient.signature), words(ingredient.meaning), words(ingredient.source))
        for ingredient in INGREDIENTS.values()
    ]
    print_table(("name", "what it does", "source"), rows, console, title="What you can declare with --algorithm")
    say(words("g: inner gradient; φ: inner iterate; α: inner rate; K: steps; Q: outer cost."), console)
    say("Join several with ' + ': gradients go through them from left to right.", console)
    say("[held]: what is kept from earlier steps, or multiplied by, is a constant to the outer gradient.", console)
    say("Every state begins anew for each task.", console)
