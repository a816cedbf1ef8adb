"""Standard output of every kind: other encodings, no colours, narrow, closed, full, or with a reader that leaves."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from shared import STANDARDS

from verification.commands.cli import main
from verification.commands.screen import screen, write
from verification.commands.shared import progress_lines
from verification.texts import spelled

HERE = Path(__file__).parents[1]
WRONG = f"{HERE / 'implementations.py'}:numpy_subject_on_support"
RIGHT = f"{HERE / 'implementations.py'}:numpy_subject"
ONE = ("--framework", "numpy", "--problem", "one-task", "--dtype", "float64")


def run(stdout, *arguments):
    """Return the exit code of the command with this standard output, which the interpreter would close in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)), obj=STANDARDS)
    if stdout:
        stdout.flush()
    return ended.value.code


@pytest.mark.parametrize(
    ("encoding", "environment", "formula"),
    [
        ("ascii", {"COLUMNS": "40", "TERM": "dumb"}, "grad Q"),
        ("cp1252", {"COLUMNS": "80", "NO_COLOR": "1"}, "grad Q"),
        ("utf-8", {"COLUMNS": "60"}, "∇Q"),
    ],
)
def test_the_report_is_written_in_what_the_encoding_has(tmp_path, monkeypatch, encoding, environment, formula):
    """The exit code is the verdict's, the JSON is whole, and of the text nothing is coloured, cut or padded."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    written, path = io.BytesIO(), tmp_path / "report.json"
    code = run(io.TextIOWrapper(written, encoding), "verify", WRONG, *ONE, "-v", "--format", f"json={path}")
    assert code == 1
    assert json.loads(path.read_bytes())["verdict"] == "fail"
    text = written.getvalue().decode(encoding)
    assert text.startswith("FAIL")
    assert formula in " ".join(text.split())
    assert "\x1b" not in text
    assert "…" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []
    folded = [line for line in text.splitlines()[1:] if "verification." not in line]  # what is pasted is not folded
    assert max(map(len, folded)) <= int(environment["COLUMNS"])


def test_a_form_is_whole_in_every_encoding():
    """JSON is ASCII, and XML has what the encoding lacks by number: both read as they do in UTF-8."""
    for encoding in ("ascii", "cp1252", "utf-8"):
        for form, read in (("json", json.loads), ("junit", ElementTree.fromstring), ("html", ElementTree.fromstring)):
            written = io.BytesIO()
            assert run(io.TextIOWrapper(written, encoding), "verify", WRONG, *ONE, "--format", form) == 1
            text = written.getvalue().decode(encoding)
            read(text)
            assert ("∇" in text) == (encoding == "utf-8" and form != "json"), form


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_that_leaves_changes_nothing(capsys, form):
    """Where nobody reads standard output, as after `| head -1`, the exit code is the verdict's, and nothing is said."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        options = () if form == "text" else ("--format", form)
        assert run(stdout, "verify", WRONG, *ONE, *options) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_device_is_reported(tmp_path, capsys):
    """A text that is lost changes no exit code; a form that was wanted there and is lost is 2, as a lost file is."""
    path = tmp_path / "report.json"
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        assert run(full, "verify", RIGHT, *ONE, "--format", f"json={path}") == 0
    assert capsys.readouterr().err == "Standard output cannot be written: No space left on device.\n"
    assert json.loads(path.read_bytes())["verdict"] == "pass"
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        assert run(full, "verify", RIGHT, *ONE, "--format", "json") == 2
    assert "standard output cannot be written: No space left on device." in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes the stream")
def test_a_process_whose_standard_output_is_closed(tmp_path):
    """Where it was closed, files are written all the same, and the interpreter ends with the verdict's exit code."""
    path = tmp_path / "report.json"
    line = [sys.executable, "-m", "refmaml", "verify", WRONG, *ONE, "--format", f"json={path}"]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *line], stderr=subprocess.PIPE, check=False, timeout=300)
    assert done.returncode == 1
    assert done.stderr.decode() == "Standard output cannot be written: it is closed.\n"
    assert json.loads(path.read_bytes())["verdict"] == "fail"


def test_what_a_subject_prints_is_not_in_the_report(tmp_path, capsys):
    """Standard output has the report alone; what the subject prints goes to standard error."""
    (tmp_path / "chatty.py").write_text("def subject(problem):\n    print('chatter')\n", "utf-8")
    written = io.BytesIO()
    run(io.TextIOWrapper(written), "verify", f"{tmp_path / 'chatty.py'}:subject", *ONE, "--format", "json")
    assert json.loads(written.getvalue())["verdict"] == "fail"
    assert "chatter" in capsys.readouterr().err


def test_letters_that_are_lacking_are_spelled_out():
    """Letters of formulas become words, what has no spelling its code point, and what the encoding has stays."""
    assert spelled("∇Q(φ_K) ½ é 😀 \udc80", "ascii") == "grad Q(phi_K) 1/2 \\xe9 \\U0001f600 \\udc80"
    assert spelled("∇Q(φ_K) ½ é", "cp1252") == "grad Q(phi_K) ½ é"
    assert spelled("∇Q", "utf-8") == "∇Q"


def test_what_is_printed_comes_in_one_piece(capsys):
    """A screen writes at its end, and a write that works has no cause."""
    with screen() as console:
        console.print("first")
        assert capsys.readouterr().out == ""
    assert capsys.readouterr().out == "first\n"
    assert write("second") == ""
    assert capsys.readouterr().out == "second"


def test_long_work_has_a_line_for_each_tenth(capsys):
    """After ten seconds each further tenth has a line with the time that is left; before that there is none."""
    now = 0.0
    tell = progress_lines(lambda: now)
    for done in range(21):
        now = 1.0 * done
        tell(done, 20, "bilinear")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "50 % (10 of 20): bilinear, about 10 s left"
    assert [line.split(" %")[0] for line in lines] == ["50", "60", "70", "80", "90", "100"]
