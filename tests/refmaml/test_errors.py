"""Every row of the table of errors: type and message (what was expected, what came, where), and nothing changed.

The messages are written out in full, since a message that names the wrong leaf or task is a wrong message. A problem
of two tasks and two leaves is valid as it stands; each row changes one argument of it.
"""

import copy
import re

import autograd.numpy as np
import numpy as onp
import pytest
from autograd.extend import primitive

from refmaml import fomaml_step, gradient_descent_update, maml_step, reptile_step


def half_square(batch, v):
    return np.mean(0.5 * (v["net"]["w"] - batch["x"]) ** 2) + np.mean(v["s"]) * np.mean(batch["y"])


def valid(batched):
    lead = (2,) if batched else ()
    return {
        "batch": {"x": onp.array([[4.0], [-2.0]]), "y": onp.array([1.0, 3.0])},
        "inner_cost_fn": half_square,
        "outer_cost_fn": None,
        "variables": {"net": {"w": onp.full((*lead, 1), 2.0)}, "s": onp.full(lead, 0.5)},
        "inner_grad_steps": 2,
        "inner_learning_rate": 0.5,
        "batched": batched,
    }


POSITIONAL = ("batch", "inner_cost_fn", "outer_cost_fn", "variables", "inner_grad_steps", "inner_learning_rate")


def run(step, batched, changes):
    """Call a step with one valid problem, some arguments changed; check that a failing call changes none of them."""
    arguments = {**valid(batched), **changes}
    positional = [arguments.pop(name) for name in POSITIONAL]
    if step is reptile_step:
        del positional[2]
    before = copy.deepcopy([argument for argument in (*positional, arguments) if not callable(argument)])
    try:
        return step(*positional, **arguments)
    finally:
        after = [argument for argument in (*positional, arguments) if not callable(argument)]
        onp.testing.assert_equal(after, before)


def fails(step, error, message, *, batched=False, **changes):
    """The call raises exactly this type with exactly this message."""
    with pytest.raises(error) as caught:
        run(step, batched, changes)
    assert type(caught.value) is error
    assert caught.value.args == (message,)


each_step = pytest.mark.parametrize("step", [fomaml_step, maml_step, reptile_step], ids=lambda step: step.__name__)
each_maml = pytest.mark.parametrize("step", [fomaml_step, maml_step], ids=lambda step: step.__name__)
each_mode = pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])


@each_step
@each_mode
def test_the_problem_is_valid(step, batched):
    """Without a change nothing is raised, so that every error below comes from the change."""
    assert len(run(step, batched, {})) == 2


AXIS = "batch: expected a leading task axis of one length on every leaf, but got "


@each_step
@each_mode
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({}, "batch: expected at least one array with a leading task axis, but it has no leaves."),
        ({"x": [], "y": {}}, "batch: expected at least one array with a leading task axis, but it has no leaves."),
        ({"x": onp.ones((2, 1)), "y": onp.ones(3)}, AXIS + "x: 2, y: 3."),
        ({"a": [onp.ones(2), onp.ones(2)], "b": onp.ones(1)}, AXIS + "a/0: 2, a/1: 2, b: 1."),
        ({"x": onp.ones((2, 1)), "y": 3.0}, AXIS + "x: 2, y: none."),
        ({"y": onp.array(3.0)}, AXIS + "y: none."),
        (onp.array(3.0), AXIS + "batch: none."),
        (
            {"x": onp.ones((0, 1))},
            "batch: expected at least one task, but the leading axis has length 0 ('x').",
        ),
    ],
    ids=["no leaves", "empty branches", "two lengths", "three leaves", "number", "0-d", "bare 0-d", "no tasks"],
)
def test_batch(step, batched, batch, message):
    """A batch needs leaves with one common leading axis; the error lists leaves and lengths."""
    fails(step, ValueError, message, batched=batched, batch=batch)


@each_step
@each_mode
@pytest.mark.parametrize("num_tasks", [0, -1, 3])
def test_num_tasks_out_of_range(step, batched, num_tasks):
    """It is at least 1 and at most what the batch holds."""
    message = f"num_tasks: expected 1 to 2, the tasks in the batch, but got {num_tasks}."
    fails(step, ValueError, message, batched=batched, num_tasks=num_tasks)


