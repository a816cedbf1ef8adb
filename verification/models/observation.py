"""A training loop that is only watched: what one of its steps leaves in `.grad`, or what it says its gradients are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from verification.models.listening import Listener, Progress
from verification.models.making import problem_of
from verification.models.run import judge
from verification.report import Report


@dataclass
class Observed:
    """What came of watching; there is a report once the block has ended.

    `gradients` is for the block to set, where its framework has no `.grad`.
    """

    gradients: Any = None
    report: Report | None = None


@contextmanager
def observe(*, progress: Progress | None = None, **about: Any) -> Iterator[Observed]:
    """Judge what a block of code adds to `.grad`, or sets as `gradients`, without calling anything again.

    The block is one outer step; it may end in a step of its optimizer. It runs as it always does, and in its own
    precision alone.

    Args:
        progress: as for `check`.
        about: as for `check`, without `gives` and `outer_learning_rate`.
    """
    found = Observed()
    for key in ("gives", "outer_learning_rate"):
        if key in about:
            raise TypeError(f"{key}: expected nothing, since a block is watched for the gradients that it leaves.")
    request = problem_of(lambda: None, **about)
    adapter = request.adapter
    # The losses are meant in the modes, and with the buffers, that the block began with.
    request = replace(request, model=adapter.copied(request.model))
    left = adapter.left_by_block(about["model"])
    yield found
    gradients = left() if found.gradients is None else found.gradients
    recorded = replace(request, step=lambda: gradients, is_recorded=True, name=about.get("name") or "the block")
    found.report = judge(recorded, Listener(progress))
