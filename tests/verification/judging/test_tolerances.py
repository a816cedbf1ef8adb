"""The bounds: wide enough for correct code written differently, narrow enough for the faintest fault."""

from __future__ import annotations

import numpy as np
import pytest
from implementations import map_leaves, numpy_subject, right_step
from shared import STANDARDS, verify

import verification
from verification.judging import tolerances
from verification.judging.comparison import compare
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.oracles.propagation import solve
from verification.orders import DTYPES
from verification.problems import families, suite
from verification.problems.answers import assemble
from verification.problems.families import Family
from verification.problems.making import make_corner
from verification.problems.suite import Recipe, problem_from
from verification.problems.trees import leaves
from verification.subjects import Reply

pytestmark = pytest.mark.once  # arithmetic

PLAIN = list(suite.names(1, plain=True))


def test_unit_roundoff():
    """U is 2⁻⁵³ in double and 2⁻²⁴ in single precision."""
    assert tolerances.unit_roundoff("float64") == 2.0**-53
    assert tolerances.unit_roundoff(np.float32) == 2.0**-24


def test_the_bound_by_hand():
    """The bound is 64 u max(‖x‖, s) plus the oracle's error: ‖(3, 4)‖ = 5, and s = 5 κ."""
    value = np.array([3.0, 4.0])
    assert tolerances.bound(value, 2.0, "float64") == 64 * 2.0**-53 * 5
    assert tolerances.bound(value, 10.0, "float64") == 64 * 2.0**-53 * 10
    assert tolerances.bound(value, 10.0, "float32") == 64 * 2.0**-24 * 10
    assert tolerances.bound(value, 2.0, "float64", 0.25) == 64 * 2.0**-53 * 5 + 0.25
    assert tolerances.bound(value, 0.0, "float64") == 64 * 2.0**-53 * 5  # what does not move is rounded as well
    assert tolerances.bound(0 * value, 0.0, "float64") == 0


def test_a_cost_that_does_not_move_is_rounded_all_the_same():
    """At θ = 0 the logistic cost is the same number whatever the data: in float32 it is that number rounded."""
    levels = {
        "cost": "logistic", "θ": "0", "gradient": "large", "α": "beyond ½", "K": "0", "support examples": "5 or more",
        "support beside query": "more", "form of α": "an array", "mode": "batched", "containers": "nested",
        "memory": "one buffer", "unused variables": "in the outer cost",
    }  # fmt: skip
    problem = make_corner(levels, seed=11345)
    known = Standard(problem)
    assert known.sensitivity.cost == 0
    single = np.float32(known.truths(own=False)[0].answer.cost)
    reply = Reply(cost=float(single))
    findings, worst = compare(known, "float32", reply, known.truths(own=False), Declared())
    assert not findings
    assert 0 < worst < 1


@pytest.mark.parametrize("name", suite.NAMES)
def test_a_variable_that_the_outer_cost_ignores_has_a_zero_bound(name):
    """The right gradient of an ignored variable is exactly zero, and so is its bound; all others have one."""
    problem = verification.problem(name)
    standard = STANDARDS.of(name, 1)
    moves, (truth,) = standard.sensitivity, standard.truths(own=False)
    family = problem.family
    ignored = set(family.inner_ignores if problem.options.same_cost else family.outer_ignores)
    for chain, leaf in truth.answer.gradients.items():
        bound = tolerances.bound(leaf, moves.gradients[chain], "float64")
        assert (bound == 0) == (problem.names[chain] in ignored)
        assert np.any(leaf) == (bound > 0)


@pytest.mark.parametrize("name", ["no-steps", "mlp-tanh-mse", "leaf-rates"])
def test_a_displacement_may_be_off_by_the_rounding_of_its_ends(name):
    """Reptile's (θ − φ_K)/α has the rounding of θ, divided by α: each leaf may move by ‖θ‖/α, where it is 0 as well."""
    problem = verification.problem(name, order="reptile")
    moves = tolerances.sensitivity(problem).gradients
    for chain, leaf in leaves(problem.native("numpy").variables).items():
        rate = problem.split(problem.views(np)[0].rate)[chain]
        # The two ways to sum squares agree to a few roundings.
        assert moves[chain] >= (1 - 8 * 2.0**-53) * np.linalg.norm(leaf / rate)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", PLAIN)
