"""The lines: what the judge writes and what it reads are what the JSON Schema says, and what it refuses is not."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from verification.commands.cli import main
from verification.problems import suite
from verification.problems.suite import NAMES
from verification.processes import MalformedError, envelope, request
from verification.protocol import SCHEMA
from verification.protocol.capabilities import EVERYTHING, VALUES, Capabilities, needs
from verification.protocol.messages import (
    read_answer,
    read_array,
    read_capabilities,
    read_number,
    read_start,
)
from verification.vectors import SCHEMAS, from_problem

ROOT = Path(__file__).parents[3]
WHOLE = json.loads(SCHEMA.read_text("utf-8"))


def validator(name: str) -> Draft202012Validator:
    problem = json.loads((SCHEMAS / "problem.schema.json").read_text("utf-8"))
    resources = [(document["$id"], Resource.from_contents(document)) for document in (WHOLE, problem)]
    reference = {"$schema": WHOLE["$schema"], "$ref": f"protocol.schema.json#/$defs/{name}"}
    return Draft202012Validator(reference, registry=Registry().with_resources(resources))


def test_the_schema_is_one() -> None:
    """The protocol's schema is a valid JSON Schema itself."""
    Draft202012Validator.check_schema(WHOLE)


@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_requests_fulfils_its_schema(name: str) -> None:
    """`refmaml requests` prints what the judge sends."""
    result = CliRunner().invoke(main, ["requests", name])
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["command"] for line in lines] == ["start", "run", "stop"]
    for line in lines:
        validator(line["command"]).validate(line)
    assert result.output.isascii()
    assert "\\" not in result.output


def test_requests_takes_a_vector_by_the_beginning_of_its_id() -> None:
    """The beginning of an id is enough, and the request has the precision that was asked for."""
    result = CliRunner().invoke(main, ["requests", "quadratic-fomaml-k1-t2-loop", "--dtype", "float32"])
    run = json.loads(result.output.splitlines()[1])
    assert (run["dtype"], run["problem"]["steps"]) == ("float32", 1)


def test_requests_of_an_unknown_problem_is_wrong_usage() -> None:
    """A name that is neither a problem nor a vector ends with exit code 2 and says what was expected."""
    result = CliRunner().invoke(main, ["requests", "cubic"])
    assert result.exit_code == 2
    assert "expected a built-in problem or the id of a vector" in result.output


def test_the_answers_of_the_template_fulfil_their_schemas() -> None:
    """Every kind of answer, from a program and not from this page."""
    program = [sys.executable, "-S", str(ROOT / "examples" / "template" / "harness.py")]
    array = {"shape": [2], "values": ["0x1p+0", "-0x1.8p-3"]}
    problem = from_problem(suite.problem("quadratic"))
    lines = b"".join(
        [
            request("start", 1, protocol=1),
            request("capabilities", 2),
            request("echo", 3, array=array),
            request("run", 4, name="quadratic", dtype="float64", problem=problem),
            request("no such command", 5),
            request("stop", 6),
        ]
    )
    done = subprocess.run(program, input=lines, capture_output=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2, 3, 4, 5]
    assert "error" in answers[-1]
    for answer, name in zip(answers, ("start", "capabilities", "echo", "run", ""), strict=True):
        validator("answer").validate(answer)
        if name:
            validator(f"{name}-result").validate(answer["result"])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"", "expected a JSON object on one line"),
        (b"[1]", "expected a JSON object on one line, but got [1]"),
        (b'{"id": 4, "result": {}}', "expected the answer to the request with id 3, but it has 4"),
        (b'{"id": "3", "result": {}}', 'expected the answer to the request with id 3, but it has "3"'),
        (b'{"result": {}}', "expected the answer to the request with id 3, but it has null"),
        (b'{"id": 3}', 'expected one of the keys result, skipped, error, but it has ["id"]'),
        (b'{"id": 3, "result": {}, "error": ""}', "expected one of the keys result, skipped, error, but it has"),
        (b'{"id": 3, "result": []}', "result: expected an object, but got []"),
        (b'{"id": 3, "skipped": null}', "skipped: expected a sentence in a string, but got null"),
        (b'{"id": 3, "result": {"cost": Infinity}}', "JSON has no Infinity"),
        (b"\xff\xfe", "expected a JSON object on one line, but got"),
        (b'{"a":' * 100_000, "expected a JSON object on one line, but got"),
    ],
)
def test_a_line_that_is_no_answer_is_refused_with_what_it_is(line: bytes, sentence: str) -> None:
    """Each malformed line is refused in a short sentence, and by the schema where that can know."""
    with pytest.raises(MalformedError) as caught:
        envelope(line, 3)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 600
    if b'"id": 3' in line and b"Infinity" not in line:  # what the schema can know: not the id, nor what is no JSON
        assert not is_valid("answer", line)


def is_valid(name: str, line: bytes) -> bool:
    try:
        return validator(name).is_valid(json.loads(line))
    except ValueError:
        return False


NUMBER = ["0x1p+0", "-0x1.8p-3", "0x0.0000000000001p-1022", "0X1.ABCP5", "nan", "inf", "-inf"]
NO_NUMBER = ["", "1", "1.5", "Infinity", "NaN", "0x", "0x1p+5000", "0x1.g", None, 1, 0.5, [], True, "x" * 1000]


