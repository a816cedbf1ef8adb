"""Which variables a selection names, read from its spelling alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verification.problems.trees import leaves
from verification.relations.case import Case, NotTested, per_task


def adapted_chains(case: Case) -> list[str]:
    """Return the key chains of I, the variables that the inner loop adapts, where they are the same for all tasks."""
    spelled, keep = case.options.get("inner_v"), case.options.get("keep_inner_v", True)
    if per_task(spelled):
        raise NotTested("every task adapts its own selection of variables")
    return [chain for chain in case.theta if spelled is None or _names(spelled, chain) == bool(keep)]


def _names(spelled: Any, chain: str) -> bool:
    """Return whether a selection (a key chain, a list of them, or a mapping to booleans) names a leaf."""
    if isinstance(spelled, Mapping):
        chosen = [key for key, flag in leaves(spelled).items() if flag]
    else:
        chosen = [spelled] if isinstance(spelled, str) else list(spelled)
    return any(chain == selected or chain.startswith(f"{selected}/") for selected in chosen)