def test_the_sensitivity_is_no_matter_of_luck(name, order):
    """For each leaf the few disturbances that are tried move it at least a quarter as far as the worst of 32 others."""
    problem = verification.problem(name, order=order)
    rng, delta = np.random.default_rng(99), 2.0**-20

    def gradients(size):
        def disturb(array):
            return array * (1 + size * rng.choice([-1.0, 1.0], array.shape))

        return assemble(problem, [solve(view, order, disturb) for view in problem.views(np, disturb)]).gradients

    base, others = gradients(0.0), [gradients(delta) for _ in range(32)]
    for chain, moves in tolerances.sensitivity(problem).gradients.items():
        assert moves >= max(np.linalg.norm(other[chain] - base[chain]) for other in others) / delta / 4


def _reordered(problem):
    """Sums of examples and tasks in the opposite order, and the mean of gradients as a sum of parts."""

    def cost(of, batch, v):
        return of(map_leaves(lambda leaf: leaf[:, ::-1], batch), v)

    costs, total = [], map_leaves(np.zeros_like, problem.variables)
    for inner, outer in reversed(list(problem.tasks())):
        phi = problem.variables
        for _ in range(problem.inner_grad_steps):
            gradient = cost(problem.inner_gradient, inner, phi)
            phi = map_leaves(lambda w, g: w - problem.inner_learning_rate * g, phi, gradient)
        part = cost(problem.outer_gradient, outer, phi)
        total = map_leaves(lambda w, g: w + g / problem.num_tasks, total, part)
        costs.append(cost(problem.outer_cost, outer, phi))
    return np.mean(costs), total


def _accumulated(problem):
    """The displacement is accumulated, and added to θ anew in each step."""
    costs, gradients = [], []
    for inner, outer in problem.tasks():
        moved = map_leaves(np.zeros_like, problem.variables)
        for _ in range(problem.inner_grad_steps):
            phi = map_leaves(lambda w, m: w + m, problem.variables, moved)
            step = problem.inner_gradient(inner, phi)
            moved = map_leaves(lambda m, g: m - problem.inner_learning_rate * g, moved, step)
        phi = map_leaves(lambda w, m: w + m, problem.variables, moved)
        costs.append(problem.outer_cost(outer, phi))
        gradients.append(problem.outer_gradient(outer, phi))
    return sum(costs) / len(costs), map_leaves(lambda *leaf: np.mean(np.stack(leaf), axis=0), *gradients)


def _of_examples(problem):
    """The gradient of each example by itself, averaged at the end: sums of other terms in another order."""

    def mean(of, batch, v):
        count = batch["x"].shape[1]
        parts = [of(map_leaves(lambda leaf, n=n: leaf[:, n : n + 1], batch), v) for n in range(count)]
        return map_leaves(lambda *leaf: sum(leaf) / np.float64(count).astype(leaf[0].dtype), *parts)

    costs, gradients = [], []
    for inner, outer in problem.tasks():
        phi = problem.variables
        for _ in range(problem.inner_grad_steps):
            gradient = mean(problem.inner_gradient, inner, phi)
            phi = map_leaves(lambda w, g: w - problem.inner_learning_rate * g, phi, gradient)
        costs.append(mean(problem.outer_cost, outer, phi))
        gradients.append(mean(problem.outer_gradient, outer, phi))
    return sum(costs) / len(costs), map_leaves(lambda *leaf: sum(leaf) / len(leaf), *gradients)


#: Their data are matrices, not examples.
QUADRATIC = ("quadratic", "five-steps", "large-gradients", "unused-between")


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        (numpy_subject, PLAIN),
        (_reordered, [name for name in PLAIN if name not in QUADRATIC]),
        (_accumulated, PLAIN),
        (_of_examples, [name for name in PLAIN if name not in QUADRATIC]),
    ],
)
def test_correct_code_written_differently_passes(subject, names):
    """Sums in another order, displacements, and averages of examples stay within the bounds of both precisions."""
    report = verify(subject, framework="numpy", problems=names)
    assert report.verdict == "pass"
    assert len(report.cases) == 2 * len(names)


def _batched_in_single_precision(problem):
    """All tasks at once as rows, in float32: T times the mean's gradient for each row."""
    tasks = problem.num_tasks
    single = problem.native("numpy", "float32")
    phi = map_leaves(lambda leaf: np.stack([leaf] * tasks), single.variables)
    for _ in range(problem.inner_grad_steps):
        gradient = single.inner_gradient(single.batch["support"], phi)
        phi = map_leaves(lambda w, g: w - np.float32(problem.inner_learning_rate * tasks) * g, phi, gradient)
    outer = single.outer_gradient(single.batch["query"], phi)
    return single.outer_cost(single.batch["query"], phi), map_leaves(lambda leaf: leaf.sum(axis=0), outer)


