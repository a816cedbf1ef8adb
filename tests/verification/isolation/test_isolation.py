"""What isolation promises beside verdicts: nothing in the judge's process, what crosses, what is refused, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import implementations
import numpy as np
import pytest
from shared import STANDARDS, verify

import verification
from verification.cases import Related
from verification.commands.cli import main
from verification.isolation.asking import relations_of
from verification.isolation.carrying import pack_array, packed, unpack_array, unpacked
from verification.isolation.host import Host
from verification.isolation.subject import IsolatedSubject
from verification.judge import run_of
from verification.problems import levels
from verification.processes import MalformedError
from verification.report import conclude
from verification.subjects import Subject, SubjectError
from verification.vectors import golden

HERE = Path(__file__).parents[1]
ASKED = {"framework": "numpy", "dtypes": ("float64",), "problems": ("no-steps",)}
PATIENCE = 120.0  # more than anything here takes on a busy machine

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def test_a_function_is_found_by_its_name() -> None:
    """The function itself, its module's name and its file give the same verdict, in a process of its own."""
    wheres = (
        implementations.numpy_subject,
        "implementations:numpy_subject",
        f"{HERE / 'implementations.py'}:numpy_subject",
    )
    for where in wheres:
        assert verify(where, isolated=True, **ASKED).verdict == "pass"


def test_what_cannot_cross_is_refused() -> None:
    """A function inside of a function, and a problem with costs of this process, say what to do instead."""
    with pytest.raises(SubjectError, match="or pass isolated=False"):
        verify(lambda problem: None, isolated=True, **ASKED)
    own = replace(verification.problem("no-steps"), name="mine")
    with pytest.raises(ValueError, match=r"got 'mine', whose costs are in this one\. Pass isolated=False"):
        verify("implementations:numpy_subject", isolated=True, framework="numpy", problems=[own])


def test_the_report_is_the_same_in_both(tmp_path: Path) -> None:
    """Findings, names, snippets and left out problems do not depend on the process; only a note does."""
    where = f"{HERE / 'implementations.py'}:numpy_subject_on_support"
    request = {"framework": "numpy", "problems": ("quadratic", "average")}
    here, there = (verify(where, isolated=isolated, **request).to_dict() for isolated in (False, True))
    assert here["verdict"] == "fail"
    assert here["diagnosis"]
    for report in (here, there):
        report["conditions"].pop("date")
    assert {**there, "notes": []} == here


def test_relations_and_growth_are_asked_there() -> None:
    """A wrong step has the same growth of its error, at other rates, as here, and broken relations."""
    where = f"{HERE / 'implementations.py'}:step_with_scaled_gradient"
    run = {"kind": "step", "framework": "autograd", "dtypes": ("float64",), "problems": ("quadratic",)}
    here, there = (verify(where, isolated=isolated, measures_growth=True, **run) for isolated in (False, True))
    assert [grown.errors for grown in there.growth] == [grown.errors for grown in here.growth] != []
    with Host(where, framework="autograd", kind="step") as host:
        found = relations_of(IsolatedSubject.of(host), verification.problem("one-task"))
    assert found.verdict == "fail"
    assert "linear_inner_cost" in {result.name for result in found.results}


LATE = f"""
import sys; sys.path.insert(0, {str(HERE / "isolation")!r})
from hostile_subjects import held, right, time
def subject(problem):
    if problem.name == "one-task":
        held(); time.sleep(1000)
    return right(problem)
"""


@pytest.mark.once
@pytest.mark.usefixtures("in_vain")
@pytest.mark.skipif(sys.platform == "win32", reason="there are no processes of their own")
def test_a_late_answer_leaves_the_verdict_open(tmp_path: Path) -> None:
    """A subject that answers one problem and hangs on another is inconclusive, with its line and the limit to pass."""
    (tmp_path / "mine.py").write_text(LATE, "utf-8")
    request = {**ASKED, "kind": "problem", "problems": ("no-steps", "one-task")}
    report = verify(f"{tmp_path / 'mine.py'}:subject", isolated=True, timeout=1.0, **request)
    assert [(case.verdict, case.is_late) for case in report.cases] == [("pass", False), ("inconclusive", True)]
    assert report.verdict == "inconclusive"
    cause = "it did not answer `call` within 1 s (mine.py, line 6)"
    assert f"1 of 2 answers is missing. The cause: {cause}. This says nothing of the algorithm." in report.reason
    assert report.reason.endswith("such as --timeout 4.")
    assert "no-steps" not in report.overlooked


