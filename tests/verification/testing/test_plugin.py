"""The pytest plugin and the decorator, on a project of somebody else's: `examples/pytest`."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

from verification.problems.levels import QUICK

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "pytest"
IDS = [f"{name}-fomaml-{dtype}" for name in QUICK for dtype in ("float64", "float32")]
#: What the example does not say that it supports.
SKIPPED = ("average", "same-cost-average", "batched", "inner-chain", "three-parameters", "leaf-rates")
ANSWERED = [id_ for id_ in IDS if not id_.startswith(tuple(f"{name}-fomaml" for name in SKIPPED))]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a copy of the example, as the current folder."""
    for path in EXAMPLE.glob("*.py"):
        pytester.path.joinpath(path.name).write_text(path.read_text("utf-8"), "utf-8")
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:cov\n")
    pytester.syspathinsert()
    return pytester


def outcomes(lines: list[str], outcome: str) -> list[str]:
    """Return the ids of the tests that have an outcome, from the lines of ``pytest -v``."""
    found = (re.search(rf"(?:\[|::)([\w@-]+)\]? {outcome}", line) for line in lines)
    return [match[1] for match in found if match]


def test_the_plugin_is_installed_with_the_package() -> None:
    """Pytest finds the plugin by its entry point, with nothing to configure."""
    assert [entry.value for entry in entry_points(group="pytest11", name="refmaml")] == ["pytest_refmaml"]


def test_importing_the_plugin_imports_no_package_beside_pytest() -> None:
    """A run that does not use the plugin imports neither the judge nor what that needs."""
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_refmaml; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["pytest_refmaml"]


def test_a_right_subject_is_green_with_every_problem_listed(project: pytest.Pytester) -> None:
    """The five lines of the example have one test for each problem and precision, and skip what is not supported."""
    result = project.runpytest("-v", "-rs", "test_maml.py")
    result.assert_outcomes(passed=len(ANSWERED), skipped=len(IDS) - len(ANSWERED))
    assert outcomes(result.outlines, "PASSED") == ANSWERED
    result.stdout.fnmatch_lines(
        [
            f"PASS  maml:subject (numpy problem, order 1): {len(ANSWERED)} of {len(ANSWERED)} answers are right.",
            "Skipped 4 tests: the subject does not support averaging*",
        ]
    )


@pytest.mark.once  # arithmetic
def test_a_wrong_subject_is_red_with_the_name_of_its_mistake(project: pytest.Pytester) -> None:
    """Each failure has the name, and so has the summary over all of them, though workers share the tests."""
    result = project.runpytest("-n", "2", "-k", "float64", "test_maml_wrong.py")
    decided = [id_ for id_ in ANSWERED if id_.endswith("float64")]
    # Without a step to take there is none too few.
    wrong = [id_ for id_ in decided if not id_.startswith("no-steps")]
    result.assert_outcomes(failed=len(wrong), passed=1, skipped=len(SKIPPED))
    failures = [line for line in result.outlines if line.startswith("E       AssertionError: B0")]
    assert len(failures) == len(wrong)
    result.stdout.fnmatch_lines(
        [
            f"FAIL  maml_wrong:subject (*): 1 of {len(decided)} answers are right, {len(wrong)} wrong.",
            "B02: one inner step too few",
            "equals ∇Q(φ_{K−1}) on *",
        ]
    )


EXPECTING = """
from {module} import subject
from verification.testing import parametrize_with_problems

@parametrize_with_problems(
    subject, framework="numpy", problems=["quadratic"], expected_failures={{"{id}": "an old bug"}}
)
def test_it(check):
    check()
"""


def test_an_expected_failure_is_none_until_it_is_stale(project: pytest.Pytester) -> None:
    """What is expected to fail may fail; where it passes, the test fails; where there is no such test, nothing runs."""
    project.makepyfile(test_it=EXPECTING.format(module="maml_wrong", id="quadratic-fomaml-float32"))
    project.runpytest("test_it.py").assert_outcomes(failed=1, xfailed=1)
    project.makepyfile(test_it=EXPECTING.format(module="maml", id="quadratic-fomaml-float32"))
    result = project.runpytest("test_it.py")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*an old bug*"])
    project.makepyfile(test_it=EXPECTING.format(module="maml", id="quadratic-float32"))
    result = project.runpytest("test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no test 'quadratic-float32'; did you mean quadratic-fomaml-float32*"])


def test_an_option_skips_what_the_subject_does_not_support(project: pytest.Pytester) -> None:
    """`--refmaml` passes what the subject supports, and skips the rest with the reason."""
    empty = project.mkdir("empty")
    result = project.runpytest("--refmaml", "maml:subject", str(empty), "-k", "one-task or batched", "-rs")
    result.assert_outcomes(passed=2, skipped=2, deselected=len(IDS) - 4)
    result.stdout.fnmatch_lines(["SKIPPED * the subject does not support batched*"])


def test_an_option_tests_a_subject_without_a_test_file(project: pytest.Pytester) -> None:
    """`--refmaml` adds the tests, the configuration has defaults, and JUnit gets a property for each fact."""
    project.makeini(
        "[pytest]\nrefmaml_framework = numpy\nrefmaml_dtypes = float64\n"
        "refmaml_expected_failures =\n    quadratic-fomaml-float64: an old bug\n"
    )
    empty = project.mkdir("empty")
    arguments = ["--refmaml", "maml_wrong:subject", str(empty), "-k", "quadratic or bilinear", "--junitxml=found.xml"]
    result = project.runpytest("-v", "-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(failed=1, xfailed=1, deselected=len(IDS) // 2 - 2)
    assert outcomes(result.outlines, "FAILED") == ["bilinear-fomaml-float64"]
    result.stdout.fnmatch_lines(["FAIL  maml_wrong:subject*", "B02: one inner step too few"])
    found = ElementTree.parse(project.path / "found.xml").findall(
        ".//testcase[@name='bilinear-fomaml-float64']//property"
    )
    properties = {entry.get("name"): entry.get("value") for entry in found}
    assert properties.pop("refmaml_worst_error_over_bound")
    assert properties == {
        "refmaml_problem": "bilinear",
        "refmaml_order": "1",
        "refmaml_dtype": "float64",
        "refmaml_verdict": "fail",
        "refmaml_mistake": "B02",
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--refmaml=maml:nothing"], "maml has no 'nothing'"),
        (["--refmaml=maml:subject", "--refmaml-framework=abacus"], "framework: expected one of .* but got 'abacus'"),
        (["--refmaml=maml:subject", "--refmaml-order=3"], "refmaml_order: expected one of 1, 2, reptile, but got '3'"),
        (["--refmaml=maml:subject", "-o", "refmaml_expected_failures=x"], "lines of ID: REASON, but got 'x'"),
    ],
    ids=["subject", "framework", "order", "expected failures"],
)
def test_what_cannot_be_used_is_said(project: pytest.Pytester, arguments: list[str], sentence: str) -> None:
    """A subject or an option that cannot be used ends the run with a sentence about it, and with no success."""
    result = project.runpytest(*arguments, str(project.mkdir("empty")))
    assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)
    assert any(re.search(sentence, line) for line in [*result.outlines, *result.errlines])
