"""Why wrong gradients may be no mistake: random numbers, roundings of float32, losses that are others elsewhere.

Each of these makes correct code fail, so that a failure is looked at again before it becomes a verdict.
"""

from __future__ import annotations

from typing import cast

from verification.cases import Case
from verification.faults.question import Question
from verification.faults.work import descend
from verification.judging.comparison import compare
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.judging.tolerances import apart, norm
from verification.models.calls import ask, draws
from verification.models.interface import LossCosts, Watch
from verification.models.problem import ModelProblem
from verification.models.request import Request
from verification.models.standard import pose_model
from verification.naming.evidence import Observation
from verification.oracles.view import FlatArray
from verification.subjects import Reply

_OTHER_SEED = 20180711
#: Relative: gradients that differ by more, with other random numbers, are random; rounding is far below.
_RANDOM = {"float64": 1e-6, "float32": 1e-3}

RUNNING = (
    "A loss reads buffers that a forward pass changes, such as running statistics: which of their values are right is "
    "the author's choice, and no gradient is right for all of them. Use batch statistics in both losses for the check, "
    "or the running ones in both."
)
OTHER_LOSSES = (
    "the losses are others there than in float64, in which the right gradient is computed, as where they draw random "
    "numbers: the same key gives others in float32"
)


def all_round(cases: list[Case], observations: list[Observation]) -> bool:
    """Return whether float64 alone is wrong, by no more than what float32 rounds."""
    if len(cases) < 2 or [case.dtype for case in cases if case.verdict == "fail"] != ["float64"]:
        return False
    standard = observations[0].standard
    doubles = [one for one in observations if one.dtype == "float64"]
    return not any(
        compare(standard, "float32", one.reply, standard.truths(own=False), Declared())[0] for one in doubles
    )


def fails_by_other_losses(request: Request, standard: Standard, cases: list[Case]) -> bool:
    """Return whether float32 alone fails, where the losses themselves are others as the user's program has them.

    In JAX a key gives other random numbers in float32 than in float64, in which the definition is computed.
    """
    if request.adapter.is_strict or [case.dtype for case in cases if case.verdict == "fail"] != ["float32"]:
        return False
    known = _first_gradients(standard.question)
    host = request.adapter.host(request, "float32")
    with request.adapter.calling("float32"):
        single = _first_gradients(pose_model(request, cast(ModelProblem, standard.problem), host, request.tasks))
    return any(norm(one - other) > _RANDOM["float32"] * norm(one) for one, other in zip(known, single, strict=True))


def _first_gradients(question: Question) -> list[FlatArray]:
    """Return the gradients of the losses of all tasks at θ."""
    return [slope(work.theta) for work in question.works for slope in (work.inner_gradient, work.full_outer_gradient)]


def randomness(request: Request, watch: Watch, observations: list[Observation]) -> str:
    """Say where random numbers come from that change the answer, or nothing where they do not."""
    if not observations:
        return ""
    first, drawn = observations[0], watch.random
    dtype = first.dtype
    again = [one.reply for one in observations if one.call and one.dtype == dtype]
    if not drawn and any(_differ(first.reply, reply, _RANDOM[dtype]) for reply in again):
        drawn = dict.fromkeys(sorted(draws(request, dtype)), "what was compiled before")
    if not drawn:
        return ""
    calls = 1 if request.adapter.seeded else 2
    replies = ask(request, dtype, number=_OTHER_SEED, calls=calls)
    replies += ask(request, dtype, number=_OTHER_SEED + 1)
    if not any(_differ(replies[0], other, _RANDOM[dtype]) for other in replies[1:]):
        return ""
    places = ", ".join(f"{operation} in {place}" for operation, place in drawn.items())
    return (
        f"The step draws random numbers that change its gradients: {places}. No gradient is right for all of them; "
        f"{request.adapter.cure(request.model)}"
    )


def _differ(first: Reply, second: Reply, share: float) -> bool:
    """Return whether gradients differ by more than a share of their size.

    Not in bounds: where losses are random, the definition is, too, and there is no bound.
    """
    both = first.gradients.keys() & second.gradients.keys()
    off = norm([apart(first.gradients[chain], second.gradients[chain]) for chain in both])
    return off > share * norm([norm(first.gradients[chain]) for chain in both])


def depends_on_passes(standard: Standard) -> bool:
    """Return whether a loss depends on the forward passes before it."""
    work = standard.question.works[0]
    inner, outer = cast(LossCosts, work.view.inner_costs), cast(LossCosts, work.view.outer_costs)
    # At θ, buffers that follow the parameters, such as the vectors of a spectral norm, may have come to rest.
    return any(
        loss.reads_what_changes(earlier, phi)
        for phi in (work.theta, descend(work)[-1])
        for loss in (inner, outer)
        for earlier in (inner, outer)
    )
