"""A problem put to a subject, in arrays of its own, and what the subject changed in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from verification.problems.problem import Problem
from verification.problems.trees import Tree, leaves
from verification.subjects.exceptions import described
from verification.subjects.reply import Finding, Reply


class Posed:
    """A problem as a subject gets it; it may be asked more than once with the same arrays."""

    def ask(self) -> tuple[Reply, list[Finding]]:
        """Return the subject's reply, and what it changed in its arguments."""
        raise NotImplementedError


@dataclass(frozen=True)
class Arguments:
    """The arrays of a problem that a subject may have written into, and the same as they were."""

    own: Problem
    untouched: Problem

    def changes(self) -> list[Finding]:
        """Return what is no more as it was."""
        return [finding for what, before, after in self._pairs() for finding in _changes(self.own, what, before, after)]

    def _pairs(self) -> Iterator[tuple[str, Tree, Tree]]:
        for what in ("variables", "batch", "inner_learning_rate"):
            yield what, getattr(self.untouched, what), getattr(self.own, what)
        for what in ("inner_v", "outer_v"):
            before, after = (getattr(problem.options, what).spelled for problem in (self.untouched, self.own))
            yield what, before, after


def _changes(own: Problem, what: str, before: Tree, after: Tree) -> Iterator[Finding]:
    earlier, later = leaves(before), leaves(after)
    for chain in [*earlier, *(chain for chain in later if chain not in earlier)]:
        if chain not in later or chain not in earlier:
            did = "took this leaf out of" if chain in earlier else "put this leaf into"
            yield Finding("inputs", f"the call {did} the caller's {what}", chain)
            continue
        expected, got = earlier[chain], later[chain]
        if not hasattr(expected, "shape"):  # a number, or a name in a selection
            if type(got) is not type(expected) or got != expected:
                yield Finding("inputs", f"the call changed the caller's {what}", chain or None)
            continue
        try:
            found = np.array(own.framework.to_numpy(got))
        except Exception as error:  # JAX deletes an array that is donated to a compiled function
            yield Finding("inputs", f"the call made the caller's {what} unreadable: {described(error)}")
            return
        if not _is_same(expected, found):
            numbers = (expected, found) if found.shape == expected.shape and _is_real(found) else (None, None)
            yield Finding("inputs", f"the call changed the caller's {what}", chain, *numbers)


def _is_same(expected: Any, found: Any) -> bool:
    return bool(found.dtype == expected.dtype and np.array_equal(expected, found))


def _is_real(array: Any) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))
