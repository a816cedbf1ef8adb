"""What faults, bounds and names need to know of a problem: its leaves, options and counts, and nothing of its costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from verification.orders import Order
from verification.problems.options import Options


class Setting(Protocol):
    """A meta-learning step to compute, whatever its costs are made of: a built-in problem, or somebody's own model."""

    @property
    def name(self) -> str:
        """The name in the report."""

    @property
    def order(self) -> Order:
        """What is to be computed."""

    @property
    def options(self) -> Options:
        """The options of the step."""

    @property
    def names(self) -> Mapping[str, str]:
        """A name for each variable by key chain, in the order of the flat vector."""

    @property
    def inner_grad_steps(self) -> int:
        """K."""

    @property
    def inner_learning_rate(self) -> Any:
        """α: a number, or a container of them."""

    @property
    def outer_learning_rate(self) -> float | None:
        """β, where a subject gives back what its parameters became by one outer step; None elsewhere."""

    @property
    def num_tasks(self) -> int:
        """T."""

    @property
    def examples(self) -> int:
        """The number of support examples of a task; 1 where the data are not examples."""

    @property
    def query_examples(self) -> int:
        """The number of query examples of a task; 1 where the data are not examples."""

    @property
    def rows(self) -> int:
        """The length of a task's first support array."""

    @property
    def ignored_by_inner(self) -> Collection[str]:
        """The key chains of the variables that the inner cost does not use."""

    @property
    def ignored_by_outer(self) -> Collection[str]:
        """The key chains of the variables that the outer cost does not use."""

    @property
    def learned_rates(self) -> Collection[str]:
        """The key chains of the inner rates that the outer loop learns; they come after the variables in `names`."""

    @property
    def is_built_in(self) -> bool:
        """Whether it is one of the judge's own problems."""

    def shape(self, chain: str) -> tuple[int, ...]:
        """Return the shape of a variable, without the task axis."""

    def split(self, vector: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Cut a flat vector into leaves by key chain."""
