"""The reader takes the files as they were frozen, and says what is wrong with any others."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from verification.vectors import DATA, VectorsError, VectorSet, load


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "data"))


def rewritten(folder: Path, change) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), "utf-8")


def test_all_vectors_of_the_manifest_come_in_its_order(every: VectorSet) -> None:
    """Reading gives as many vectors as the manifest counts, in its order."""
    assert [vector.id for vector in every] == [entry["id"] for entry in every.manifest["vectors"]]
    assert len(every) == every.manifest["count"]
    assert every.version.split(".")[0] == "1"


def test_a_vector_is_found_by_its_id_and_by_the_only_one_that_begins_so(every: VectorSet) -> None:
    """An id, and a beginning that only one id has, find the vector."""
    first = next(iter(every))
    assert every[first.id] is first
    assert every[first.id[:-4]] is first


def test_an_unknown_id_is_an_error_with_examples(every: VectorSet) -> None:
    """A beginning of several ids is refused with examples, and an unknown one with their number."""
    with pytest.raises(KeyError, match=r"but got 'quadratic'\. It begins [0-9]+ ids, for example quadratic-"):
        every["quadratic"]
    with pytest.raises(KeyError, match=f"expected one of the {len(every)} ids"):
        every["cubic"]


def test_a_missing_file_is_an_error(copy: Path) -> None:
    """A file that the manifest lists and that is not there is named."""
    (copy / "bilinear.maml.json").unlink()
    with pytest.raises(VectorsError, match=r"bilinear\.maml\.json cannot be read \(No such file"):
        load(copy)


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    """A folder without a manifest is refused."""
    with pytest.raises(VectorsError, match=r"manifest\.json cannot be read"):
        load(tmp_path)


def test_a_changed_byte_is_an_error(copy: Path) -> None:
    """One changed digit breaks the file's checksum."""
    path = copy / "quadratic.fomaml.json"
    content = bytearray(path.read_bytes())
    spot = content.index(b"0x1.") + 4
    content[spot] = ord("1") if content[spot] != ord("1") else ord("2")
    path.write_bytes(content)
    with pytest.raises(VectorsError, match=r"quadratic\.fomaml\.json was changed: the manifest has SHA-256"):
        load(copy)


def test_a_file_with_fewer_vectors_than_the_manifest_says_is_an_error(copy: Path) -> None:
    """A file with one vector less than the manifest says is refused though its checksum is right."""
    path = copy / "quadratic.fomaml.json"
    document = json.loads(path.read_text("utf-8"))
    document["vectors"].pop()
    path.write_text(json.dumps(document), "utf-8")

    def change(manifest) -> None:
        next(e for e in manifest["files"] if e["file"] == path.name)["sha256"] = sha256(path.read_bytes()).hexdigest()

    rewritten(copy, change)
    with pytest.raises(VectorsError, match=r"holds [0-9]+ vectors, but the manifest says"):
        load(copy)


def test_fewer_vectors_in_all_than_the_manifest_counts_is_an_error(copy: Path) -> None:
    """A manifest that counts more vectors than the files hold is refused."""
    rewritten(copy, lambda manifest: manifest.update(count=manifest["count"] + 1))
    with pytest.raises(VectorsError, match=r"counts [0-9]+ vectors and lists [0-9]+, but the files hold"):
        load(copy)


def test_a_listed_vector_that_no_file_holds_is_an_error(copy: Path) -> None:
    """A vector that the manifest lists and no file holds is named."""
    rewritten(copy, lambda manifest: manifest["vectors"][0].update(id="lost-0123456789"))
    with pytest.raises(VectorsError, match="without lost-0123456789"):
        load(copy)


def test_an_unknown_major_version_is_an_error(copy: Path) -> None:
    """Vectors of a later major version are refused with what to install."""
    rewritten(copy, lambda manifest: manifest.update(version="2.0.0"))
    with pytest.raises(VectorsError, match=r"version 2\.0\.0, and this reader knows version 1\. Install the release"):
        load(copy)


def test_a_later_minor_version_is_read(copy: Path) -> None:
    """A later minor version only adds, and is read."""
    rewritten(copy, lambda manifest: manifest.update(version="1.7.0"))
    assert load(copy).version == "1.7.0"


def test_another_format_is_an_error(copy: Path) -> None:
    """A manifest of something else is refused with the format that was expected."""
    rewritten(copy, lambda manifest: manifest.update(format="something"))
    with pytest.raises(VectorsError, match="expected the format 'refmaml-vectors', but its manifest says 'something'"):
        load(copy)


def test_what_is_not_json_is_an_error(copy: Path) -> None:
    """A manifest that is no JSON is refused."""
    (copy / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(VectorsError, match=r"manifest\.json is not JSON"):
        load(copy)
