"""Mistakes in reading a golden vector, which no built-in problem shows: V01 to V07 of docs/vectors.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.judging.tolerances import norm
from verification.naming.evidence import Observation
from verification.naming.frozen import vector_of
from verification.naming.wording import Diagnosis
from verification.vectors import Vector

#: What each is, and what to do about it.
_MISREADINGS = {
    "V01": (
        "exponentials that overflow",
        "Compute log(1 + exp(x)) as max(x, 0) + log1p(exp(−|x|)), and subtract the largest logit before a softmax.",
    ),
    "V02": (
        "subnormal numbers flushed to zero",
        "Compute with subnormal numbers. If your platform cannot, as XLA on the CPU, declare it: answer `capabilities` "
        'with "without": ["subnormals"].',
    ),
    "V03": ("a rate of zero taken for a missing one", "Ask whether a rate is there, and not whether it is 0."),
    "V04": ("the first variable's rate for every variable", "Look up the rate of each variable by its name."),
    "V05": ("the first task's selections for every task", "Look up `inner` and `outer` of each task by its index."),
    "V06": ("every variable adapted, selected or not", "Adapt the variables that `inner` names for the task alone."),
    "V07": ("the number of tasks ignored, every row used", "Use the first `num_tasks` rows of the data alone."),
}


def misreading(wrong: Sequence[Observation]) -> Diagnosis | None:
    """Return the one mistake in reading whose recorded answers all wrong ones are; None where there is none."""
    for id_, (title, advice) in _MISREADINGS.items():
        if wrong and all(_is_answer_of(id_, one) for one in wrong):
            count = len(wrong)
            return Diagnosis(
                faults=(id_,), title=title, formula="", source="docs/vectors.md", advice=advice,
                evidence=f"gives the answer recorded for this mistake on {count} of {count} vectors that are wrong",
            )  # fmt: skip
    return None


def _is_answer_of(id_: str, observation: Observation) -> bool:
    vector, returned = vector_of(observation), observation.reply.returned
    return vector is not None and any(
        id_ in faults and set(recorded) == set(returned)
        and all(_agree(vector, name, leaf, returned[name], observation.dtype) for name, leaf in recorded.items())
        for faults, recorded in vector.counterfactuals
    )  # fmt: skip


def _agree(vector: Vector, name: str, recorded: NDArray[Any] | None, got: NDArray[Any] | None, dtype: str) -> bool:
    """Tell whether a gradient is the recorded one within the vector's bound; what is no number is recorded as None."""
    if got is None or recorded is None:
        return recorded is None and got is not None and not np.isfinite(got).all()
    return got.shape == recorded.shape and norm(got - recorded) <= vector.bound("gradients", name, dtype)
