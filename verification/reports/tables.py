"""Tables and paragraphs that cut nothing, and have no spaces at the ends of lines."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

NARROW = 60  # columns below which names would be folded in the middle, and could not be copied


def say(text: Text | str, console: Console, indent: int = 0) -> None:
    """Print a paragraph, folded at words; its lines have an indent."""
    text = Text(text) if isinstance(text, str) else text
    for line in text.wrap(console, max(console.width - indent, 1)):
        line.rstrip()
        console.print(Text(" " * indent) + line, soft_wrap=True)


def print_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    console: Console,
    *,
    title: str | None = None,
    caption: str | None = None,
    numbers: Container[int] = (),
) -> None:
    """Print a table, or where it is narrow a paragraph for each row; the columns `numbers` align to the right."""
    if title:
        say(Text(title, style="bold"), console)
    if console.width < NARROW:
        for row in rows:
            _print_row(head, row, console)
    else:
        _print_grid(head, rows, console, numbers)
    if caption:
        say(Text(caption, style="dim"), console)


def _print_grid(
    head: Sequence[str], rows: Sequence[Sequence[str | Text]], console: Console, numbers: Container[int]
) -> None:
    grid = Table()
    for index, name in enumerate(head):
        grid.add_column(name, overflow="fold", justify="right" if index in numbers else "left")
    for row in rows:
        grid.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console.print(grid)


def _print_row(head: Sequence[str], row: Sequence[str | Text], console: Console) -> None:
    """Print the first cell of a row in a line, and under it those others that are not empty, with their names."""
    first, *others = row
    say(first, console)
    named = [Text.assemble(f"{name}: ", cell) for name, cell in zip(head[1:], others, strict=True) if str(cell)]
    say(Text("; ").join(named), console, indent=4)
