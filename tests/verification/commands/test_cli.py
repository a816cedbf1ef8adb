"""The command line: exit codes, what is printed, and what is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner
from shared import STANDARDS, verify

from verification.commands.cli import main
from verification.faults import NOT_SHOWN
from verification.judging.standard import Standards
from verification.selftest.lineup import Lineup

HERE = Path(__file__).parents[1]
RIGHT = f"{HERE / 'implementations.py'}:numpy_subject"
WRONG = f"{HERE / 'implementations.py'}:numpy_subject_on_support"
STEP_AT_START = f"{HERE / 'implementations.py'}:step_at_start"
TWO_PARAMETERS = f"{HERE / 'implementations.py'}:map_leaves"
NUMPY = ("--framework", "numpy")


pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch):
    """Put the import path back afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def run(*arguments, problems=("no-steps", "one-task"), given=STANDARDS):
    """Return the result of `refmaml` with these arguments; no traceback of ours is ever printed.

    What is verified is asked two problems unless others are named. `given` is the object of click's context.
    """
    named = [part for name in problems for part in ("--problem", name)] if arguments[0] == "verify" else []
    result = CliRunner().invoke(main, [*map(str, arguments), *named], obj=given)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_pass_is_0():
    """A right subject is told so first, and the exit code is 0."""
    result = run("verify", RIGHT, *NUMPY)
    assert result.exit_code == 0
    assert "PASS" in result.output
    assert f"{RIGHT} (numpy problem)" in result.output
    assert "All 4 answers are right within their bounds." in result.output
    assert "To reproduce it:" not in result.output


def test_algorithms_lists_what_can_be_declared():
    """Each optimizer is listed with how it is spelled and where it is from, and how several are joined is told."""
    result = run("algorithms")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for words in ("momentum(", "adam(", "weight-decay(", "Kingma", "Join several with ' + '"):
        assert words in text


@pytest.mark.once  # arithmetic
def test_our_own_steps_by_default():
    """Without a subject refmaml itself is judged, the reference and the compiled steps, at every order."""
    result = run("verify", "--dtype", "float64")
    assert result.exit_code == 0
    assert "refmaml (autograd step)" in result.output
    assert "All 12 answers are right" in result.output
    assert "reference steps (order 1, 2, reptile): pass, 6 answers" in result.output
    assert "compiled steps (order 1, 2, reptile): pass, 6 answers" in result.output


def test_fail_is_1():
    """A wrong subject is told which problem, which leaf, what was expected and what came, and the exit code is 1."""
    result = run("verify", WRONG, *NUMPY, "--dtype", "float64")
    assert result.exit_code == 1
    assert "FAIL" in result.output
    assert "2 of 2 answers are wrong." in result.output
    assert ", order 1, float64\n" in result.output
    assert "1 more answer is wrong:" in result.output
    assert "gradients, w1: it differs from the reference by " in result.output
    assert "units of rounding, where " in result.output
    assert "expected " in result.output
    assert ", got " in result.output


def test_a_failure_is_named():
    """The name of the mistake is printed, with what to do."""
    result = run("verify", STEP_AT_START, "--kind", "step", "--dtype", "float64")
    assert result.exit_code == 1
    assert "B01" in result.output
    assert "What to do: " in result.output


def test_inconclusive_is_3():
    """Where nothing is decided, the exit code is 3."""
    result = run("verify", RIGHT, *NUMPY, problems=["batched"])
    assert result.exit_code == 3
    assert "INCONCLUSIVE" in result.output
    assert "Not tested: batched." in result.output
    assert "List the options that your subject supports in its attribute `supports`" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere.py:step",), "there is no file nowhere.py"),
        (("no_such_package:step",), "importing no_such_package raised ModuleNotFoundError"),
        (("nothing",), "expected package.module:name or path/to/file.py:name"),
        (("refmaml:reference",), "is not a function but module"),
        ((TWO_PARAMETERS,), "expected one required parameter (problem) or the five or six of a step, but got 2"),
        ((RIGHT, "--framework", "mlx"), "'mlx' is not one of 'autograd', 'numpy', 'torch', 'jax', 'tensorflow'"),
        ((RIGHT, "--order", "3"), "'3' is not one of '1', '2', 'reptile'"),
        ((RIGHT, "--kind", "library"), "'library' is not one of 'step', 'problem'"),
        ((RIGHT, "--dtype", "float16"), "'float16' is not one of 'float64', 'float32'"),
        ((RIGHT, "--format", f"json={HERE}"), "is a directory"),
        ((RIGHT, "--fast"), "--fast"),
    ],
)
def test_wrong_usage_is_2(arguments, says):
    """A subject or an option that cannot be used is said in a sentence, and the exit code is 2."""
    result = run("verify", *arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())


def test_a_subject_that_raises_is_a_failure(tmp_path):
    """What a subject raises is a finding, printed without a traceback."""
    (tmp_path / "raises.py").write_text("def subject(problem): raise ValueError('bad shape')", encoding="utf-8")
    result = run("verify", f"{tmp_path / 'raises.py'}:subject")
    assert result.exit_code == 1
    assert "exception: it raised ValueError: bad shape (raises.py, line 1)." in result.output