def test_vectorised_single_precision():
    """Correct float32 code passes where float32 is asked, and is wrong where float64 is."""
    options = {"framework": "numpy", "problems": [name for name in PLAIN if name != "no-steps"]}
    assert verify(_batched_in_single_precision, dtypes=("float32",), **options).verdict == "pass"
    double = verify(_batched_in_single_precision, dtypes=("float64",), **options)
    assert {case.verdict for case in double.cases} == {"fail"}


def _faint(changed):
    """Return a step that is right but for its gradients, which `changed` gets."""

    def step(*arguments, **options):
        cost, gradients, adapted = right_step(*arguments, **options)
        return cost, changed(gradients, adapted), adapted

    return step


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_relative_error_of_1024_roundings_is_caught(dtype):
    """The bound is 64 u κ: on plain problems, where κ is at most 16, an error of 1024 u in one leaf is too large."""
    size = 1024 * tolerances.unit_roundoff(dtype)
    step = _faint(lambda gradients, _: {**gradients, "w1": gradients["w1"] * np.asarray(1 + size, dtype)})
    report = verify(step, kind="step", dtypes=(dtype,), problems=("mlp-tanh-mse",))
    assert [(finding.what, finding.leaf) for case in report.cases for finding in case.findings] == [("gradients", "w1")]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_faintest_fault_is_caught(dtype):
    """At a learning rate of 2⁻⁸ one inner step too many moves the answer by a hair, and fails in both precisions."""
    hair = problem_from(Recipe(family=lambda: families.mlp("tanh", "mse"), seed=4, rate=2.0**-8), "hair")
    assert verify(right_step, kind="step", dtypes=(dtype,), problems=(hair,)).verdict == "pass"

    def one_too_many(*arguments, **options):
        return right_step(*arguments[:4], arguments[4] + 1, arguments[5], **options)

    report = verify(one_too_many, kind="step", dtypes=(dtype,), problems=(hair,))
    assert report.verdict == "fail"


def test_the_smallest_value_in_an_ignored_leaf_is_caught():
    """Where the right answer is exactly zero the smallest number there is is wrong."""
    step = _faint(lambda gradients, _: {**gradients, "inner_gain": np.array([5e-324])})
    (case,) = verify(step, kind="step", dtypes=("float64",), problems=("mlp-tanh-mse",)).cases
    assert [finding.leaf for finding in case.findings] == ["inner_gain"]
    assert case.worst == float("inf")


def waves() -> Family:
    """Return costs of sines, whose descent with a large rate is chaotic and stays bounded."""

    def inner(xp, data, v):
        return xp.mean(xp.sum(xp.cos(v["angle"][:, None, :] + data["x"]), axis=-1), axis=-1)

    def outer(xp, data, v):
        return xp.mean(xp.sum(xp.sin(v["angle"][:, None, :] * data["x"]), axis=-1), axis=-1)

    return Family("waves", "", {"angle": (2,)}, inner, outer)


def _waves(steps):
    return problem_from(Recipe(family=waves, seed=0, rate=4.0, steps=steps), f"waves, K = {steps}")


def test_conditioning_grows_with_the_length_of_an_unstable_loop():
    """κ of a chaotic inner loop grows by orders of magnitude, until no bound can be derived at all."""
    moves = [tolerances.sensitivity(_waves(steps)).gradients["angle"] for steps in (2, 8, 14, 16, 60)]
    assert moves[0] < 1e2 < moves[-1]
    assert moves[-1] == float("inf")


@pytest.mark.parametrize(("steps", "dtypes"), [(60, ("float64", "float32")), (20, ("float32",))])
def test_an_ill_conditioned_problem_decides_nothing(steps, dtypes):
    """Where rounding is amplified beyond the answer, right and wrong code get "inconclusive", and nobody a "pass"."""

    def right(*arguments, **options):
        return right_step(*arguments, **options)

    def wrong(*arguments, **options):
        cost, _, adapted = right_step(*arguments, **options)
        return cost, right_step(*arguments[:4], arguments[4] - 1, arguments[5], **options)[1], adapted

    for subject, framework in ((right, "autograd"), (wrong, "autograd"), (numpy_subject, "numpy")):
        kind = "problem" if subject is numpy_subject else "step"
        report = verify(subject, framework=framework, kind=kind, dtypes=dtypes, problems=(_waves(steps),))
        assert report.verdict == "inconclusive"
        assert report.exit_code == 3


def test_a_short_loop_of_the_same_costs_decides():
    """It is the length of the loop that hides the answer, and not the costs."""
    assert verify(numpy_subject, framework="numpy", problems=(_waves(5),)).verdict == "pass"