@each_step
@each_mode
@pytest.mark.parametrize(("value", "kind"), [(1.0, "float"), (True, "bool"), ("2", "str"), (onp.float64(2), "float64")])
@pytest.mark.parametrize("name", ["num_tasks", "inner_grad_steps"])
def test_counts_are_integers(step, batched, name, value, kind):
    """A float or a bool is not a count."""
    message = f"{name}: expected an integer, but got {value!r} of type {kind}."
    fails(step, TypeError, message, batched=batched, **{name: value})


@each_step
@each_mode
def test_inner_grad_steps_negative(step, batched):
    """There are no negative steps."""
    message = "inner_grad_steps: expected 0 or more, but got -1."
    fails(step, ValueError, message, batched=batched, inner_grad_steps=-1)


@each_step
@each_mode
@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (onp.nan, "inner_learning_rate: expected a finite number, but got nan."),
        (-onp.inf, "inner_learning_rate: expected a finite number, but got -inf."),
        (onp.array([0.5, onp.inf]), "inner_learning_rate: expected a finite number, but got [0.5 inf]."),
        (
            {"net": {"w": 0.5}, "s": onp.nan},
            "inner_learning_rate, 's': expected a finite number, but got nan.",
        ),
        (
            {"s": 0.5, "net": {"w": onp.inf}},
            "inner_learning_rate, 'net/w': expected a finite number, but got inf.",
        ),
        (
            {"s": 0.5},
            "inner_learning_rate: expected a rate for every adapted leaf, but 'net/w' has none.",
        ),
        ({}, "inner_learning_rate: expected a rate for every adapted leaf, but 'net/w', 's' has none."),
    ],
)
def test_learning_rate(step, batched, rate, message):
    """A rate is finite, and a container of rates has one for every adapted leaf."""
    fails(step, ValueError, message, batched=batched, inner_learning_rate=rate)


@each_step
@pytest.mark.parametrize(
    ("rate", "kind"), [("0.5", "str"), (None, "NoneType"), (0.5j, "complex"), (True, "bool")], ids=str
)
def test_learning_rate_of_another_type(step, rate, kind):
    """A rate is a real number."""
    message = f"inner_learning_rate: expected a real number, but got {rate!r} of type {kind}."
    fails(step, TypeError, message, inner_learning_rate=rate)


@each_step
def test_learning_rate_for_a_leaf_that_is_not_there(step):
    """A container of rates has the key chains of the variables."""
    fails(
        step, KeyError, "inner_learning_rate: expected key chains of the variables ('net/w', 's'), but got 'net/v'.",
        inner_learning_rate={"net": {"v": 0.5}, "s": 0.5},
    )  # fmt: skip


@each_mode
@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (0.0, "inner_learning_rate: expected a rate other than 0, since reptile_step divides by it, but got 0.0."),
        (
            {"net": {"w": 0.5}, "s": 0},
            "inner_learning_rate, 's': expected a rate other than 0, since reptile_step divides by it, but got 0.",
        ),
        (
            {"net": {"w": onp.array([0.0])}, "s": 1},
            "inner_learning_rate, 'net/w': expected a rate other than 0, since reptile_step divides by it, but got "
            "[0.].",
        ),
    ],
)
def test_reptile_divides_by_the_learning_rate(batched, rate, message):
    """reptile_step cannot divide by 0; the others can take steps of length 0."""
    fails(reptile_step, ValueError, message, batched=batched, inner_learning_rate=rate)
    run(fomaml_step, batched, {"inner_learning_rate": rate})
    run(maml_step, batched, {"inner_learning_rate": rate})


@each_step
@each_mode
@pytest.mark.parametrize("dtype", ["int64", "int8", "bool", "complex128", "object"])
@pytest.mark.parametrize("chain", ["net/w", "s"])
def test_dtype_of_variables(step, batched, dtype, chain):
    """Variables are floating-point numbers; the error names the key chain and the remedy."""
    variables = valid(batched)["variables"]
    if chain == "s":
        variables["s"] = variables["s"].astype(dtype)
    else:
        variables["net"]["w"] = variables["net"]["w"].astype(dtype)
    message = (
        f"variables, {chain!r}: expected a floating-point dtype such as float32 or float64, but got {dtype}. "
        "Convert it, for example with np.asarray(x, dtype=np.float64)."
    )
    fails(step, TypeError, message, batched=batched, variables=variables)


@each_step
@pytest.mark.parametrize("value", [3, True, "text", None], ids=str)
def test_variables_that_are_no_floats(step, value):
    """A Python int, bool, string or None among the variables is no float either; a bare one is named so."""
    dtype = onp.asarray(value).dtype
    ending = (
        f"expected a floating-point dtype such as float32 or float64, but got {dtype}. "
        "Convert it, for example with np.asarray(x, dtype=np.float64)."
    )
    fails(step, TypeError, f"variables, 'net/w': {ending}", variables={"net": {"w": value}, "s": 0.5})
    fails(step, TypeError, f"variables, the array itself: {ending}", variables=value)


