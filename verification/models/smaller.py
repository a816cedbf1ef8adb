"""Smaller questions about a step than its author's: one task alone, few examples, few inner steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from verification.judging.standard import Standard
from verification.models.calls import ask, takes
from verification.models.interface import Host
from verification.models.recent import Recent
from verification.models.request import Request
from verification.models.standard import cut_down, standard_of
from verification.naming.evidence import Observation
from verification.subjects import Reply

_FEW_STEPS = 2


def answers_to_smaller(request: Request, host: Host, standard: Standard, dtype: str) -> list[Observation]:
    """Return what a step answers to one task alone, and before that to few examples of two in few inner steps.

    These are cheap to compare with: nearly all mistakes show in one inner step or in two, of one task or of two.
    """
    found: list[Observation] = []
    if len(request.tasks) > 1:
        one = cut_down(standard, 1, request.inner_steps, "one task")
        calls = 1 if request.gives == "grad" else 2
        found += [Observation(one, dtype, *answer) for answer in _answers(request, dtype, request.tasks[:1], calls)]
        if not found:
            return []
    few = [_like(task, [host.fewer(batch, _few(host.examples(batch))) for batch in task]) for task in request.tasks[:2]]
    counts = range(1, min(request.inner_steps, _FEW_STEPS + 1)) if takes(request, "inner_steps") else ()
    steps = max(counts, default=request.inner_steps)
    try:
        shorter, memory = replace(request, inner_steps=steps), cast(Recent, standard.question.works[0].memory)
        posed = standard_of(shorter, host, few, "few examples", draws=1, memory=memory)
    except Exception:  # a loss may be made for its number of examples
        return found
    if not all(np.all(np.isfinite(leaf)) for leaf in posed.truths(own=False)[0].answer.gradients.values()):
        return found
    of_one = [(1, count) for count in counts or (steps,)]
    for tasks, count in dict.fromkeys([*of_one, (len(few), of_one[0][1])]):
        asked = replace(request, inner_steps=count)
        cut = cut_down(posed, tasks, count, f"few examples of {tasks} in {count} steps")
        found += [Observation(cut, dtype, *answer) for answer in _answers(asked, dtype, few[:tasks], 1)]
    return found


def _answers(request: Request, dtype: str, tasks: Sequence[Any], calls: int) -> Iterator[tuple[Reply, int]]:
    """Yield what a step answers to another question than the user's, with the calls before, until one raises."""
    for call, reply in enumerate(ask(request, dtype, tasks=tasks, calls=calls)):
        if not reply.returned or any(finding.what == "exception" for finding in reply.findings):
            return
        yield reply, call


def _like(task: Any, batches: Sequence[Any]) -> Any:
    """Return batches in a pair of the kind of a task, whose names a step may use."""
    return type(task)(*batches) if hasattr(task, "_fields") else tuple(batches)


def _few(count: int) -> int:
    """Return how many of so many examples are few: half of them at most, four at most, and two at least."""
    return min(count, max(2, min(count // 2, 4)))
