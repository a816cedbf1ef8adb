"""Each relation holds for right code and breaks on a fault made for it."""

from __future__ import annotations

import json
from typing import Any

import autograd.numpy as anp
import broken_steps
import numpy as np
import pytest

from refmaml import fomaml_step, gradient_descent_update, maml_step
from verification import problem
from verification.frameworks import framework
from verification.relations import RELATIONS, Result, case_of, check_problem, check_relations
from verification.relations.case import make_case

pytestmark = pytest.mark.once  # arithmetic

STEPS = {1: fomaml_step, 2: maml_step}

#: A fault that each relation breaks on: its name, and the order that the wrong step claims.
FAULTS = {
    "purity": ("E02", 1),
    "second_call": ("random", 1),
    "no_steps": ("B03", 1),
    "no_steps_gradient": ("D01", 1),
    "zero_rate": ("G06", 1),
    "linear_inner_cost": ("C06", 1),
    "composition": ("B06", 1),
    "cost_scale": ("G07", 1),
    "batch_functions": ("C04", 1),
    "keep_complement": ("F04", 1),
    "permutation": ("E01", 1),
    "duplication": ("D02", 1),
    "linearity": ("D03", 1),
    "first_tasks": ("num_tasks ignored", 1),
    "batched_against_loop": ("D08", 1),
    "hessian_blindness": ("A04", 1),
    "one_step_gap": ("A01", 2),
    "all_steps_gap": ("A08", 2),
    "gap_order": ("D01", 1),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("order", "name", "dtype"),
    [
        (1, "linear-regression", "float64"),
        (2, "linear-regression", "float64"),
        (1, "mlp-tanh-mse", "float32"),
        (1, "batched", "float64"),
        (2, "batched-quadratic", "float64"),
        (1, "average", "float64"),
        (2, "three-parameters", "float64"),
        (1, "per-task", "float64"),
        (2, "leaf-rates", "float64"),
        (1, "batched-two-of-three", "float64"),
    ],
)
def test_a_right_step_breaks_no_relation(order: int, name: str, dtype: str) -> None:
    """The reference fulfils every relation, in both orders, modes and precisions, with options."""
    report = check_problem(STEPS[order], problem(name, order=order, dtype=dtype))
    assert report.verdict == "pass", str(report)


@pytest.mark.parametrize("name", RELATIONS)
def test_each_relation_breaks_on_a_fault_made_for_it(name: str) -> None:
    """Each relation breaks on a step that is wrong in just what it asks about."""
    fault, order = FAULTS[name]
    make = (broken_steps.FIRST if order == 1 else broken_steps.SECOND)[fault]
    report = check_problem(make(), problem("linear-regression", order=order), [name])
    assert report.broken == [name], str(report)


def torch_step(
    batch: Any, inner: Any, outer: Any, variables: Any, steps: int, rate: float, *, return_inner_v: Any = False,
    last: int = 0,
) -> tuple[Any, ...]:  # fmt: skip
    """First-order MAML in PyTorch, one task after the other, with no other option; `last` leaves out inner steps."""
    import torch

    totals = {name: torch.zeros_like(leaf) for name, leaf in variables.items()}
    rows: dict[str, list[Any]] = {name: [] for name in variables}
    costs = []
    tasks = len(batch["x"])
    for t in range(tasks):
        data = {name: leaf[t : t + 1] for name, leaf in batch.items()}
        phi = {name: leaf.clone().requires_grad_() for name, leaf in variables.items()}
        for _ in range(steps - last):
            grads = torch.autograd.grad(inner(data, phi), list(phi.values()), allow_unused=True)
            phi = {n: (w.detach() - rate * g if g is not None else w.detach()).requires_grad_()
                   for (n, w), g in zip(phi.items(), grads, strict=True)}  # fmt: skip
        cost = outer(data, phi)
        for name, grad in zip(phi, torch.autograd.grad(cost, list(phi.values())), strict=True):
            totals[name] += grad / tasks
        for name, leaf in phi.items():
            rows[name].append(leaf.detach())
        costs.append(cost.detach())
    answer = (sum(costs) / tasks, totals)
    return (*answer, {name: torch.stack(values) for name, values in rows.items()}) if return_inner_v else answer


