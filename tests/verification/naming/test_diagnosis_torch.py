"""The name of a mistake in PyTorch code that is wrong in the ways that people write it."""

from __future__ import annotations

import numpy as np
import pytest
from shared import verify

from verification import Report

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic
PROBLEMS = ("logistic-regression", "mlp-tanh-mse", "one-step")


def judged(subject, problems=PROBLEMS, **options) -> Report:
    """Return the report on a subject in float64."""
    options = {"dtypes": ("float64",), **options}
    return verify(subject, framework="torch", problems=problems, **options)


def named(subject, **options):
    """Return the names that a failing subject is given."""
    report = judged(subject, **options)
    assert report.verdict == "fail"
    return [diagnosis.name for diagnosis in report.diagnosis]


def parameters(problem):
    return {name: leaf.clone().requires_grad_() for name, leaf in problem.variables.items()}


def gradients(cost, at):
    found = torch.autograd.grad(cost, list(at.values()), materialize_grads=True)
    return dict(zip(at, found, strict=True))


def adapt(problem, batch, theta):
    fast = dict(theta)
    for _ in range(problem.inner_grad_steps):
        slopes = gradients(problem.inner_cost(batch, fast), fast)
        fast = {name: fast[name] - problem.inner_learning_rate * slopes[name] for name in fast}
    return fast


def from_grad(theta, divisor=1):
    return {name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad / divisor for name, leaf in theta.items()}


def right(problem):
    theta, total = parameters(problem), 0.0
    for support, query in problem.tasks():
        loss = problem.outer_cost(query, adapt(problem, support, theta)) / problem.num_tasks
        loss.backward()
        total += loss.detach()
    return total, from_grad(theta)


def gradients_at_start(problem):
    """B06: the inner loss is evaluated with the parameters, not with the fast weights."""
    theta, total = parameters(problem), 0.0
    for support, query in problem.tasks():
        fast = dict(theta)
        for _ in range(problem.inner_grad_steps):
            slopes = gradients(problem.inner_cost(support, theta), theta)
            fast = {name: fast[name] - problem.inner_learning_rate * slopes[name] for name in fast}
        total = total + problem.outer_cost(query, fast) / problem.num_tasks
    total.backward()
    return total, from_grad(theta)


def only_support(problem):
    """C01: the loop over tasks unpacks the support set twice."""
    theta, total = parameters(problem), 0.0
    for support, _ in problem.tasks():
        total = total + problem.outer_cost(support, adapt(problem, support, theta)) / problem.num_tasks
    total.backward()
    return total, from_grad(theta)


def overwritten_by_the_last_task(problem):
    """D03: zero_grad is inside of the loop over tasks."""
    theta, total = parameters(problem), 0.0
    for support, query in problem.tasks():
        for leaf in theta.values():
            leaf.grad = None
        loss = problem.outer_cost(query, adapt(problem, support, theta))
        loss.backward()
        total += loss.detach()
    return total / problem.num_tasks, from_grad(theta)


def inner_backward(problem):
    """D06: the inner loop calls backward, which reaches the parameters through the fast weights."""
    theta, total = parameters(problem), 0.0
    for support, query in problem.tasks():
        fast = dict(theta)
        for _ in range(problem.inner_grad_steps):
            loss = problem.inner_cost(support, fast)
            slopes = gradients_kept(loss, fast)
            (loss / problem.num_tasks).backward()
            fast = {name: fast[name] - problem.inner_learning_rate * slopes[name] for name in fast}
        loss = problem.outer_cost(query, fast) / problem.num_tasks
        loss.backward()
        total += loss.detach()
    return total, from_grad(theta)


def gradients_kept(cost, at):
    found = torch.autograd.grad(cost, list(at.values()), materialize_grads=True, retain_graph=True)
    return dict(zip(at, found, strict=True))


