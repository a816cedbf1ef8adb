"""All the vectors: which are kept, the files they go to, and the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from verification.vectors.generator.catalogue import CATALOGUE, NOT_SHOWN
from verification.vectors.generator.certificate import certify
from verification.vectors.generator.conditioning import UnfitProblemError, clear_of_kinks
from verification.vectors.generator.drawing import Recipe, draw
from verification.vectors.generator.layout import Json
from verification.vectors.generator.recipes import recipes
from verification.vectors.generator.sources import source_of
from verification.vectors.generator.text import compact

FORMAT = "refmaml-vectors"
VERSION = "1.0.0"
_ATTEMPTS = 50


def make(recipe: Recipe, certified: Callable[[str, Json, list[str], list[str]], Json] = certify) -> Json:
    """Return the vector of a recipe, certified: of the first attempt whose problem is fit."""
    for attempt in range(_ATTEMPTS):
        problem = draw(recipe, attempt)
        if not clear_of_kinks(problem):
            continue
        try:
            return certified(recipe.slug, problem, list(_dtypes(recipe)), list(recipe.notes))
        except UnfitProblemError:
            continue
    raise UnfitProblemError(f"{recipe.slug}: none of {_ATTEMPTS} attempts is fit; change the recipe.")


def _dtypes(recipe: Recipe) -> tuple[str, ...]:
    return recipe.dtypes or (("float64",) if recipe.full_precision else ("float64", "float32"))


def settings(recipe: Recipe) -> list[str]:
    """Return what is particular about a recipe, beside its family and its step."""
    mode = "batched" if recipe.batched else "loop"
    return [f"K={recipe.steps}, {mode}", f"T={recipe.tasks}", *recipe.settings]


@dataclass
class Novelty:
    """Which fault has been killed where: a place is a family, a step and one setting."""

    known: set[tuple[str, str, str, str]] = field(default_factory=set)

    def of(self, recipe: Recipe, vector: Json) -> dict[str, list[str]]:
        """Return the faults that the vector kills by setting, where none before it did, and remember them."""
        new: dict[str, list[str]] = {}
        for setting in settings(recipe):
            for fault in vector["kills"]["float64"]:
                place = (recipe.family, recipe.step, setting, fault)
                if place not in self.known:
                    self.known.add(place)
                    new.setdefault(setting, []).append(fault)
        return new


def made(plan: list[Recipe], processes: int) -> Iterator[Json]:
    """Yield the vectors of a plan, in its order."""
    indices = range(len(plan))
    if processes == 1:
        yield from map(_made, indices, [plan] * len(plan))
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_by_slug, [recipe.slug for recipe in plan], chunksize=2)


def _made(index: int, plan: list[Recipe]) -> Json:
    return make(plan[index])


def _by_slug(slug: str) -> Json:
    try:
        return make(next(recipe for recipe in recipes() if recipe.slug == slug))
    except Exception as error:
        raise RuntimeError(f"The recipe {slug} failed: {error!r}") from error


def file_of(recipe: Recipe) -> str:
    """Return the name of the file that a recipe's vector is in."""
    return f"{recipe.family}.{recipe.step}.json"


def file_text(family: str, step: str, vectors: Iterable[Json]) -> str:
    """Return the text of a file: a JSON object with one vector on each line."""
    head = compact({"format": FORMAT, "version": VERSION, "family": family, "step": step})
    return f'{head[:-1]},"vectors":[\n' + ",\n".join(compact(vector) for vector in vectors) + "\n]}\n"


def collect(plan: list[Recipe], processes: int, progress: Callable[[str], None]) -> tuple[dict[str, str], Json]:
    """Return the texts of all files by name, and the manifest."""
    novelty, kept, entries = Novelty(), {}, []  # type: ignore[var-annotated]
    for recipe, vector in zip(plan, made(plan, processes), strict=True):
        new = novelty.of(recipe, vector)
        if new:
            kept.setdefault(file_of(recipe), []).append((recipe, vector))
            entries.append({"id": vector["id"], "file": file_of(recipe), "kills": vector["kills"], "new": new})
        progress(recipe.slug)
    texts = {
        name: file_text(members[0][0].family, members[0][0].step, [vector for _, vector in members])
        for name, members in kept.items()
    }
    return texts, manifest(texts, {name: len(members) for name, members in kept.items()}, entries)


def manifest(texts: dict[str, str], counts: dict[str, int], entries: list[Json]) -> Json:
    """Return the manifest of the files."""
    files = [
        {"file": name, "count": counts[name], "bytes": len(text.encode()), "sha256": sha256(text.encode()).hexdigest()}
        for name, text in texts.items()
    ]
    faults = {
        fault.name: {
            "fault": fault.sentence,
            "source": source_of(fault.name),
            "killed_by": sum(fault.name in entry["kills"]["float64"] for entry in entries),
        }
        for fault in CATALOGUE
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "count": len(entries),
        "files": files,
        "faults": faults,
        "not_shown": NOT_SHOWN,
        "vectors": entries,
    }


def manifest_text(document: Json) -> str:
    """Return the manifest as JSON with one file, fault or vector on each line."""
    lines = []
    for key, value in document.items():
        if isinstance(value, list):
            body = "[\n" + ",\n".join(compact(entry) for entry in value) + "\n]"
        elif isinstance(value, dict):
            body = "{\n" + ",\n".join(f"{compact(name)}:{compact(entry)}" for name, entry in value.items()) + "\n}"
        else:
            body = compact(value)
        lines.append(f"{compact(key)}:{body}")
    return "{" + ",\n".join(lines) + "}\n"


def write(folder: Path, texts: dict[str, str], document: Json) -> None:
    """Write the files and the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, "manifest.json": manifest_text(document)}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
