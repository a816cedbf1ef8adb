"""``refmaml verify --command`` and ``refmaml smoke`` on the command line: exit codes, what is printed, wrong usage."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator
from shared import STANDARDS

from verification.commands.cli import main
from verification.reports import schema
from verification.vectors import golden

pytestmark = pytest.mark.usefixtures("nothing_is_left", "in_vain", "wide_terminal")


def run(*arguments: object) -> Result:
    """Return the result of `refmaml`; what is verified is asked two of the built-in problems."""
    named = ["--problem", "quadratic", "--problem", "five-steps"] if arguments[0] == "verify" else []
    result = CliRunner().invoke(main, [*map(str, arguments), *named], obj=STANDARDS)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_right_program_passes(hostile: Callable[..., str]) -> None:
    """A right program passes with exit code 0, and the page counts the vectors and what was not asked."""
    command = hostile("none of them")
    result = run("verify", "--command", command, "--verbose")
    assert result.exit_code == 0
    assert "PASS" in result.output
    assert f"{command} (Python program)" in result.output
    assert "13 vectors" in result.output
    assert re.search(r"Not tested: \d{3} problems beyond what the program declares\.", result.output)


def test_a_pass_at_level_full_says_what_no_problem_had(hostile: Callable[..., str]) -> None:
    """A program is asked no corners: the report of a pass lists the conditions that no problem and no vector had."""
    options = ["--level", "full", "--family", "quadratic", "--dtype", "float64", "--format", "json"]
    command = ["verify", "--command", hostile("none of them"), "--order", "1", *options]
    result = CliRunner().invoke(main, command, obj=STANDARDS)
    report = json.loads(result.stdout)
    assert report["verdict"] == "pass", report["reason"]
    (note,) = report["notes"]
    assert note.startswith("No problem was asked with one of these, so that a mistake there alone would pass: ")
    assert "cost: products" in note
    assert "θ: 0" in note
    assert "cost: squares" not in note
    assert "K: 6 or more" not in note  # vectors have 20 steps, and built-in problems of this family five at most
    assert "α: 0" not in note


def test_a_wrong_program_is_named_with_a_line_to_ask_again(hostile: Callable[..., str], tmp_path: Path) -> None:
    """A wrong program ends with 1, its mistake, a line for the shell, and a JSON report that fulfils the schema."""
    command, file = hostile("too few steps"), tmp_path / "report.json"
    result = run("verify", "--command", command, "--format", f"json={file}")
    assert result.exit_code == 1
    assert "B02: one inner step too few" in result.output
    assert f"refmaml requests quadratic --order 1 --dtype float64 | {command}" in result.output
    assert re.search(r"    \d+ golden vectors; --format json lists them one by one\n", result.output)
    content = json.loads(file.read_text("utf-8"))
    Draft202012Validator(schema()).validate(content)
    assert content["subject"] == {"name": command, "framework": "Python", "kind": "program"} | {
        "source": content["subject"]["source"]  # by where the tests are run from
    }
    assert {case["group"] for case in content["cases"]} == {"problems", "vectors"}
    assert content["why_left_out"]["bilinear-fomaml-k0-t3-loop-single-bdb1577e55"].endswith("the family bilinear")


def test_a_name_agrees_with_the_vectors_too(hostile: Callable[..., str], tmp_path: Path) -> None:
    """One inner step too few of three is B02 on both problems asked, but not on the vectors with one or two steps."""
    file = tmp_path / "report.json"
    assert run("verify", "--command", hostile("too few of three steps"), "--format", f"json={file}").exit_code == 1
    content = json.loads(file.read_text("utf-8"))
    assert {case["verdict"] for case in content["cases"] if case["group"] == "problems"} == {"fail"}
    assert [diagnosis["fault"] for diagnosis in content["diagnosis"]] == ["several"]


def test_subnormal_numbers_flushed_to_zero_are_named(hostile: Callable[..., str]) -> None:
    """A platform without subnormal numbers is right but for those, and the report says how to declare it."""
    result = run("verify", "--command", hostile("flushes"))
    assert result.exit_code == 1
    assert "V02: subnormal numbers flushed to zero" in result.output
    assert '"without": ["subnormals"]' in result.output


def test_subnormal_numbers_can_be_declared_away(hostile: Callable[..., str], tmp_path: Path) -> None:
    """Who declares that subnormal numbers are flushed is not asked them, and passes; `smoke` does not send them."""
    command, file = hostile("flushes and says so"), tmp_path / "report.json"
    assert run("verify", "--command", command, "--json", file).exit_code == 0
    why = json.loads(file.read_text("utf-8"))["why_left_out"]
    left = [name for name, reason in why.items() if reason == "it does not declare subnormal numbers"]
    assert left
    assert all("subnormal" in name for name in left)
    assert run("smoke", "--command", command).exit_code == 0
    assert run("smoke", "--command", hostile("flushes")).exit_code == 1


def test_a_program_that_breaks_down_fails_with_its_cause(hostile: Callable[..., str], tmp_path: Path) -> None:
    """A program that dies three times in a row is given up, which the page says with the cause."""
    file = tmp_path / "report.json"
    result = run("verify", "--command", hostile("die"), "--timeout", "5", "--format", f"json={file}")
    assert result.exit_code == 1
    words = " ".join(result.output.replace("│", "").split())
    assert "15 of 15 answers are missing. The cause: it had broken down 3 times" in words
    Draft202012Validator(schema()).validate(json.loads(file.read_text("utf-8")))


def test_a_program_that_skips_everything_is_inconclusive(hostile: Callable[..., str]) -> None:
    """Where everything was skipped the exit code is 3, and there is no table."""
    result = run("verify", "--command", hostile("skip"))
    assert result.exit_code == 3
    assert re.search(r"Not answered: \d+ problems, because the program skipped it: not \[/today\]\.", result.output)
    assert re.search(r"The program skipped all \d+ problems, so there is no result", result.output)
    assert "verdict" not in result.output  # no table


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--command", "no-such-program"], "'no-such-program' cannot be run: No such file or directory."),
        (["--command", ""], "--command: expected a program and its arguments, but got nothing."),
        (["--command", "node 'x"], "cannot be split into words: No closing quotation."),
        (["--command", "node", "--timeout", "0"], "expected a number of seconds above 0, but got 0."),
        (["--command", "node", "--timeout", "nan"], "expected a number of seconds above 0, but got nan."),
        (["--command", "node", "--framework", "torch"], "--framework is for a Python SUBJECT"),
        (["--command", "node", "--kind", "step"], "--kind is for a Python SUBJECT"),
        (["a.py:b", "--command", "node"], "expected SUBJECT or --command, but got both."),
        (["--timeout", "3"], "--timeout needs SUBJECT or --command."),
        (["--memory", "3"], "--memory needs SUBJECT or --command."),
        (["a.py:b", "--memory", "0"], "expected a number of GiB above 0, but got 0."),
        (["a.py:b", "--in-process", "--timeout", "3"], "--timeout does not go with --in-process."),
        (["--in-process"], "--in-process needs a SUBJECT."),
        (
            ["--in-process", "--command", "node"],
            "--in-process is for a Python SUBJECT, and does not go with --command.",
        ),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], sentence: str) -> None:
    """A command that cannot run, and options that do not go together, end with 2 and a sentence."""
    result = run("verify", *arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


def test_an_order_that_is_not_declared_is_wrong_usage(hostile: Callable[..., str]) -> None:
    """Asking for an order beyond what the program declares ends with 2."""
    result = run("verify", "--command", hostile("none of them"), "--order", "2")
    assert result.exit_code == 2
    assert "declares fomaml, and not order 2." in " ".join(result.output.split())


def test_a_precision_that_is_not_declared_is_wrong_usage(hostile: Callable[..., str]) -> None:
    """Asking in a precision beyond what the program declares ends with 2."""
    result = run("verify", "--command", hostile("none of them"), "--dtype", "float32")
    assert result.exit_code == 2
    assert "declares float64, not float32." in " ".join(result.output.split())


def test_a_bad_end_is_in_the_table(hostile: Callable[..., str]) -> None:
    """A bad exit status after `stop` fails the run and is told after the verdict."""
    result = run("verify", "--command", hostile("bad end"))
    assert result.exit_code == 1
    assert "After the last, it ended with exit status 5 after `stop`, where 0 was expected." in result.output


@pytest.mark.parametrize(
    ("mode", "code", "conclusion"),
    [
        ("none of them", 0, "The harness works. An error that refmaml verify finds is in the algorithm."),
        ("too few steps", 0, "The harness works. An error that refmaml verify finds is in the algorithm."),
        ("skip", 1, "The program skipped every problem, so this command cannot tell whether it works."),
        ("die", 1, "The harness is broken. This says nothing about the algorithm."),
        ("doubled", 1, "The harness works, but a cost or its gradient is wrong even without an inner step."),
    ],
)
def test_smoke_concludes(hostile: Callable[..., str], mode: str, code: int, conclusion: str) -> None:
    """The last line of `smoke` says whether harness, cost or neither is broken, and the exit code agrees."""
    result = run("smoke", "--command", hostile(mode))
    assert result.exit_code == code
    assert result.output.splitlines()[-1] == conclusion


def test_smoke_of_no_program_is_wrong_usage() -> None:
    """A program that is not there, or is not named, ends `smoke` with 2."""
    assert run("smoke", "--command", "no-such-program").exit_code == 2
    assert run("smoke").exit_code == 2


@pytest.mark.parametrize("name", ["smoke", "requests"])
def test_the_help_has_examples(name: str) -> None:
    """The help of both commands has examples."""
    assert "Examples:" in run(name, "--help").output


def test_a_vector_is_asked_in_its_own_precision_and_order() -> None:
    """A vector is printed in its own precisions and order alone, and others are wrong usage."""
    every = list(golden())
    double = next(vector for vector in every if vector.dtypes == ["float64"])
    fomaml = next(vector for vector in every if vector.problem["step"] == "fomaml" and "float32" in vector.dtypes)
    refused = run("requests", double.id, "--dtype", "float32")
    assert refused.exit_code == 2
    assert "expected float64 for the vector" in " ".join(refused.output.split())
    refused = run("requests", fomaml.id, "--order", "reptile")
    assert refused.exit_code == 2
    assert "is of order 1, but got reptile." in " ".join(refused.output.split())
    assert run("requests", fomaml.id, "--order", "1", "--dtype", "float32").exit_code == 0
    reptile = next(vector for vector in every if vector.problem["step"] == "reptile")
    assert run("requests", reptile.id).exit_code == 0


@pytest.mark.parametrize("words", ["verify --problem quadratic --command", "smoke --command"])
def test_a_damaged_file_of_vectors_is_told_for_what_it_is(
    tmp_path: Path, hostile: Callable[..., str], words: str
) -> None:
    """Neither the program nor the judge is blamed for an installation whose golden vectors were changed."""
    for package in ("refmaml", "verification"):
        place = Path(str(find_spec(package).origin)).parent  # type: ignore[union-attr]  # both are installed
        shutil.copytree(place, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "verification" / "vectors" / "data" / "bilinear.maml.json"
    file.write_bytes(file.read_bytes()[:-100])
    command = [sys.executable, "-m", "refmaml", *words.split(), hostile("none of them")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 70
    assert f"Error: {file} was changed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_family_asks_a_program_less(hostile: Callable[..., str], tmp_path: Path) -> None:
    """Problems and vectors of other families are left out for that; one that is not declared is wrong usage."""
    file = tmp_path / "report.json"
    command = ["verify", "--command", hostile("none of them")]
    assert run(*command, "--family", "quadratic", "--format", f"json={file}").exit_code == 0
    content = json.loads(file.read_text("utf-8"))
    Draft202012Validator(schema()).validate(content)
    assert content["conditions"]["families"] == ["quadratic"]
    assert {case["group"] for case in content["cases"]} == {"problems", "vectors"}
    assert content["why_left_out"]["bilinear-fomaml-k0-t3-loop-single-bdb1577e55"] == "another family was asked for"
    undeclared = run(*command, "--family", "bilinear")
    assert undeclared.exit_code == 2
    assert "declares quadratic, not bilinear." in undeclared.output
    assert run("verify", "no.such:subject", "--family", "bilinear").exit_code == 2
