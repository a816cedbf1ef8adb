"""Property: for random cost functions the engine agrees with the reference, each leaf within 64 u κ.

The programs run as the environment says: as machine code, as plain Python with ``NUMBA_DISABLE_JIT=1``, or with every
access checked with ``NUMBA_BOUNDSCHECK=1``. In the profile `ci` there are 40 of them, in `nightly` 2,000.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from problems import assert_same_answer
from random_programs import PROGRAMS, arguments, cost_of

import refmaml
import refmaml.compiled as engine
from refmaml.compiled.calls import plans, shortcut
from refmaml.compiled.machine import runtime

pytestmark = pytest.mark.once  # arithmetic

STEPS = {1: (engine.fomaml_step, refmaml.fomaml_step), 2: (engine.maml_step, refmaml.maml_step)}
SHARE = {"ci": 10, "nightly": 500}  # of each of the four kinds


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_programs(dtype, order, monkeypatch):
    """Whatever cost is drawn, in either precision and order, each leaf is within 64 u κ of the reference's."""
    monkeypatch.setenv("REFMAML_CACHE_DIR", "")  # a program hardly ever comes twice

    @settings(max_examples=SHARE[settings.get_current_profile_name()], deadline=None)
    @given(PROGRAMS)
    def check(program):
        plans.clear()
        shortcut.forget()
        runtime.unload()
        batch, theta = arguments(dtype)
        with np.errstate(all="ignore"):  # some of the programs divide zero by zero
            assert_same_answer(
                *STEPS[order], batch, cost_of(program), None, theta, 2, 0.05, batched=False,
                rounded=partial(cost_of, program),
            )  # fmt: skip

    check()
