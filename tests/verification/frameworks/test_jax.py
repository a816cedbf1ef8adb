"""JAX: right subjects pass, wrong ones are named, dtypes are what they should be, and no setting stays behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shared import STANDARDS, verify

import verification
from verification.judging.conventions import Declared
from verification.naming.evidence import Observation
from verification.naming.growth import family
from verification.problems.trees import leaves
from verification.relations import check_problem
from verification.subjects import Subject, ask

pytestmark = [pytest.mark.framework("jax"), pytest.mark.once]

EXAMPLES = Path(__file__).parents[3] / "examples"
FEW = ("quadratic", "mlp-tanh-mse")


def eager(problem, gradient=None, point=None):
    """First-order MAML operation by operation; `gradient` replaces the inner one, `point` where the outer one is."""
    import jax
    import jax.numpy as jnp
    from jax.tree_util import tree_map

    gradient = gradient or jax.grad(problem.inner_cost, argnums=1)
    answers = []
    for support, query in problem.tasks():
        v = problem.variables
        for _ in range(problem.inner_grad_steps):
            v = tree_map(lambda w, g: w - problem.inner_learning_rate * g, v, gradient(support, v))
        cost, slope = jax.value_and_grad(problem.outer_cost, argnums=1)(query, point(v) if point else v)
        answers.append((cost, slope, v))
    costs, slopes, adapted = zip(*answers, strict=True)
    mean = lambda *parts: sum(parts) / len(parts)  # noqa: E731
    return mean(*costs), tree_map(mean, *slopes), tree_map(lambda *rows: jnp.stack(rows), *adapted)


def through_the_problem(problem):
    """First-order MAML with the problem's own gradients."""
    cost, _, adapted = eager(problem, problem.inner_gradient)
    points = [{name: rows[t] for name, rows in adapted.items()} for t in range(problem.num_tasks)]
    slopes = [problem.outer_gradient(query, v) for (_, query), v in zip(problem.tasks(), points, strict=True)]
    return cost, {name: sum(slope[name] for slope in slopes) / len(slopes) for name in slopes[0]}, adapted


def reptile(problem):
    """Reptile: the mean of (θ − φ_K)/α; the cost is a mean over φ_0, …, φ_K."""
    import jax
    from jax.tree_util import tree_map

    costs, ends = [], []
    for support, _ in problem.tasks():
        v = problem.variables
        for _ in range(problem.inner_grad_steps):
            cost, slope = jax.value_and_grad(problem.inner_cost, argnums=1)(support, v)
            v = tree_map(lambda w, g: w - problem.inner_learning_rate * g, v, slope)
            costs.append(cost)
        costs.append(problem.inner_cost(support, v))
        ends.append(v)

    def moved(start, *ends):
        return (start - sum(ends) / len(ends)) / problem.inner_learning_rate

    return sum(costs) / len(costs), tree_map(moved, problem.variables, *ends)


def second_order(problem):
    """MAML: the gradient goes through the inner loop."""
    import jax

    def loss(v):
        return eager(replace(problem, variables=v))[0]

    cost, slope = jax.value_and_grad(loss)(problem.variables)
    return cost, slope


@pytest.mark.parametrize(
    ("subject", "order"), [(eager, 1), (through_the_problem, 1), (second_order, 2), (reptile, "reptile")]
)
def test_right_subjects_pass_in_both_precisions(subject, order):
    """Step by step, with the problem's gradients, of second order and as Reptile, JAX is judged right."""
    report = verify(subject, framework="jax", order=order, kind="problem", problems=FEW[:1])
    assert report.verdict == "pass", report.reason
    assert [case.dtype for case in report.cases] == ["float64", "float32"]


def test_a_compiled_subject_passes():
    """The example compiles, maps over tasks and scans over steps: its answers are right in both precisions."""
    report = verify(f"{EXAMPLES / 'jax_fomaml.py'}:subject", framework="jax", problems=FEW)
    assert report.verdict == "pass", report.reason


