"""What a subject says that it supports, and needs: less is asked of it, and wrong usage is told in a sentence."""

from __future__ import annotations

import pytest
from shared import verify

import refmaml
import verification
from verification.problems import suite
from verification.problems.awkwardness import assert_awkward
from verification.relations import check_problem
from verification.subjects import Subject, SubjectError

FEW = {"dtypes": ("float64",), "framework": "autograd"}


def plain_step(batch, inner, outer, variables, steps, rate, *, inner_batch_fn=None, outer_batch_fn=None):
    """First-order MAML without options, in loop mode."""
    batch_fns = {"inner_batch_fn": inner_batch_fn, "outer_batch_fn": outer_batch_fn}
    return refmaml.fomaml_step(batch, inner, outer, variables, steps, rate, batched=False, **batch_fns)


def supporting(function, *names):
    """Return another function that does the same, and says what it supports."""

    def step(batch, inner, outer, variables, steps, rate, *, inner_batch_fn=None, outer_batch_fn=None):
        return function(
            batch, inner, outer, variables, steps, rate, inner_batch_fn=inner_batch_fn, outer_batch_fn=outer_batch_fn
        )

    step.supports = names
    return step


def test_a_step_of_another_signature_is_wrong_usage():
    """One sentence says what the step does not take, and what to do; nothing is judged."""
    with pytest.raises(SubjectError, match="does not take batched, return_inner_v, num_tasks, average_across_steps"):
        verify(plain_step, problems=("quadratic", "average"), **FEW)


def test_a_step_that_says_what_it_supports_is_asked_that():
    """Without keywords for options a step passes on the plain problems; the others are left out."""
    report = verify(supporting(plain_step), problems=("quadratic", "bilinear", "average", "inner-chain"), **FEW)
    assert report.verdict == "pass", report.reason
    assert [case.problem for case in report.cases] == ["quadratic", "bilinear"]
    assert report.left_out == ["average", "inner-chain"]


def test_a_step_that_supports_what_it_does_not_take_is_wrong_usage():
    """An option that a step supports is one that it takes."""
    with pytest.raises(SubjectError, match="does not take average_across_steps"):
        verify(supporting(plain_step, "averaging"), problems=("average",), **FEW)


def test_relations_leave_a_step_what_it_does_not_support():
    """Selections and batched mode are not tested on a step that does not say that it supports them."""

    def step(*arguments, **options):
        return refmaml.fomaml_step(*arguments, **options)

    step.supports = ()
    found = check_problem(step, verification.problem("quadratic"), ("keep_complement", "batched_against_loop"))
    assert set(found.not_tested) == {"keep_complement", "batched_against_loop"}


@pytest.mark.parametrize("name", suite.NAMES)
def test_problems_whose_costs_use_every_variable(name):
    """Each problem has a form in which no cost ignores a variable, so that no gradient is 0 before selection."""
    used = suite.with_all_used(name)
    problem = verification.problem(used)
    assert not problem.ignores_variables
    assert problem.is_built_in
    assert suite.kind(used) == name
    if problem.options.outer_v.selects_all and not problem.options.batched:
        gradient = problem.outer_gradient(problem.batch["query"], problem.variables)
        assert all(leaf.any() for leaf in verification.problems.trees.leaves(gradient).values())


@pytest.mark.parametrize("name", ["quadratic", "mlp-tanh-mse", "average"])
def test_they_are_awkward(name):
    """What makes a problem awkward holds where every variable is used."""
    assert_awkward(verification.problem(suite.with_all_used(name), framework="autograd"))


@pytest.mark.framework("torch")
def test_plain_gradients_of_pytorch_are_right_where_every_variable_is_used():
    """`torch.autograd.grad` raises where a cost ignores a variable, which a subject need not be asked."""
    import torch

    def subject(problem):
        costs, slopes = [], []
        for support, query in problem.tasks():
            v = {name: leaf.clone().requires_grad_() for name, leaf in problem.variables.items()}
            start = v
            for _ in range(problem.inner_grad_steps):
                found = torch.autograd.grad(problem.inner_cost(support, v), list(v.values()))
                v = {name: v[name] - problem.inner_learning_rate * g for name, g in zip(v, found, strict=True)}
            cost = problem.outer_cost(query, v)
            slopes.append(torch.autograd.grad(cost, list(start.values())))
            costs.append(cost.detach())
        mean = [sum(leaves) / len(leaves) for leaves in zip(*slopes, strict=True)]
        return sum(costs) / len(costs), dict(zip(problem.variables, mean, strict=True))

    options = {"framework": "torch", "dtypes": ("float64",), "problems": ("quadratic", "mlp-tanh-mse")}
    report = verify(subject, **options)
    assert {finding.what for case in report.cases for finding in case.findings} == {"exception"}
    assert all("all-variables-used" in finding.message for case in report.cases for finding in case.findings)
    subject.supports = ("all-variables-used",)
    report = verify(subject, **options)
    assert report.verdict == "pass", report.reason
    assert [case.problem for case in report.cases] == ["used:quadratic", "used:mlp-tanh-mse"]
    assert "'used:quadratic'" in report.cases[0].snippet
    assert verification.problem("used:quadratic").name == "used:quadratic"


def test_the_signature_is_checked_as_the_subject_is_called():
    """A function whose parameters cannot be read is called, and tells itself."""
    Subject(print, "problem", "autograd", "print").require_signature(verification.problem("bilinear"))
    with pytest.raises(SubjectError, match="Is it a step with the interface of fomaml_step"):
        Subject(refmaml.fomaml_step, "problem", "autograd", "step").require_signature(verification.problem("bilinear"))
