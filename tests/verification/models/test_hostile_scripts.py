"""Scripts with models of their own that do harm: each gets a verdict with its cause, and nothing of it is left."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_imports import AT_IMPORT

from verification.cases import broken_case
from verification.commands.cli import main
from verification.models.child import brief
from verification.subjects import Finding

HOSTILE = Path(__file__).parent / "hostile_scripts.py"
TORCH = Path(__file__).parent / "hostile_torch_scripts.py"
LIMITS = ("--timeout", "1", "--memory", "0.25")
CODES = {"pass": 0, "fail": 1, "inconclusive": 3}

pytestmark = [
    pytest.mark.once,  # processes
    pytest.mark.usefixtures("nothing_is_left", "in_vain"),
    pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc"),
]


def checked(where: str, folder: Path, *options: str) -> dict[str, Any]:
    """Run the command, and return the report that it wrote; the exit code is that of its verdict."""
    path = folder / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(["check", where, *(options or LIMITS), "--json", str(path), "--format", f"html={folder / 'report.html'}"])
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert ended.value.code == CODES[report["verdict"]]
    assert report["cases"]
    assert (folder / "report.html").exists()
    return report


#: What a step does, the verdict, and what the reason or a finding says of it.
SCRIPTS = {
    "exits": ("fail", r"it ended with exit status 0 during `check`, while the judge was at: the step"),
    "exits_later": ("fail", r"1 of 2 answers is missing. The cause: it ended with exit status 0 during `check`"),
    "exits_with_seven": ("fail", r"it ended with exit status 7 during `check`"),
    "becomes_another_program": ("fail", r"it ended with exit status 0 during `check`"),
    "follows_a_null_pointer": ("fail", r"it was ended by SIGSEGV during `check` \(hostile_scripts.py, line \d+\)"),
    "aborts": ("fail", r"it was ended by SIGABRT during `check`"),
    "kills_itself": ("fail", r"it was ended by SIGKILL during `check`"),
    "loops_for_ever": ("fail", r"it did not answer `check` within 1 s \(hostile_scripts.py, line \d+\), while .* step"),
    "loops_later": ("inconclusive", r"it did not answer `check` within 1 s .*--timeout 4"),
    "sleeps_for_ever": ("fail", r"it did not answer `check` within 1 s \(hostile_scripts.py, line \d+\)"),
    "stops_itself": ("fail", r"it did not answer `check` within 1 s"),
    "waits_for_input": ("pass", ""),
    "eats_memory": ("fail", r"it used more than 0\.25 GiB of memory during `check`"),
    "exits_at_the_end": ("pass", ""),
    "hangs_at_the_end": ("pass", ""),
    "raises_from_the_base": ("fail", r"it raised OwnError: of its own"),
    "raises_keyboard_interrupt": ("fail", r"it raised KeyboardInterrupt"),
    "raises_generator_exit": ("fail", r"it raised GeneratorExit"),
    "raises_system_exit": ("fail", r"it raised SystemExit: 0"),
    "raises_what_cannot_be_shown": ("fail", r"it raised UnprintableError: \(its message cannot be shown\)"),
    "raises_escapes": ("fail", r"it raised ValueError: \\x1b\[2J\\x1b\[31mred\\x07 \\u202etxt"),
    "raises_a_long_message": ("fail", r"it raised ValueError: x+ … x+"),
    "closes_standard_output": ("pass", ""),
    "closes_every_descriptor": ("fail", r"it (ended with exit status 0|closed its standard output) during `check`"),
    "speaks_for_the_judge": ("fail", r"it gave an answer to `check` that is not one: expected an object with problem"),
    "forges_half_a_report": ("fail", r"it gave an answer to `check` that is not one: expected an object with subject"),
    "writes_to_standard_output": ("pass", ""),
    "prints_escapes": ("pass", ""),
    "prints_without_end": ("pass", ""),
    "exchanges_numpy": ("inconclusive", r"exchanged numpy\.linalg\.norm.*, which the judge works with"),
    "exchanges_what_is_built_in": ("inconclusive", r"exchanged builtins\.all, which the judge works with"),
    "exchanges_the_judge": (
        "inconclusive",
        r"exchanged verification\.models\.run\.compare, which the judge",
    ),
    "exchanges_a_method": (
        "inconclusive",
        r"exchanged verification\.cases\.Case\.is_late, which the judge",
    ),
    "takes_modules_away": ("fail", r"it raised (ModuleNotFound|Import)Error: import of numpy halted"),
    "lowers_the_recursion_limit": ("pass", ""),
    "turns_errors_of_numpy_on": ("pass", ""),
    "turns_warnings_into_errors": ("pass", ""),
    "changes_the_folder": ("pass", ""),
    "seeds_random_numbers": ("pass", ""),
    "leaves_a_thread": ("pass", ""),
    "leaves_a_child": ("pass", ""),
    "leaves_a_worker": ("pass", ""),
    "forks_a_child_that_stays": ("pass", ""),
    "returns_nothing": ("fail", r"expected a container in the form of the model"),
    "returns_itself": ("fail", r"it raised RecursionError|expected a container"),
    "returns_an_odd_object": ("fail", r"it raised OwnError|expected a container"),
    "returns_a_huge_array": ("fail", r"it raised (MemoryError|_ArrayMemoryError)|used more than|expected the shape"),
    "returns_text": ("fail", r"expected real numbers for w, but got an array of dtype <U5"),
    "returns_complex_numbers": ("fail", r"expected real numbers for w, but got an array of dtype complex128"),
    "returns_numbers_as_texts": ("fail", r"expected real numbers for w, but got an array of dtype <U"),
    "loss_exits": ("fail", r"it ended with exit status 0 during `check`, while the judge was at: the definition"),
    "loss_raises_an_interrupt": ("inconclusive", r"code in hostile_scripts.py, line \d+, raised KeyboardInterrupt"),
    "gradient_hangs": ("fail", r"it did not answer `check` within 1 s .* at: the definition"),
    "gradient_raises_later": ("inconclusive", r"code in hostile_scripts.py, line \d+, raised RuntimeError: enough"),
    "named_by_escapes": ("pass", ""),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_step_that_does_harm_has_a_verdict_with_its_cause(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], nothing_is_left: Callable[[], list[int]]
) -> None:
    """The reports are written with the cause; nothing is traced, nothing obeyed, and no process is left."""
    require_verdict(checked(f"{HOSTILE}:{name}", tmp_path), *SCRIPTS[name])
    shown = capsys.readouterr()
    for text in (shown.out, shown.err, (tmp_path / "report.html").read_text("utf-8")):
        assert "Traceback" not in text
        assert "\x1b" not in text
        assert len(text) < 2**17
    assert nothing_is_left() == []


def require_verdict(report: dict[str, Any], verdict: str, cause: str) -> None:
    """Check that a report has a verdict, and a text with its cause."""
    texts = [report["reason"], *(finding["message"] for case in report["cases"] for finding in case["findings"])]
    assert report["verdict"] == verdict, texts
    assert any(re.search(cause, text) for text in texts), texts


@pytest.mark.parametrize("source", AT_IMPORT)
def test_an_import_that_ends_the_process_is_a_failure(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report says so, with the cause: an exit code of 0 is never given away."""
    (tmp_path / "mine.py").write_text(source, "utf-8")
    report = checked(f"{tmp_path / 'mine.py'}:problem", tmp_path)
    assert report["verdict"] == "fail"
    assert report["reason"].startswith("1 of 1 answers is missing. The cause: it cannot be imported: ")
    assert AT_IMPORT[source] in report["reason"]
    assert "Traceback" not in capsys.readouterr().err


