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

import refmaml
import verification
from verification import judge, levels, own, suite, truth
from verification.conventions import Declared
from verification.relations import Result
from verification.relations.result import RelationsReport
from verification.report import show
from verification.report.schema import schema

VALIDATOR = jsonschema.Draft202012Validator(schema())


@pytest.fixture
def use_engine(monkeypatch):
    """Return a function that puts steps in the place of the compiled ones; those that are not named are right."""

    def use(**steps):
        right = {name: getattr(refmaml, name) for name, _ in own._STEPS}
        for step in steps.values():
            monkeypatch.setattr(step, "__module__", "refmaml.compiled.steps")
        monkeypatch.setattr(own, "_engine", lambda: SimpleNamespace(**{**right, **steps}, __name__="refmaml.compiled"))

    return use


def lines(report):
    """Return what is printed of a report, with one space between words."""
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as capture:
        show(report, console)
    return [" ".join(line.strip("│ ").split()) for line in capture.get().splitlines()]


def test_both_kinds_of_steps_pass_by_the_oracles_alone(monkeypatch, forget):
    """Both are right at every order on the quick problems, and the reference has no say in it."""
    monkeypatch.setattr(truth, "from_reference", lambda problem: pytest.fail("asked the reference"))
    forget()
    report = verification.verify_own()
    assert report.verdict == "pass"
    assert [(part.name, part.verdict, part.orders) for part in report.parts] == [
        ("reference", "pass", suite.ORDERS),
        ("compiled", "pass", suite.ORDERS),
    ]
    for order in suite.ORDERS:
        names = levels.names("quick", order, 0)
        short = [name for name in names if name not in own._LONG]
        asked = {
            part: [(case.problem, case.dtype) for case in report.cases if (case.part, case.order) == (part, order)]
            for part in ("reference", "compiled")
        }
        assert asked["reference"] == [(name, dtype) for name in names for dtype in suite.DTYPES]
        assert asked["compiled"] == [(name, suite.DTYPES[index % 2]) for index, name in enumerate(short)]
    assert lines(report)[1:5] == [  # 11 problems at either order of MAML, and 8 of Reptile
        "PASS refmaml (autograd step)",
        "All 112 answers are right within their bounds.",
        "reference steps (order 1, 2, reptile): pass, 82 answers",
        "compiled steps (order 1, 2, reptile): pass, 30 answers, of fewer problems",
    ]


@pytest.mark.parametrize("order", suite.ORDERS)
def test_a_short_run_overlooks_nothing(order):
    """The problems that compile fast, each in one precision, the precisions in turn, show every fault."""
    run = own._Short(suite.DTYPES, Declared())
    asked = [(suite.made(name, order), dtype) for name in run.names(order) for dtype in run.precisions(name, order)]
    assert len(asked) == len(run.names(order))
    assert levels.overlooked(asked, order) == []


def test_no_note_says_less_where_nothing_is_left_out(ask_only, use_engine):
    """In one precision, on problems that compile fast, the compiled steps are asked what the reference is."""
    ask_only("one-task", "no-steps")
    use_engine()
    report = verification.verify_own(dtypes=("float32",))
    assert [(part.answers, part.note) for part in report.parts] == [(6, ""), (6, "")]


def test_the_full_level_asks_the_compiled_steps_everything(ask_only, use_engine, monkeypatch):
    """The full level asks every problem in both precisions and the relations, and tells which part each is about."""
    ask_only("one-task")
    monkeypatch.setattr(levels, "RELATED", ("batched",))
    broken = Result("hessian_blindness", "fail", 3.0, 1.0, "it sees curvature")
    monkeypatch.setattr(judge, "check_problem", lambda *_: RelationsReport([broken], {}))
    use_engine()
    report = verification.verify_own(level="full")
    assert (report.verdict, [part.verdict for part in report.parts]) == ("fail", ["fail", "fail"])
    assert [(part.answers, part.note) for part in report.parts] == [(6, ""), (6, "")]
    found = [(related.part, related.order) for related in report.relations]
    assert found == [("reference", 1), ("reference", 2), ("compiled", 1), ("compiled", 2)]
    assert "fail hessian_blindness · batched · order 2 · compiled: it sees curvature" in lines(report)
    VALIDATOR.validate(json.loads(json.dumps(report.to_dict())))