def test_a_number_is_a_hex_float() -> None:
    """Hex floats are read exactly, the least subnormal one included, and nothing else is a number."""
    assert [read_number(text, "cost") for text in NUMBER[:4]] == [1.0, -0.1875, 5e-324, float.fromhex("0x1.abcp5")]
    for text in NO_NUMBER:
        with pytest.raises(MalformedError, match="cost: "):
            read_number(text, "cost")


@pytest.mark.parametrize(
    "array",
    [
        None,
        [],
        {},
        {"shape": [1]},
        {"values": []},
        {"shape": [2], "values": ["0x1p+0"]},
        {"shape": [-1], "values": []},
        {"shape": [True], "values": ["0x1p+0"]},
        {"shape": [0, 10**30], "values": []},
        {"shape": [1] * 33, "values": ["0x1p+0"]},
        {"shape": [1.0], "values": ["0x1p+0"]},
        {"shape": "1", "values": ["0x1p+0"]},
        {"shape": [1], "values": "0x1p+0"},
    ],
)
def test_what_is_no_array_is_refused(array: Any) -> None:
    """Each malformed array is refused with the part of the answer that it stands in."""
    with pytest.raises(MalformedError, match="gradients, w: "):
        read_array(array, "gradients, w")


@pytest.mark.parametrize("result", [{}, {"cost": "0x0p+0"}, {"cost": "0x0p+0", "gradients": []}])
def test_what_is_no_result_is_refused(result: Any) -> None:
    """A result without cost, or whose gradients are no object, is refused by reader and schema."""
    with pytest.raises(MalformedError):
        read_answer(result)
    assert not validator("run-result").is_valid(result)


def test_a_result_with_arrays_without_end_is_refused() -> None:
    """No problem has a thousand variables, and each array takes its time to be compared."""
    with pytest.raises(MalformedError, match="gradients: expected an array for each variable, but got 50000 of them"):
        read_answer({"cost": "0x0p+0", "gradients": {str(number): None for number in range(50_000)}})


@pytest.mark.parametrize("key", list(VALUES))
def test_capabilities_are_lists_of_known_names(key: str) -> None:
    """Unknown names and what is no list are refused with the key; of the lists only that of options may be empty."""
    right = {name: list(values) for name, values in VALUES.items()}
    assert read_capabilities(right) == EVERYTHING
    validator("capabilities-result").validate(right)
    for wrong in (None, "all", [1], ["unheard of"]):
        with pytest.raises(MalformedError, match=f"{key}: expected "):
            read_capabilities({**right, key: wrong})
        assert not validator("capabilities-result").is_valid({**right, key: wrong})
    assert validator("capabilities-result").is_valid({**right, key: []}) == (key == "options")


@pytest.mark.parametrize("change", [{"protocol": 2}, {"protocol": True}, {"name": ""}, {"language": 3}])
def test_an_answer_to_start_has_the_version_a_name_and_a_language(change: dict[str, Any]) -> None:
    """Another version, a truth value for one, an empty name or a language that is no text is refused."""
    right = {"protocol": 1, "name": "a", "language": "C"}
    assert read_start("result", right) == "C"
    with pytest.raises(MalformedError, match=f"{next(iter(change))}: expected "):
        read_start("result", {**right, **change})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("quadratic", set()),
        ("mlp-tanh-mse", {"gains"}),
        ("average", {"gains", "averaging"}),
        ("same-cost-average", {"gains", "averaging", "same-cost"}),
        ("batched-quadratic", {"batched"}),
        ("inner-chain", {"gains", "selections"}),
        ("per-task", {"gains", "selections"}),
        ("leaf-rates", {"gains", "leaf-rates"}),
    ],
)
def test_what_a_problem_needs_is_read_from_its_layout(name: str, options: set[str]) -> None:
    """The options that a layout uses are those that a program has to declare to be asked it."""
    layout = from_problem(suite.problem(name))
    assert needs(layout) == options
    none = Capabilities(EVERYTHING.families, EVERYTHING.steps, EVERYTHING.dtypes, frozenset())
    assert EVERYTHING.lacks(layout, "float32") == ""
    assert [need for need in options if need not in none.lacks(layout, "float64")] == []


def test_the_specification_shows_lines_that_are_right() -> None:
    """Each example of docs/protocol.md fulfils the schema."""
    text = (ROOT / "docs" / "protocol.md").read_text("utf-8")
    lines = [json.loads(line[2:]) for line in re.findall(r"^[<>] \{.*\}$", text, re.MULTILINE)]
    assert len(lines) >= 9
    for line in lines:
        validator(line.get("command", "answer")).validate(line)


def test_the_command_of_a_report_can_be_pasted() -> None:
    """`refmaml requests … | COMMAND` asks one question: the template answers it."""
    printed = CliRunner().invoke(main, ["requests", "quadratic"]).output
    command = [sys.executable, "-S", str(ROOT / "examples" / "template" / "harness.py")]
    done = subprocess.run(shlex.split(shlex.join(command)), input=printed.encode(), capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[1])["result"]["cost"].startswith("0x1.")
