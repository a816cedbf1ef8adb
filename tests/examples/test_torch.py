"""The PyTorch examples: the right one passes, and the wrong one fails where its mistake is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import verification
from verification.commands.cli import main

pytestmark = pytest.mark.framework("torch")

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_is_right_in_both_precisions() -> None:
    """A first-order MAML as a PyTorch user writes it passes on every plain problem."""
    report = verification.verify(f"{EXAMPLES / 'torch_fomaml.py'}:subject", framework="torch")
    assert report.exit_code == 0
    assert {case.dtype for case in report.cases} == {"float64", "float32"}


def test_the_wrong_example_is_told_where_its_gradient_is_taken() -> None:
    """The outer loss from before adaptation fails wherever there is an inner step, and the report says what it is."""
    report = verification.verify(f"{EXAMPLES / 'torch_fomaml_wrong.py'}:subject", framework="torch")
    assert report.exit_code == 1
    (diagnosis,) = report.diagnosis
    assert diagnosis.faults == ("B01",)
    assert "learn2learn#420" in diagnosis.source
    assert {case.problem for case in report.cases if case.verdict == "pass"} == {"no-steps"}


def test_the_readme_shows_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report in the README is the beginning of what its command prints on 80 columns today, and has the mistake."""
    readme = (EXAMPLES.parent / "README.md").read_text("utf-8")
    shown = readme.partition("```console\n$ refmaml ")[2].partition("```")[0]
    command, _, report = shown.partition("\n")
    monkeypatch.chdir(EXAMPLES.parent)
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 1
    assert result.output.startswith(report)
    assert "The mistake is B01" in report


@pytest.mark.parametrize("name", ["torch_fomaml", "torch_fomaml_wrong"])
def test_the_script_trains(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both examples train, and print two losses: the mistake of the wrong one raises nothing."""
    step = verification.load(f"{EXAMPLES / name}.py:fomaml_step")
    train = verification.load(f"{EXAMPLES / 'torch_fomaml.py'}:train")
    train(step, iterations=1)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "before meta-training",
        "after meta-training",
    ]
