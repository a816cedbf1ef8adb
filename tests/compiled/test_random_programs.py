"""Property: for random cost functions the engine agrees with the reference, each leaf within 64 u κ.

The programs run as the environment says: as machine code, as plain Python with ``NUMBA_DISABLE_JIT=1``, or with every
access checked with ``NUMBA_BOUNDSCHECK=1``. In the profile `ci` there are 40 of them, the same in every run; the search
for others is ``pytest --hypothesis-profile=nightly tests/compiled/test_random_programs.py``, with 2,000.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from problems import assert_same_answer, lanes_of_the_last_call
from random_programs import SCALAR, arguments, cost_of, programs

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.calls import plans, shortcut
from refmaml.compiled.machine import runtime

pytestmark = pytest.mark.once  # arithmetic

STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}
SHARE = {"ci": 10, "shrunk": 10, "nightly": 500}  # of each of the four kinds

# Two parts of a gradient of size 1 cancel, and a third is a thousandth of them: the order of adding the three decides
# whether what the two are rounded by is left. A measure that changes results alone, and not what each operation reads
# of them, changes both parts by the same factor and sees nothing of it.
CANCELLING = [
    [("einsum", 0, 1), ("subtract", 1, 1)],
    [("gram", 0), ("subtract", 0, 0)],
    [("product", 0, 1), ("subtract", 1, 1)],
    [("inner", 0, 1), ("subtract", 1, 1)],
    [("outer", 0, 1), ("subtract", 1, 1)],
]


def check(program, dtype, order):
    """Claim that both steps give the same answer."""
    plans.clear()
    shortcut.forget()
    runtime.unload()
    batch, theta = arguments(dtype)
    with np.errstate(all="ignore"):  # some of the programs divide zero by zero
        assert_same_answer(*STEPS[order], batch, cost_of(program), None, theta, 2, 0.05, batched=False, chain=True)


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_programs(dtype, order, monkeypatch):
    """Whatever cost is drawn, in either precision and order, each leaf is within 64 u κ of the reference's."""
    monkeypatch.setenv("REFMAML_CACHE_DIR", "")  # a program hardly ever comes twice

    @settings(max_examples=SHARE[settings.get_current_profile_name()], deadline=None)
    @given(programs())
    def search(program):
        check(program, dtype, order)

    if settings().derandomize:  # the seed would be a hash of `search`, and so the programs the same for all four kinds
        search = seed(10 * order + np.dtype(dtype).itemsize)(search)
    search()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_programs_of_several_tasks_at_once(dtype, monkeypatch):
    """Small programs of operations with vector code compute a task in each lane: most of those drawn here do."""
    monkeypatch.setenv("REFMAML_CACHE_DIR", "")
    lanes = []

    @settings(max_examples=SHARE[settings.get_current_profile_name()], deadline=None)
    @given(programs(SCALAR, longest=4), st.integers(2, 35))
    def search(program, tasks):
        plans.clear()
        shortcut.forget()
        runtime.unload()
        cost = cost_of(program, anp.tanh, anp.mean)
        batch, theta = arguments(dtype, tasks)
        with np.errstate(all="ignore"):
            assert_same_answer(*STEPS[1], batch, cost, None, theta, 2, 0.05, batched=False, chain=True)
        lanes.append(lanes_of_the_last_call())

    search()
    assert sum(count > 1 for count in lanes) > len(lanes) / 3


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("program", CANCELLING, ids=str)
def test_programs_whose_gradients_cancel(program, order):
    """Both steps agree where a part of the gradient is rounding alone, by what rounding can do there."""
    check(program, np.float32, order)


@pytest.mark.parametrize("program", [*CANCELLING, [("softmax", 0), ("gram", 3), ("logaddexp", 1, 4)]], ids=str)
def test_one_operation_in_single_precision_is_seen(program):
    """The measure of κ leaves no room for an answer that is single precision in one place: it is refused."""

    def narrowed(cost):
        def single(batch, v):
            rounded = v["a"].astype(np.float32).astype(np.float64)
            return cost(batch, {**v, "a": rounded + 0.0 * anp.sum(v["a"])})

        return single

    def planted(batch, inner, outer, *args, **options):
        return refmaml.fomaml_step(batch, narrowed(inner), outer, *args, **options)

    batch, theta = arguments(np.float64)
    with pytest.raises(AssertionError, match="u κ"):
        assert_same_answer(
            planted, refmaml.fomaml_step, batch, cost_of(program), None, theta, 2, 0.05, batched=False, chain=True
        )
