"""Files that a command writes at its end, refused at its beginning where they cannot be written."""

from __future__ import annotations

from pathlib import Path

import click


def writable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file in no folder at once: what is to be written takes seconds or minutes."""
    if path is not None and not path.resolve().parent.is_dir():
        raise click.BadParameter(f"expected a file in a folder that exists, but got {path}.", context, parameter)
    return path