def test_a_wrong_compiled_step_fails_its_part(ask_only, use_engine):
    """A wrong answer of a compiled step fails that part and the whole, and the report says whose answer it is."""
    ask_only("one-task", "quadratic")
    use_engine(fomaml_step=implementations.step_with_scaled_gradient)
    report = verification.verify_own(dtypes=("float64",))
    assert (report.verdict, report.exit_code) == ("fail", 1)
    assert [part.verdict for part in report.parts] == ["pass", "fail"]
    assert {(case.part, case.order) for case in report.cases if case.verdict == "fail"} == {("compiled", 1)}
    assert report.diagnosis[0].name == "D11"
    told = lines(report)
    assert "compiled steps (order 1, 2, reptile): fail, 6 answers" in told
    assert any("one-task · order 1 · float64 · compiled" in line for line in told)
    VALIDATOR.validate(json.loads(json.dumps(report.to_dict())))


def test_state_is_found_in_the_one_precision_of_a_problem(ask_only, use_engine):
    """A problem that is asked twice is asked twice in whichever precision is its own."""
    calls = []

    def remembering(*arguments, batched, **options):
        cost, *others = refmaml.fomaml_step(*arguments, batched=batched, **options)
        calls.extend([batched] if batched else [])
        return (cost + max(len(calls) - 1, 0), *others)

    ask_only("no-steps", "batched")
    use_engine(fomaml_step=remembering)
    report = verification.verify_own()
    (case,) = (
        case for case in report.cases if case.part == "compiled" and case.problem == "batched" and case.order == 1
    )
    assert case.dtype == "float32"
    assert {finding.what for finding in case.findings} == {"second call"}


def test_a_snippet_loads_the_compiled_step(ask_only, use_engine):
    """What reproduces a case of a compiled step loads the compiled step."""
    ask_only("one-task")
    use_engine()
    report = verification.verify_own(dtypes=("float64",))
    # The steps that stand in for the compiled ones are the reference's, and bear its names.
    loaded = [case.snippet.splitlines()[1] for case in report.cases if case.part == "compiled"]
    assert loaded == [f"subject = verification.load('refmaml.compiled:{name}')" for name, _ in own._STEPS]


def test_what_is_not_installed_is_told_and_has_no_say(ask_only, monkeypatch):
    """Without Numba the report is on the reference, and says in a line that the compiled steps were not there."""
    ask_only("one-task")
    monkeypatch.setattr(own, "_engine", lambda: None)
    report = verification.verify_own(dtypes=("float64",))
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
from verification import levels
from verification.cli import main
levels.names = lambda *_: ["one-task"]
main(["verify", "--dtype", "float64"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "reference steps (order 1, 2, reptile): pass, 3 answers" in done.stdout
    assert "compiled steps: not installed" in done.stdout


def test_another_failure_to_import_is_not_taken_for_a_missing_numba(monkeypatch):
    """An engine that cannot be imported for another reason is an error, and not told as not installed."""
    monkeypatch.setitem(sys.modules, "refmaml.compiled", None)
    with pytest.raises(ModuleNotFoundError, match=r"refmaml\.compiled"):
        verification.verify_own(dtypes=("float64",))


def test_the_bar_tells_which_part_is_at_work(ask_only, use_engine):
    """Progress is reported with the name of the part before that of the problem."""
    ask_only("one-task")
    use_engine()
    told = []
    verification.verify_own(dtypes=("float64",), progress=lambda done, total, name: told.append((done, total, name)))
    part = [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [each[:2] for each in told] == part + part
    assert [each[2] for each in told[2:5]] == ["reference: one-task", "reference: done", "compiled: one-task"]
