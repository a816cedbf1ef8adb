"""Awkward little problems and the comparison of two answers: no zeros, unequal sizes, three tasks, three steps."""

import numpy as np

from refmaml.containers import flatten

UNITS = 64  # a bound of the verification design: correct code stays under 12 units of rounding, faults begin at 176


def rounding(dtype):
    return float(np.finfo(dtype).eps)


def assert_close(got, expected, units=UNITS):
    """Claim that every leaf is within `units` of rounding of the whole answer, with NaN and infinity in place.

    Of the whole: a leaf of one element may be a difference of numbers that are as large as the rest.
    """
    left, right = (  # a None stands where a list lost a leaf
        {chain: leaf for chain, leaf in flatten(each) if leaf is not None} for each in (got, expected)
    )
    assert list(left) == list(right)
    parts = [np.ravel(np.asarray(leaf, np.float64)) for leaf in right.values()]
    size = np.linalg.norm([np.linalg.norm(part[np.isfinite(part)]) for part in parts])
    for chain, leaf in right.items():
        mine, theirs = np.asarray(left[chain]), np.asarray(leaf)
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), chain
        finite = np.isfinite(theirs)
        np.testing.assert_array_equal(np.where(finite, 0, mine), np.where(finite, 0, theirs), err_msg=chain)
        error = np.linalg.norm((mine - theirs)[finite])
        bound = units * rounding(theirs.dtype) * max(size, np.finfo(theirs.dtype).tiny)
        assert error <= bound, f"{chain}: {error / bound * units:.1f} units"


def assert_same_answer(compiled, reference, *args, units=UNITS, **options):
    """Claim that a compiled step and the reference give the same answer; return it."""
    got, expected = compiled(*args, **options), reference(*args, **options)
    assert len(got) == len(expected)
    for mine, theirs in zip(got, expected, strict=True):
        assert_close({"answer": mine}, {"answer": theirs}, units)
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
