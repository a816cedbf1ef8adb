"""Corners: problems in which every two conditions of `traits.FACTORS` meet, by a covering array made when needed.

A campaign draws rows by chance instead: as it grows, every three conditions meet.

Whatever a row of the array asks for, its problem decides: costs are divided by the sizes of θ and of the data, and
multiplied so that an inner step of the row's α moves θ by a part of its own size. Only the rate, the costs and the
arrays differ in size; the problem in units of its own is one of ordinary size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from verification.frameworks import framework
from verification.orders import Order
from verification.problems import corner_costs
from verification.problems.covering import Never, Row, can_stand_together, covering_array
from verification.problems.options import Options, Selection
from verification.problems.problem import Problem
from verification.problems.traits import FACTORS
from verification.problems.trees import Tree, leaves, map_leaves

#: The names of the problems begin with it.
PREFIX = "corner-"
#: Enough for all pairs of levels but some in a thousand; the rest would take as many corners again.
_MOST = 36
_SEED = 20170309

#: The level of each factor that is no corner: a problem is as simple as it has these.
ORDINARY: Row = {
    "cost": "squares", "K": "2", "T": "2", "tasks used": "all", "support examples": "2 to 4", "query examples": "5",
    "support beside query": "fewer", "θ": "ordinary", "data": "ordinary", "gradient": "ordinary",
    "α": "a power of two", "form of α": "a number", "inner selection": "all", "outer selection": "all", "mode": "loop",
    "outer cost at": "the last step", "cost functions": "two", "parameters of costs": "two",
    "adapted variables": "not asked for", "containers": "flat", "dtype": "float64", "memory": "contiguous",
    "axes of a leaf": "1", "entries of a leaf": "2 to 9", "leaves": "2 or 3", "unused variables": "none",
    "calls before": "some",
}  # fmt: skip
#: Factors in an order in which each has a level that can stand beside all that may have been chosen before it.
IN_TURN = tuple(
    dict.fromkeys(("cost", "leaves", "axes of a leaf", "entries of a leaf", "θ", "gradient", "α", *FACTORS))
)

# Levels that cannot stand together, and why.
_NEVER: tuple[Never, ...] = (
    # The specification has an error for it.
    {"mode": ("batched",), "inner selection": ("for each task",)},
    {"mode": ("batched",), "outer selection": ("for each task",)},
    # One variable leaves nothing to choose, to leave unused, to mix or to share.
    {"leaves": ("1",), "inner selection": ("some", "all but some", "for each task")},
    {"leaves": ("1",), "outer selection": ("some", "all but some", "for each task")},
    {"leaves": ("1",), "unused variables": ("in the inner cost", "in the outer cost", "in both costs")},
    {"leaves": ("1",), "dtype": ("mixed",)},
    {"leaves": ("1",), "memory": ("one buffer",)},
    # A scalar has one entry, a transpose needs two axes, and what has one entry has no gaps.
    {"axes of a leaf": ("0",), "entries of a leaf": ("2 to 9", "10 or more")},
    {"axes of a leaf": ("0", "1"), "memory": ("transposed",)},
    {"entries of a leaf": ("1",), "memory": ("transposed", "strided")},
    {"axes of a leaf": ("0",), "form of α": ("an array for each leaf",)},
    # A product has no slope at 0.
    {"cost": ("products",), "θ": ("0",)},
    # What one cost ignores is ignored in both loops.
    {"cost functions": ("one for both loops",), "unused variables": ("in the inner cost", "in the outer cost")},
    # Numbers of examples.
    {"support examples": ("1",), "support beside query": ("more",)},
    {"query examples": ("1",), "support beside query": ("fewer",)},
    {"support examples": ("1",), "support beside query": ("as many",), "query examples": ("2 to 4", "5", "6 or more")},
    {"support examples": ("1",), "query examples": ("1",), "support beside query": ("fewer",)},
    {"support examples": ("2 to 4", "5 or more"), "query examples": ("1",), "support beside query": ("as many",)},
    {"support examples": ("2 to 4",), "query examples": ("5", "6 or more"), "support beside query": ("as many",)},
    {"support examples": ("2 to 4",), "query examples": ("5", "6 or more"), "support beside query": ("more",)},
    {"support examples": ("5 or more",), "query examples": ("2 to 4",), "support beside query": ("fewer", "as many")},
    {"support examples": ("5 or more",), "query examples": ("5",), "support beside query": ("fewer",)},
    # Where both costs are one, a step of α moves θ by a part of itself: its gradient is large where α is small.
    {"cost functions": ("one for both loops",), "gradient": ("large",), "α": ("beyond ½",)},
    {"cost functions": ("one for both loops",), "gradient": ("small",), "α": ("a power of two", "no power of two"),
     "θ": ("0", "ordinary", "beyond 2")},
    {"cost functions": ("one for both loops",), "gradient": ("ordinary",), "α": ("beyond ½",), "θ": ("small",)},
)  # fmt: skip
_COUNTS = {"support examples": {"1": (1,), "2 to 4": (3, 4, 2), "5 or more": (6, 5, 9)},
           "query examples": {"1": (1,), "2 to 4": (3, 2, 4), "5": (5,), "6 or more": (7, 9, 6)}}  # fmt: skip
_COMPARED = {"fewer": int.__lt__, "as many": int.__eq__, "more": int.__gt__}
_K = {"0": (0,), "1": (1,), "2": (2,), "3 to 5": (4, 3, 5), "6 or more": (6, 8, 7)}
_T = {"1": (1,), "2": (2,), "3": (3,), "4 or more": (4, 5)}
# Powers of two, so that dividing by them is exact.
_THETA = {"0": 1.0, "small": 2.0**-16, "ordinary": 1.0, "beyond 2": 2.0**6}
_DATA = {"small": 2.0**-14, "ordinary": 1.0, "large": 2.0**14}
_GRADIENT = {"small": 2.0**-20, "ordinary": 1.0, "large": 2.0**16}
_SHAPES = {
    "1": [(1,) * rank for rank in range(5)],
    "2 to 9": [(), (3,), (2, 3), (2, 1, 3), (1, 2, 1, 3)],
    "10 or more": [(), (11,), (3, 4), (2, 3, 2), (2, 1, 3, 2)],
}
_RETURNED: dict[str, str | bool] = {"not asked for": False, "of the first task": "first", "of all tasks": "all"}
#: α g / s² times the number of entries, see `_scales`: a logistic cost curves less than the others.
_MOVE = {"squares": 0.6, "logistic": 2.0, "network": 0.6, "products": 0.6}


def can_meet(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Return whether two levels, each with its factor, can stand together in a problem."""
    return can_stand_together(dict((one, other)), _NEVER)


