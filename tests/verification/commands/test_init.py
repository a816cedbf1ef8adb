"""The command `refmaml init`: each file that it prints passes as it stands, and says where a user's own code goes."""

from __future__ import annotations

import io
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from shared import STANDARDS

import verification
from verification.commands.cli import main
from verification.commands.init import TEMPLATES
from verification.protocol import smoke, verify_program

WARNING = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorFlow's own
PYTHON = [
    "numpy",
    pytest.param("torch", marks=pytest.mark.framework("torch")),
    pytest.param("jax", marks=pytest.mark.framework("jax")),
    pytest.param("tensorflow", marks=[pytest.mark.framework("tensorflow"), WARNING]),
]
FEW = ("quadratic", "mlp-tanh-mse")  # flat and nested variables, and some that a cost ignores


def printed(name: str) -> str:
    """Return what `refmaml init` prints."""
    result = CliRunner().invoke(main, ["init", name])
    assert result.exit_code == 0, result.output
    return result.output


def begun(name: str, folder: Path) -> Path:
    """Return the file that a user begins with."""
    path = folder / f"subject{Path(TEMPLATES[name]).suffix}"
    path.write_text(printed(name), "utf-8")
    return path


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_template_passes_as_it_stands(name, tmp_path):
    """The judge infers the framework, and every answer is right in both precisions."""
    subject = f"{begun(name, tmp_path)}:subject"
    report = verification.verify(subject, problems=FEW, standards=STANDARDS)
    assert report.verdict == "pass", report.reason
    assert {case.dtype for case in report.cases} == {"float64", "float32"}
    assert report.framework == ("autograd" if name == "numpy" else name)  # the arrays of autograd are NumPy's
    if name == "numpy":
        assert verification.verify(subject, framework=name, problems=FEW, standards=STANDARDS).verdict == "pass"


@pytest.mark.once
def test_the_node_template_passes_as_it_stands(tmp_path):
    """The program passes `smoke`, and the built-in problems and golden vectors that it declares."""
    if not shutil.which("node"):
        pytest.skip("node is not installed here")
    command = shlex.join(["node", str(begun("node", tmp_path))])
    assert [check for check in smoke(command, timeout=60) if check.cause] == []
    report = verify_program(command, timeout=60)
    assert report.verdict == "pass", report.reason
    assert {case.group for case in report.cases} == {"problems", "vectors"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_can_be_written_anywhere_and_says_what_to_do(name):
    """It has the command that judges it, marks the places of the user's code, fits a screen, and is plain ASCII."""
    text = printed(name)
    command = 'refmaml verify --command "node subject.js"' if name == "node" else "refmaml verify subject.py:subject"
    assert command in text.partition("YOUR CODE")[0]
    assert text.count("YOUR CODE: ") >= 2
    assert max(map(len, text.splitlines())) <= (120 if name == "node" else 80)
    assert text.isascii()


def test_an_unknown_template_is_wrong_usage():
    """The message lists the templates."""
    result = CliRunner().invoke(main, ["init", "mlx"])
    assert result.exit_code == 2
    assert all(name in result.output for name in TEMPLATES)


def test_a_file_that_cannot_be_written_is_wrong_usage(monkeypatch):
    """Where standard output takes nothing, the command says so: the file would be empty."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        def fileno(self) -> int:
            raise OSError

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as ended:
        main(["init", "torch"])
    assert ended.value.code == 2