def torch_inner(batch: Any, v: Any) -> Any:
    return ((batch["x"] @ v["w"] + v["b"] - batch["y"]) ** 2).mean()


def torch_outer(batch: Any, v: Any) -> Any:
    return (1 + (batch["x"].flip(1) @ v["w"] - v["b"]) ** 2).log().mean()


def own(dtype: str = "float64") -> tuple[Any, Any]:
    """Return a user's own data and variables, at sizes that no built-in problem has."""
    rng = np.random.default_rng(3)
    data = {"x": rng.normal(size=(4, 12, 7)), "y": rng.normal(size=(4, 12))}
    variables = {"w": rng.normal(size=7), "b": rng.normal(size=())}
    cast = np.dtype(dtype).type
    return {n: leaf.astype(cast) for n, leaf in data.items()}, {n: np.asarray(v, dtype) for n, v in variables.items()}


@pytest.mark.framework("torch")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_torch_step_on_its_users_own_costs_passes_what_it_can_be_asked(dtype: str) -> None:
    """A right PyTorch step breaks nothing on the user's own costs, and what it cannot be asked has a reason."""
    import torch

    data, variables = (
        {n: torch.tensor(leaf) for n, leaf in container.items()} for container in own(dtype)
    )  # fmt: skip
    report = check_relations(torch_step, data, torch_inner, torch_outer, variables, 3, 0.05, framework="torch")
    assert report.broken == [], str(report)
    assert report.not_tested == {
        "batch_functions": "the step does not take inner_batch_fn, outer_batch_fn",
        "keep_complement": "the step does not take inner_v, keep_inner_v, outer_v, keep_outer_v",
        "first_tasks": "the step does not take num_tasks",
        "batched_against_loop": "the step does not take batched",
    }
    assert {result.name for result in report.results if result.verdict == "inconclusive"} <= {"gap_order"}


@pytest.mark.framework("torch")
def test_a_torch_step_with_one_inner_step_too_few_fails() -> None:
    """A PyTorch step with one inner step too few breaks the relations that count steps."""
    import torch

    data, variables = ({n: torch.tensor(leaf) for n, leaf in container.items()} for container in own())

    def short(*arguments: Any, return_inner_v: Any = False) -> tuple[Any, ...]:
        steps = max(arguments[4] - 1, 0)
        return torch_step(*arguments[:4], steps, arguments[5], return_inner_v=return_inner_v)

    report = check_relations(short, data, torch_inner, torch_outer, variables, 3, 0.05, framework="torch")
    assert {"composition", "linear_inner_cost"} <= set(report.broken)


def squared(batch: Any, v: Any) -> Any:
    return anp.mean((batch["x"] @ v["w"] + v["b"] - batch["y"]) ** 2)


def logarithmic(batch: Any, v: Any) -> Any:
    return anp.mean(anp.log(1 + (batch["x"][:, :, ::-1] @ v["w"] - v["b"]) ** 2))


def checked(step: Any, *, relations: Any = None, outer: Any = logarithmic, steps: int = 2, **options: Any) -> Any:
    data, variables = own()
    return check_relations(
        step, data, squared, outer, variables, steps, 0.05, batched=False, relations=relations, **options
    )


def test_own_costs_that_have_no_batched_form_are_not_tested_for_it() -> None:
    """Costs without a leading task axis pass all relations but the batched one, which says why it was not asked."""
    report = checked(fomaml_step)
    assert report.verdict == "pass", str(report)
    assert list(report.not_tested) == ["batched_against_loop"]
    assert "leading task axis" in report.not_tested["batched_against_loop"]


def test_without_an_outer_cost_the_inner_cost_function_is_asked() -> None:
    """None as the outer cost means the inner one, and a right step breaks nothing."""
    assert checked(fomaml_step, outer=None).broken == []


def test_an_inner_update_that_is_not_descent_is_asked_only_what_holds_for_it() -> None:
    """Under sign descent only relations that hold for any update are asked."""

    def signed(w: Any, dcdw: Any, lr: Any, /, *, stop_gradients: bool) -> Any:
        return gradient_descent_update(w, {n: anp.sign(g) for n, g in dcdw.items()}, lr, stop_gradients=stop_gradients)

    report = checked(fomaml_step, inner_optimization_step=signed, relations=["composition", "zero_rate", "permutation"])
    assert [result.name for result in report.results] == ["permutation"]
    assert report.not_tested["composition"] == "it does not hold with inner_optimization_step"


