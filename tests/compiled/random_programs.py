"""Random cost functions: straight lines of supported primitives over the data and the variables, with their shapes."""

import autograd.numpy as anp
import numpy as np
from autograd.scipy.special import expit, logsumexp
from hypothesis import strategies as st

ROWS, INNER, COLUMNS = 3, 4, 2

# All map [ROWS, INNER] to [ROWS, INNER]; smooth, so that a rounding cannot choose another branch.
UNARY = {
    "tanh": anp.tanh, "sin": anp.sin, "cos": anp.cos, "expit": expit, "arctan": anp.arctan, "negative": anp.negative,
    "square": lambda x: x**2, "exp": lambda x: anp.exp(anp.sin(x)), "log1p": lambda x: anp.log1p(x * x),
    "sqrt": lambda x: anp.sqrt(1.0 + x * x), "reciprocal": lambda x: 1.0 / (1.5 + anp.sin(x)),
    "centre": lambda x: x - anp.mean(x, axis=1, keepdims=True), "scale": lambda x: x / (1.0 + anp.std(x)),
    "softmax": lambda x: anp.exp(x - logsumexp(x, axis=1, keepdims=True)), "cumsum": lambda x: anp.cumsum(x, axis=1),
    "flip": lambda x: x[::-1, ::-1], "roll": lambda x: anp.roll(x, 1, axis=1), "transposed": lambda x: (2.0 * x.T).T,
    "reshape": lambda x: anp.reshape(anp.tanh(anp.reshape(x, (INNER, ROWS))), (ROWS, INNER)),
    "pick": lambda x: x[np.array([2, 0, 2])], "halves": lambda x: anp.concatenate([x[:, 2:], x[:, :2] * 0.5], axis=1),
    "gram": lambda x: anp.dot(anp.dot(x, x.T), x) * 0.1, "tril": lambda x: anp.tril(x) + 0.5 * anp.triu(x, 1),
    "pad": lambda x: anp.pad(x, 1, mode="constant")[1:-1, :-2] + x, "stack": lambda x: anp.stack([x, x * x])[1],
    "norm": lambda x: x / (1.0 + anp.sqrt(anp.sum(x * x))),
    "tile": lambda x: anp.tile(x, (1, 2))[:, 1 : INNER + 1],
}  # fmt: skip
BINARY = {
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (1.5 + anp.cos(y)), "logaddexp": anp.logaddexp,
    "hypot": lambda x, y: anp.hypot(x, y + 9),
    "mixed rows": lambda x, y: x * y[:1] + y[:, :1], "product": lambda x, y: anp.matmul(anp.matmul(x, y.T), x) * 0.1,
    "einsum": lambda x, y: anp.einsum("ij,kj->ik", x, y) @ x * 0.1, "where": lambda x, y: anp.where(MASK, x, y),
    "tensordot": lambda x, y: anp.tensordot(x, y, axes=([0], [0]))[:ROWS] * 0.3,
    "outer": lambda x, y: anp.outer(x[:, 0], y[0]), "inner": lambda x, y: x * anp.inner(x[0], y[1]),
}  # fmt: skip
# Parts of results and variables that the cost is linear in, with constants: their gradients depend on no data.
LINEAR = {
    "element": lambda x, v: 0.05 * x[1, 2], "column": lambda x, v: -0.02 * anp.sum(x[:, 1]),
    "difference": lambda x, v: 0.1 * (x[-1, 0] - x[0, 0]),
    "variable": lambda x, v: 0.1 * v["b"][2] - 0.05 * v["a"][0, 1],
    "rows": lambda x, v: 0.02 * anp.sum(v["m"][1:3]) + 0.01 * anp.sum(anp.diff(v["b"])),
    "whole": lambda x, v: 0.02 * anp.sum(anp.where(MASK, v["a"], 0.0)) + 0.01 * anp.sum(x),
}  # fmt: skip
MASK = np.array([[True, False, True, True], [False, True, False, True], [True, True, False, False]])

# These call functions of the mathematical library, or look numbers up by an index, one at a time: no lane of a vector
# register holds a task then.
SCALAR = {
    "sin", "cos", "arctan", "exp", "reciprocal", "divide", "hypot", "logaddexp", "pick", "element", "difference",
    "variable",
}  # fmt: skip


def programs(leaving_out=(), longest=8):
    """Return a strategy for programs without some operations."""
    unary, binary, linear = (sorted(names.keys() - set(leaving_out)) for names in (UNARY, BINARY, LINEAR))
    places = st.integers(0, 20)
    return st.lists(
        st.one_of(
            st.tuples(st.sampled_from(unary), places),
            st.tuples(st.sampled_from(binary), places, places),
            st.tuples(st.sampled_from(linear), places),
        ),
        min_size=1,
        max_size=longest,
    )


def cost_of(program, bounded=anp.sin, number_of=lambda x: x[0, 0]):
    """Return the cost function of a program: each line reads earlier results by number.

    `bounded` keeps results within ±0.7, so that a long program stays well conditioned; `number_of` takes a number of
    one of them.
    """

    def cost(batch, v):
        x = batch["x"][0]
        results = [x * v["a"], x + v["b"], anp.dot(x, v["m"])]
        total = 0.0
        for name, *places in program:
            if name in LINEAR:
                total = total + LINEAR[name](results[places[0] % len(results)], v)
                continue
            function = UNARY.get(name) or BINARY[name]
            found = function(*(results[place % len(results)] for place in places))
            results.append(0.7 * bounded(found))
        return total + anp.mean((results[-1] - 0.3) ** 2) + 0.01 * anp.sum(v["c"] * number_of(results[-2]))

    return cost


def arguments(dtype, tasks=2):
    rng = np.random.default_rng(11)
    shapes = {"a": (ROWS, INNER), "b": (INNER,), "m": (INNER, INNER), "c": ()}
    theta = {name: np.asarray(rng.uniform(0.2, 0.9, shape), dtype) for name, shape in shapes.items()}
    return {"x": rng.uniform(-1, 1, (tasks, ROWS, INNER)).astype(dtype)}, theta
