"""The kinds of step and the precisions that there are, each with its spellings: the one table of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: 1: first-order MAML; 2: second-order MAML; "reptile": the mean displacement over the learning rate.
Order: TypeAlias = Literal[1, 2, "reptile"]
#: The precisions that a subject is tested in, the one that decides first.
DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Spelling:
    """How an order is written: `option` in the shell, `step` in vectors and the protocol, `title` in a page."""

    option: str
    step: str
    title: str

    @property
    def function(self) -> str:
        """The name of `refmaml`'s own step of this order."""
        return f"{self.step}_step"


SPELLINGS: dict[Order, Spelling] = {
    1: Spelling("1", "fomaml", "First order"),
    2: Spelling("2", "maml", "Second order"),
    "reptile": Spelling("reptile", "reptile", "Reptile"),
}
ORDERS = tuple(SPELLINGS)
#: Orders as an option of the shell names them, and as vectors and programs do.
BY_OPTION: dict[str, Order] = {spelling.option: order for order, spelling in SPELLINGS.items()}
BY_STEP: dict[str, Order] = {spelling.step: order for order, spelling in SPELLINGS.items()}