def with_an_optimizer(
    problem, *, decay=0.0, momentum=0.0, one_for_all=False, clear_inside=True, clear_before_outer=True
):
    """Fast weights are copies, moved by an optimizer of PyTorch's; their gradients are added up over tasks."""
    total, found = 0.0, {name: torch.zeros_like(leaf) for name, leaf in problem.variables.items()}
    fast, optimizer = {}, None
    for support, query in problem.tasks():
        if optimizer is None or not one_for_all:
            fast = parameters(problem)
            rate = problem.inner_learning_rate
            optimizer = torch.optim.SGD(fast.values(), lr=rate, weight_decay=decay, momentum=momentum)
        optimizer.zero_grad()
        with torch.no_grad():
            for name, leaf in fast.items():
                leaf.copy_(problem.variables[name])
        for _ in range(problem.inner_grad_steps):
            if clear_inside:
                optimizer.zero_grad()
            problem.inner_cost(support, fast).backward()
            optimizer.step()
        if clear_before_outer:
            optimizer.zero_grad()
        loss = problem.outer_cost(query, fast)
        loss.backward()
        total += loss.detach() / problem.num_tasks
        for name, gradient in from_grad(fast).items():
            found[name] += gradient / problem.num_tasks
    return total, found


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("habits", "fault", "words"),
    [
        ({"decay": 0.01}, "G06", "of the variables used, a weight decay of 0.01"),
        ({"momentum": 0.9, "one_for_all": True}, "E04", "within a call"),
        ({"clear_before_outer": False}, "D06", "of the last step"),
        ({"clear_before_outer": False, "clear_inside": False}, "D06", "in the inner steps too"),
        ({"clear_inside": False}, "D06", "in the inner steps alone"),
    ],
)
def test_what_an_optimizer_does_unasked_is_named(habits, fault, words):
    """A setting or a call that is missing, in a loop that is otherwise right, has its name and says which it is."""
    assert judged(with_an_optimizer).verdict == "pass"
    report = judged(lambda problem: with_an_optimizer(problem, **habits))
    assert [diagnosis.name for diagnosis in report.diagnosis] == [fault]
    assert f"({words})" in report.diagnosis[0].evidence


def without_zeros(problem):
    """B01, with None where a variable is unused: both losses are of the parameters, and nothing is materialised."""
    theta, total = parameters(problem), 0.0
    for _, query in problem.tasks():
        total = total + problem.outer_cost(query, theta) / problem.num_tasks
    total.backward()
    return total, {name: leaf.grad for name, leaf in theta.items()}


def summed_one_step_short(problem):
    """D01 and B02: the losses of the tasks are summed, and the last update is never used."""
    theta, total = parameters(problem), 0.0
    for support, query in problem.tasks():
        fast = dict(theta)
        for _ in range(problem.inner_grad_steps):
            before = fast
            slopes = gradients(problem.inner_cost(support, fast), fast)
            fast = {name: fast[name] - problem.inner_learning_rate * slopes[name] for name in fast}
        total = total + problem.outer_cost(query, before)
    total.backward()
    return total, from_grad(theta)


def query_inside_and_last_task_only(problem):
    """C04 and D03: query data in the inner loop, and zero_grad inside of the loop over tasks."""
    theta, total = parameters(problem), 0.0
    for _, query in problem.tasks():
        for leaf in theta.values():
            leaf.grad = None
        loss = problem.outer_cost(query, adapt(problem, query, theta))
        loss.backward()
        total += loss.detach()
    return total / problem.num_tasks, from_grad(theta)


class NeverCleared:
    """D05: the gradients of one call are still there in the next."""

    def __init__(self):
        self.kept = {}

    def __call__(self, problem):
        """Return the sum of the gradients of all calls."""
        cost, found = right(problem)
        kept = self.kept.setdefault((problem.name, problem.dtype), dict.fromkeys(found, 0.0))
        for name, gradient in found.items():
            kept[name] = kept[name] + gradient
        return cost, dict(kept)


def accumulated_on_the_callers_own(problem):
    """D05: the caller's tensors are the leaves of the graph, and their `grad` is there still in the next call."""
    theta = {name: leaf.requires_grad_() for name, leaf in problem.variables.items()}
    total = sum(problem.outer_cost(query, adapt(problem, support, theta)) for support, query in problem.tasks())
    (total / problem.num_tasks).backward()
    return total.detach() / problem.num_tasks, {name: gradient.clone() for name, gradient in from_grad(theta).items()}