LATE_TWICE = f"""
import os, sys; sys.path.insert(0, {str(HERE / "isolation")!r})
from hostile_subjects import held, right, time
if os.path.exists("hung"):
    held(); time.sleep(1000)
def subject(problem):
    if problem.name == "one-task":
        open("hung", "w").close(); held(); time.sleep(1000)
    return right(problem)
"""


@pytest.mark.once
def test_an_import_after_a_late_answer_has_its_whole_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_vain: list[float]
) -> None:
    """The first import was done when it was asked for, which is no measure of how long a second one takes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LATE_TWICE, "utf-8")
    request = {**ASKED, "kind": "problem", "problems": ("no-steps", "one-task", "five-steps")}
    verify("mine.py:subject", isolated=True, timeout=5.0, **request)
    assert in_vain == [5.0, 5.0]


#: Code that is right where problems have few steps, as all built-in ones do.
AT_MOST_TEN = f"""
import dataclasses, sys; sys.path.insert(0, {str(HERE)!r})
import implementations
def subject(problem):
    steps = min(problem.inner_grad_steps, 10)
    return implementations.numpy_subject(dataclasses.replace(problem, inner_grad_steps=steps))
"""


@pytest.mark.parametrize("isolated", [False, True])
def test_level_full_asks_a_problem_subject_the_golden_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated: bool
) -> None:
    """A step that stops at ten inner steps fails on vectors alone; the report says where, and Python asks one again."""
    monkeypatch.setattr(levels, "names", lambda *_: ["quadratic", "seven-steps"])
    (tmp_path / "mine.py").write_text(AT_MOST_TEN, "utf-8")
    request = {"framework": "numpy", "dtypes": ("float64",), "isolated": isolated}
    report = verify(f"{tmp_path / 'mine.py'}:subject", level="full", **request)
    steps = {vector.id: vector.problem["steps"] for vector in golden()}
    assert {(case.group, steps[case.problem]) for case in report.failing} == {("vectors", 20)}
    assert len([case for case in report.cases if case.group == "vectors"]) > 80
    assert "Right wherever K ≤ 7, and wrong wherever K ≥ 20." in report.remarks
    found: dict[str, object] = {}
    exec(report.failing[0].snippet.replace("print(subject(problem))", "answer = subject(problem)"), found)
    assert isinstance(found["answer"], tuple)
    quick = verify(f"{tmp_path / 'mine.py'}:subject", **request)
    assert (quick.verdict, {case.group for case in quick.cases}) == ("pass", {"problems"})


def test_a_framework_is_not_asked_numbers_that_it_does_not_compute_with() -> None:
    """XLA and TensorFlow flush subnormal numbers to zero, which is no mistake of a subject."""
    run = run_of(("float64", "float32"), (), "full", 0)

    def asked(framework: str) -> set[str]:
        subject = Subject(implementations.numpy_subject, "problem", framework, "")
        return {vector.problem.name for vector in run.vectors_for(subject, 1)}

    assert any("subnormal" in name for name in asked("numpy"))
    if find_spec("jax"):
        left_out = asked("numpy") - asked("jax")
        assert left_out
        assert all("subnormal" in name for name in left_out)


LATE_STEP = """
import os, time
from refmaml import fomaml_step
calls = 0
def step(*arguments, **keywords):
    if "HANGS" in os.environ:
        descriptor = os.open(os.environ["PROTOCOL_HANGS"], os.O_WRONLY | os.O_CREAT)
        import fcntl; fcntl.flock(descriptor, fcntl.LOCK_EX); time.sleep(1000)
    return fomaml_step(*arguments, **keywords)
"""


@pytest.mark.once
@pytest.mark.usefixtures("in_vain")
def test_late_relations_leave_the_verdict_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relations that did not come in time are neither broken nor hold, and a report with them is inconclusive."""
    (tmp_path / "mine.py").write_text(LATE_STEP, "utf-8")
    monkeypatch.setenv("HANGS", "")
    with Host(f"{tmp_path / 'mine.py'}:step", framework="autograd", kind="step", timeout=1.0) as host:
        (late,) = relations_of(IsolatedSubject.of(host), verification.problem("one-task")).results
    assert (late.name, late.verdict) == ("every", "inconclusive")
    right = verify("implementations:numpy_subject", **ASKED)
    subject = verification.judge.subject_of("implementations:numpy_subject", framework="numpy")
    found = conclude(subject, right.cases, [], [Related("one-task", 1, late)], [], [], right.conditions)
    assert (found.verdict, found.has_late_relations) == ("inconclusive", True)


