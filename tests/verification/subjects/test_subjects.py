"""Bad subjects: each becomes a finding or a `SubjectError` that says so plainly."""

from __future__ import annotations

import functools
import re
import sys
from collections import UserDict, namedtuple
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import shared

import refmaml
import verification
from verification import SubjectError, load
from verification.subjects.making import found_at

NAME = "no-steps"  # at φ_0 = θ the right answer takes no inner loop
verify = functools.partial(shared.verify, problems=(NAME,))


def right(problem):
    """Return the right answer to the one problem that these tests ask."""
    tasks = [outer for _, outer in problem.tasks()]
    gradients = [problem.outer_gradient(outer, problem.variables) for outer in tasks]
    cost = sum(problem.outer_cost(outer, problem.variables) for outer in tasks) / len(tasks)
    return cost, {chain: sum(gradient[chain] for gradient in gradients) / len(tasks) for chain in gradients[0]}


def findings(subject, framework="numpy"):
    """Return what is found wrong in one precision, as (what, leaf, message)."""
    report = verify(subject, framework=framework, kind="problem", dtypes=("float64",))
    (case,) = report.cases
    assert (report.verdict == "fail") == bool(case.findings)
    return [(finding.what, finding.leaf, finding.message) for finding in case.findings]


def returning(**changes):
    """Return a subject whose gradients are right but for the named leaves; `...` leaves one out."""

    def subject(problem):
        cost, gradients = right(problem)
        gradients.update(changes)
        return cost, {chain: leaf for chain, leaf in gradients.items() if leaf is not ...}

    return subject


# Finding a subject


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder, with the import path and the imported modules put back afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith(("subject_", "package_of_a_subject")) or name in ("helper_of_a_subject", "mended"):
            del sys.modules[name]


def written(folder: Path, source: str, name: str = "mine.py") -> str:
    (folder / name).write_text(dedent(source), encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("where", ["", "nothing", ":", "module:", ":name", "mine.py"])
def test_a_name_of_the_wrong_form(where):
    """A subject is named by a place, a colon and a name; anything else is told what is expected."""
    with pytest.raises(SubjectError, match=r"expected package\.module:name or path/to/file\.py:name, but got"):
        load(where)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("no_such_package.at_all:step", "importing no_such_package.at_all raised ModuleNotFoundError: No module named"),
        (".relative:step", "importing .relative raised TypeError"),
        ("no/such/file.py:step", "there is no file no/such/file.py"),
        ("refmaml:fomaml", "refmaml has no 'fomaml' .*It has: fomaml_step, "),
        ("refmaml:fomaml_step.more", r"refmaml has no 'fomaml_step\.more'"),
        ("refmaml:reference", "refmaml:reference is not a function but module"),
        ("math:pi", "math:pi is not a function but float"),
        ("numpy:subtracted", r"It has: subtract, .*, and \d{3} more\.$"),
        ("mine.py::step", r"but got 'mine\.py::step'\. Write one colon: mine\.py:step"),
        ("no/such/module:step", r"expected package\.module:name or .* got 'no/such/module:step'\.$"),
    ],
)
def test_a_name_that_leads_nowhere(where, says):
    """A place or a name that does not exist is named, with what there is instead."""
    with pytest.raises(SubjectError, match=says):
        load(where)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('no licence')", "raised RuntimeError: no licence"),
        ("import sys; sys.exit(3)", r"SystemExit: 3 \(mine.py, line 1\)\. Put what only a script does, .*__main__"),
        ("from .neighbour import step", r"ImportError: .* \(mine.py, line 1\)\. The file belongs to a package"),
        ("def broken(:", "raised SyntaxError"),
        ("def f():\n    import json\n    json.loads('')\n\nf()", r"raised JSONDecodeError: .* \(mine.py, line 3\)$"),
    ],
)
def test_a_file_that_cannot_be_imported(folder, source, says):
    """Whatever a file does on import, even ending the process, is said in a sentence with the file's name."""
    place = written(folder, source)
    with pytest.raises(SubjectError, match=says) as caught:
        load(f"{place}:step")
    assert f"importing {place} " in str(caught.value)


def test_a_file_of_another_kind_is_told_what_is_wanted(folder):
    """Notebooks and files without their ending are not imported as modules of a folder."""
    script, notebook = written(folder, "step = print"), written(folder, "{}", "mine.ipynb")
    with pytest.raises(SubjectError, match=r"Write .*mine\.py:NAME, with the name of the function\.$"):
        load(script)
    with pytest.raises(SubjectError, match=r"There is a file .*mine\.py\.$"):
        load(f"{script.removesuffix('.py')}:step")
    with pytest.raises(SubjectError, match=r"A notebook is no file of Python\. .*nbconvert --to script\.$"):
        load(f"{notebook}:step")


