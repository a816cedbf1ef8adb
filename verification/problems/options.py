"""The options of a problem: how they are spelled in a call, and what they mean."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any

Chains = tuple[str, ...]


def spelled_fields(record: Any) -> str:
    """Return the fields of a dataclass that are not as they are by default, as keywords of a call."""
    defaults = {
        entry.name: entry.default if entry.default_factory is MISSING else entry.default_factory()
        for entry in fields(record)
    }
    return ", ".join(
        f"{name}={getattr(record, name)!r}" for name in defaults if getattr(record, name) != defaults[name]
    )


@dataclass(frozen=True)
class Selection:
    """`spelled` and `keep` are what a step is called with; `meant` or `meant_by_task` the key chains that it selects.

    None means every variable.
    """

    spelled: Any = None
    keep: bool = True
    meant: Chains | None = None
    meant_by_task: tuple[Chains | None, ...] | None = None

    def __repr__(self) -> str:
        return f"Selection({spelled_fields(self)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002  # the signature is IPython's
        printer.text(repr(self))  # Hypothesis and IPython would show every field of a dataclass

    def of_task(self, task: int, everything: Chains) -> Chains:
        """Return the key chains that the selection means for a task."""
        meant = self.meant if self.meant_by_task is None else self.meant_by_task[task]
        return everything if meant is None else meant

    @property
    def selects_all(self) -> bool:
        """Whether it is every variable for every task."""
        return self.meant is None and self.meant_by_task is None


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a step, as `fomaml_step` names them; the defaults make a plain problem."""

    batched: bool = False
    average_across_steps: bool = False
    inner_v: Selection = field(default_factory=Selection)
    outer_v: Selection = field(default_factory=Selection)
    return_inner_v: str | bool = True
    num_tasks: int | None = None
    three_parameters: bool = False
    same_cost: bool = False

    def __repr__(self) -> str:
        return f"Options({spelled_fields(self)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002  # the signature is IPython's
        printer.text(repr(self))  # Hypothesis and IPython would show every field of a dataclass