@cache
def rows() -> tuple[Row, ...]:
    """Return the levels that each corner was made for, in order."""
    return tuple(covering_array(FACTORS, _NEVER, most=_MOST, seed=_SEED))


def names() -> list[str]:
    """Return the names of all corners."""
    return [f"{PREFIX}{number}" for number in range(1, len(rows()) + 1)]


def exists(name: str) -> bool:
    """Return whether there is a corner of that name."""
    return name.startswith(PREFIX) and name in names()


def row_of(name: str) -> Row:
    """Return the levels that a corner was made for."""
    return rows()[_number(name)]


def precision(name: str) -> str:
    """Return the precision to ask a corner in; where dtypes are mixed it is that of the least precise variables."""
    return "float64" if row_of(name)["dtype"] == "float64" else "float32"


def _number(name: str) -> int:
    return int(name.removeprefix(PREFIX)) - 1


def corner(name: str, order: Order, *, plain: bool = False) -> Problem:
    """Return a corner by its name, in float64 on autograd; plainly, with none of the `EXTRAS` that it needs."""
    number, row = _number(name), _for_order(row_of(name), order)
    if plain:
        row |= _at_rest(
            "mode", "outer cost at", "inner selection", "outer selection", "form of α", "parameters of costs"
        )
        row |= {"α": "no power of two"} if row["α"] == "negative" else {}
        row |= {"dtype": "float32"} if row["dtype"] == "mixed" else {}
    return _Making(name, row, number).problem(order)


def made_of(row: Row, order: Order, number: int) -> Problem:
    """Return a problem with the levels of a row; the number chooses among what is alike."""
    return _Making("drawn-corner", _for_order(row, order), number).problem(order)