def test_a_file_of_a_package_imports_its_neighbours(folder):
    """Relative imports lead to the modules of the package, which is found above the file."""
    inside = folder / "package_of_a_subject" / "inside"
    inside.mkdir(parents=True)
    for place in (inside, inside.parent):
        written(place, "", "__init__.py")
    written(inside.parent, "VALUE = 7", "core.py")
    place = written(inside, "from ..core import VALUE\ndef step(problem): return VALUE")
    subject = load(f"{place}:step")
    assert subject(None) == 7
    assert found_at(subject) == f"{place}:step"
    assert "package_of_a_subject" in sys.modules


def test_a_project_with_a_folder_of_sources_is_told_to_be_installed(folder, monkeypatch):
    """`src` is on nobody's path before the project is installed."""
    (folder / "src" / "package_of_a_subject").mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(
        SubjectError, match=r"No module named 'package_of_a_subject'\. There is src.package_of_a_subject: "
    ):
        load("package_of_a_subject.maml:step")


def test_a_class_is_no_subject():
    """A call of it makes an object, and no answer."""

    class Step:
        def __init__(self, problem):
            self.problem = problem

    with pytest.raises(SubjectError, match=r"Step is a class: expected a function, .* such as step = Step\(…\)\."):
        verification.verify(Step)


def test_an_empty_file_has_nothing(folder):
    """A file without public names is said to have nothing."""
    with pytest.raises(SubjectError, match=r"has no 'step' .* It has: nothing\."):
        load(written(folder, "") + ":step")


def test_a_module_whose_attributes_raise(folder):
    """A module that computes its attributes and fails is a subject that cannot be used, not a traceback."""
    place = written(folder, "def __getattr__(name): raise RuntimeError('not today')")
    with pytest.raises(SubjectError, match=r"has no 'step' .*not today"):
        load(f"{place}:step")


