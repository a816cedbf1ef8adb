"""`refmaml`'s own steps, the reference and the compiled ones: asked of the oracles alone, told apart in one report."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import implementations
import jsonschema
import pytest
from rich.console import Console
from shared import STANDARDS, verify_own

import refmaml
from verification.cases import Related
from verification.judging.separation import overlooked
from verification.judging.standard import Standard, Standards
from verification.orders import DTYPES, ORDERS, SPELLINGS
from verification.own import ShortRun
from verification.problems import levels, suite
from verification.relations import Result
from verification.report import Part, Report, join
from verification.reports import schema, show

VALIDATOR = jsonschema.Draft202012Validator(schema())


def engine_of(**steps):
    """Return what hands out steps in the place of the compiled ones; those that are not named are right."""
    right = {spelling.function: getattr(refmaml, spelling.function) for spelling in SPELLINGS.values()}
    for step in steps.values():
        step.__module__ = "refmaml.compiled.steps"
    return lambda: SimpleNamespace(**{**right, **steps}, __name__="refmaml.compiled")


class OfOraclesAlone(Standards):
    """Standards that have no answer of the reference."""

    def of(self, name, order, *declared):
        """Return a standard that fails the test where the reference is to say what is right."""
        return _OfOracles(suite.problem(name, order=order))


class _OfOracles(Standard):
    def truths(self, *, own):
        assert own, "a run asked the reference"
        return super().truths(own=own)


def lines(report):
    """Return what is printed of a report, with one space between words."""
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as capture:
        show(report, console)
    return [" ".join(line.strip("│ ").split()) for line in capture.get().splitlines()]


def test_both_kinds_of_steps_pass_by_the_oracles_alone():
    """Both are right at every order on the quick problems, and the reference has no say in it."""
    report = verify_own(standards=OfOraclesAlone())
    assert report.verdict == "pass"
    assert [(part.name, part.verdict, part.orders) for part in report.parts] == [
        ("reference", "pass", ORDERS),
        ("compiled", "pass", ORDERS),
    ]
    short = ShortRun(dtypes=DTYPES, standards=STANDARDS)
    for order in ORDERS:
        tested = {
            part: [(case.problem, case.dtype) for case in report.cases if (case.part, case.order) == (part, order)]
            for part in ("reference", "compiled")
        }
        names = [standard.problem.name for standard in short.standards_of(order)]
        assert tested["reference"] == [(name, dtype) for name in levels.names("quick", order, 0) for dtype in DTYPES]
        assert tested["compiled"] == [(name, DTYPES[index % 2]) for index, name in enumerate(names)]
    assert lines(report) == [  # 13 problems at either order of MAML, and 10 of Reptile
        "PASS refmaml (autograd step): All 130 answers are right within their bounds.",
        "reference steps (order 1, 2, reptile): pass, 94 answers",
        "compiled steps (order 1, 2, reptile): pass, 36 answers, of fewer problems",
    ]


@pytest.mark.once  # arithmetic
@pytest.mark.parametrize("order", ORDERS)
def test_a_short_run_overlooks_nothing(order):
    """The problems that compile fast, each in one precision, the precisions in turn, show every fault."""
    run = ShortRun(dtypes=DTYPES, standards=STANDARDS)
    standards = run.standards_of(order)
    tested = [(standard, dtype) for standard in standards for dtype in run.precisions(standard)]
    assert len(tested) == len(standards)
    assert overlooked(tested, order) == []


@pytest.mark.once  # arithmetic
def test_no_note_says_less_where_nothing_is_left_out():
    """On problems that are named, the compiled steps are tested on what the reference is tested on."""
    report = verify_own(problems=("one-task", "no-steps"), engine=engine_of())
    assert [(part.answers, part.note) for part in report.parts] == [(12, ""), (12, "")]


def test_a_broken_relation_is_reported_with_its_part():
    """What relations find in a part stands in the joint report under the part's name, and fails both."""
    broken = Result("hessian_blindness", "fail", 3.0, 1.0, "it sees curvature")
    report = verify_own(problems=("one-task",), engine=lambda: None)
    alone = Report(
        "refmaml.compiled", "autograd", "step", "fail", "", [], report.cases, [Related("batched", 2, broken)], [], [],
    )  # fmt: skip
    joint = join("refmaml", [(Part.of("reference", report), report), (Part.of("compiled", alone), alone)])
    assert (joint.verdict, [part.verdict for part in joint.parts]) == ("fail", ["pass", "fail"])
    assert [(related.part, related.order) for related in joint.relations] == [("compiled", 2)]
    assert "fail hessian_blindness, batched, order 2, compiled: it sees curvature" in lines(joint)
    VALIDATOR.validate(json.loads(json.dumps(joint.to_dict())))