def test_gradients_left_on_the_callers_tensors_are_found_in_a_second_call():
    """The second call has the very tensors of the first."""
    report = judged(accumulated_on_the_callers_own, problems=("quadratic", "logistic-regression"))
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["D05"]


def steps_in_place(problem):
    """E02: the fast weights are the caller's own tensors, updated in place; the gradients are right."""
    answer = right(problem)
    with torch.no_grad():
        next(iter(problem.variables.values())).sub_(0.5)
    return answer


def scales_the_batch(problem):
    """E02: the batch is normalised in place, after it was used."""
    answer = right(problem)
    problem.batch["support"]["x"].mul_(2.0)
    return answer


def in_single_precision(problem):
    """G11: everything is cast to float32 on the way in."""
    return right(problem.native("torch", "float32"))


def test_right_code_passes():
    """The code that the wrong ones are made of is right."""
    report = judged(right)
    assert (report.verdict, report.diagnosis) == ("pass", [])


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        (gradients_at_start, "B06"),
        (only_support, "C01"),
        (overwritten_by_the_last_task, "D03"),
        (inner_backward, "D06"),
        (without_zeros, "B01 + F02"),
        (in_single_precision, "G11"),
    ],
)
def test_a_mistake_in_torch_is_named(subject, fault):
    """Each mistake, written as people write it, has its name and no other."""
    assert named(subject) == [fault]


def test_none_for_an_unused_variable_is_told_beside_the_name():
    """None where zero belongs is a finding, and does not hide that the outer loss is of the parameters."""
    report = judged(without_zeros)
    assert any("it is None" in finding.message for case in report.cases for finding in case.findings)
    assert report.diagnosis[0].name == "B01 + F02"


def test_single_precision_is_no_mistake_where_it_is_asked():
    """Code that casts to float32 passes in float32."""
    assert judged(in_single_precision, dtypes=("float32",)).verdict == "pass"


def test_two_faults_of_different_families_get_both_names():
    """Query data in the inner loop and the last task only: both names, first."""
    for subject, faults in ((query_inside_and_last_task_only, {"C04", "D03"}), (summed_one_step_short, {"D01", "B02"})):
        first = judged(subject, problems=("bilinear", "logistic-regression", "one-task")).diagnosis[0]
        assert set(first.faults) == faults


def test_two_faults_that_are_no_pair_get_no_name():
    """Mistakes that no pair explains, inner gradients left in and the last task only, are several; none is named."""

    def both(problem):
        theta = parameters(problem)
        *_, (support, query) = problem.tasks()
        fast = dict(theta)
        for _ in range(problem.inner_grad_steps):
            loss = problem.inner_cost(support, fast)
            slopes = gradients_kept(loss, fast)
            loss.backward()
            fast = {name: fast[name] - 0.75 * problem.inner_learning_rate * slopes[name] for name in fast}
        loss = problem.outer_cost(query, fast)
        loss.backward()
        return loss.detach(), from_grad(theta)

    assert named(both, problems=("bilinear", "one-task")) == ["several"]


def test_gradients_that_are_never_cleared():
    """The second call of the same question shows D05, and the first alone would have passed."""
    assert named(NeverCleared()) == ["D05"]
    report = judged(NeverCleared())
    assert {finding.what for case in report.cases for finding in case.findings} == {"second call"}
    assert [case.problem for case in report.cases if case.verdict == "fail"] == ["mlp-tanh-mse"]  # asked twice


@pytest.mark.parametrize(("subject", "changed"), [(steps_in_place, "variables"), (scales_the_batch, "batch")])
def test_changed_inputs(subject, changed):
    """A call that writes into the caller's tensors fails by that alone, and both values are told."""
    report = judged(subject)
    assert report.verdict == "fail"
    found = [finding for case in report.cases for finding in case.findings]
    assert {(finding.what, finding.message) for finding in found} == {
        ("inputs", f"the call changed the caller's {changed}")
    }
    assert all(not np.array_equal(finding.expected, finding.got) for finding in found)
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["E02"]