def test_a_file_is_imported_as_running_it_would(folder):
    """A file may import its neighbours, hold dataclasses with postponed annotations, and know where it is."""
    written(folder, "VALUE = 7", "helper_of_a_subject.py")
    place = written(
        folder,
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from helper_of_a_subject import VALUE

        @dataclass
        class State:
            value: int = VALUE

        class Meta:
            @staticmethod
            def step(problem):
                return State().value, __file__
        """,
    )
    assert load(f"{place}:Meta.step")(None) == (7, place)


def test_a_file_with_the_name_of_a_module_takes_nobodys_place(folder):
    """A file called refmaml.py is a subject like any other: the judge keeps its own refmaml, and so do programs."""
    place = written(folder, "def subject(problem): return 0.0, {}", "refmaml.py")
    subject = load(f"{place}:subject")
    assert sys.modules["refmaml"] is refmaml
    assert subject.__module__ != "refmaml"


def test_a_subject_by_its_module_and_by_its_file_is_the_same_code(folder):
    """Both spellings of a name lead to a subject that is judged alike."""
    written(folder, "def subject(problem): return 0.0, {}", "mended.py")
    sys.path.insert(0, str(folder))
    by_module, by_file = load("mended:subject"), load(f"{folder / 'mended.py'}:subject")
    assert findings(by_module) == findings(by_file)


# Telling its kind


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda: None, id="none"),
        pytest.param(lambda a, b: None, id="two"),
        pytest.param(lambda a, b, c, d, e, f, g: None, id="seven"),
        pytest.param(lambda *arguments: None, id="any"),
        pytest.param(lambda *, problem: None, id="keyword"),
    ],
)
def test_a_wrong_number_of_parameters(function):
    """A function with neither one nor six required parameters is asked for its kind."""
    with pytest.raises(SubjectError, match=r"expected one required parameter .*problem.* or the five or six of a step"):
        verify(function)


def test_parameters_that_cannot_be_read():
    """A callable without a readable signature is asked for its kind, and judged once it is named."""

    class Opaque:
        __signature__ = "none"

        def __call__(self, problem):
            return right(problem)

    with pytest.raises(SubjectError, match=r"cannot read its parameters .* pass its kind, step or problem"):
        verify(Opaque(), framework="numpy")
    assert verify(Opaque(), framework="numpy", kind="problem").verdict == "pass"


def test_the_kind_is_told_by_required_parameters():
    """One required parameter makes a problem subject, whatever is optional; the six of a step make a step."""
    assert verify(lambda problem, seed=0: right(problem), framework="numpy").kind == "problem"
    assert verify(refmaml.fomaml_step).kind == "step"


@pytest.mark.parametrize("declared", ["averaging", ("averages",), 3, None, ("averaging", "batch")])
def test_a_wrong_declaration_of_what_is_supported(declared):
    """A misspelled `supports` would leave problems out unseen; it is an error that lists the names there are."""

    def subject(problem):
        return right(problem)

    subject.supports = declared
    with pytest.raises(
        SubjectError, match="supports: expected some of 'all-variables-used', 'averaging', 'batched', 'leaf"
    ):
        verify(subject, framework="numpy")


# Reading its result


def test_the_right_answer_has_no_findings():
    """What the tests below spoil is right before."""
    assert findings(right) == []


@pytest.mark.parametrize(
    ("result", "came"),
    [
        (None, "NoneType"),
        ("cost, grads", "str of length 11"),
        (b"12", "bytes of length 2"),
        ({"cost": 1.0, "grads": {}}, "dict"),
        (3.0, "float"),
        ((), "tuple of length 0"),
        ([1.0], "list of length 1"),
        ((1.0, {}, {}, {}), "tuple of length 4"),
    ],
)
def test_a_result_that_is_no_answer(result, came):
    """A result other than (cost, grads) or (cost, grads, adapted) is named by its type and length."""
    ((what, leaf, message),) = findings(lambda problem: result)
    assert (what, leaf) == ("result", None)
    assert message.startswith("expected (cost, grads) or (cost, grads, adapted) as its result")
    assert message.endswith(f"but it returned {came}")


def test_results_of_other_sequence_types():
    """A list or a named tuple of the right length is an answer, and None for adapted variables is none."""
    answer = namedtuple("Answer", "cost gradients adapted")  # as users write it
    assert findings(lambda problem: list(right(problem))) == []
    assert findings(lambda problem: answer(*right(problem), None)) == []


@pytest.mark.parametrize(
    ("cost", "came"),
    [
        (None, "NoneType"),
        ("1.0", "str"),
        ([1.0, 2.0], r"an array of shape \(2,\)"),
        ([], r"an array of shape \(0,\)"),
        (1j, "complex of dtype complex128"),
        (True, "bool of dtype bool"),
        (object(), "object of dtype object"),
        ([[1.0], [1.0, 2.0]], "list, which is not an array: its conversion raised ValueError"),
    ],
)
def test_a_cost_that_is_no_real_scalar(cost, came):
    """A cost of another type or shape is named, and the gradients are judged all the same."""
    ((what, leaf, message),) = findings(lambda problem: (cost, right(problem)[1]))
    assert (what, leaf) == ("cost", None)
    assert message.startswith("expected the cost to be a real scalar, but it is ")
    assert re.search(came, message)


def test_a_cost_in_an_array_of_one_element():
    """An array of one element is a scalar, of whatever rank."""
    assert findings(lambda problem: (np.array([[right(problem)[0]]]), right(problem)[1])) == []


class Unreadable:
    """An object that cannot become an array."""

    def __array__(self, *arguments, **options):
        raise RuntimeError("freed")


@pytest.mark.once  # arithmetic
@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        (..., "the leaf is missing; expected an array of shape (3,), but there is none"),
        (None, "expected an array of shape (3,), but it is None: no gradient reached it"),
        (np.ones(2), "expected an array of shape (3,), but its shape is (2,)"),
        (np.ones((1, 3)), "expected an array of shape (3,), but its shape is (1, 3)"),
        (np.ones(3) + 0j, "expected an array of shape (3,), but it is ndarray of dtype complex128"),
        (np.ones(3, bool), "expected an array of shape (3,), but it is ndarray of dtype bool"),
        (np.array([1, None, 2]), "expected an array of shape (3,), but it is ndarray of dtype object"),
        ("b1", "expected an array of shape (3,), but it is str"),
        (
            Unreadable(),
            "expected an array of shape (3,), but it is Unreadable, which is not an array: its conversion raised "
            "RuntimeError: freed",
        ),
    ],
)
def test_a_leaf_that_is_not_what_it_has_to_be(leaf, says):
    """Each way in which one gradient is unusable is said of that leaf alone."""
    assert findings(returning(b1=leaf)) == [("gradients", "b1", says)]


@pytest.mark.once  # arithmetic
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite(value):
    """NaN or infinity in one entry is a finding of that leaf, which no maximum loses."""
    subject = returning(b1=np.array([value, 0.0, 0.0]))
    ((what, leaf, message),) = findings(subject)
    assert (what, leaf) == ("gradients", "b1")
    assert message == "it holds NaN or infinity, where the reference has finite numbers"
    (case,) = verify(subject, framework="numpy", dtypes=("float64",)).cases
    assert case.worst == float("inf")


def test_a_cost_that_is_not_finite():
    """A NaN cost is a finding of the cost."""
    ((what, _, message),) = findings(lambda problem: (float("nan"), right(problem)[1]))
    assert (what, message) == ("cost", "it holds NaN or infinity, where the reference has finite numbers")


@pytest.mark.once  # arithmetic
def test_a_gradient_so_large_that_its_square_overflows():
    """A finite answer beyond the square root of the largest number is wrong, without a warning of ours."""
    ((what, leaf, _),) = findings(returning(b1=np.full(3, 1e300)))
    assert (what, leaf) == ("gradients", "b1")


def test_leaves_that_nobody_asked_for():
    """Extra leaves are listed, with those that are expected; one that is None is no leaf."""
    ((what, leaf, message),) = findings(returning(momentum=np.ones(3), more=1.0))
    assert (what, leaf) == ("gradients", None)
    assert message.startswith(
        "expected only the leaves inner_gain, w1, b1, w2, b2, outer_gain, but got also 'momentum', 'more'"
    )
    assert findings(returning(momentum=None)) == []
    ((_, _, message),) = findings(returning(**{f"extra{number}" * 100: 1.0 for number in range(100)}))
    assert message.endswith(" and 92 more")
    assert len(message) < 2000


def test_gradients_outside_of_any_container():
    """A bare array, or None, where a container belongs is one finding that says what the container holds."""
    for value, came in ((np.ones(3), "ndarray"), (None, "NoneType"), (3.0, "float")):
        ((what, leaf, message),) = findings(lambda problem, value=value: (right(problem)[0], value))
        assert (what, leaf) == ("gradients", None)
        assert (
            message == f"expected a container with the leaves inner_gain, w1, b1, w2, b2, outer_gain, but it is {came}"
        )


def test_gradients_in_a_list():
    """A list instead of a dict misses every leaf, and its entries are leaves that nobody asked for."""
    found = findings(lambda problem: (right(problem)[0], list(right(problem)[1].values())))
    assert found[0][2].endswith("but got also '0', '1', '2', '3', '4', '5'")
    assert [leaf for _, leaf, message in found if message.startswith("the leaf is missing")] == [
        "inner_gain", "w1", "b1", "w2", "b2", "outer_gain",
    ]  # fmt: skip


def test_gradients_in_another_mapping():
    """Any mapping is a container."""
    assert findings(lambda problem: (right(problem)[0], UserDict(right(problem)[1]))) == []


@pytest.mark.parametrize(
    ("rows", "says"),
    [(1, "its shape is (1, 3)"), (2, "its shape is (2, 3)")],
)
def test_adapted_variables_with_the_wrong_number_of_rows(rows, says):
    """Adapted variables have one row for each task."""

    def subject(problem):
        return *right(problem), {chain: np.stack([leaf] * rows) for chain, leaf in problem.variables.items()}

    found = findings(subject)
    assert len(found) == 6
    assert ("adapted", "b1", f"expected an array of shape (3, 3), but {says}") in found


def test_adapted_variables_are_judged():
    """With no inner step the adapted variables are the variables; others are a finding."""

    def subject(problem, shift=0.0):
        return *right(problem), {chain: np.stack([leaf + shift] * 3) for chain, leaf in problem.variables.items()}

    assert findings(subject) == []
    found = findings(functools.partial(subject, shift=1e-9))
    assert {what for what, _, _ in found} == {"adapted"}
    assert len(found) == 6


# What it raises


def raising(error):
    def subject(problem):
        raise error

    return subject


class MuteError(Exception):
    """An exception that cannot say what it is."""

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("bad shape"), "it raised ValueError: bad shape"),
        (SystemExit(1), "it raised SystemExit: 1"),
        (RecursionError("too deep"), "it raised RecursionError: too deep"),
        (KeyError("w1"), "it raised KeyError: 'w1'"),
        (MuteError(), "it raised MuteError: (its message cannot be shown)"),
    ],
)
def test_an_exception_is_a_finding(error, says):
    """Whatever a subject raises, even an exit, is told as a finding with its type and message."""
    ((what, leaf, message),) = findings(raising(error))
    assert (what, leaf) == ("exception", None)
    assert re.fullmatch(rf"{re.escape(says)} \(test_subjects\.py, line \d+\)", message)


@pytest.mark.parametrize("framework", ["autograd", "numpy"])
@pytest.mark.parametrize(
    "error",
    [
        AttributeError("'numpy.ndarray' object has no attribute 'clone'"),
        AttributeError("'numpy.float64' object has no attribute 'backward'"),
        TypeError("tanh(): argument 'input' (position 1) must be Tensor, not numpy.ndarray"),
        TypeError("expected Tensor as element 0 in argument 0, but got numpy.ndarray"),
        ValueError("Thing passed to transform API must be Tensor, got <class 'numpy.ndarray'>"),
        RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."),
    ],
)
def test_code_for_pytorch_is_told_the_option(error, framework):
    """What PyTorch's code raises on other arrays comes with a hint at the option."""
    ((_, _, message),) = findings(raising(error), framework)
    sentence = str(error).rstrip(".")
    assert f": {sentence} (test_subjects.py, line " in message
    assert message.endswith("). Is it written for PyTorch? Then pass --framework torch")


def test_no_hint_where_there_is_none_to_give():
    """An exception of another kind stays as it is."""
    assert findings(raising(TypeError("bad operand")))[0][2].startswith("it raised TypeError: bad operand (")
    assert findings(raising(AttributeError("'dict' object has no attribute 'x'")))[0][2].endswith(")")


def two(problem, more):
    """Take two parameters, which neither kind has."""


@pytest.mark.parametrize(
    ("subject", "kind", "hint"),
    [
        (lambda problem: None, "step", "Is it a function of one problem? Then pass --kind problem."),
        (
            lambda batch, inner, outer, variables, steps, rate, **options: None,
            "problem",
            "Is it a step with the interface of fomaml_step? Then pass --kind step.",
        ),
        (lambda batch, inner, outer, variables, steps, rate: None, "step", "or write a function of one problem."),
        (two, "problem", "it cannot be called as a problem is: missing a required argument: 'more'."),
    ],
)
def test_a_subject_that_cannot_be_called_is_wrong_usage(subject, kind, hint):
    """A subject that does not take what its kind is called with is no subject; what the other kind takes has a hint."""
    with pytest.raises(SubjectError) as caught:
        verify(subject, kind=kind, framework="autograd", dtypes=("float64",))
    assert str(caught.value).endswith(hint)


def test_a_type_error_inside_is_a_finding():
    """A subject that takes a problem and then raises is judged."""
    said = "missing 1 required positional argument"
    assert said in findings(raising(TypeError(said)))[0][2]


def test_the_notes_of_an_exception_are_told():
    """Notes say where it happened, and belong to the message."""
    error = ValueError("bad shape")
    error.__notes__ = ["in the inner loop", "task 2"]
    ((_, _, message),) = findings(raising(error))
    assert message.startswith("it raised ValueError: bad shape (in the inner loop) (task 2) (test_subjects.py, line")


def test_an_interrupt_is_not_a_finding():
    """A person who stops the run is obeyed."""
    with pytest.raises(KeyboardInterrupt):
        verify(raising(KeyboardInterrupt()), framework="numpy")


def test_a_container_that_holds_itself():
    """Gradients without an end are told as what reading them raised."""
    endless: dict[str, object] = {}
    endless["again"] = endless
    ((what, _, message),) = findings(lambda problem: (1.0, endless))
    assert what == "exception"
    assert message.startswith("it raised RecursionError")


@pytest.mark.framework("torch")
def test_torch_results_of_every_kind():
    """Tensors that require a gradient, complex ones and None are read as such."""
    import torch

    def subject(problem, b1):
        answer = verification.problem(NAME, framework="numpy")
        cost, gradients = right(answer)
        found = {chain: torch.tensor(leaf, requires_grad=True) for chain, leaf in gradients.items()}
        return torch.tensor(cost, requires_grad=True), {**found, **b1}

    assert findings(functools.partial(subject, b1={}), "torch") == []
    expected = "expected an array of shape (3,), but it is "
    for leaf, came in (
        (None, "None: no gradient reached it"),
        (torch.zeros(3, dtype=torch.complex64), "Tensor of dtype complex64"),
        (torch.zeros(3, dtype=torch.bfloat16), "Tensor, which is not an array: its conversion raised TypeError"),
    ):
        ((_, chain, message),) = findings(functools.partial(subject, b1={"b1": leaf}), "torch")
        assert chain == "b1"
        assert message.startswith(expected + came)