def test_a_wrong_compiled_step_fails_its_part():
    """A wrong answer of a compiled step fails that part and the whole, and the report says whose answer it is."""

    def scaled(*arguments, **options):
        return implementations.step_with_scaled_gradient(*arguments, **options)

    report = verify_own(dtypes=("float64",), problems=("one-task", "quadratic"), engine=engine_of(fomaml_step=scaled))
    assert (report.verdict, report.exit_code) == ("fail", 1)
    assert [part.verdict for part in report.parts] == ["pass", "fail"]
    assert {(case.part, case.order) for case in report.cases if case.verdict == "fail"} == {("compiled", 1)}
    assert report.diagnosis[0].name == "D11"
    printed = lines(report)
    assert "compiled steps (order 1, 2, reptile): fail, 6 answers" in printed
    assert any("one-task, order 1, float64, compiled" in line for line in printed)
    VALIDATOR.validate(json.loads(json.dumps(report.to_dict())))


@pytest.mark.once  # arithmetic
def test_state_is_found_in_the_one_precision_of_a_problem():
    """A problem that is asked twice is asked twice in whichever precision is its own."""
    calls = []

    def remembering(*arguments, batched, **options):
        cost, *others = refmaml.fomaml_step(*arguments, batched=batched, **options)
        calls.extend([batched] if batched else [])
        return (cost + max(len(calls) - 1, 0), *others)

    report = verify_own(engine=engine_of(fomaml_step=remembering))
    (case,) = (
        case for case in report.cases if case.part == "compiled" and case.problem == "batched" and case.order == 1
    )
    assert {finding.what for finding in case.findings} == {"second call"}


def test_a_snippet_loads_the_compiled_step():
    """What reproduces a case of a compiled step loads the compiled step."""
    report = verify_own(dtypes=("float64",), problems=("one-task",), engine=engine_of())
    names = [spelling.function for spelling in SPELLINGS.values()]
    # The steps that stand in for the compiled ones are the reference's, and bear its names.
    loaded = [case.snippet.splitlines()[1] for case in report.cases if case.part == "compiled"]
    assert loaded == [f"subject = verification.load('refmaml.compiled:{name}')" for name in names]


def test_what_is_not_installed_is_told_and_has_no_say():
    """Without Numba the report is on the reference, and says in a line that the compiled steps were not there."""
    report = verify_own(dtypes=("float64",), problems=("one-task",), engine=lambda: None)
    assert (report.verdict, report.reason) == ("pass", "All 3 answers are right within their bounds.")
    assert "compiled steps: not installed" in lines(report)
    assert report.to_dict()["parts"][1] == {
        "name": "compiled",
        "verdict": None,
        "orders": [],
        "answers": 0,
        "note": "not installed",
    }
    VALIDATOR.validate(json.loads(json.dumps(report.to_dict())))


def test_the_command_works_where_numba_cannot_be_imported():
    """`refmaml verify` judges the reference, and exits with 0, in a process in which importing Numba raises."""
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from verification.commands.cli import main
main(["verify", "--dtype", "float64", "--problem", "one-task"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "reference steps (order 1, 2, reptile): pass, 3 answers" in done.stdout
    assert "compiled steps: not installed" in done.stdout


def test_another_failure_to_import_is_not_taken_for_a_missing_numba(monkeypatch):
    """An engine that cannot be imported for another reason is an error, and not told as not installed."""
    monkeypatch.setitem(sys.modules, "refmaml.compiled", None)
    with pytest.raises(ModuleNotFoundError, match=r"refmaml\.compiled"):
        verify_own(dtypes=("float64",), problems=("one-task",))


def test_the_bar_tells_which_part_is_at_work():
    """Progress is reported with the name of the part before that of the problem."""
    calls = []
    verify_own(
        dtypes=("float64",), problems=("one-task",), engine=engine_of(),
        progress=lambda done, total, name: calls.append((done, total, name)),
    )  # fmt: skip
    part = [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [call[:2] for call in calls] == part + part
    assert [call[2] for call in calls[2:5]] == ["reference: one-task", "reference: done", "compiled: one-task"]