def test_square_brackets_are_printed_as_they_are(tmp_path):
    """A message with what a terminal library takes for markup is neither swallowed nor an error."""
    source = "def subject(problem): raise ValueError('[red]x[0][/] [/bold] \\\\[y]')"
    (tmp_path / "raises.py").write_text(source, encoding="utf-8")
    result = run("verify", f"{tmp_path / 'raises.py'}:subject")
    assert "it raised ValueError: [red]x[0][/] [/bold] \\[y] (raises.py, line 1)." in result.output


def test_a_package_in_the_current_folder(tmp_path, monkeypatch):
    """A module of the current folder is found without being installed."""
    (tmp_path / "in_the_current_folder.py").write_text("def subject(problem): return None", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    for _ in range(2):
        result = run("verify", "in_the_current_folder:subject")
        assert result.exit_code == 1
        assert "but it returned NoneType" in result.output
        assert "" not in sys.path


def test_a_framework_that_is_not_installed(monkeypatch, tmp_path):
    """Without torch the command that installs it is given, and the exit code is 2."""
    (tmp_path / "torch.py").write_text("raise ImportError('there is none')\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    result = run("verify", RIGHT, "--framework", "torch")
    assert result.exit_code == 2
    assert "python -m pip install torch" in result.output


def test_help():
    """The help has examples that can be pasted, one on each line, and every exit code."""
    for arguments in (("verify", "--help"), ("verify", "-h")):
        lines = [line.strip() for line in run(*arguments).output.splitlines()]
        assert "refmaml verify" in lines
        assert "refmaml verify examples/torch_fomaml.py:subject" in lines
        assert "refmaml verify mypackage.maml:step --order 2 --level full --format json=report.json" in lines
        for start in ("0  pass", "1  fail", "2  wrong usage", "3  inconclusive"):
            assert any(line.startswith(start) for line in lines)


@pytest.mark.parametrize("option", [("--format", "json={}"), ("--json", "{}")], ids=("long", "short"))
def test_the_json_file_is_the_report(tmp_path, option):
    """`--format json=FILE` and `--json FILE` write what is printed, and what `verification.verify` returns."""
    path = tmp_path / "report.json"
    assert run("verify", WRONG, *NUMPY, *(part.format(path) for part in option)).exit_code == 1
    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    returned = verify(WRONG, framework="numpy", problems=("no-steps", "one-task"), isolated=True).to_dict()
    assert data.pop("conditions").keys() == returned.pop("conditions").keys()  # of which one is the date
    assert data == returned


class Untouched(Standards):
    """Standards that fail the test where one is wanted."""

    def of(self, name, order, *declared):
        """Fail the test."""
        pytest.fail(f"{name} was asked")


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("verify", RIGHT, *NUMPY, "--format", "json="), Untouched()),
        (("verify", RIGHT, *NUMPY, "--json", ""), Untouched()),
        (("verify", "--format", "html="), Untouched()),
        (("self-test", "--format", "markdown="), Lineup(correct=lambda: pytest.fail("a variant was wanted"))),
    ],
)
def test_a_file_in_no_folder_is_refused_before_anything_is_judged(tmp_path, arguments, given):
    """Nothing is asked, no folder is made, and the message names the file."""
    path = tmp_path / "missing" / "report"
    result = run(*arguments[:-1], f"{arguments[-1]}{path}", given=given)
    assert result.exit_code == 2
    said = "".join(result.output.replace("│", " ").split())
    assert f"{arguments[-2]}': expected a file in a folder that exists, but got {path}.".replace(" ", "") in said
    assert list(tmp_path.iterdir()) == []


def test_a_json_file_that_cannot_be_written(tmp_path):
    """A path that cannot be written is wrong usage with the reason, and the report is printed all the same."""
    result = run("verify", RIGHT, *NUMPY, "--format", f"json={tmp_path / ('long' * 100)}")
    assert result.exit_code == 2
    assert "PASS" in result.output
    said = " ".join(result.output.replace("│", " ").split())
    assert "cannot be written" in said
    assert "ile name too long" in said


def test_a_report_with_a_character_that_is_no_text(tmp_path):
    """A message with half of a surrogate pair, as a file name may hold, is written and printed."""
    (tmp_path / "raises.py").write_text("def subject(problem): raise OSError('\\udc80')", encoding="utf-8")
    path = tmp_path / "report.json"
    result = run("verify", f"{tmp_path / 'raises.py'}:subject", "--format", f"json={path}")
    assert result.exit_code == 1
    assert "\\udc80" in json.loads(path.read_text(encoding="utf-8"))["cases"][0]["findings"][0]["message"]