@each_step
def test_variables_without_leaves(step):
    """There is something to optimise."""
    message = "variables: expected at least one array, but the container has no leaves."
    fails(step, ValueError, message, variables={"net": {}, "layers": [()]})


@each_step
def test_two_leaves_of_one_name(step):
    """A key that contains a slash may not repeat the key chain of another leaf."""
    message = "variables: expected one leaf for each key chain, but 'net/w' names two. Rename a key."
    fails(step, ValueError, message, variables={"net": {"w": 1.0}, "net/w": 2.0, "s": 1.0})


@each_step
@pytest.mark.parametrize(
    ("shape", "num_tasks", "expected"), [((), None, 2), ((1,), None, 2), ((3,), None, 2), ((3, 2), 1, 1)]
)
def test_task_axis_of_variables(step, shape, num_tasks, expected):
    """With batched=True every variable has one row for each task, in use or in the batch."""
    variables = {"net": {"w": onp.ones((2, 1))}, "s": onp.ones(shape)}
    message = (
        f"variables, 's': with batched=True expected a leading task axis of length {expected}, but got shape {shape}. "
        "Repeat the variables for each task, or pass batched=False."
    )
    fails(step, ValueError, message, batched=True, variables=variables, num_tasks=num_tasks)


@each_maml
@each_mode
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", ["inner_v", "outer_v"])
@pytest.mark.parametrize(
    ("selection", "unknown"),
    [
        ("w", "'w'"),
        ("net/", "'net/'"),
        ("ne", "'ne'"),
        ("", "''"),
        (["s", "net/b", "t"], "'net/b', 't'"),
        (("net/w/0",), "'net/w/0'"),
        ({"net": {"b": True}}, "'net/b'"),
        ({"s": True, "b": False}, "'b'"),
    ],
)
def test_key_chains_that_do_not_exist(step, batched, keep, name, selection, unknown):
    """The error lists the key chains that do exist, and all that don't."""
    message = f"{name}: expected key chains of the variables ('net/w', 's'), but got {unknown}."
    fails(step, KeyError, message, batched=batched, **{name: selection, f"keep_{name}": keep})


@each_maml
@each_mode
@pytest.mark.parametrize("name", ["inner_v", "outer_v"])
@pytest.mark.parametrize(
    ("selection", "keep"),
    [
        ([], True),
        ((), True),
        ({}, True),
        ({"net": {"w": False}, "s": False}, True),
        (["net", "s"], False),
        ({"net": True, "s": True}, False),
    ],
)
def test_selections_of_nothing(step, batched, name, selection, keep):
    """A selection selects at least one leaf."""
    message = f"{name}: expected at least one variable, but {selection!r} with keep={keep} selects nothing."
    fails(step, ValueError, message, batched=batched, **{name: selection, f"keep_{name}": keep})


@each_maml
@each_mode
@pytest.mark.parametrize("name", ["inner_v", "outer_v"])
@pytest.mark.parametrize("selection", [1, True, {"s"}, ["s", 1], ["s", ["net"]], ["s", None]], ids=str)
def test_selections_of_another_type(step, batched, name, selection):
    """A selection is None, a key chain, a list of them or a mapping."""
    message = (
        f"{name}: expected None, a key chain, a list of key chains or a mapping to booleans, but got {selection!r}."
    )
    fails(step, TypeError, message, batched=batched, **{name: selection})


@each_maml
@each_mode
@pytest.mark.parametrize("name", ["inner_v", "outer_v"])
def test_selections_by_a_mapping_to_other_values(step, batched, name):
    """The values of a mapping are booleans; the error shows those that are not."""
    message = f"{name}: expected True or False for each key chain, but got {{'net/w': 1, 's': None}}."
    fails(step, TypeError, message, batched=batched, **{name: {"net": {"w": 1}, "s": None}})


@each_maml
@pytest.mark.parametrize("name", ["inner_v", "outer_v"])
@pytest.mark.parametrize("selection", [[["s"], ["net"]], [None, None], ({"s": True}, "s")], ids=str)
def test_selections_per_task_in_batched_mode(step, name, selection):
    """All tasks in one batch share one selection."""
    message = f"{name}: expected one selection for all tasks with batched=True, but got one per task."
    fails(step, ValueError, message, batched=True, **{name: selection})


