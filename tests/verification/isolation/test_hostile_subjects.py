"""Python subjects that do harm: each gets a plain verdict with its cause, and nothing of it is left."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_imports import AT_IMPORT
from shared import STANDARDS

from verification.commands.cli import main

HOSTILE = Path(__file__).parent / "hostile_subjects.py"
ASKED = (
    "--framework", "numpy", "--kind", "problem", "--problem", "no-steps", "--dtype", "float64", "--timeout", "1",
    "--memory", "0.25",
)  # fmt: skip
CODES = {"pass": 0, "fail": 1, "inconclusive": 3}

pytestmark = [
    pytest.mark.once,  # processes
    pytest.mark.usefixtures("nothing_is_left", "in_vain"),
    pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc"),
]


def judged(where: str, folder: Path, *options: str) -> dict[str, Any]:
    """Run the command, and return the report that it wrote; the exit code is that of its verdict."""
    path = folder / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(["verify", where, *ASKED, *options, "--json", str(path)], obj=STANDARDS)
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert ended.value.code == CODES[report["verdict"]]
    assert len(report["cases"]) == 1, "no case is lost"
    return report


#: What a subject does, and what its one answer is said to be; None: right.
IN_THE_CALL = {
    "exits_at_once": r"it ended with exit status 0 during `call`",
    "exits_with_seven": r"it ended with exit status 7 during `call`",
    "raises_system_exit": r"it raised SystemExit: 0 \(hostile_subjects.py, line \d+\)",
    "becomes_another_program": r"it ended with exit status 0 during `call`",
    "becomes_another_program_that_stays": r"it closed its standard output during `call`",
    "exits_at_the_end": None,
    "follows_a_null_pointer": r"it was ended by SIGSEGV during `call` \(hostile_subjects.py, line \d+\)",
    "aborts": r"it was ended by SIGABRT during `call` \(hostile_subjects.py, line \d+\)",
    "kills_itself": r"it was ended by SIGKILL during `call`",
    "divides_by_zero_in_the_processor": r"it was ended by SIGFPE during `call`",
    "raises_the_recursion_limit": r"it (was ended by SIGSEGV|used more than 0\.25 GiB of memory) during `call`",
    "ends_from_a_thread": r"it ended with exit status 3 during `call`",
    "loops_for_ever": r"it did not answer `call` within 1 s \(hostile_subjects.py, line \d+\)",
    "sleeps_for_ever": r"it did not answer `call` within 1 s \(hostile_subjects.py, line \d+\)",
    "waits_for_a_lock": r"it did not answer `call` within 1 s \(hostile_subjects.py, line \d+\)",
    "stops_itself": r"it did not answer `call` within 1 s",
    "waits_for_input": r"it did not answer `call` within 1 s \(hostile_subjects.py, line \d+\)",
    "ignores_signals_and_sleeps": r"it did not answer `call` within 1 s",
    "raises_from_the_base": r"it raised OwnError: of its own \(hostile_subjects.py, line \d+\)",
    "raises_keyboard_interrupt": r"it raised KeyboardInterrupt: +\(hostile_subjects.py, line \d+\)",
    "raises_generator_exit": r"it raised GeneratorExit: +\(hostile_subjects.py, line \d+\)",
    "raises_what_cannot_be_shown": r"it raised UnprintableError: \(its message cannot be shown\)",
    "raises_with_odd_notes": r"it raised ValueError: noted \(hostile_subjects.py",
    "raises_a_long_message": r"^it raised ValueError: x+ … x+ \(hostile_subjects.py, line \d+\)$",
    "raises_escapes": r"it raised ValueError: \\x1b\[2J\\x1b\[31mred\\x07 \\u202e",
    "raises_half_a_surrogate": r"it raised ValueError: \\ud800",
    "recurses": r"it raised RecursionError: maximum recursion depth exceeded",
    "closes_standard_output": None,
    "closes_every_descriptor": r"it (ended with exit status 0|closed its standard output) during `call`",
    "closes_standard_input": None,
    "writes_to_standard_output": None,
    "prints_without_end": None,
    "lowers_the_recursion_limit": None,
    "patches_numpy": r"it differs from the reference by 1e\+02 %",
    "patches_the_judge": r"it differs from the reference by 1e\+02 %",
    "patches_the_reference": r"it differs from the reference by 1e\+02 %",
    "patches_json": None,
    "patches_what_is_built_in": r"it changed what the judge's part of its process stands on, which raised",
    "changes_folder_and_locale": None,
    "limits_its_files": None,
    "turns_errors_of_numpy_on": None,
    "leaves_a_thread": None,
    "leaves_a_child": None,
    "leaves_a_child_of_another_session": None,
    "leaves_a_worker": None,
    "forks_and_both_return": None,
    "leaves_a_thread_that_chatters": None,
    "eats_memory": r"it used more than 0\.25 GiB of memory during `call`",
    "eats_memory_in_a_child": r"it used more than 0\.25 GiB of memory during `call`",
    "asks_for_an_absurd_array": r"it raised (MemoryError|ValueError|_ArrayMemoryError)",
    "empties_the_variables": r"the call took this leaf out of the caller's variables",
    "pops_a_key_of_the_batch": r"the call took this leaf out of the caller's batch",
    "replaces_leaves_by_lists": r"the call took this leaf out of the caller's variables",
    "puts_a_leaf_into_the_variables": r"the call put this leaf into the caller's variables",
    "writes_into_the_batch": r"the call changed the caller's batch",
}


@pytest.mark.parametrize("name", IN_THE_CALL)
def test_a_call_that_does_harm_has_a_verdict_with_its_cause(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], nothing_is_left: Callable[[], list[int]]
) -> None:
    """The report is written and has the one answer with its cause; nothing is traced, and no process is left."""
    report = judged(f"{HOSTILE}:{name}", tmp_path)
    cause, (case,) = IN_THE_CALL[name], report["cases"]
    said = [finding["message"] for finding in case["findings"]]
    if cause is None:
        assert said == []
    else:
        assert any(re.search(cause, message) for message in said), said
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "\x1b" not in shown.out + shown.err
    assert len(shown.err) < 2**17
    assert nothing_is_left() == []


@pytest.mark.parametrize("source", AT_IMPORT)
def test_an_import_that_ends_the_process_is_a_failure(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every problem is listed as unanswered, with the cause: an exit code of 0 is never given away."""
    (tmp_path / "mine.py").write_text(source, "utf-8")
    report = judged(f"{tmp_path / 'mine.py'}:subject", tmp_path)
    assert report["verdict"] == "fail"
    assert report["reason"].startswith("1 of 1 answers is missing. The cause: it cannot be imported: ")
    assert AT_IMPORT[source] in report["reason"]
    assert "Traceback" not in capsys.readouterr().err