def test_a_step_that_raises_breaks_the_relation_with_its_words() -> None:
    """An exception of the step fails the relation and is repeated."""

    def broken(*_arguments: Any, **_options: Any) -> Any:
        raise RuntimeError("no graph")

    result = checked(broken, relations=["linearity"])["linearity"]
    assert result.verdict == "fail"
    assert result.sentence == "the step raised RuntimeError: no graph."


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c, g: (c,), "expected (cost, grads) or (cost, grads, adapted), but got tuple"),
        (lambda c, g: (c, {**g, "w": None}), "expected real numbers in gradients, 'w', but got None"),
        (lambda c, g: (c, {**g, "w": g["w"][:1]}), "expected shape (7,) in gradients, but got 'w' of shape (1,)"),
        (lambda c, g: (c, {**g, "z": g["w"]}), "expected the leaves w, b alone in gradients, but got 'z'"),
        (lambda c, g: (np.ones(2), g), "expected the cost to be a scalar, but got shape (2,)"),
        (lambda c, g: (c, {"w": g["w"]}), "expected a gradient for every variable, but b has none"),
    ],
)
def test_what_cannot_be_read_breaks_the_relation_with_a_reason(spoil: Any, words: str) -> None:
    """Each malformed answer fails the relation, with what was expected and what came."""

    def step(*arguments: Any, **options: Any) -> Any:
        return spoil(*fomaml_step(*arguments, **options)[:2])

    result = checked(step, relations=["no_steps_gradient"])["no_steps_gradient"]
    assert result.verdict == "fail"
    assert words in result.sentence


def test_a_step_without_adapted_variables_is_not_asked_where_they_are_needed() -> None:
    """A step without `return_inner_v` is asked the relations that do without it."""

    def bare(batch: Any, inner: Any, outer: Any, variables: Any, steps: int, rate: float) -> Any:
        return fomaml_step(batch, inner, outer, variables, steps, rate, batched=False)

    report = checked(bare)
    assert report.broken == []
    assert report.not_tested["composition"] == "the step does not take return_inner_v"
    assert report["linear_inner_cost"].verdict == "pass"


def test_nan_on_one_side_breaks_and_on_both_sides_decides_nothing() -> None:
    """NaN in one of two answers fails, in both it is inconclusive, and finite differences expose it."""

    def sometimes(batch: Any, *rest: Any, **options: Any) -> Any:
        cost, grads, *adapted = fomaml_step(batch, *rest, **options)
        spoiled = {n: g * (np.nan if len(batch["x"]) == 1 else 1) for n, g in grads.items()}
        return cost, spoiled, *adapted

    def always(*arguments: Any, **options: Any) -> Any:
        cost, grads, *adapted = fomaml_step(*arguments, **options)
        return cost, {n: g * np.nan for n, g in grads.items()}, *adapted

    assert checked(sometimes, relations=["linearity"]).verdict == "fail"
    report = checked(always, relations=["permutation", "second_call", "linearity", "duplication"])
    assert {result.verdict for result in report.results} == {"inconclusive"}
    assert checked(always).verdict == "fail"  # differences of the cost are finite


def test_an_effect_below_rounding_is_inconclusive() -> None:
    """With a rate of 1e-18 a mistake could not show, so that nothing is decided."""
    data, variables = own()
    report = check_relations(
        fomaml_step, data, squared, logarithmic, variables, 2, 1e-18, batched=False, relations=["zero_rate"]
    )
    assert report.verdict == "inconclusive"
    assert "a mistake would change it by only 0 bounds" in report["zero_rate"].sentence


def test_one_task_and_no_steps_are_reasons_not_to_ask() -> None:
    """One task has no permutation and no step has no rate: both are reasons not to ask."""
    data, variables = own()
    alone = {n: leaf[:1] for n, leaf in data.items()}
    report = check_relations(fomaml_step, alone, squared, logarithmic, variables, 0, 0.05, batched=False)
    assert report.broken == []
    assert report.not_tested["permutation"] == "the batch has one task"
    assert report.not_tested["zero_rate"] == "K = 0"