def test_a_module_of_the_name_of_ours_is_not_the_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files beside the subject named as the judge's own packages are neither its reference nor in its way."""
    for name in ("refmaml", "verification", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n", "utf-8")
    source = "def subject(problem):\n    return 0.0, {chain: leaf * 0 for chain, leaf in problem.variables.items()}\n"
    (tmp_path / "mine.py").write_text(source, "utf-8")
    monkeypatch.chdir(tmp_path)
    report = verify("mine.py:subject", isolated=True, **ASKED)
    assert report.verdict == "fail"
    assert {finding.what for case in report.cases for finding in case.findings} <= {"cost", "gradients"}


def test_a_file_is_judged_by_its_source(tmp_path: Path) -> None:
    """Compiled code of the same size and time is not what is judged: the file was changed within a second."""
    path = tmp_path / "mine.py"
    for source, size in (
        ("def subject(problem): return 1\n", "int"),
        ("def subject(problem): return {}\n"[:-1], "dict"),
    ):
        path.write_text(source, "utf-8")
        os.utime(path, (1e9, 1e9))
        (case,) = verify(f"{path}:subject", isolated=True, **ASKED).cases
        assert f"but it returned {size}" in case.findings[0].message


def test_the_report_says_that_it_ran_in_process(tmp_path: Path) -> None:
    """With --in-process there is a note; limits, which nothing would keep there, are refused."""
    where, path = f"{HERE / 'implementations.py'}:numpy_subject", tmp_path / "report.json"
    request = ["verify", where, "--framework", "numpy", "--problem", "no-steps", "--in-process", "--json", str(path)]
    with pytest.raises(SystemExit) as ended:
        main(request, obj=STANDARDS)
    assert ended.value.code == 0
    assert "in the judge's own process" in json.loads(path.read_text("utf-8"))["notes"][0]
    with pytest.raises(SystemExit) as ended:
        main([*request, "--timeout", "3"], obj=STANDARDS)
    assert ended.value.code == 2


def test_arrays_cross_to_the_bit() -> None:
    """Numbers of every size and shape come back as they were, long doubles and the other order of bytes included."""
    for dtype in ("float16", "float32", "float64", "longdouble", "int8", "uint64", ">f8"):
        for shape in ((), (1,), (0, 3), (2, 3)):
            array = (np.arange(np.prod(shape, dtype=int)) / 3).reshape(shape).astype(dtype)
            back = unpack_array(json.loads(json.dumps(pack_array(array))))
            assert back.shape == shape
            assert back.dtype == np.dtype(dtype).newbyteorder("=")
            assert np.array_equal(back, array)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dtype": "object"}, "dtype: expected one of"),
        ({"dtype": ["<f8"]}, "dtype: expected one of"),
        ({"shape": [3]}, "are no array of <f8 of the shape"),
        ({"shape": [-1, -2]}, "shape: expected a list of lengths"),
        ({"shape": [2**70, 0]}, "are no array of <f8 of the shape"),
        ({"shape": "2"}, "shape: expected a list of lengths"),
        ({"shape": [True, 2]}, "shape: expected a list of lengths"),
        ({"shape": [1] * 33}, "shape: expected a list of lengths"),
        ({"data": "%%"}, "data: expected bytes in base64"),
        ({"data": 7}, "data: expected bytes in base64"),
        ({"type": 7}, "type: expected a text"),
    ],
)
def test_what_is_no_array_is_malformed(change: dict[str, object], said: str) -> None:
    """An answer that the subject wrote itself is checked: a wrong dtype, shape or length is told, and no error."""
    good = packed(np.ones((1, 2)), np.asarray)
    assert unpacked(good).number.shape == (1, 2)
    with pytest.raises(MalformedError, match=said):
        unpacked({**good, **change})


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("subject", signal.SIGTERM),
        ("subject", signal.SIGHUP),
        ("subject", signal.SIGINT),
        ("command", signal.SIGTERM),
    ],
)
def test_a_signal_leaves_nothing_running(
    kind: str, number: int, tmp_path: Path, nothing_is_left: Callable[[], list[int]]
) -> None:
    """A signal that ends the command ends what it has started: the subject's process, or the program."""
    started = tmp_path / "started"
    (tmp_path / "mine.py").write_text(
        f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(1000)\n", "utf-8"
    )
    program = f"{sys.executable} -S {tmp_path / 'mine.py'}"
    request = [f"{tmp_path / 'mine.py'}:subject"] if kind == "subject" else ["--command", program, "--timeout", "1000"]
    command = [sys.executable, "-m", "refmaml", "verify", *request, "--problem", "no-steps"]
    before = signal.signal(number, signal.SIG_DFL)  # what the tests run under may ignore it, which is inherited
    try:
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(number, before)
    with running:
        deadline = time.monotonic() + PATIENCE
        while not started.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(number)
        assert running.wait(PATIENCE) == 128 + number
    assert nothing_is_left() == []