#: A whole file, and what is said of a subject that cannot be used.
UNUSABLE = {
    "raise BaseException('no')\n": "raised BaseException: no",
    "raise SystemExit(0)\n": "raised SystemExit: 0",
    "raise KeyboardInterrupt\n": "raised KeyboardInterrupt",
    "def subject(:\n": "raised SyntaxError",
    "subject = 3\n": "is not a function but int",
    "import no_such_module_at_all\n": "No module named 'no_such_module_at_all'",
    "class Odd:\n    def __getattr__(self, name): raise RuntimeError('no')\n    def __call__(self, p): pass\n"
    "subject = Odd()\n": "RuntimeError: no",
    "def subject(problem): pass\nsubject.supports = [[1]]\n": "its attribute supports: expected some of",
    "import itertools\ndef subject(problem): pass\nsubject.supports = itertools.repeat('batched')\n": "its attribute",
}


@pytest.mark.parametrize("source", UNUSABLE)
def test_a_subject_that_cannot_be_used_is_wrong_usage(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence says why, the exit code is 2, and no report says anything."""
    (tmp_path / "mine.py").write_text(source, "utf-8")
    path = tmp_path / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(["verify", f"{tmp_path / 'mine.py'}:subject", *ASKED, "--json", str(path)], obj=STANDARDS)
    assert ended.value.code == 2
    assert not path.exists()
    said = capsys.readouterr().err
    assert UNUSABLE[source] in " ".join(said.split())
    assert "Traceback" not in said