#: A whole file, and what is said of a script that cannot be used.
UNUSABLE = {
    "raise BaseException('no')\n": "raised BaseException: no",
    "raise SystemExit(0)\n": "raised SystemExit: 0",
    "raise KeyboardInterrupt\n": "raised KeyboardInterrupt",
    "def problem(:\n": "raised SyntaxError",
    "problem = 3\n": "to be what verification.problem_of(...) returned, but it is int",
    "import no_such_module_at_all\n": "No module named 'no_such_module_at_all'",
    "import sys\nsys.path.insert(0, {folder!r})\nfrom hostile_scripts import problem_of, right\n"
    "def bad(weights, batch): raise ValueError('no loss')\nproblem = problem_of(right, inner_loss=bad)\n": "no loss",
    "import sys\nsys.path.insert(0, {folder!r})\nfrom hostile_scripts import problem_of, right\n"
    "problem = problem_of(right, inner_loss=lambda *_: float('nan'))\n": "expected a finite number at the adapted",
    "import sys\nsys.path.insert(0, {folder!r})\nfrom hostile_scripts import problem_of\n"
    "problem = problem_of(lambda one, two, three, four: 0, name='four')\n": "it requires also one, two, three, four",
}


@pytest.mark.parametrize("source", UNUSABLE)
def test_a_script_that_cannot_be_used_is_wrong_usage(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence says why, the exit code is 2, and no report says anything."""
    (tmp_path / "mine.py").write_text(source.replace("{folder!r}", repr(str(HOSTILE.parent))), "utf-8")
    path = tmp_path / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(["check", f"{tmp_path / 'mine.py'}:problem", *LIMITS, "--json", str(path)])
    assert ended.value.code == 2
    assert not path.exists()
    said = capsys.readouterr().err
    assert UNUSABLE[source] in " ".join(said.split())
    assert "Traceback" not in said


def test_in_process_says_so_and_refuses_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--in-process` judges here, notes it, and does not go with a limit that nothing could hold."""
    report = checked(f"{HOSTILE}:waits_for_nothing", tmp_path, "--in-process")
    assert report["verdict"] == "pass"
    assert any("the judge's own process" in note for note in report["notes"])
    with pytest.raises(SystemExit) as ended:
        main(["check", f"{HOSTILE}:waits_for_nothing", "--in-process", "--timeout", "3"])
    assert ended.value.code == 2
    assert "--timeout does not go with --in-process" in capsys.readouterr().err


def test_a_report_is_the_same_in_both_processes(tmp_path: Path) -> None:
    """Cases, findings with their numbers, and the name of the mistake come from the other process as they were."""
    here = checked(f"{HOSTILE}:doubled", tmp_path, "--in-process")
    there = checked(f"{HOSTILE}:doubled", tmp_path)
    assert there["verdict"] == "fail"
    assert there["cases"][0]["findings"][0]["expected"]
    for report in (here, there):
        del report["notes"], report["conditions"]["date"]
    assert there == here


def test_a_gradient_that_is_too_large_to_be_sent_is_told_in_words() -> None:
    """Of two leaves, the one beyond the limit has its worst entry in the message, and no arrays."""
    small, large = np.zeros(2), np.zeros(2**19)
    off = large.copy()
    off[7] = 2.5
    findings = [
        Finding("gradients", "it differs", "a", small, small),
        Finding("gradients", "it differs", "b", large, off),
        Finding("cost", "it is odd"),
    ]
    case = broken_case("own model", 1, "float64", findings[0], snippet="", group="problems")
    (found,) = brief([replace(case, findings=findings)])
    assert found.findings[0] == findings[0]
    assert (found.findings[1].expected, found.findings[1].got) == (None, None)
    assert found.findings[1].message == "it differs; at [7] expected 0, got 2.5"
    assert found.findings[2] == findings[2]


#: The same for steps on a model of PyTorch.
TORCH_SCRIPTS = {
    "sets_the_default_device": ("pass", ""),
    "sets_the_default_dtype": ("pass", ""),
    "switches_gradients_off": ("fail", r"in a second call it raised RuntimeError: element 0 of tensors does not"),
    "exits_in_a_backward_pass": ("fail", r"it ended with exit status 0 during `check`"),
    "exits_from_a_thread": ("fail", r"it ended with exit status 0 during `check`"),
    "returns_complex_numbers": ("fail", r"expected real numbers for weight, but got an array of dtype complex128"),
    "returns_tensors_without_numbers": ("fail", r"it raised (NotImplementedError|RuntimeError)"),
    "returns_sparse_tensors": ("pass", ""),
    "returns_views_of_absurd_size": ("fail", r"it raised RuntimeError|expected the shape"),
}


@pytest.mark.framework("torch")
@pytest.mark.parametrize("name", TORCH_SCRIPTS)
def test_a_step_in_torch_that_does_harm_has_a_verdict_with_its_cause(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reports are written with the cause, and nothing is traced."""
    require_verdict(checked(f"{TORCH}:{name}", tmp_path, "--timeout", "60", "--memory", "4"), *TORCH_SCRIPTS[name])
    assert "Traceback" not in capsys.readouterr().err