@each_maml
@pytest.mark.parametrize("name", ["inner_v", "outer_v"])
@pytest.mark.parametrize(("count", "num_tasks", "tasks"), [(1, None, 2), (3, None, 2), (3, 1, 1)])
def test_number_of_selections_per_task(step, name, count, num_tasks, tasks):
    """There is one selection for each task."""
    message = f"{name}: expected one selection for each of {tasks} tasks, but got {count}."
    fails(step, ValueError, message, num_tasks=num_tasks, **{name: [["s"]] * count})


@each_maml
@pytest.mark.parametrize("name", ["inner_v", "outer_v"])
@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        (["t"], KeyError, "expected key chains of the variables ('net/w', 's'), but got 't'."),
        ([], ValueError, "expected at least one variable, but [] with keep=True selects nothing."),
        (
            1,
            TypeError,
            "expected None, a key chain, a list of key chains or a mapping to booleans, but got 1.",
        ),
    ],
)
def test_a_wrong_selection_of_one_task(step, name, second, error, message):
    """The error names the task."""
    fails(step, error, f"{name}, task 1: {message}", **{name: [["s"], second]})


@each_step
@each_mode
@pytest.mark.parametrize("value", ["last", "", "True", 1, 0, None, ["all"]], ids=repr)
def test_return_inner_v(step, batched, value):
    """It is 'first', 'all', True or False."""
    message = f"return_inner_v: expected 'first', 'all', True or False, but got {value!r}."
    fails(step, ValueError, message, batched=batched, return_inner_v=value)


MAML_COSTS = [(step, name) for step in (fomaml_step, maml_step) for name in ("inner_cost_fn", "outer_cost_fn")]
each_cost = pytest.mark.parametrize(
    ("step", "name"),
    [*MAML_COSTS, (reptile_step, "inner_cost_fn")],
    ids=lambda value: getattr(value, "__name__", value),
)


@each_cost
@pytest.mark.parametrize(
    ("cost_fn", "error", "message"),
    [
        ("cost", TypeError, "expected a function, but got 'cost' of type str."),
        (
            lambda batch: 0.0,
            TypeError,
            "expected two required parameters (batch, v) or three (batch, inner_v, outer_v), but it has 1: (batch).",
        ),
        (
            lambda a, b, c, d: 0.0,
            TypeError,
            "expected two required parameters (batch, v) or three (batch, inner_v, outer_v), but it has 4: "
            "(a, b, c, d).",
        ),
        (
            lambda *batch_and_v: 0.0,
            TypeError,
            "expected two required parameters (batch, v) or three (batch, inner_v, outer_v), but it has 0: ().",
        ),
    ],
    ids=["no function", "one", "four", "star"],
)
def test_cost_functions_of_another_form(step, name, cost_fn, error, message):
    """A cost has two or three required positional parameters."""
    fails(step, error, f"{name}: {message}", **{name: cost_fn})


def test_a_cost_function_without_a_signature():
    """A builtin that does not tell its parameters cannot be read."""
    with pytest.raises(TypeError, match=r"^inner_cost_fn: its parameters cannot be read \(.*\)\. Wrap it in a def"):
        run(fomaml_step, False, {"inner_cost_fn": min})


@each_cost
@each_mode
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (lambda batch, v: v["net"]["w"] * onp.ones(3), "shape {lead}(3,) of dtype float64"),
        (lambda batch, v: onp.zeros((0,)), "shape (0,) of dtype float64"),
        (lambda batch, v: np.sum(v["net"]["w"]) * 1j, "shape () of dtype complex128"),
        (lambda batch, v: True, "shape () of dtype bool"),
        (lambda batch, v: None, "shape () of dtype object"),
        (lambda batch, v: "low", "shape () of dtype <U3"),
    ],
    ids=["vector", "empty", "complex", "bool", "None", "text"],
)
def test_costs_that_are_no_real_scalar(step, name, batched, value, shown):
    """The error tells shape and dtype, which cost, which task and which step."""
    shape = "(2, 3)" if batched else "(3,)"
    which = "inner" if name == "inner_cost_fn" else "outer"
    at = 0 if which == "inner" else 2
    task = "all tasks in one batch" if batched else "task 0"
    message = f"the {which} cost, {task}, step {at}: expected a real scalar, but got {shown}."
    fails(step, ValueError, message.replace("{lead}(3,)", shape), batched=batched, **{name: value})


