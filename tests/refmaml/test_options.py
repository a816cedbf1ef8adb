"""Every option, against values that do not come from the code under test.

The problem is linear regression on three unequal tasks, S(w, b) = mean_i (x_i·w + b − y_i)², computed a second time in
this file from the definition, in plain NumPy: the gradient by its formula, and derivatives through the inner loop by
the complex step, Im f(θ + ih)/h, which is exact to rounding for a polynomial (Squire and Trapp, 1998).
"""

import autograd.numpy as np
import pytest

from refmaml import fomaml_step, maml_step


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
@pytest.mark.parametrize("step", [fomaml_step, maml_step])
def test_float32_stays_for_scalars(step, batched, averaged):
    """A 0-d float32 leaf gives a float32 cost, gradient and adapted leaf, also where a float32 scalar meets an int."""
    batch = {"x": np.ones((3, 1), dtype=np.float32)}
    variables = {"w": np.ones(3, dtype=np.float32) if batched else np.array(2.0, dtype=np.float32)}
    cost, gradient, adapted = step(
        batch, lambda batch, v: np.mean(v["w"] * batch["x"][:, 0]), None, variables, 2, 0.1, batched=batched,
        average_across_steps=averaged, return_inner_v=True,
    )  # fmt: skip
    assert {cost.dtype, gradient["w"].dtype, adapted["w"].dtype} == {np.dtype(np.float32)}
