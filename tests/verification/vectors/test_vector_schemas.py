"""The files are what the JSON Schemas say, and the schemas turn down what is not."""

import json
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from verification.vectors import DATA, SCHEMAS

pytestmark = pytest.mark.once  # arithmetic

DOCUMENTS = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(SCHEMAS.glob("*.json"))}
REGISTRY: Registry = Registry().with_resources(
    [(name, Resource.from_contents(document)) for name, document in DOCUMENTS.items()]
)


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(DOCUMENTS[name], registry=REGISTRY)


def read(name: str) -> Any:
    return json.loads((DATA / name).read_text("utf-8"))


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_schema_is_a_schema(name: str) -> None:
    """Each schema that is published is a valid JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(DOCUMENTS[name])


@pytest.mark.parametrize("name", ["manifest", "errata"])
def test_the_manifest_and_the_errata_are_valid(name: str) -> None:
    """Manifest and errata fulfil their schemas."""
    validator(f"{name}.schema.json").validate(read(f"{name}.json"))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("file", [entry["file"] for entry in read("manifest.json")["files"]])
def test_a_file_of_vectors_is_valid(file: str) -> None:
    """Every vector of a file fulfils the schema."""
    validator("vectors.schema.json").validate(read(file))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(steps=-1),
        lambda p: p.update(num_tasks=0),
        lambda p: p.update(family="cubic"),
        lambda p: p.update(step="reptile"),
        lambda p: p.update(query=None),
        lambda p: p.update(inner=[]),
        lambda p: p.pop("rates"),
        lambda p: p.update(colour="red"),
        lambda p: p["rates"].update(vector="0.1"),
        lambda p: p["rates"].update(vector="0x1.8p1"),
        lambda p: p["variables"].update(cubic=p["variables"]["vector"]),
    ],
)
def test_a_wrong_problem_is_turned_down(change) -> None:
    """One wrong, missing or additional part makes a problem invalid."""
    problem = read("quadratic.fomaml.json")["vectors"][0]["problem"]
    validator("problem.schema.json").validate(problem)
    change(problem)
    with pytest.raises(jsonschema.ValidationError):
        validator("problem.schema.json").validate(problem)


def test_the_promised_invariants_hold(every) -> None:
    """What no schema can say of selections, rates and rows holds for every vector."""
    for vector in every:
        p = vector.problem
        names = list(p["variables"])
        for selections in (p["inner"], p["outer"]):
            assert len(selections) == p["num_tasks"], vector.id
            assert all(selection == [name for name in names if name in selection] for selection in selections), (
                vector.id
            )
            assert not p["batched"] or all(selection == selections[0] for selection in selections), vector.id
        assert set(p["rates"]) == set(names)
        rates = [float.fromhex(rate) for rate in p["rates"].values()]
        assert min(rates) >= 0, vector.id
        if p["step"] == "reptile":
            assert min(rates) > 0, vector.id
            assert p["inner"] == p["outer"] == [names] * p["num_tasks"], vector.id
        rows = {leaf["shape"][0] for part in ("support", "query") for leaf in (p[part] or {}).values()}
        assert len(rows) == 1, vector.id
        assert rows.pop() >= p["num_tasks"], vector.id
