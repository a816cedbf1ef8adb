"""``refmaml vectors``: list, show and export the golden vectors, and what they kill."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from verification.commands.screen import screen
from verification.commands.shared import OneOf, suggestion
from verification.orders import BY_STEP, DTYPES
from verification.problems.families import FAMILIES
from verification.reports.tables import print_table, say
from verification.texts import spelled
from verification.vectors.matrix import kill_matrix
from verification.vectors.reader import DATA, SCHEMAS, VectorsError, VectorSet, load
from verification.vectors.vector import Vector


@dataclass(frozen=True)
class Source:
    """Where the commands get the vectors from; another one is handed in as the object of click's context."""

    read: Callable[[], VectorSet] = load


@click.group()
def vectors() -> None:
    """List, show and export the golden vectors: frozen problems with certified answers.

    \b
    Examples:
      refmaml vectors list --kills B02
      refmaml vectors export vectors/

    \b
    Exit codes:
      0  done
      1  the vectors cannot be read, or a fault survives
      2  wrong usage
    """


@vectors.command("list")
@click.option("--family", type=OneOf(sorted(FAMILIES)), help="List only vectors of this cost family.")
@click.option("--step", type=OneOf(list(BY_STEP)), help="List only vectors of this step.")
@click.option("--kills", metavar="FAULT", help="List only vectors that kill this fault, for example B02.")
def list_vectors(family: str | None, step: str | None, kills: str | None) -> None:
    """List the vectors, one per line, with the number of faults that each vector kills.

    \b
    Examples:
      refmaml vectors list
      refmaml vectors list --family mlp-tanh-mse --step maml
      refmaml vectors list --kills B11

    \b
    Exit codes:
      0  done
      1  the vectors cannot be read
      2  wrong usage: there is no such fault
    """
    every = _loaded()
    chosen = [vector for vector in every if _matches(vector, family, step, kills)]
    if kills and not chosen and not _is_fault(every, kills):
        known = ", ".join(every.manifest["faults"])
        meant = suggestion(kills, every.manifest["faults"])
        raise click.UsageError(f"--kills: expected one of {known}, but got {kills!r}.{meant}")
    with screen() as console:
        for vector in chosen:
            console.print(f"{vector.id}  kills {len(vector.kills['float64'])}", soft_wrap=True)
        console.print(f"{len(chosen)} of {len(every)} vectors, version {every.version}, {len(every.errata)} errata.")


