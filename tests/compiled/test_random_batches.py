"""Property: for random costs of a whole batch, that keep tasks apart or mix them, the engine agrees with the reference.

All axes of all arrays are as long as there are tasks, so that an axis is told from the task axis by its place alone.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import logsumexp
from hypothesis import event, given, seed, settings
from hypothesis import strategies as st
from problems import assert_same_answer
from test_random_programs import SHARE, STEPS

from refmaml.compiled.calls import plans, shortcut

pytestmark = pytest.mark.once  # arithmetic

N = 3
WEIGHTS = np.random.default_rng(3).uniform(0.4, 1.3, (N, N, N))
SAME = np.repeat(WEIGHTS[:1], N, axis=0)

# All map [N, N, N] to [N, N, N], by axes that are drawn.
UNARY = {
    "tanh": lambda x, axes: anp.tanh(x),
    "square": lambda x, axes: x * x,
    "mean": lambda x, axes: x - anp.mean(x, axis=axes[0], keepdims=True),
    "all but one": lambda x, axes: x * anp.sum(x, axis=axes[1:], keepdims=True),
    "softmax": lambda x, axes: anp.exp(x - logsumexp(x, axis=axes[0], keepdims=True)),
    "root": lambda x, axes: anp.sqrt(1.0 + anp.sum(x * x, axis=axes[:2], keepdims=True)) * x,
    "running sum": lambda x, axes: anp.cumsum(x, axis=axes[0]),
    "flip": lambda x, axes: x[(slice(None),) * axes[0] + (slice(None, None, -1),)],
    "roll": lambda x, axes: anp.roll(x, 1, axis=axes[0]),
    "turn": lambda x, axes: anp.sin(anp.transpose(x, axes)),
    "turn and back": lambda x, axes: anp.transpose(
        anp.tanh(anp.transpose(x, axes)) * anp.transpose(SAME, axes), np.argsort(axes)
    ),
    "merge": lambda x, axes: anp.reshape(anp.tanh(anp.reshape(x, (-1, N)) - SAME[0, 1]), (N, N, N)),
    "merge and first": lambda x, axes: anp.reshape(x, (N, N * N))[:, :1, None] * x,
    "pick": lambda x, axes: x[(slice(None),) * axes[0] + (np.array([2, 0, 2]),)],
    "halves": lambda x, axes: rolled_by_parts(x, (slice(None),) * axes[0], axes[0]),
    "stack": lambda x, axes: anp.sum(anp.stack([x, x * x], axis=axes[1]), axis=axes[1]),
    "weights": lambda x, axes: x * anp.transpose(SAME, axes),
    "same weights": lambda x, axes: x * SAME + WEIGHTS[0, 0],
}
BINARY = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y,
    "rows": lambda x, y: x * y[:, :1] + y[:, :, 1:2],
    "product": lambda x, y: anp.matmul(x, y) * 0.4,
    "constant product": lambda x, y: anp.matmul(x, SAME[0]) * anp.tanh(anp.matmul(SAME, y)),
    "by task": lambda x, y: anp.einsum("tij,tkj->tik", x, y) * 0.4,
    "over tasks": lambda x, y: anp.einsum("tij,tik->jki", x, y) * 0.4,
    "across tasks": lambda x, y: anp.einsum("tij,sij->tsi", x, y) * 0.4,
}
COSTS = {
    "mean": lambda x: anp.mean((x - 0.3) ** 2),
    "means": lambda x: anp.mean((x - 0.3) ** 2) - 0.2 * anp.sum(x) / N + 0.7,
    "dot": lambda x: anp.dot(anp.ravel(x), anp.ravel(x)) / N**3,
    "by task": lambda x: anp.mean(anp.sqrt(1.0 + anp.sum(x * x, axis=(1, 2)))),
    "by task, merged": lambda x: anp.sum(anp.tanh(anp.mean(anp.reshape(x, (N, -1)), axis=1))) / N,
    "of squares": lambda x: anp.mean(x * x) * anp.mean(anp.cos(x)),
    "root": lambda x: anp.sqrt(1.0 + anp.mean(x * x)),
}


def rolled_by_parts(x, before, axis):
    return anp.concatenate([x[(*before, slice(1, None))], 0.5 * x[(*before, slice(0, 1))]], axis=axis)


# The axes are in an order that begins seldom with the task axis.
ORDER = st.sampled_from([(1, 2, 0), (2, 1, 0), (1, 2, 0), (2, 1, 0), (1, 0, 2), (2, 0, 1), (0, 1, 2), (0, 2, 1)])
PLACE = st.integers(0, 20)
PROGRAMS = st.tuples(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(sorted(UNARY)), PLACE, ORDER),
            st.tuples(st.sampled_from(sorted(BINARY)), PLACE, PLACE),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(sorted(COSTS)),
)


def cost_of(program):
    """Return the cost function of a program: each line reads earlier results by number."""
    lines, last = program

    def cost(batch, v):
        x = batch["x"]
        results = [x * v["a"], anp.matmul(x, v["m"]) + v["b"][:, None], v["a"] - v["s"][:, None, None]]
        for name, place, drawn in lines:
            operand = results[place % len(results)]
            binary = name in BINARY
            found = BINARY[name](operand, results[drawn % len(results)]) if binary else UNARY[name](operand, drawn)
            results.append(0.7 * anp.sin(found) + 0.1 * x)
        return COSTS[last](results[-1])

    return cost


def arguments(dtype):
    rng = np.random.default_rng(12)
    shapes = {"a": (N, N, N), "m": (N, N, N), "b": (N, N), "s": (N,)}
    theta = {name: rng.uniform(0.2, 0.9, shape).astype(dtype) for name, shape in shapes.items()}
    return {"x": rng.uniform(-1, 1, (N, N, N)).astype(dtype)}, theta


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_batches(dtype, order, monkeypatch):
    """Whatever cost of a batch is drawn, each leaf and each task's adapted one is within 64 u κ of the reference's."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)

    @settings(max_examples=SHARE[settings.get_current_profile_name()], deadline=None)
    @given(PROGRAMS)
    def search(program):
        plans.clear()
        shortcut.forget()
        batch, theta = arguments(dtype)
        args = (batch, cost_of(program), None, theta, 2, 0.05)
        assert_same_answer(*STEPS[order], *args, return_inner_v="all", chain=True)
        ((_, execution, _),) = plans._known.values()
        event("separable" if execution.plan.separable else "mixes tasks")

    if settings().derandomize:
        search = seed(10 * order + np.dtype(dtype).itemsize)(search)
    search()
