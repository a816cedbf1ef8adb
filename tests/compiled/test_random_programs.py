"""Property: for random cost functions the engine agrees with the reference, normwise within 64 u κ."""

import numpy as np
import pytest
from hypothesis import given, settings
from random_programs import PROGRAMS, arguments, cost_of

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import plans, shortcut

STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}


def joined(gradients):
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in gradients.values()])


def condition(step, cost, batch, theta):
    """Return κ: by how much a relative change of one part in 10⁶ of the input is magnified in the gradient."""
    wide = {name: np.asarray(leaf, np.float64) for name, leaf in theta.items()}
    data = {"x": np.asarray(batch["x"], np.float64)}
    at = joined(step(data, cost, None, wide, 2, 0.05, batched=False)[1])
    worst = 1.0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        moved = {name: leaf * (1 + 1e-6 * rng.choice([-1, 1], leaf.shape)) for name, leaf in wide.items()}
        away = joined(step(data, cost, None, moved, 2, 0.05, batched=False)[1])
        worst = max(worst, np.linalg.norm(away - at) / (1e-6 * np.linalg.norm(at)))
    return worst


def agree(program, dtype, order):
    compiled, reference = STEPS[order]
    cost, (batch, theta) = cost_of(program), arguments(dtype)
    expected = reference(batch, cost, None, theta, 2, 0.05, batched=False)
    got = compiled(batch, cost, None, theta, 2, 0.05, batched=False)
    finite = np.isfinite(joined(expected[1]))
    np.testing.assert_array_equal(np.isfinite(joined(got[1])), finite)
    if not finite.all():  # where the reference has NaN or infinity there is no distance
        return
    size = np.linalg.norm(joined(expected[1]))
    distance = np.linalg.norm(joined(got[1]) - joined(expected[1]))
    assert distance <= 64 * np.finfo(dtype).eps * size * (condition(reference, cost, batch, theta) if size else 1.0)
    assert all(got[1][name].dtype == leaf.dtype for name, leaf in expected[1].items())


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_programs_as_plain_python(dtype, order, monkeypatch):
    """Tracing, lowering, simplifying, scheduling and emitting: all but the last step, on many programs."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    many = settings.get_profile(settings.get_current_profile_name()).max_examples

    @settings(max_examples=max(50, many // 2), deadline=None)
    @given(PROGRAMS)
    def check(program):
        plans.clear()
        shortcut.forget()
        with np.errstate(all="ignore"):  # some of the programs divide zero by zero
            agree(program, dtype, order)

    check()


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_programs_as_machine_code(dtype, order):
    """The last step too, on as many as its compiling allows."""
    many = settings.get_profile(settings.get_current_profile_name()).max_examples

    @settings(max_examples=max(2, many // 15), deadline=None)
    @given(PROGRAMS)
    def check(program):
        with np.errstate(all="ignore"):  # some of the programs divide zero by zero
            agree(program, dtype, order)

    check()
