"""A training loop that is only watched: what one of its steps leaves in `.grad`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from verification.models.request import problem_of
from verification.models.run import Progress, judge
from verification.report import Report


@dataclass
class Observed:
    """What came of watching; there is a report once the block has ended."""

    report: Report | None = None


@contextmanager
def observe(*, progress: Progress | None = None, **about: Any) -> Iterator[Observed]:
    """Judge what a block of code adds to `.grad`, without calling anything again.

    The block is one outer step; it may end in a step of its optimizer. It runs as it always does, and in its own
    precision alone.

    Args:
        progress: as for `check`.
        about: as for `check`, without `gives` and `outer_learning_rate`.
    """
    found = Observed()
    for key in ("gives", "outer_learning_rate"):
        if key in about:
            raise TypeError(f"{key}: expected nothing, since a block is watched for what it leaves in `.grad`.")
    request = problem_of(lambda: None, **about)
    # The losses are meant in the modes, and with the buffers, that the block began with.
    request = replace(request, model=deepcopy(request.model))
    parameters = dict(about["model"].named_parameters())
    before = {
        name: None if parameter.grad is None else (parameter.grad, parameter.grad._version)
        for name, parameter in parameters.items()
    }
    yield found
    # A block that cleared `.grad` first leaves a new tensor, or the old one from 0: both are what it computed. What
    # it only added to has the old gradient in it, and is as wrong as the next optimizer step that uses it.
    gradients = {
        name: None if parameter.grad is None else parameter.grad.detach().clone()
        for name, parameter in parameters.items()
    }
    for name, parameter in parameters.items():
        old = before[name]
        if old is not None and parameter.grad is old[0] and parameter.grad._version == old[1]:
            gradients[name] = None  # nobody wrote to it
    recorded = replace(request, step=lambda: gradients, is_recorded=True, name=about.get("name") or "the block")
    found.report = judge(recorded, progress)
