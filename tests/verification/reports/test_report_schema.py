"""The published JSON Schema: every report fulfils it, and what is no report does not."""

from __future__ import annotations

import copy
import json

import jsonschema
import numpy as np
import pytest
from implementations import numpy_subject, right_step, step_one_too_few
from shared import verify

from verification.faults import CATALOGUE
from verification.faults.subject import FaultySubject
from verification.naming.scaling import under
from verification.reports.json_schema import schema
from verification.subjects import Finding

pytestmark = pytest.mark.once  # texts

VALIDATOR = jsonschema.Draft202012Validator(schema())
ONE = {"dtypes": ("float64",), "problems": ("bilinear",)}


def pair():
    return FaultySubject(under(lambda question: question.tasks, CATALOGUE["C01"].variants[""]))


def spoiled(problem):
    return float("nan"), {chain: np.full(problem.shape(chain), np.inf) for chain in problem.names}


def raising(problem):
    raise ValueError("no")


def chance(problem):
    cost, gradients = numpy_subject(problem)
    return cost, {chain: np.cos(1 + leaf) for chain, leaf in gradients.items()}


REPORTS = {
    "pass": lambda: verify(right_step, kind="step", **ONE),
    "one name": lambda: verify(step_one_too_few, kind="step", **ONE),
    "a pair": lambda: verify(pair(), framework="numpy", **{**ONE, "problems": ("bilinear", "one-task")}),
    "no name": lambda: verify(chance, framework="numpy", **ONE),
    "a convention": lambda: verify(FaultySubject(CATALOGUE["D01"].variants[""]), framework="numpy", **ONE),
    "changed inputs": lambda: verify(FaultySubject(CATALOGUE["E02"].variants[""]), framework="numpy", **ONE),
    "not numbers": lambda: verify(spoiled, framework="numpy", **ONE),
    "an exception": lambda: verify(raising, framework="numpy", **ONE),
    "no result": lambda: verify(lambda problem: None, framework="numpy", **ONE),
    "nothing asked": lambda: verify(numpy_subject, framework="numpy", problems=("batched",)),
    "reptile": lambda: verify(
        FaultySubject(CATALOGUE["G03"].variants["not divided"]), framework="numpy", order="reptile", **ONE
    ),
}


@pytest.fixture(scope="module")
def written():
    """Each report as it is read back from its file."""
    return {name: json.loads(json.dumps(make().to_dict(), allow_nan=False)) for name, make in REPORTS.items()}


def test_the_schema_is_one():
    """The schema is valid by the standard that it names."""
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_fulfils_the_schema(written, name):
    """A report of every verdict and of every kind of diagnosis and finding is valid."""
    VALIDATOR.validate(written[name])


def test_the_reports_are_of_every_kind(written):
    """The reports above have every verdict, a single name, a pair, no name, and infinities: each is tried."""
    assert {value["verdict"] for value in written.values()} == {"pass", "fail", "inconclusive"}
    first = {name: (content["diagnosis"] or [{"fault": None}])[0]["fault"] for name, content in written.items()}
    assert (first["one name"], first["no name"], first["pass"]) == ("B02", "several", None)
    assert isinstance(first["a pair"], list)
    assert set(first["a pair"]) == {"D01", "C01"}
    assert "inf" in json.dumps(written["not numbers"])


def test_every_field_is_described():
    """Each property and each definition says what it holds, in words."""

    def properties(node):
        for name, content in node.get("properties", {}).items():
            if set(content) - {"properties", "items", "maxItems", "minItems", "not", "const", "contains"}:
                yield name, content
            yield from properties(content)
        for content in node.get("$defs", {}).values():
            yield from properties(content)

    described = dict(properties(schema()))
    fields = {"verdict", "diagnosis", "fault", "evidence", "cannot_tell_from", "cases", "snippet", "what", "bound"}
    assert set(described) >= fields
    assert [name for name, content in properties(schema()) if not content.get("description")] == []


def test_the_schema_names_the_fields_that_there_are(written):
    """No field of the schema is missing from a report, and none is left over: the objects are closed."""
    report = written["one name"]
    case, finding = report["cases"][0], report["cases"][0]["findings"][0]
    definitions = schema()["$defs"]
    for node, given in (
        (schema(), report),
        (schema()["properties"]["subject"], report["subject"]),
        (definitions["diagnosis"], report["diagnosis"][0]),
        (definitions["case"], case),
        (definitions["finding"], finding),
    ):
        assert set(node["properties"]) == set(node["required"]) == set(given)
        assert node["additionalProperties"] is False
    assert set(definitions["finding"]["properties"]) == set(Finding.__dataclass_fields__)


def test_every_id_of_the_catalogue_is_a_fault_of_the_schema():
    """The pattern of ids takes the whole catalogue, and nothing that is not shaped like it."""
    fault = VALIDATOR.evolve(schema=schema()["$defs"]["fault"])
    assert all(fault.is_valid(id_) for id_ in CATALOGUE)
    assert not any(fault.is_valid(id_) for id_ in ("B2", "H01", "several", "B02 + D01", 2))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: report.update(verdict=["fail"]),
        lambda report: report.update(verdict="wrong"),
        lambda report: report.update(verdict="pass"),
        lambda report: report.update(more=1),
        lambda report: report.pop("diagnosis"),
        lambda report: report.update(diagnosis=report["diagnosis"][0]),
        lambda report: report["diagnosis"][0].update(fault=["B02"]),
        lambda report: report["diagnosis"][0].update(fault="unknown"),
        lambda report: report["diagnosis"][0].update(advice=""),
        lambda report: report["subject"].update(kind="library"),
        lambda report: report["cases"][0].update(order="2"),
        lambda report: report["cases"][0].update(verdict="pass"),
        lambda report: report["cases"][0].update(findings=[]),
        lambda report: report["cases"][0]["findings"][0].update(error="large"),
        lambda report: report["cases"][0]["findings"][0].update(got=[[1.0, "one"]]),
    ],
)
def test_what_is_no_report_is_refused(written, spoil):
    """A report with a wrong type, a missing or another field, or a contradiction is not valid."""
    report = copy.deepcopy(written["one name"])
    spoil(report)
    assert not VALIDATOR.is_valid(report)