@vectors.command("show")
@click.argument("identity", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the frozen JSON of the vector.")
def show(identity: str, as_json: bool) -> None:
    """Show a vector: its problem, its answer, its bounds, and the faults that it kills. You can shorten ID.

    \b
    Examples:
      refmaml vectors show quadratic-fomaml-k1-t2-loop
      refmaml vectors show quadratic-fomaml-k1-t2-loop --json

    \b
    Exit codes:
      0  done
      1  the vectors cannot be read
      2  wrong usage: there is no such vector
    """
    every = _loaded()
    try:
        vector = every[identity]
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from error
    with screen() as console:
        if as_json:
            console.out(json.dumps(vector.layout, indent=2), highlight=False)
        else:
            _print(every, vector, console)


@vectors.command("export")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def export(folder: Path) -> None:
    """Copy the vectors, their manifest, the errata and the JSON Schemas to DIR. DIR must not hold other vectors.

    \b
    Examples:
      refmaml vectors export vectors/

    \b
    Exit codes:
      0  done
      1  the vectors cannot be read
      2  wrong usage: DIR cannot be written to, or holds other vectors
    """
    every = _loaded()
    files = [*(DATA / entry["file"] for entry in every.manifest["files"]), DATA / "manifest.json", DATA / "errata.json"]
    contents = {path.name: path.read_bytes() for path in (*files, *sorted(SCHEMAS.glob("*.json")))}
    try:
        _write(folder, contents)
    except OSError as error:
        raise click.UsageError(f"DIR: {folder} cannot be written to: {error.strerror}.") from error
    size = sum(map(len, contents.values())) / 1e6
    click.echo(f"{len(every)} vectors, {size:.1f} MB in {len(contents)} files, written to {folder}.")


@vectors.command("matrix")
@click.option("--dtype", type=OneOf(DTYPES), default="float64", show_default=True)
def matrix(dtype: str) -> None:
    """Print the kill matrix: the number of vectors that kill each fault, for each kind of step.

    Float32 cannot show the faults G11 and V02. Float64 vectors kill them, so they do not count as survivors.

    \b
    Examples:
      refmaml vectors matrix
      refmaml vectors matrix --dtype float32

    \b
    Exit codes:
      0  no fault survives
      1  a fault survives in float64, or the vectors cannot be read
      2  wrong usage
    """
    show_kills(dtype)


def show_kills(dtype: str) -> None:
    """Print how many vectors kill each fault, and the faults that no answer shows.

    Raises:
        ClickException: a fault survives in float64 (some need inputs that binary32 does not have).
    """
    every = _loaded()
    found = kill_matrix(every, every.manifest["faults"], dtype)
    rows = []
    for fault, killers in found.kills.items():
        steps = [every[identity].problem["step"] for identity in killers]
        counts = [str(steps.count(step)) for step in BY_STEP]
        rows.append((fault, *counts, str(len(found.hidden[fault])), every.manifest["faults"][fault]["fault"]))
    head = ("fault", *BY_STEP, "same answer", "what it is")
    with screen() as console:
        print_table(head, rows, console)
        console.print(f"{len(found.kills) - len(found.survivors)} of {len(found.kills)} faults are killed in {dtype}.")
        if dtype == "float64":
            say("No answer of one step shows these faults:", console)
            for fault, reason in every.manifest["not_shown"].items():
                say(f"{fault}: {reason}", console, indent=2)
        if found.survivors and dtype == "float32":
            names = ", ".join(found.survivors)
            say(f"Float32 cannot show {names}. Float64 shows them, so they do not count as survivors.", console)
    if found.survivors and dtype == "float64":
        raise click.ClickException(f"No vector kills {', '.join(found.survivors)}.")


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    other = [name for name, content in contents.items() if _differs(folder / name, content)]
    if other:
        raise click.UsageError(f"DIR: expected no other vectors in {folder}, but {other[0]} differs there.")
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _differs(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() != content


def _loaded() -> VectorSet:
    source = click.get_current_context().find_object(Source) or Source()
    try:
        return source.read()
    except VectorsError as error:
        raise click.ClickException(str(error)) from error


def _is_fault(every: VectorSet, fault: str) -> bool:
    return any(_stands_for(name, fault) for name in every.manifest["faults"])


def _stands_for(name: str, fault: str) -> bool:
    """Return whether a fault is meant: B11 means all of its variants, B11/sum one."""
    return fault in (name, name.split("/", maxsplit=1)[0])


def _matches(vector: Vector, family: str | None, step: str | None, kills: str | None) -> bool:
    problem = vector.problem
    return (
        family in (None, problem["family"])
        and step in (None, problem["step"])
        and (kills is None or any(_stands_for(name, kills) for name in vector.kills["float64"]))
    )


def _print(every: VectorSet, vector: Vector, console: Console) -> None:
    problem = vector.problem
    mode = "batched" if problem["batched"] else "loop"
    console.print(f"[bold]{vector.id}[/bold]")
    console.print(
        f"{problem['step']} on {problem['family']}: K = {problem['steps']}, T = {problem['num_tasks']}, {mode}"
    )
    for note in [*vector.layout["notes"], *(e["what"] for e in every.errata if e["id"] == vector.id)]:
        console.print(note)
    head = ("answer", "value", spelled("κ", console.encoding), *(f"bound, {dtype}" for dtype in vector.dtypes))
    rows = [("cost", f"{float(vector.expected.cost):.17g}", *_numbers(vector, "cost", None))]
    for name, leaf in vector.expected.gradients.items():
        rows.append((f"gradient {name}", str(leaf), *_numbers(vector, "gradients", name)))
    print_table(head, rows, console)
    console.print(f"kills: {', '.join(vector.kills['float64'])}")
    certificate = vector.layout["certificate"]
    console.print(f"certified with {certificate['bits']} bits; confirmed by {certificate['confirmed_by']}")


def _numbers(vector: Vector, part: str, name: str | None) -> list[str]:
    bounds = [f"{vector.bound(part, name, dtype):.3g}" for dtype in vector.dtypes]  # type: ignore[arg-type]
    return [f"{vector.condition(part, name):.3g}", *bounds]  # type: ignore[arg-type]
