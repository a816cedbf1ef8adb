"""TensorFlow: right subjects pass, with tapes and compiled, wrong ones are named, and no setting stays behind."""

from __future__ import annotations

import pytest
from shared import verify

import verification
from verification.problems.trees import leaves

pytestmark = [
    pytest.mark.framework("tensorflow"),
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # TensorFlow's own
]

FEW = {"kind": "problem", "problems": ("quadratic", "logistic-regression")}


def gradient(cost, batch, v):
    """Return a cost and its gradient by a tape, with 0 where a variable is not used."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(v)
        value = cost(batch, v)
    return value, tape.gradient(value, v, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def with_tapes(problem, on_support=False):
    """First-order MAML, a tape for each gradient."""
    costs, slopes = [], []
    for support, query in problem.tasks():
        v = dict(problem.variables)
        for _ in range(problem.inner_grad_steps):
            _, slope = gradient(problem.inner_cost, support, v)
            v = {name: leaf - problem.inner_learning_rate * slope[name] for name, leaf in v.items()}
        cost, slope = gradient(problem.outer_cost, support if on_support else query, v)
        costs.append(cost)
        slopes.append(slope)
    return sum(costs) / len(costs), {name: sum(slope[name] for slope in slopes) / len(slopes) for name in slopes[0]}


def compiled(problem):
    """The same as one graph."""
    import tensorflow as tf

    return tf.function(lambda: with_tapes(problem))()


def nested_tapes(problem):
    """Second-order MAML: the outer tape sees the inner ones."""
    import tensorflow as tf

    start = dict(problem.variables)
    with tf.GradientTape() as tape:
        tape.watch(start)
        value = with_tapes_from(problem, start)
    return value, tape.gradient(value, start, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def with_tapes_from(problem, start):
    """Return the mean outer cost after adaptation from `start`."""
    costs = []
    for support, query in problem.tasks():
        v = start
        for _ in range(problem.inner_grad_steps):
            _, slope = gradient(problem.inner_cost, support, v)
            v = {name: leaf - problem.inner_learning_rate * slope[name] for name, leaf in v.items()}
        costs.append(problem.outer_cost(query, v))
    return sum(costs) / len(costs)


def through_the_problem(problem):
    """First-order MAML with the problem's own gradients."""
    costs, slopes = [], []
    for support, query in problem.tasks():
        v = problem.variables
        for _ in range(problem.inner_grad_steps):
            slope = problem.inner_gradient(support, v)
            v = {name: leaf - problem.inner_learning_rate * slope[name] for name, leaf in v.items()}
        costs.append(problem.outer_cost(query, v))
        slopes.append(problem.outer_gradient(query, v))
    return sum(costs) / len(costs), {name: sum(slope[name] for slope in slopes) / len(slopes) for name in slopes[0]}


@pytest.mark.parametrize(
    ("subject", "order"), [(with_tapes, 1), (compiled, 1), (through_the_problem, 1), (nested_tapes, 2)]
)
def test_right_subjects_pass(subject, order):
    """With tapes, as a graph, with the problem's gradients and of second order, TensorFlow is judged right."""
    report = verify(subject, framework="tensorflow", order=order, kind="problem", problems=("quadratic",))
    assert report.verdict == "pass", report.reason
    assert [case.dtype for case in report.cases] == ["float64", "float32"]


def test_a_wrong_subject_is_named():
    """Query and support set are one: that is named."""
    report = verify(lambda problem: with_tapes(problem, True), framework="tensorflow", dtypes=("float64",), **FEW)
    assert (report.verdict, report.diagnosis[0].faults) == ("fail", ("C01",))


@pytest.mark.parametrize("name", ["mlp-relu-mse", "mlp-softplus-softmax", "bilinear", "batched"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_costs_and_gradients_have_the_dtype_of_the_variables(name, dtype):
    """Every family's costs and gradients keep the precision, for which NumPy's behaviour need not be switched on."""
    import tensorflow as tf

    problem = verification.problem(name, framework="tensorflow", dtype=dtype)
    batch = problem.batch["support"] if problem.options.batched else next(problem.tasks())[0]
    found = [problem.inner_cost(batch, problem.variables), problem.outer_cost(batch, problem.variables)]
    found += leaves(problem.inner_gradient(batch, problem.variables)).values()
    assert {leaf.dtype.name for leaf in found} == {dtype}
    assert not hasattr(tf.constant(0.0), "astype")  # which NumPy's behaviour would add