class LowError(Exception):
    """An exception of the caller's own, that takes other arguments than a message."""

    def __init__(self, one, two):
        super().__init__(one, two)


def raising_at(call, error, function=half_square):
    """A cost that raises when it is called for the n-th time, and a count of its calls."""
    calls = []

    def cost(batch, v):
        calls.append(batch)
        if len(calls) == call:
            raise error
        return function(batch, v)

    return cost


@each_maml
@pytest.mark.parametrize(
    ("name", "batched", "call", "where"),
    [
        ("inner_cost_fn", False, 1, "the inner cost, task 0, step 0"),
        ("inner_cost_fn", False, 2, "the inner cost, task 0, step 1"),
        ("outer_cost_fn", False, 1, "the outer cost, task 0, step 2"),
        ("outer_cost_fn", False, 2, "the outer cost, task 1, step 2"),
        ("inner_cost_fn", True, 2, "the inner cost, all tasks in one batch, step 1"),
        ("outer_cost_fn", True, 1, "the outer cost, all tasks in one batch, step 2"),
    ],
)
@pytest.mark.parametrize("error", [ValueError("low"), LowError(1, 2)], ids=["ValueError", "one's own"])
def test_costs_that_raise(step, name, batched, call, where, error):
    """The same exception comes through, with a note of the cost, the task and the step."""
    error.__notes__ = []
    with pytest.raises(type(error)) as caught:
        run(step, batched, {name: raising_at(call, error)})
    assert caught.value is error
    assert error.__notes__ == [f"refmaml: raised in {where}."]


def test_an_average_names_its_step():
    """With average_across_steps the outer cost is taken at φ_0 first."""
    for step in (fomaml_step, maml_step):
        error = ValueError("low")
        with pytest.raises(ValueError, match="low"):
            run(step, False, {"outer_cost_fn": raising_at(2, error), "average_across_steps": True})
        assert error.__notes__ == ["refmaml: raised in the outer cost, task 0, step 1."]


@each_mode
def test_reptile_names_its_step(batched):
    """Reptile's cost is the inner one, at the steps 0, …, K after the two of the inner loop."""
    task = "all tasks in one batch" if batched else "task 0"
    for call, step in ((2, 1), (3, 0), (5, 2)):
        error = ValueError("low")
        with pytest.raises(ValueError, match="low"):
            run(reptile_step, batched, {"inner_cost_fn": raising_at(call, error)})
        assert error.__notes__ == [f"refmaml: raised in the inner cost, {task}, step {step}."]


def test_notes_are_added_to_those_that_are_there():
    """An exception that brings notes keeps them."""
    error = ValueError("low")
    error.__notes__ = ["mine"]
    with pytest.raises(ValueError, match="low"):
        run(fomaml_step, False, {"inner_cost_fn": raising_at(1, error)})
    assert error.__notes__ == ["mine", "refmaml: raised in the inner cost, task 0, step 0."]


def test_an_interrupt_gets_no_note():
    """KeyboardInterrupt is nobody's fault and passes as it is."""
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(fomaml_step, False, {"inner_cost_fn": raising_at(1, error)})
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("which", ["inner", "outer"])
@each_maml
@each_mode
def test_batch_functions_that_raise(step, batched, which):
    """The note names the batch function and the task."""
    error = LowError(1, 2)
    calls = []

    def batch_fn(batch):
        calls.append(batch)
        if batched or len(calls) == 2:
            raise error
        return batch

    with pytest.raises(LowError):
        run(step, batched, {f"{which}_batch_fn": batch_fn})
    task = "all tasks in one batch" if batched else "task 1"
    assert error.__notes__ == [f"refmaml: raised in {which}_batch_fn, {task}."]


def inner_step_at(call, other):
    """Plain descent, and what `other` makes of it when it is called for the n-th time."""
    calls = []

    def inner_step(w, dcdw, lr, /, *, stop_gradients):
        calls.append(w)
        new = gradient_descent_update(w, dcdw, lr, stop_gradients=stop_gradients)
        return other(new) if len(calls) == call else new

    return inner_step


@each_step
@pytest.mark.parametrize(
    ("batched", "call", "where"),
    [
        (False, 2, "task 0, step 1"),
        (False, 3, "task 1, step 0"),
        (True, 2, "all tasks in one batch, step 1"),
    ],
)
def test_inner_steps_that_raise(step, batched, call, where):
    """The note names the task and the step."""

    def raising(new):
        raise LowError(1, 2)

    with pytest.raises(LowError) as caught:
        run(step, batched, {"inner_optimization_step": inner_step_at(call, raising)})
    assert caught.value.__notes__ == [f"refmaml: raised in inner_optimization_step, {where}."]


