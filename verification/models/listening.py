"""Who is told how a check goes on: whoever shows its progress, and a judge who limits its time from outside."""

from __future__ import annotations

from collections.abc import Callable

from verification.cases import Case

#: Called with (things done, things in all, what comes next).
Progress = Callable[[int, int, str], None]


class Listener:
    """Hears how a check goes on, and passes its progress on."""

    #: Whether the check has a process of its own, which no terminal interrupts: an interrupt is the step's then.
    is_elsewhere = False

    def __init__(self, progress: Progress | None = None) -> None:
        """Take what shows the progress."""
        self.progress = progress or (lambda *_: None)

    def alive(self) -> None:
        """Hear that code of the user's is called next, and may take its time anew."""

    def precisions(self, dtypes: tuple[str, ...]) -> None:
        """Hear in which precisions the step is called."""

    def case(self, case: Case) -> None:
        """Hear what became of one precision."""
