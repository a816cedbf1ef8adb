"""The inner optimizers of the reference: by hand, with a fresh state for each task, and refused where there is none."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import refmaml
from refmaml.updates import (
    adam,
    clip_by_norm,
    clip_by_value,
    momentum,
    nesterov,
    rates_by_step,
    rmsprop,
    weight_decay,
)

BATCH = {"y": np.array([1.0, 2.0, 6.0])}


def cost(batch, v):
    return ((v["v"] - batch["y"]) ** 2).mean() / 2


def adapted(update, steps=2, batched=False, step=refmaml.fomaml_step):
    """Return φ_K of the three tasks S_t = ½ (v − y_t)² from θ = 0 at α = ½."""
    start = np.zeros(3 if batched else ())
    found = step(BATCH, cost, None, {"v": start}, steps, 0.5, batched=batched, return_inner_v="all",
                 inner_optimization_step=update)  # fmt: skip
    return found[2]["v"]


def by_hand(direction, steps=2):
    """Return φ_K by a direction from the history of gradients of one task, newest last."""
    ends = []
    for y in BATCH["y"]:
        phi, history = 0.0, []
        for _ in range(steps):
            history.append(phi - y)
            phi -= 0.5 * direction(history, phi)
        ends.append(phi)
    return np.array(ends)


def _adam(history, _):
    m = sum(0.1 * 0.9 ** (len(history) - 1 - i) * g for i, g in enumerate(history)) / (1 - 0.9 ** len(history))
    v = sum(0.001 * 0.999 ** (len(history) - 1 - i) * g**2 for i, g in enumerate(history))
    return m / (np.sqrt(v / (1 - 0.999 ** len(history))) + 1e-8)


def _velocity(history, mu=0.5):
    return sum(mu ** (len(history) - 1 - i) * g for i, g in enumerate(history))


CASES = {
    "momentum": (momentum(0.5), lambda history, _: _velocity(history)),
    "nesterov": (nesterov(0.5), lambda history, _: history[-1] + 0.5 * _velocity(history)),
    "rmsprop": (
        rmsprop(0.5),
        lambda history, _: history[-1] / (np.sqrt(_velocity([g**2 / 2 for g in history])) + 1e-8),
    ),
    "adam": (adam(), _adam),
    "weight decay": (weight_decay(0.1), lambda history, phi: history[-1] + 0.1 * phi),
    "clip by norm": (clip_by_norm(1.5, eps=0.0), lambda history, _: np.clip(history[-1], -1.5, 1.5)),
    "clip by value": (clip_by_value(1.5), lambda history, _: np.clip(history[-1], -1.5, 1.5)),
    "rates by step": (rates_by_step(1.0, 0.5), lambda history, _: history[-1] * (1.0, 0.5, 0.5)[len(history) - 1]),
    "clip, then momentum": (
        clip_by_value(1.5) + momentum(0.5),
        lambda history, _: _velocity([np.clip(g, -1.5, 1.5) for g in history]),
    ),
}


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_an_inner_optimizer_moves_each_task_as_by_hand(name, batched):
    """Three steps lead every task to the point worked out by hand from its own gradients, in both modes."""
    update, direction = CASES[name]
    expected = by_hand(direction, 3)
    for step in (refmaml.fomaml_step, refmaml.maml_step):
        assert adapted(update, 3, batched, step) == pytest.approx(expected, rel=1e-12)


def test_the_state_begins_anew_for_each_task_and_call():
    """A task has the same answer alone, among others, and again."""
    update = momentum(0.9)
    alone = refmaml.fomaml_step({"y": BATCH["y"][2:]}, cost, None, {"v": np.zeros(())}, 3, 0.5, batched=False,
                                return_inner_v="all", inner_optimization_step=update)[2]["v"]  # fmt: skip
    assert [adapted(update, 3)[2], adapted(update, 3)[2]] == [alone[0], alone[0]]


def test_reptile_takes_an_inner_optimizer():
    """Reptile's gradient is the mean of (θ − φ_K)/α, whatever the inner update."""
    found = refmaml.reptile_step(BATCH, cost, {"v": np.zeros(())}, 2, 0.5, batched=False,
                                 inner_optimization_step=momentum(0.5))  # fmt: skip
    assert found[1]["v"] == pytest.approx(-np.mean(by_hand(lambda history, _: _velocity(history))) / 0.5)


def test_an_optimizer_is_not_called_by_steps_that_do_not_know_of_states():
    """Called as a plain inner step it says that it has a state, and how to make a step for one task."""
    with pytest.raises(TypeError, match=r"momentum\(0\.9\) has a state for each task.*fresh\(\)"):
        momentum(0.9)({"v": np.ones(())}, {"v": np.ones(())}, 0.5, stop_gradients=True)
    step = momentum(0.5).fresh()
    once = step({"v": np.ones(())}, {"v": np.ones(())}, 0.5, stop_gradients=True)
    assert (once["v"], step(once, {"v": np.ones(())}, 0.5, stop_gradients=True)["v"]) == (0.5, -0.25)


def test_the_compiled_engine_refuses_an_optimizer_or_leaves_it_to_the_reference():
    """The refusal names the argument; with on_unsupported="reference" the answer is the reference's."""
    pytest.importorskip("numba", reason="the compiled engine needs it")
    from refmaml import compiled

    with pytest.raises(compiled.CompilationRefused, match=r"inner_optimization_step: adam\(.*has a state"):
        adapted(adam(), step=compiled.fomaml_step)
    with pytest.warns(compiled.CompilationFallback, match="has a state"):
        found = adapted(adam(), step=partial(compiled.fomaml_step, on_unsupported="reference"))
    assert np.array_equal(found, adapted(adam()))


def test_rates_by_step_need_a_rate():
    """No factor at all is refused."""
    with pytest.raises(ValueError, match="rates_by_step: expected at least one factor"):
        rates_by_step()