def test_a_report_reads_as_text_and_as_json() -> None:
    """Text and strict JSON have the same results, and what was not asked raises its reason."""
    report = checked(broken_steps.FIRST["D01"](), relations=["duplication", "purity", "batched_against_loop"])
    shown = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert shown["verdict"] == "fail"
    assert [related["name"] for related in shown["relations"]] == ["duplication", "purity"]
    assert list(shown["not_tested"]) == ["batched_against_loop"]
    assert str(report).startswith("fail: 2 relations tested, 1 broken\n  fail         duplication")
    assert isinstance(report["purity"], Result)
    with pytest.raises(KeyError, match="leading task axis"):
        report["batched_against_loop"]
    with pytest.raises(KeyError, match="there is no such relation"):
        report["nonsense"]


def test_wrong_usage_is_refused_with_what_was_expected() -> None:
    """An unknown order or relation, and Reptile, are refused with what was expected."""
    with pytest.raises(ValueError, match="order: expected 1 or 2, but got 3"):
        checked(fomaml_step, order=3)
    with pytest.raises(ValueError, match=r"relations: expected names among purity, .* but got beauty"):
        checked(fomaml_step, relations=["beauty"])
    with pytest.raises(ValueError, match="has order 'reptile'"):
        case_of(fomaml_step, problem("quadratic", order="reptile"))


@pytest.mark.parametrize(
    ("batch", "variables", "options", "says"),
    [
        ({"x": np.ones((3, 2))}, {"net": {"w": np.ones(2), "b": np.ones(())}}, {},
         r"variables, 'net/w': with batched=True expected a leading task axis of length 3, but got shape \(2,\)\. "
         r"Repeat the variables for each task, or pass batched=False\."),
        ({"x": np.ones((3, 2))}, {"b": np.ones(())}, {"num_tasks": 2}, r"variables, 'b': .*but got shape \(\)\."),
        ({"x": np.ones((3, 2))}, {"w": np.ones(2)}, {"num_tasks": 4, "batched": False}, "num_tasks: expected 1 to 3"),
        ({"x": np.ones((3, 2)), "y": np.ones(2)}, {"w": np.ones(2)}, {"batched": False}, "batch: .* got x: 3, y: 2"),
        ({"x": np.ones(())}, {"w": np.ones(2)}, {"batched": False}, r"batch: expected a leading .* but got x: none\."),
        ({}, {"w": np.ones(2)}, {"batched": False}, r"batch: expected a leading task axis .*, but got no leaves\."),
    ],
)  # fmt: skip
def test_a_task_axis_that_is_missing_is_told(
    batch: dict[str, Any], variables: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    """The key chain, the expected length and the way out are named before anything is asked."""
    with pytest.raises(ValueError, match=says):
        check_relations(fomaml_step, batch, lambda *_: 0.0, None, variables, 1, 0.1, **options)


def test_variables_may_have_rows_for_the_tasks_in_use_alone() -> None:
    """With num_tasks, a variable has a row for each task of the batch or for each that is used."""
    data, variables = own()
    for count in (2, 4):
        rows = {name: np.stack([leaf] * count) for name, leaf in variables.items()}
        case = make_case(fomaml_step, framework("numpy"), data, squared, None, rows, 1, 0.05, num_tasks=2)
        assert (case.tasks, case.theta["w"].shape, case.theta["b"].shape) == (2, (2, 7), (2,))


def test_a_check_until_broken_ends_with_the_first_relation_that_is() -> None:
    """A step that returns zeros breaks many relations; the results are those of the whole up to the first of them."""

    def zeros(*arguments: Any, **options: Any) -> Any:
        cost, gradients, *rest = fomaml_step(*arguments, **options)
        return (cost, {name: 0 * leaf for name, leaf in gradients.items()}, *rest)

    whole, short = (check_problem(zeros, problem("one-step"), until_broken=ends) for ends in (False, True))
    assert len(whole.broken) > 1
    assert short.broken == whole.broken[:1]
    assert [result.name for result in short.results][-1:] == short.broken


def test_nothing_asked_is_no_pass() -> None:
    """Where no relation could be asked the verdict is inconclusive."""
    assert checked(fomaml_step, relations=["batched_against_loop"]).verdict == "inconclusive"