EXPECTED = "expected the leaves 'net/w', 's', but it returned "


@each_step
@each_mode
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda new: {"net": new["net"]}, EXPECTED + "'net/w'; they differ in 's'."),
        (lambda new: {**new, "t": new["s"]}, EXPECTED + "'net/w', 's', 't'; they differ in 't'."),
        (
            lambda new: {"net": {"v": new["net"]["w"]}, "s": new["s"]},
            EXPECTED + "'net/v', 's'; they differ in 'net/w', 'net/v'.",
        ),
        (lambda new: None, EXPECTED + "none; they differ in 'net/w', 's'."),
        (lambda new: {**new, "s": None}, EXPECTED + "'net/w'; they differ in 's'."),
    ],
    ids=["missing", "more", "another name", "None", "None for a leaf"],
)
def test_inner_steps_that_return_another_structure(step, batched, other, message):
    """The error names the leaves that differ, the task and the step."""
    task = "all tasks in one batch" if batched else "task 0"
    where = f"inner_optimization_step, {task}, step 1: "
    fails(step, ValueError, where + message, batched=batched, inner_optimization_step=inner_step_at(2, other))


@each_step
@pytest.mark.parametrize(("batched", "shape"), [(False, "(1,)"), (True, "(2, 1)")], ids=["loop", "batched"])
@pytest.mark.parametrize(
    ("other", "returned"),
    [
        (lambda w: np.reshape(w, (-1, 1, 1)), "shape {first}(1, 1) of dtype float64"),
        (lambda w: w.astype(onp.float32), "shape {shape} of dtype float32"),
        (lambda w: 1, f"shape () of dtype {onp.asarray(1).dtype}"),
    ],
    ids=["shape", "dtype", "number"],
)
def test_inner_steps_that_return_another_shape_or_dtype(step, batched, shape, other, returned):
    """The error names the key chain, both shapes and both dtypes."""
    task = "all tasks in one batch" if batched else "task 0"
    came = returned.format(first="", shape=shape).replace("(1, 1)", "(2, 1, 1)" if batched else "(1, 1, 1)")
    message = (
        f"inner_optimization_step, {task}, step 0, 'net/w': expected shape {shape} of dtype float64, but it returned "
        f"{came}."
    )
    step_fn = inner_step_at(1, lambda new: {**new, "net": {"w": other(new["net"]["w"])}})
    fails(step, ValueError, message, batched=batched, inner_optimization_step=step_fn)


def test_a_rate_that_widens_a_leaf():
    """An array rate that does not broadcast into the leaf is found where the leaf comes back larger."""
    message = (
        "inner_optimization_step, task 0, step 0, 's': expected shape () of dtype float64, but it returned shape (1,) "
        "of dtype float64."
    )
    fails(fomaml_step, ValueError, message, inner_learning_rate=onp.array([0.5]))


def test_a_primitive_without_a_derivative():
    """What autograd says about a primitive that it cannot differentiate comes through with a note."""

    @primitive
    def opaque(w):
        return onp.sum(w)

    with pytest.raises(NotImplementedError, match=re.escape("VJP of opaque wrt argnums (0,) not defined")) as caught:
        run(fomaml_step, False, {"inner_cost_fn": lambda batch, v: opaque(v["net"]["w"])})
    assert caught.value.__notes__ == ["refmaml: raised in the inner cost, task 0, step 0."]


def test_errors_come_before_the_first_cost():
    """No cost, batch function or inner step runs where an argument is wrong."""

    def never(*arguments, **options):
        raise AssertionError

    def never_a_cost(batch, v):
        raise AssertionError

    changes = {
        "inner_cost_fn": never_a_cost, "outer_cost_fn": never_a_cost, "inner_batch_fn": never, "outer_batch_fn": never,
        "inner_optimization_step": never,
    }  # fmt: skip
    wrong = [
        {"num_tasks": 3}, {"inner_grad_steps": -1}, {"inner_learning_rate": onp.nan}, {"return_inner_v": "last"},
        {"inner_v": "t"}, {"outer_v": []}, {"variables": {"s": 1}}, {"batch": {}}, {"outer_cost_fn": 3},
    ]  # fmt: skip
    for step in (fomaml_step, maml_step):
        for value in wrong:
            with pytest.raises((ValueError, TypeError, KeyError)):
                run(step, False, {**changes, **value})