def test_the_wrong_example_is_named():
    """The gradient that goes through the inner loop is that of second order."""
    options = {"framework": "jax", "problems": FEW, "dtypes": ("float64",)}
    report = verify(f"{EXAMPLES / 'jax_fomaml_wrong.py'}:subject", **options)
    assert (report.verdict, report.diagnosis[0].faults) == ("fail", ("A04",))


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["jax_fomaml", "jax_fomaml_wrong"])
def test_the_script_trains(name, capsys):
    """Both examples train, and print two losses: the mistake of the wrong one raises nothing."""
    step = verification.load(f"{EXAMPLES / name}.py:fomaml_step")
    verification.load(f"{EXAMPLES / 'jax_fomaml.py'}:train")(step, iterations=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["before meta-training", "after meta-training"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_problem_has_the_dtype_that_it_names(dtype):
    """Arrays, costs and gradients have the dtype named, in a process that has float64 off, which stays off."""
    import jax

    problem = verification.problem("mlp-softplus-mse", framework="jax", dtype=dtype)
    (support, query), *_ = problem.tasks()
    for leaf in (
        *leaves(problem.variables).values(),
        problem.inner_cost(support, problem.variables),
        problem.outer_cost(query, problem.variables),
        *leaves(problem.inner_gradient(support, problem.variables)).values(),
        *leaves(problem.outer_gradient(query, problem.variables)).values(),
    ):
        assert leaf.dtype == dtype
    assert not jax.config.read("jax_enable_x64")


def test_float64_is_on_for_float64_alone_and_nothing_stays():
    """A subject runs with float64 on where it is asked in float64, and its code is compiled as it always is."""
    import jax
    import jax.numpy as jnp

    settings = ("jax_enable_x64", "jax_disable_most_optimizations")
    before = [jax.config.read(name) for name in settings]
    kinds = []

    def looking(problem):
        kinds.append((str(problem.dtype), str(jnp.zeros(()).dtype)))
        assert jax.config.read(settings[1]) == before[1]
        raise ValueError("seen")

    verify(looking, framework="jax", kind="problem", problems=("bilinear",))
    assert kinds == [("float64", "float64"), ("float32", "float32")]
    assert [jax.config.read(name) for name in settings] == before


def test_a_family_is_compiled_once_for_all_its_problems():
    """A second problem of the same family and shapes compiles no cost, nor a gradient of one."""
    import jax

    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **__: compiled.append(event))
    for name in ("mlp-tanh-mse", "inner-chain"):
        compiled.clear()
        problem = verification.problem(name, framework="jax")
        (support, query), *_ = problem.tasks()
        compiled.clear()
        problem.inner_gradient(support, problem.variables)
        problem.outer_cost(query, problem.variables)
    assert not [event for event in compiled if "backend_compile" in event]


def test_the_snippet_turns_float64_on_in_a_process_of_its_own(tmp_path):
    """What a report prints gives float64 where it says so."""
    import subprocess
    import sys

    path = tmp_path / "wrong.py"
    path.write_text("def subject(problem):\n    return 2.0 * problem.variables['latent'].sum(), problem.variables\n")
    options = {"framework": "jax", "dtypes": ("float64",), "problems": ("bilinear",)}
    (case,) = verify(f"{path}:subject", **options).cases
    done = subprocess.run([sys.executable, "-c", case.snippet], capture_output=True, text=True, check=True)
    assert "float64" in done.stdout


def test_a_donated_array_is_a_change_of_the_callers(monkeypatch):
    """JAX deletes what is donated to a compiled function: the report says so, and goes on."""
    import jax

    def donating(problem):
        cost, slope, _ = eager(problem)
        for leaf in leaves(problem.variables).values():
            leaf.delete()
        return cost, slope

    (case,) = verify(donating, framework="jax", kind="problem", dtypes=("float64",), problems=("bilinear",)).cases
    assert any(finding.what == "inputs" and "unreadable" in finding.message for finding in case.findings)
    assert jax.config.read("jax_enable_x64") is False


def scaled_step(batch, inner_cost, outer_cost, variables, inner_grad_steps, inner_learning_rate, **options):
    """First-order MAML in loop mode."""
    import jax
    import jax.numpy as jnp
    from jax.tree_util import tree_map

    outer_cost, tasks = outer_cost or inner_cost, options.get("num_tasks") or len(next(iter(leaves(batch).values())))
    inner, outer = (options.get(f"{side}_batch_fn") or (lambda batch: batch) for side in ("inner", "outer"))
    answers = []
    for t in range(tasks):
        rows = tree_map(lambda leaf, t=t: leaf[t : t + 1], batch)
        v = variables
        for _ in range(inner_grad_steps):
            slope = jax.grad(lambda v, rows=rows: inner_cost(inner(rows), v))(v)
            v = tree_map(lambda w, g: w - inner_learning_rate * g, v, slope)
        answers.append((*jax.value_and_grad(lambda v, rows=rows: outer_cost(outer(rows), v))(v), v))
    costs, slopes, adapted = zip(*answers, strict=True)
    mean = lambda *parts: sum(parts) / len(parts)  # noqa: E731
    return mean(*costs), tree_map(mean, *slopes), tree_map(lambda *rows: jnp.stack(rows), *adapted)


def test_relations_hold_in_float64():
    """Relations of a right step hold, to bounds of float64, in a process that has it off."""
    names = ("purity", "no_steps_gradient", "hessian_blindness", "linear_inner_cost")
    report = check_problem(scaled_step, verification.problem("mlp-tanh-mse", framework="jax"), names)
    assert [result.verdict for result in report.results] == ["pass"] * len(names)
    assert not report.not_tested


def test_the_growth_in_alpha_is_measured_in_float64():
    """A mistake without a name: its error grows like α, which float32 would not resolve on the smallest rates."""
    import jax.numpy as jnp

    def nameless(problem):
        from jax.tree_util import tree_map

        shift = 0.01 * problem.inner_learning_rate
        cost, slope, _ = eager(problem, point=lambda v: tree_map(lambda leaf: leaf + shift * jnp.cos(leaf), v))
        return cost, slope

    standard = STANDARDS.of("mlp-tanh-mse", 1)
    subject = Subject(nameless, "problem", "jax", "nameless")
    reply = ask(subject, standard.problem.native("jax"))
    (found,) = family(subject, 1, [Observation(standard, "float64", reply)], Declared())
    assert "points to the inner loop" in found.evidence, found.evidence
    assert np.isfinite(reply.cost)