def test_a_printed_snippet_reproduces_the_answer(capsys):
    """What the report prints under "To reproduce it" can be pasted and prints the wrong answer."""
    output = run("verify", WRONG, *NUMPY, "--dtype", "float64").output
    block = output.split("To reproduce it:\n", 1)[1]
    snippet = dedent("\n".join(line for line in block.splitlines()[:4]))
    assert snippet.splitlines()[0] == "import verification"
    exec(snippet, {})
    assert "'w1': array(" in capsys.readouterr().out


@pytest.mark.once  # arithmetic
def test_many_failures_are_told_in_part():
    """Where the mistake has a name one problem is told in full, four leaves of it, and each other in a line."""
    names = ("mlp-tanh-mse", "mlp-softplus-mse", "mlp-tanh-softmax", "no-steps")
    subject = f"{HERE / 'implementations.py'}:step_with_scaled_gradient"
    result = run("verify", subject, "--kind", "step", "--dtype", "float64", problems=names)
    assert "D11: " in result.output
    assert result.output.count("To reproduce it:") == 1
    assert result.output.count("and 1 more") == 1
    further = result.output[result.output.index("3 more answers are wrong:") :].splitlines()
    first, *others = names
    assert f"{first}, order 1, float64" in result.output.splitlines()
    for name in others:
        (line,) = (line for line in further if line.startswith(f"    {name}, order 1, float64: gradients; up to "))
        assert line.endswith(" times the bound")


UNNAMED = """
import numpy as np
import refmaml

def step(batch, inner, outer, variables, steps, rate, /, **options):
    cost, grads, adapted = refmaml.fomaml_step(batch, inner, outer, variables, steps, rate, **options)
    return cost, {name: leaf + 1 + np.arange(leaf.size).reshape(leaf.shape) for name, leaf in grads.items()}, adapted
"""


@pytest.mark.once  # arithmetic
def test_three_failures_are_told_where_the_mistake_has_no_name(tmp_path):
    """Where no fault gives the answers, three failing problems are told in full."""
    (tmp_path / "unnamed.py").write_text(UNNAMED, "utf-8")
    names = ("bilinear", "one-task", "one-step", "no-steps")
    result = run("verify", f"{tmp_path / 'unnamed.py'}:step", "--dtype", "float64", problems=names)
    assert "There are several mistakes, or one that is not in the catalogue" in result.output
    assert result.output.count("To reproduce it:") == 3
    assert "1 more answer is wrong:" in result.output


@pytest.mark.once  # arithmetic
def test_the_worst_entry_is_shown_with_its_place(tmp_path):
    """Of a wrong array the entry that is furthest off is shown, and NaN is further than any number."""
    source = f"""
        import sys
        sys.path.insert(0, {str(HERE)!r})
        from implementations import numpy_subject

        def subject(problem):
            cost, gradients = numpy_subject(problem)
            name = "w1" if "w1" in gradients else "weight"
            gradients[name] = gradients[name] + 0.0
            gradients[name][0], gradients[name][1] = 5.0, float("nan")
            return cost + 1.0, gradients
    """
    (tmp_path / "spoiled.py").write_text(dedent(source), encoding="utf-8")
    result = run("verify", f"{tmp_path / 'spoiled.py'}:subject", *NUMPY, "--dtype", "float64")
    assert "gradients, w1: it holds NaN or infinity, where the reference has finite numbers." in result.output
    assert "at [1, 0] expected " in result.output
    assert "at [1] expected " in result.output
    assert ", got nan" in result.output
    assert "at [] " not in result.output


class Broken(Standards):
    """Standards by which the judge fails."""

    def of(self, name, order, *declared):
        """Divide by zero."""
        raise ZeroDivisionError("float division by zero")


def test_a_mistake_of_the_judge_is_no_verdict():
    """An exception inside of the judge exits with 70, which is no verdict, and asks for a report."""
    result = CliRunner().invoke(main, ["verify"], obj=Broken())
    assert result.exit_code == 70
    assert "ZeroDivisionError: float division by zero" in result.output
    assert "The judge itself failed. This says nothing about the subject." in result.output


@pytest.mark.parametrize(("fault", "count"), [("A09", 95)])
def test_a_fault_that_golden_vectors_alone_show(fault, count):
    """Where no built-in problem shows a known fault, but golden vectors do, they are named."""
    id_ = fault.upper()
    result = run("faults", fault)
    assert result.exit_code == 0
    assert f"{id_}: known, but not shown by a built-in problem: golden vectors show it" in result.output
    assert NOT_SHOWN[id_] in result.output
    assert f"Shows on: {count} golden vectors; refmaml vectors list --kills {id_}" in result.output
    assert len(run("vectors", "list", "--kills", id_).output.splitlines()) == count + 1
    assert f"  {id_}: {NOT_SHOWN[id_]}; golden vectors show it\n" in run("faults").output


@pytest.mark.parametrize("fault", ["E03", "g08"])
def test_a_fault_that_is_not_shown_is_explained(fault):
    """A known fault that no single step shows is explained with the reason."""
    result = CliRunner().invoke(main, ["faults", fault])
    assert result.exit_code == 0
    assert f"{fault.upper()}: known, but not shown by a single step" in result.output
    assert NOT_SHOWN[fault.upper()] in result.output
