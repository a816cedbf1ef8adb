"""``python -m verification.vectors.generator``: make all golden vectors again, or check a sample of the frozen ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from verification.vectors.generator.extra import MissingExtraError
from verification.vectors.generator.text import compact

DATA = Path(__file__).parent.parent / "data"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", "sample", type=click.IntRange(min=1), help="Make so many again and compare; write nothing.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which sample --check takes.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Worker processes.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=DATA, help="Where the files are.")
def main(sample: int | None, seed: int, processes: int, folder: Path) -> None:
    """Make the golden vectors again, or check a sample of the frozen ones.

    \b
    Examples:
      python -m verification.vectors.generator
      python -m verification.vectors.generator --check 20 --seed 7
    """  # noqa: D301  # click reads a backspace as "keep these lines", which a raw string has not
    try:
        from verification.vectors.generator import collection
        from verification.vectors.generator.recipes import recipes
    except MissingExtraError as error:
        raise click.ClickException(str(error)) from error
    plan = click.get_current_context().find_object(list) or recipes()
    if sample is not None:
        _check(collection, random.Random(seed).sample(plan, min(sample, len(plan))), processes, folder)
        return
    with _bar(len(plan)) as progress:
        texts, manifest = collection.collect(plan, processes, progress)
    collection.write(folder, texts, manifest)
    size = sum(len(text.encode()) for text in texts.values()) / 1e6
    click.echo(f"{manifest['count']} vectors of {len(plan)} kill something new: {size:.2f} MB in {len(texts)} files.")


def _check(collection: Any, plan: list[Any], processes: int, folder: Path) -> None:
    """Compare the lines of the frozen files with those of vectors made again."""
    lines = {line.rstrip(",") for file in folder.glob("*.*.json") for line in file.read_text("utf-8").splitlines()}
    frozen = {line.split('"', 4)[3] for line in lines if line.startswith('{"id"')}
    same, changed, left_out = 0, [], 0
    with _bar(len(plan)) as progress:
        for recipe, vector in zip(plan, collection.made(plan, processes), strict=True):
            if vector["id"] not in frozen:
                left_out += 1
            elif compact(vector) in lines:
                same += 1
            else:
                changed.append(recipe.slug)
            progress(recipe.slug)
    click.echo(f"{same} of {len(plan)} are byte-identical to the frozen ones, {left_out} are not among them.")
    if changed or not same:
        raise click.ClickException(f"These differ from what is frozen in {folder}: {', '.join(changed) or 'all'}.")


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    columns: tuple[Any, ...] = (
        TextColumn("{task.description:<48}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        work = bar.add_task("starting", total=total)
        yield lambda name: bar.update(work, advance=1, description=name)


if __name__ == "__main__":
    main()
