"""One subject that answers each call in another malformed way, in turn."""

from collections import UserDict, deque, namedtuple
from datetime import timedelta
from fractions import Fraction

import numpy as np
from hostile_subjects import right

#: What each kind of answer is made of: the cost, the gradients, the chain of one of them, and that gradient.
KINDS = {
    "None": lambda cost, grads, chain, leaf: None,
    "a number": lambda cost, grads, chain, leaf: cost,
    "an array": lambda cost, grads, chain, leaf: np.zeros(2),
    "a dict": lambda cost, grads, chain, leaf: grads,
    "a set": lambda cost, grads, chain, leaf: {1, 2},
    "a string of two": lambda cost, grads, chain, leaf: "no",
    "one entry": lambda cost, grads, chain, leaf: (cost,),
    "four entries": lambda cost, grads, chain, leaf: (cost, grads, None, None),
    "a generator": lambda cost, grads, chain, leaf: (entry for entry in (cost, grads)),
    "exchanged": lambda cost, grads, chain, leaf: (grads, cost),
    "no cost": lambda cost, grads, chain, leaf: (None, grads),
    "a cost of text": lambda cost, grads, chain, leaf: ("1.0", grads),
    "a complex cost": lambda cost, grads, chain, leaf: (complex(cost), grads),
    "a cost for each task": lambda cost, grads, chain, leaf: (np.full(3, cost), grads),
    "NaN for the cost": lambda cost, grads, chain, leaf: (float("nan"), grads),
    "a time for the cost": lambda cost, grads, chain, leaf: (np.timedelta64(3, "s"), grads),
    "a fraction for the cost": lambda cost, grads, chain, leaf: (Fraction(1, 3), grads),
    "no gradients": lambda cost, grads, chain, leaf: (cost, None),
    "gradients in text": lambda cost, grads, chain, leaf: (cost, "gradients"),
    "gradients in a list": lambda cost, grads, chain, leaf: (cost, list(grads.values())),
    "gradients in a deque": lambda cost, grads, chain, leaf: (cost, deque(grads.values())),
    "gradients in one array": lambda cost, grads, chain, leaf: (
        cost, np.concatenate([np.ravel(entry) for entry in grads.values()])
    ),
    "a leaf too few": lambda cost, grads, chain, leaf: (cost, {c: g for c, g in grads.items() if c != chain}),
    "a leaf too many": lambda cost, grads, chain, leaf: (cost, {**grads, "extra": leaf}),
    "a leaf of another name": lambda cost, grads, chain, leaf: (cost, {c.upper(): g for c, g in grads.items()}),
    "None for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: None}),
    "text for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: "no"}),
    "a list of texts for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: np.array(["no"])}),
    "objects for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: np.array([{}], object)}),
    "a function for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: right}),
    "a complex leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: leaf + 0j}),
    "truths for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: leaf > 0}),
    "times for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: leaf.astype("m8[s]")}),
    "a record for a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: np.zeros(3, [("a", "f8")])}),
    "a masked leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: np.ma.masked_all(np.shape(leaf))}),
    "a ragged leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: {"a": [1.0, [2.0]]}}),
    "a transposed leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: np.ones((5, 4, 3))}),
    "an empty leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: np.zeros((0, 2**50))}),
    "a leaf of 10¹² entries": lambda cost, grads, chain, leaf: (
        cost, {**grads, chain: np.broadcast_to(1.0, (10**6, 10**6))}
    ),
    "NaN in a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: leaf * float("nan")}),
    "infinity in a leaf": lambda cost, grads, chain, leaf: (cost, {**grads, chain: leaf * float("inf")}),
    "half precision": lambda cost, grads, chain, leaf: (cost, {**grads, chain: leaf.astype(np.float16)}),
    "small integers": lambda cost, grads, chain, leaf: (cost, {**grads, chain: leaf.astype(np.int8)}),
    "itself": lambda cost, grads, chain, leaf: (cost, _containing_itself()),
    "very deep": lambda cost, grads, chain, leaf: (cost, _deep()),
    "a named tuple of dates": lambda cost, grads, chain, leaf: (cost, namedtuple("D", "d")(timedelta(1))),
    "very many leaves": lambda cost, grads, chain, leaf: (cost, {str(number): 0.0 for number in range(10**5)}),
    "a very long name": lambda cost, grads, chain, leaf: (cost, {"x" * 10**7: leaf}),
    "adapted in text": lambda cost, grads, chain, leaf: (cost, grads, "adapted"),
    "adapted without tasks": lambda cost, grads, chain, leaf: (cost, grads, grads),
    "an array that cannot be read": lambda cost, grads, chain, leaf: (cost, {**grads, chain: _Unreadable()}),
    "long doubles, right": lambda cost, grads, chain, leaf: (
        cost, {c: np.asarray(g, np.longdouble) for c, g in grads.items()}
    ),
    "another mapping, right": lambda cost, grads, chain, leaf: (cost, UserDict(grads)),
    "views in Fortran's order, right": lambda cost, grads, chain, leaf: (
        cost, {c: np.array(g, order="F") for c, g in grads.items()}
    ),
    "the other order of bytes, right": lambda cost, grads, chain, leaf: (
        cost, {c: np.asarray(g).astype(">f8") for c, g in grads.items()}
    ),
}  # fmt: skip


class _Unreadable:
    def __array__(self, *_):
        raise RuntimeError("cannot be read")


def _containing_itself():
    found = []
    found.append(found)
    return found


def _deep():
    found = 1.0
    for _ in range(10_000):
        found = [found]
    return found


CALLS = iter(KINDS)


def subject(problem):
    """Answer in the way whose turn it is."""
    kind = next(CALLS)
    cost, gradients = right(problem)
    chain = "w1"
    return KINDS[kind](cost, gradients, chain, np.asarray(gradients[chain]))
