"""The page on the command line, made of the commands' own help whenever the documentation is built."""

from __future__ import annotations

from pathlib import Path

import click

from verification.commands.cli import main

_WIDTH = 88
_BEGINNING = """\
# The command line

`refmaml COMMAND --help` prints what this page has, and `-h` is short for `--help`. Results go to standard output,
progress and errors to standard error. A wrong name is answered with what you may have meant, and
[a shell completes names](continuous-integration.md#completion).
"""


def write_page(path: Path = Path(__file__).parent / "command-line.md") -> None:
    """Write the page, where it is not up to date."""
    text = page()
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def page() -> str:
    """Return the page: a section for each command, and for each below it."""
    return "\n".join([_BEGINNING, *_sections(main, "refmaml", None)])


def _sections(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    settings = {**command.context_settings, "max_content_width": _WIDTH, "terminal_width": _WIDTH}
    context = click.Context(command, parent=parent, info_name=name, **settings)
    title = context.command_path
    found = [] if parent is None else [f"{'#' * (1 + title.count(' '))} `{title}`\n"]
    found.append(f"```text\n{command.get_help(context)}\n```\n")
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found += _sections(_member(command, below, context), below, context)
    return found


def _member(group: click.Group, name: str, context: click.Context) -> click.Command:
    member = group.get_command(context, name)
    assert member is not None, f"{name} is listed, and is none of the commands"
    return member
