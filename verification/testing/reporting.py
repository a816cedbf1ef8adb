"""What a test's report carries beside pytest's own: the outcome of its check, and properties for JUnit."""

from __future__ import annotations

from typing import Any

import pytest

from verification.testing.checks import Check
from verification.testing.transport import pack


def attach(item: pytest.Item, phase: str, report: pytest.TestReport) -> None:
    """Attach to the report of a phase what became of the item's check, once that is known."""
    check = _check_of(item)
    if check is None or (phase == "setup" and not report.skipped):
        return
    report.refmaml = pack(check)  # type: ignore[attr-defined]  # pytest passes on what a report has beside its own
    if check.answered is not None:
        case = check.answered.case
        names = " or ".join(diagnosis.name for diagnosis in check.answered.diagnosis if diagnosis.convincing)
        properties: dict[str, Any] = {
            "problem": case.problem,
            "order": case.order,
            "dtype": case.dtype,
            "verdict": case.verdict,
            "worst_error_over_bound": case.worst,
            **({"mistake": names} if names else {}),
        }
        item.user_properties += [(f"refmaml_{name}", value) for name, value in properties.items()]


def _check_of(item: pytest.Item) -> Check | None:
    """Return the check of an item: its own, or its parameter's."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    check = getattr(item, "check", parameters.get("check"))
    return check if isinstance(check, Check) else None
