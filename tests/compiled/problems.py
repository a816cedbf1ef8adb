"""Awkward little problems and the comparison of two answers: no zeros, unequal sizes, three tasks, three steps."""

import inspect
from contextlib import contextmanager, nullcontext

import autograd.numpy as anp
import numpy as np
from autograd.core import primitive_vjps

from refmaml.compiled.calls import plans
from refmaml.containers import flatten, map_leaves
from refmaml.updates import gradient_descent_update

# The rule of docs/tolerances.md: each leaf x within C u max(‖x‖, s), where s, the leaf's sensitivity, is how far it
# moves per unit of relative change of every input, every gradient and every iterate, and, where a cost is a long chain
# of operations (`chain`), of whatever an operation reads, forward and backward. Correct code stays under 3 u κ.
FACTOR = 64
_DELTA, _DRAWS = 2.0**-20, 4


def unit_roundoff(dtype):
    return float(np.finfo(dtype).eps) / 2


def precision_of(*containers):
    """Return the coarsest precision that takes part."""
    kinds = {np.asarray(leaf).dtype for container in containers for _, leaf in flatten(container)}
    return np.dtype(np.float32 if np.dtype(np.float32) in kinds else np.float64)


def _leaves(answer):
    # A None stands where a list lost a leaf.
    return {chain: np.asarray(leaf) for chain, leaf in flatten(answer) if leaf is not None}


class _Disturbance:
    """Relative changes by ±size with random signs."""

    def __init__(self, size, seed):
        self.size, self.rng = size, np.random.default_rng(seed)

    def of(self, container):
        return map_leaves(self._leaf, container)

    def factor(self, shape):
        return 1.0 + self.size * self.rng.choice([-1.0, 1.0], shape)

    def operand(self, operand):
        """Return what a primitive reads in the place of an array; sums of gradients read lists of them."""
        if isinstance(operand, np.ndarray | np.floating) and operand.dtype.kind == "f":
            return operand * self.factor(np.shape(operand))
        return operand

    def _leaf(self, leaf):
        if leaf is None or (isinstance(leaf, np.ndarray) and leaf.dtype.kind != "f"):
            return leaf
        wide = leaf.astype(np.float64) if isinstance(leaf, np.ndarray) else leaf
        return wide * self.factor(np.shape(wide))


#: What is no result of arithmetic: x² is not x to the power of 2.000001. By primitive, the positions of arguments.
_EXACT = {anp.power: (1,)}


def _cell(function):
    """Return the cell of a primitive that holds what it calls, or None."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)).get("f_raw")


@contextmanager
def _every_operand(disturbance):
    """Have autograd's primitives, forward and backward, read each array times its own random factors.

    That a computed result is the exact one of slightly other operands holds of sums, products and elementary functions
    in any order of their terms, and of products that are contracted with a sum. Whoever reads a result gets factors of
    his own: in x − x, and in the backward pass where gradients meet that cancel, the result is 0, and only what it was
    computed from tells how large its rounding is. Smooth functions only: an extreme no longer equals its argument.
    """
    before = {function: _cell(function) for function in primitive_vjps}
    before = {function: (cell, cell.cell_contents) for function, cell in before.items() if cell is not None}

    def disturbed(function, raw):
        exact = _EXACT.get(function, ())

        def call(*args, **kwargs):
            read = (arg if place in exact else disturbance.operand(arg) for place, arg in enumerate(args))
            return raw(*read, **kwargs)

        return call

    try:
        for function, (cell, raw) in before.items():
            cell.cell_contents = disturbed(function, raw)
        yield
    finally:
        for cell, raw in before.values():
            cell.cell_contents = raw


def _moved(reference, args, options, size, seed, chain):
    """Return the reference's answer in float64, with everything on the way changed."""
    disturbance = _Disturbance(size, seed)
    batch, inner, outer, theta, steps, rate = args
    update = options.get("inner_optimization_step", gradient_descent_update)

    def disturbed(w, dcdw, lr, /, *, stop_gradients):
        return disturbance.of(update(w, disturbance.of(dcdw), lr, stop_gradients=stop_gradients))

    given = (disturbance.of(batch), inner, outer, disturbance.of(theta), steps, rate)
    if "outer_batch_fn" not in inspect.signature(reference).parameters:  # Reptile has one cost
        given = (given[0], inner, *given[3:])
    with _every_operand(disturbance) if chain else nullcontext():
        return _leaves(tuple(reference(*given, **{**options, "inner_optimization_step": disturbed})))


def sensitivity(reference, *args, chain=False, **options):
    """Return by how much each leaf of the reference's answer moves, by key chain."""
    base = _moved(reference, args, options, 0.0, 0, chain)
    moved = [_moved(reference, args, options, _DELTA, seed, chain) for seed in range(_DRAWS)]
    finite = {name: np.isfinite(leaf) for name, leaf in base.items()}
    return {
        name: max(np.linalg.norm((draw[name] - leaf)[finite[name]]) for draw in moved) / _DELTA
        for name, leaf in base.items()
    }


def assert_close(got, expected, moves, precision):
    """Claim that every leaf is within its bound, with NaN and infinity in place; a zero that nothing moves is exact."""
    left, right = _leaves(got), _leaves(expected)
    assert list(left) == list(right) == list(moves)
    for chain, theirs in right.items():
        mine = left[chain]
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), chain
        finite = np.isfinite(theirs)
        np.testing.assert_array_equal(np.where(finite, 0, mine), np.where(finite, 0, theirs), err_msg=chain)
        error = np.linalg.norm((mine - theirs)[finite].astype(np.float64))
        unit = unit_roundoff(precision) * max(np.linalg.norm(theirs[finite].astype(np.float64)), moves[chain])
        assert error <= FACTOR * unit, f"{chain}: {error / unit if unit else np.inf:.1f} u κ"


def assert_same_answer(compiled, reference, *args, chain=False, **options):
    """Claim that a compiled step and the reference give the same answer; return it.

    `chain` says that the costs are long chains of smooth operations, each of which has to be disturbed.
    """
    got, expected = compiled(*args, **options), reference(*args, **options)
    assert len(got) == len(expected)
    given = args if len(args) == 6 else (args[0], args[1], None, *args[2:])  # Reptile has one cost
    moves = sensitivity(reference, *given, chain=chain, **options)
    assert_close(tuple(got), tuple(expected), moves, precision_of(args[0], given[3]))
    return got


def batch(dtype=np.float64, tasks=3, shots=4, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (tasks, shots, 2))
    return {"x": x.astype(dtype), "y": np.sin(x.sum(-1, keepdims=True)).astype(dtype)}


def variables(dtype=np.float64, seed=2):
    rng = np.random.default_rng(seed)
    shapes = {"w": (2, 5), "b": (5,), "v": (5, 1), "c": (1,)}
    leaves = {name: (rng.normal(size=shape) / 2 + 0.1).astype(dtype) for name, shape in shapes.items()}
    return {"hidden": {"w": leaves["w"], "b": leaves["b"]}, "out": [leaves["v"], leaves["c"]]}


def repeated(leaves, tasks=3):
    return {
        "hidden": {name: np.stack([leaf] * tasks) for name, leaf in leaves["hidden"].items()},
        "out": [np.stack([leaf] * tasks) for leaf in leaves["out"]],
    }


def lanes_of_the_last_call():
    """Return how many tasks the plan of the last call computes at once."""
    return [execution for _, execution, _ in plans._known.values()][-1].plan.lanes
