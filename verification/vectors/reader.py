"""Reading the frozen files: complete, unchanged and of a known version, or a clear error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from verification.vectors.layout import Json
from verification.vectors.vector import Vector

DATA = Path(__file__).parent / "data"
SCHEMAS = Path(__file__).parent / "schema"
FORMAT = "refmaml-vectors"
MAJOR = 1  # the major version of the format that this reader knows


class VectorsError(Exception):
    """The golden vectors cannot be trusted as they are; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class VectorSet:
    """All vectors in the order of the manifest; iterate, or ask for one by its id."""

    manifest: Json
    errata: list[Json]
    vectors: Mapping[str, Vector]

    def __iter__(self) -> Iterator[Vector]:
        return iter(self.vectors.values())

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, identity: str) -> Vector:
        """Return the vector with an id, or with the only id that begins so."""
        if identity in self.vectors:
            return self.vectors[identity]
        found = [vector for vector in self.vectors if vector.startswith(identity)]
        if len(found) != 1:
            some = f" It begins {len(found)} ids, for example {', '.join(found[:3])}." if found else ""
            raise KeyError(f"id: expected one of the {len(self)} ids of the manifest, but got {identity!r}.{some}")
        return self.vectors[found[0]]

    @property
    def version(self) -> str:
        """The semantic version of the vectors."""
        return str(self.manifest["version"])


def load(folder: Path | str = DATA) -> VectorSet:
    """Return the vectors of a folder, by default those of the package.

    Raises:
        VectorsError: a file is missing or changed, a vector is missing, or the major version is unknown.
    """
    folder = Path(folder)
    manifest = _parsed(_bytes(folder / "manifest.json"), folder / "manifest.json")
    _check_version(manifest, folder)
    by_id: dict[str, Vector] = {}
    for entry in manifest["files"]:
        for layout in _vectors_of(folder, entry):
            by_id[layout["id"]] = Vector(layout["id"], layout)
    listed = [entry["id"] for entry in manifest["vectors"]]
    lost = [identity for identity in listed if identity not in by_id]
    if lost or len(by_id) != manifest["count"] or len(listed) != manifest["count"]:
        raise VectorsError(
            f"The manifest in {folder} counts {manifest['count']} vectors and lists {len(listed)}, but the files hold "
            f"{len(by_id)}{', without ' + lost[0] if lost else ''}. {_REPAIR}"
        )
    errata = _parsed(_bytes(folder / "errata.json"), folder / "errata.json")["errata"]
    return VectorSet(manifest, errata, {identity: by_id[identity] for identity in listed})


@cache
def golden() -> VectorSet:
    """Return the golden vectors of the package, read once."""
    return load()


_REPAIR = "Install the package again, or export the vectors again with: refmaml vectors export DIR"


def _check_version(manifest: Json, folder: Path) -> None:
    if manifest.get("format") != FORMAT:
        came = manifest.get("format")
        raise VectorsError(f"{folder}: expected the format {FORMAT!r}, but its manifest says {came!r}. {_REPAIR}")
    major = str(manifest.get("version")).split(".", maxsplit=1)[0]
    if major != str(MAJOR):
        raise VectorsError(
            f"{folder} has vectors of version {manifest.get('version')}, and this reader knows version {MAJOR}. "
            "Install the release of refmaml that the vectors came with."
        )


def _vectors_of(folder: Path, entry: Json) -> list[Json]:
    path = folder / entry["file"]
    content = _bytes(path)
    digest = sha256(content).hexdigest()
    if digest != entry["sha256"]:
        raise VectorsError(
            f"{path} was changed: the manifest has SHA-256 {entry['sha256']}, but it has {digest}. {_REPAIR}"
        )
    vectors: list[Json] = _parsed(content, path)["vectors"]
    if len(vectors) != entry["count"]:
        raise VectorsError(f"{path} holds {len(vectors)} vectors, but the manifest says {entry['count']}. {_REPAIR}")
    return vectors


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VectorsError(f"{path} cannot be read ({error.strerror}), and the vectors need it. {_REPAIR}") from error


def _parsed(content: bytes, path: Path) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise VectorsError(f"{path} is not JSON ({error}). {_REPAIR}") from error