def can_be(row: Row) -> bool:
    """Return whether the levels of a row can stand together in a problem."""
    return can_stand_together(row, _NEVER)


def levels_beside(factor: str, row: Row) -> tuple[str, ...]:
    """Return the levels of a factor that can stand beside those of other factors."""
    return tuple(level for level in FACTORS[factor] if can_stand_together({**row, factor: level}, _NEVER))


def _for_order(row: Row, order: Order) -> Row:
    if order != "reptile":
        return dict(row)
    found = row | _at_rest("inner selection", "outer selection", "outer cost at", "parameters of costs")
    found["cost functions"] = "one for both loops"  # its gradient is as large as the inner ones
    # It divides by α, and without steps its gradient is 0 whatever else there is.
    return found | {factor: other for factor, other in {"α": "a power of two", "K": "2"}.items() if row[factor] == "0"}


def _at_rest(*factors: str) -> Row:
    return {factor: FACTORS[factor][0] for factor in factors}


@dataclass(frozen=True)
class _Making:
    """A corner on its way from levels to arrays; the number chooses among what is alike."""

    name: str
    row: Row
    number: int

    def problem(self, order: Order) -> Problem:
        row, rng = self.row, np.random.default_rng([_SEED, self.number])
        shapes = self._shapes()
        nest = self._nest(list(shapes))
        alpha, inner, outer = self._scales(sum(int(np.prod(shape, dtype=int)) for shape in shapes.values()))
        tasks = _T[row["T"]][self.number % len(_T[row["T"]])]
        batch = tasks + (row["tasks used"] == "fewer") * (1 + self.number % 2)
        support, query = self._counts()
        counts = {"support": support, "query": query}
        size, theta = _DATA[row["data"]], 0.0 if row["θ"] == "0" else _THETA[row["θ"]]
        lead = (batch,) if row["mode"] == "batched" else ()
        steps = _K[row["K"]]
        ignores = self._ignored()
        family = corner_costs.family(
            row["cost"], tuple(shapes.items()), ignores, (inner, outer), _THETA[row["θ"]], size
        )
        values = {variable: theta * _signed(rng, lead + shape) for variable, shape in shapes.items()}
        data = {part: corner_costs.examples(row["cost"], shapes, (batch, count), rng) for part, count in counts.items()}
        return Problem(
            name=self.name,
            family=family,
            nest=nest,
            batch=map_leaves(lambda leaf: size * _short(leaf), data),
            variables=map_leaves(lambda variable: _short(values[variable]), nest),
            inner_grad_steps=steps[self.number % len(steps)],
            inner_learning_rate=self._rates(alpha, nest, shapes),
            options=self._options(order, nest, tasks, batch),
            framework=framework("autograd"),
            order=order,
            memory=row["memory"],
            wide=frozenset(list(leaves(nest))[::2]) if row["dtype"] == "mixed" else frozenset(),
        )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        rank, of_size = int(self.row["axes of a leaf"]), self.row["entries of a leaf"]
        some = _SHAPES[of_size][min(rank, 1)] if of_size != "10 or more" else (2,)
        every = {"main": _SHAPES[of_size][rank], "inner_part": (), "part": some, "outer_part": some}
        chosen = {"1": ("main",), "2 or 3": ("main", "inner_part", "outer_part"), "4 or more": tuple(every)}
        return {variable: every[variable] for variable in chosen[self.row["leaves"]]}

    def _nest(self, variables: list[str]) -> Tree:
        if self.row["containers"] == "flat":
            turned = variables[:: -1 if self.number % 2 else 1]
            return {variable: variable for variable in turned}
        main, *others = variables
        net = {"net": [main, *({"w": other} for other in others[:-1])]}
        tail = {"tail": tuple(others[-1:])} if others else {}
        return {**tail, **net} if self.number % 2 else {**net, **tail}

    def _ignored(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        unused = self.row["unused variables"]
        inner = ("outer_part",) if unused in ("in the inner cost", "in both costs") else ()
        return inner, ("inner_part",) if unused in ("in the outer cost", "in both costs") else ()

    def _counts(self) -> tuple[int, int]:
        """Return how many examples there are for the support and for the query set."""
        support, query = (_COUNTS[factor][self.row[factor]] for factor in ("support examples", "query examples"))
        compare = _COMPARED[self.row["support beside query"]]
        fitting = [(s, q) for s in support for q in query if compare(s, q)]
        return fitting[self.number % len(fitting)]

    def _scales(self, entries: int) -> tuple[float, float, float]:
        """Return α, and what the inner and the outer cost are multiplied by.

        With z = θ / s and a cost g f(z), whose gradient is (g / s) ∇f, a step moves z by (α g / s²) ∇f: by a part of
        itself where α g / s² is η, about the inverse of the largest eigenvalue of ∇²f.
        """
        row = self.row
        theta, gradient = _THETA[row["θ"]], _GRADIENT[row["gradient"]]
        move = _MOVE[row["cost"]] / entries
        base = move * theta / gradient  # the inner gradients are then as large as the outer ones
        alpha = {
            "0": 0.0,
            "a power of two": min(2.0 ** round(np.log2(base)), 0.5),
            "no power of two": min(1.07 * base, 0.3),
            "beyond ½": max(1.07 * base, 0.7),
            "negative": -0.6 * base,
        }[row["α"]]
        near = _nearest_power(move * theta**2 / abs(alpha)) if alpha else theta * gradient
        inner = near / (2 if alpha < 0 else 1)
        return alpha, inner, theta * gradient

    def _rates(self, alpha: float, nest: Tree, shapes: Mapping[str, tuple[int, ...]]) -> Any:
        form = self.row["form of α"]
        if form == "a number":
            return alpha
        if form == "an array":
            return np.asarray(alpha)
        factors = np.array([1.0, 0.5, 0.25] if self.row["α"] == "a power of two" else [1.0, 0.75, 1.25])
        places = {variable: place for place, variable in enumerate(shapes)}

        def rate(variable: str) -> Any:
            shape = shapes[variable] if form == "an array for each leaf" else ()
            turns = np.arange(int(np.prod(shape, dtype=int))).reshape(shape) + places[variable]
            return np.asarray(alpha * factors[turns % len(factors)])

        return map_leaves(rate, nest)

    def _options(self, order: Order, nest: Tree, tasks: int, batch: int) -> Options:
        row = self.row
        found = Options(
            batched=row["mode"] == "batched",
            average_across_steps=row["outer cost at"] == "every step",
            return_inner_v=_RETURNED[row["adapted variables"]],
            num_tasks=tasks if batch > tasks else None,
            three_parameters=row["parameters of costs"] == "three",
            same_cost=row["cost functions"] == "one for both loops" and order != "reptile",
        )
        chains = {variable: chain for chain, variable in leaves(nest).items()}
        ordered = [chains[variable] for variable in self._shapes()]
        # Each leaf is in one of the two, as costs of three parameters need; the first has one that both costs use.
        some = {"inner": ordered[:-1], "outer": ordered[1:]}
        return replace(
            found,
            inner_v=self._selection(row["inner selection"], some["inner"], nest, batch, 0),
            outer_v=self._selection(row["outer selection"], some["outer"], nest, batch, 1),
        )

    def _selection(self, level: str, some: list[str], nest: Tree, batch: int, turn: int) -> Selection:
        chains = list(leaves(nest))
        meant = tuple(chain for chain in chains if chain in some)
        if level == "all":
            return Selection()
        if level == "some":
            flags = iter([chain in some for chain in chains])
            spelled: Any = map_leaves(lambda _: next(flags), nest) if self.number % 2 else list(meant)
            return Selection(spelled, meant=meant)
        if level == "all but some":
            return Selection([chain for chain in chains if chain not in some], keep=False, meant=meant)
        by_task = [None if (t + turn) % 2 else meant for t in range(batch)]
        spelled = [None if chosen is None else list(chosen) for chosen in by_task]
        return Selection(spelled, meant_by_task=tuple(by_task))


def _nearest_power(number: float) -> float:
    return float(2.0 ** round(np.log2(number)))


def _signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.25, 1.25, shape)


def _short(array: Any) -> Any:
    """Return numbers of float32 in float64: both precisions are asked the same question."""
    return np.asarray(array, np.float32).astype(np.float64)
