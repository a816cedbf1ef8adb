"""Answers that have every number in its place, and are not nested like the variables."""

from __future__ import annotations

import pytest
from shared import verify

from verification import problem
from verification.problems.trees import leaves, map_leaves, paths
from verification.subjects.reply import read

pytestmark = pytest.mark.once  # arithmetic


def answer(problem, form):
    """Return the right answer to a problem without inner steps' options, its gradients in a form."""
    costs, gradients = [], []
    for support, query in problem.tasks():
        v = problem.variables
        for _ in range(problem.inner_grad_steps):
            slope = leaves(problem.inner_gradient(support, v))
            moved = iter([leaf - problem.inner_learning_rate * slope[chain] for chain, leaf in leaves(v).items()])
            v = map_leaves(lambda _, moved=moved: next(moved), v)
        costs.append(problem.outer_cost(query, v))
        gradients.append(leaves(problem.outer_gradient(query, v)))
    means = iter([sum(gradient[chain] for gradient in gradients) / len(costs) for chain in gradients[0]])
    return sum(costs) / len(costs), form(map_leaves(lambda _: next(means), problem.variables))


def findings(form, name="mlp-softplus-mse"):
    """Return the messages about the answers of a form in both precisions, which no fault of the arithmetic explains."""
    report = verify(lambda problem: answer(problem, form), framework="numpy", problems=(name,))
    assert all("do not have the form that is expected" in diagnosis.evidence for diagnosis in report.diagnosis)
    return {finding.message for case in report.cases for finding in case.findings}


def test_a_nested_answer_is_right():
    """Where a container is a list, a tuple or a dict of its places is as good."""
    assert findings(lambda tree: tree) == set()
    assert findings(lambda tree: {**tree, "layers": tuple(tree["layers"])}) == set()
    assert findings(lambda tree: {**tree, "layers": dict(enumerate(tree["layers"]))}) == set()


def test_a_flat_answer_is_told_by_its_key():
    """Key chains that are keys are no nesting: whoever takes the answer apart by the variables finds nothing."""
    (message,) = findings(leaves)
    assert message == ("expected it nested like the variables, with ['layers']['0']['w'], but got ['layers/0/w']")


@pytest.mark.parametrize("part", ["variables", "rates"])
def test_a_part_of_an_answer_with_learned_rates_is_told_too(part):
    """Variables and rates are each nested like the variables."""
    posed = problem("mlp-softplus-mse", algorithm="meta-sgd")
    right = {"variables": posed.variables, "rates": posed.inner_learning_rate}
    assert forms(posed, right) == []
    assert forms(posed, {**right, part: leaves(right[part])}) == [
        "expected it nested like the variables, with ['layers']['0']['w'], but got ['layers/0/w']"
    ]


def forms(posed, gradients):
    """Return what is said of the nesting of gradients."""
    return [finding.message for finding in read(posed, (0.0, gradients)).findings if "nested like" in finding.message]


def test_paths_tell_a_flat_container_from_a_nested_one():
    """Both have the same key chains."""
    nested, flat = {"a": {"b": 1}, "c": [2]}, {"a/b": 1, "c/0": 2}
    assert leaves(nested) == leaves(flat)
    assert paths(nested) == {"a/b": ("a", "b"), "c/0": ("c", "0")}
    assert paths(flat) == {"a/b": ("a/b",), "c/0": ("c/0",)}
