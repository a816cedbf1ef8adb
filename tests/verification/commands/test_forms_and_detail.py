"""How much ``refmaml verify`` prints, where its forms go, what it tells GitHub, and how it answers a wrong name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from rich.console import Console
from shared import STANDARDS

from verification.commands.cli import main
from verification.reports.tables import print_table

HERE = Path(__file__).parents[1]
RIGHT = f"{HERE / 'implementations.py'}:numpy_subject"
WRONG = f"{HERE / 'implementations.py'}:numpy_subject_on_support"
TWO = ("--framework", "numpy", "--problem", "one-task", "--problem", "quadratic")
NEXT_SENTENCE = "None of the tested problems shows these faults"


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch):
    """Take away what a runner of GitHub sets."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


def run(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)), obj=STANDARDS)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_pass_is_one_line_and_what_was_not_tested():
    """A pass is one line, followed by notes and the faults that nothing tested shows; there is no table."""
    result = run("verify", RIGHT, *TWO)
    first, note, second, *_ = result.output.splitlines()
    assert first == f"PASS  {RIGHT} (numpy problem): All 4 answers are right within their bounds."
    assert note.startswith("The subject, or what it imports, imports refmaml")
    assert second.startswith(NEXT_SENTENCE)
    assert "verdict" not in result.output


def test_quiet_has_the_verdict_and_the_name():
    """With -q a failure is the verdict and the name of the mistake, and a pass is the verdict."""
    failed = run("verify", WRONG, *TWO, "-q")
    assert failed.exit_code == 1
    verdict, *names = failed.output.splitlines()
    assert verdict == f"FAIL  {WRONG} (numpy problem): 4 of 4 answers are wrong."
    assert names
    assert all(name[:1].isupper() and ": " in name for name in names)
    assert len(run("verify", RIGHT, *TWO, "-q").output.splitlines()) == 1


def test_verbose_has_the_table_and_the_conditions():
    """With -v each problem has a row, and the last words are the conditions of the run."""
    output = run("verify", RIGHT, *TWO, "-v").output
    for name in ("one-task", "quadratic"):
        assert any(line.split("│")[1].strip() == name for line in output.splitlines() if "│" in line)
    assert "problems one-task, quadratic, seed 0, dtypes float64, float32" in " ".join(output.split())


def test_quiet_and_verbose_exclude_each_other():
    """Both at once are wrong usage."""
    result = run("verify", RIGHT, "-q", "-v")
    assert result.exit_code == 2
    assert "expected --quiet or --verbose, but got both" in result.output


def test_several_forms_at_once(tmp_path):
    """Each file has its form, and the form without a file takes the place of the text."""
    files = {form: tmp_path / f"report.{form}" for form in ("junit", "html", "sarif", "markdown", "badge", "text")}
    options = [part for form, path in files.items() for part in ("--format", f"{form}={path}")]
    result = run("verify", WRONG, *TWO, *options, "--format", "json=-")
    assert result.exit_code == 1
    content = json.loads(result.output)
    assert content["verdict"] == "fail"
    assert [grown["problem"] for grown in content["growth"]] == ["quadratic"]  # the page has a figure of it
    starts = {form: path.read_text("utf-8")[:5] for form, path in files.items()}
    assert starts == {
        "junit": "<?xml", "html": "<!DOC", "sarif": '{\n  "', "markdown": "## ❌ ", "badge": "<svg ", "text": "FAIL ",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "jsn"], "but got 'jsn'. Did you mean json?"),
        (["--format", "json="], "expected a file after json="),
        (["--format", "json", "--format", "text"], "expected one form for standard output, but got several"),
        (["--problem", "quadratc"], "but got 'quadratc'. Did you mean quadratic"),
        (["--levl", "full"], "--level"),
        (["--framework", "nmpy"], "Did you mean numpy?"),
        (["--level", "ful"], "Did you mean full?"),
        (["--convention", "sum-over-task"], "Did you mean sum-over-tasks"),
        (["--algorithm", "momentm(0.9)"], "Did you mean 'momentum'?"),
    ],
)
def test_a_slip_of_the_pen_is_answered(options, says):
    """A wrong name is answered with what there is, and with what may have been meant."""
    result = run("verify", RIGHT, *options)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_an_unknown_fault_is_answered():
    """A fault that is not in the catalogue is answered with those that are near."""
    result = run("faults", "B2")
    assert result.exit_code == 2
    assert "but got 'B2'. Did you mean B12 or B02" in result.output


@pytest.mark.parametrize(
    ("words", "start", "found"),
    [
        (["verify", "--problem"], "quad", "quadratic"),
        (["verify", "--format"], "sar", "sarif"),
        (["self-test", "--format"], "ht", "html"),
        (["faults"], "b0", "B02"),
    ],
)
def test_a_shell_completes_names(words, start, found):
    """Names of problems, forms and faults are completed in a shell."""
    completions = ShellComplete(main, {}, "refmaml", "_REFMAML_COMPLETE").get_completions(words, start)
    assert found in [completion.value for completion in completions]


def test_github_is_told_by_itself(tmp_path, monkeypatch, capsys):
    """Where GitHub runs it, annotations go to standard error, and the summary of the step gets the report as well."""
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", "utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    with pytest.raises(SystemExit) as ended:
        main(["verify", WRONG, *TWO, "--format", "json"], obj=STANDARDS)
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("::error ")
    assert json.loads(printed.out)["verdict"] == "fail"
    assert summary.read_text("utf-8").startswith("before\n## ❌ FAIL")


def test_a_summary_that_cannot_be_written_changes_no_verdict(tmp_path, monkeypatch):
    """Where the summary of the step cannot be written this is said, and the exit code is the verdict's."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    result = run("verify", RIGHT, *TWO)
    assert result.exit_code == 0
    assert "The summary of the step cannot be written: Is a directory." in result.output


@pytest.mark.parametrize("width", [20, 59, 60, 100])
def test_no_table_cuts_what_must_be_copied(width):
    """On a narrow terminal a row is a paragraph with whole names; on a wide one cells fold, and nothing is left out."""
    console = Console(width=width)
    name = "batched-average-first"
    with console.capture() as capture:
        print_table(("problem", "found"), [(name, "word " * 30 + "end")], console, title="Title", caption="Caption.")
    text = capture.get()
    assert "…" not in text
    assert text.count("word") == 30
    assert "end" in text
    assert width < len(name) or name in text
    assert max(map(len, text.splitlines())) <= width
