"""Problems: what a subject is asked.

A problem is one meta-learning step with everything in it: data, variables, costs, the number of inner steps, the
learning rate, options. The same problem is asked in the arrays of any framework (`Problem.native`), and shown to the
oracles as flat vectors (`Problem.views`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from verification.algorithms import PLAIN, Algorithm, Rates
from verification.frameworks import Cost, Framework, framework
from verification.oracles import Quadratic, TaskView
from verification.oracles.updates import InnerUpdate, LearnedRates
from verification.orders import Order
from verification.problems.families import Costs, Family
from verification.problems.memory import laid_out
from verification.problems.options import Chains, Options
from verification.problems.trees import Tree, leaves, map_leaves

Disturb = Callable[[NDArray[Any]], NDArray[Any]]
#: What a plain implementation may lack: the names that a problem subject may list in its attribute `supports`.
EXTRAS = frozenset({"batched", "averaging", "selections", "leaf-rates", "mixed-dtypes", "negative-rates"})
#: Where learned rates stand in the answer, and where the variables then do.
RATES, VARIABLES = "rates", "variables"
#: What a subject may list there to be asked for less: problems whose costs both use every variable.
ALL_USED = "all-variables-used"


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """One meta-learning step to compute.

    `batch` is {"support": …, "query": …} of arrays [T, examples, …]; `variables` is nested as `nest` says, with the
    family's names for leaves. In loop mode a task's sub-batch keeps a leading axis of length 1; in batched mode each
    variable has a leading task axis.

    Where the algorithm learns its inner rates, `inner_learning_rate` has them in the nesting of the variables, in the
    shape of each or as one number for each, without a task axis; and gradients are returned as ``{"variables": …,
    "rates": …}``, both in that nesting.
    """

    name: str
    family: Family
    nest: Tree
    batch: Tree
    variables: Tree
    inner_grad_steps: int
    inner_learning_rate: Any
    options: Options
    framework: Framework
    order: Order
    #: β, where a subject returns what its variables became by one outer step of this rate, θ − β g, in place of g.
    outer_learning_rate: float | None = None
    #: What an author declares that the step computes; plain MAML otherwise.
    algorithm: Algorithm = PLAIN
    #: How the variables lie in memory, where the framework has such a thing: see `verification.problems.memory`.
    memory: str = "contiguous"
    #: The key chains of variables that stay in float64 where the others are in float32.
    wide: frozenset[str] = frozenset()
    #: Whether `suite`, or a golden vector, makes it under this name; a copy with something replaced is none any more.
    is_built_in: bool = field(default=False, init=False)
    #: The family's name of each variable by key chain, in order; then learned rates, by chains that begin with "rates".
    names: Mapping[str, str] = field(init=False, repr=False)
    #: Where each variable lies in the flat vector, by key chain.
    _spots: Mapping[str, slice] = field(init=False, repr=False)
    _variables: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Worked out once, and when the problem is made: a cost that changes what it reads cannot be compiled.
        variables = leaves(self.nest)
        rates = {f"{RATES}/{chain}": f"{RATES}/{name}" for chain, name in variables.items()}
        object.__setattr__(self, "_variables", variables)
        object.__setattr__(self, "names", {**variables, **(rates if self.algorithm.rates else {})})
        if self.algorithm.rates:
            object.__setattr__(self, "inner_learning_rate", self._spread_rates())
        sizes = [int(np.prod(self.shape(chain), dtype=int)) for chain in self.names]
        ends = np.cumsum(sizes)
        spots = {chain: slice(end - size, end) for chain, size, end in zip(self.names, sizes, ends, strict=True)}
        object.__setattr__(self, "_spots", spots)

    def __repr__(self) -> str:
        if self.is_built_in:
            return self.spelled(self.framework.name, str(self.dtype))
        about = f"{self.num_tasks} tasks, {self.inner_grad_steps} inner steps, {self.framework.name} {self.dtype}"
        return f"<Problem {self.name!r}: order {self.order}, {about}>"

    def spelled(self, framework: str, dtype: str) -> str:
        """Return Python that makes a built-in problem again in the arrays of a framework."""
        algorithm = "" if self.algorithm.is_plain else f", algorithm={self.algorithm.spelled!r}"
        where = f"order={self.order!r}, framework={framework!r}, dtype={dtype!r}{algorithm}"
        return f"verification.problem({self.name!r}, {where})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002  # the signature is IPython's
        printer.text(repr(self))  # Hypothesis and IPython would show every field of a dataclass

    # What a problem subject uses

    @cached_property
    def num_tasks(self) -> int:
        """The number of tasks in the meta step."""
        return self.options.num_tasks or int(next(iter(leaves(self.batch).values())).shape[0])

    @property
    def learned(self) -> dict[str, Any]:
        """What the outer loop learns by key chain: the variables, and the inner rates where the algorithm says so."""
        rates = leaves(self.inner_learning_rate, RATES) if self.algorithm.rates else {}
        return {**leaves(self.variables), **rates}

    @property
    def learned_rates(self) -> list[str]:
        """The key chains of the inner rates that the outer loop learns."""
        return [chain for chain in self.names if chain not in self._variables]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the variables, or of the least precise of them."""
        return min(self.dtypes.values(), key=lambda dtype: dtype.itemsize)

    @property
    def widest_dtype(self) -> np.dtype[Any]:
        """The dtype of the most precise variables."""
        return max(self.dtypes.values(), key=lambda dtype: dtype.itemsize)

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """The dtype of each variable, by key chain."""
        return {chain: self.framework.to_numpy(leaf).dtype for chain, leaf in leaves(self.variables).items()}

    def tasks(self) -> Iterator[tuple[Tree, Tree]]:
        """Yield each task's (inner batch, outer batch), with a leading axis of length 1."""
        for t in range(self.num_tasks):
            rows = slice(t, t + 1)
            yield self._rows("support", rows), self._rows("query", rows)

    @property
    def examples(self) -> int:
        """The number of support examples of a task; 1 where the data are not examples."""
        return self._examples_in("support")

    @property
    def query_examples(self) -> int:
        """The number of query examples of a task; 1 where the data are not examples."""
        return self._examples_in("query")

    def _examples_in(self, part: str) -> int:
        x = self.batch[part].get("x")
        return 1 if x is None else int(x.shape[1])

    @property
    def rows(self) -> int:
        """The rows of a task's first support array: its examples, or the size of a quadratic cost's matrix."""
        return int(next(iter(self.batch["support"].values())).shape[1])

    @property
    def ignored_by_inner(self) -> list[str]:
        """The key chains of the variables that the inner cost does not use."""
        return [chain for chain, name in self.names.items() if name in self.family.inner_ignores]

    @property
    def ignored_by_outer(self) -> list[str]:
        """The key chains of the variables that the outer cost does not use."""
        ignores = self.family.inner_ignores if self.options.same_cost else self.family.outer_ignores
        return [chain for chain, name in self.names.items() if name in ignores]

    def inner_cost(self, batch: Tree, v: Tree) -> Any:
        """S on an inner batch at variables v: a real scalar of the framework; the mean over rows."""
        return self._cost(self.family.inner_cost, batch, v)

    def outer_cost(self, batch: Tree, v: Tree) -> Any:
        """Q on an outer batch at variables v: a real scalar of the framework; the mean over rows."""
        return self._cost(self._outer_cost, batch, v)

    def inner_gradient(self, batch: Tree, v: Tree) -> Tree:
        """∇S at v, nested like the variables, for code that cannot differentiate."""
        return self._gradient(self.family.inner_cost, batch, v)

    def outer_gradient(self, batch: Tree, v: Tree) -> Tree:
        """∇Q at v, nested like the variables, for code that cannot differentiate."""
        return self._gradient(self._outer_cost, batch, v)

    @property
    def needs(self) -> frozenset[str]:
        """Which of the `EXTRAS` this problem asks for."""
        o = self.options
        needed = {
            "batched": o.batched,
            "averaging": o.average_across_steps,
            "selections": not (o.inner_v.selects_all and o.outer_v.selects_all),
            "leaf-rates": not (np.isscalar(self.inner_learning_rate) or self.algorithm.rates),
            "mixed-dtypes": bool(self.wide),
            "negative-rates": any(np.any(self.framework.to_numpy(r) < 0) for r in self._given_rates().values()),
        }
        return frozenset(name for name, wanted in needed.items() if wanted)

    @property
    def ignores_variables(self) -> bool:
        """Whether a cost does not use some variable."""
        return bool(self.family.inner_ignores or (self.family.outer_ignores and not self.options.same_cost))

    # How a step is called

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments of a step with the interface of `fomaml_step`."""
        o = self.options
        shared = {"batched": o.batched, "return_inner_v": o.return_inner_v, "num_tasks": o.num_tasks}
        where = (self.variables, self.inner_grad_steps, self.inner_learning_rate)
        if self.order == "reptile":
            return (self.batch["support"], self.inner_cost, *where), shared
        form = self._three if o.three_parameters else _two
        inner, outer = form(self.inner_cost), form(self.outer_cost)
        keywords = {
            **shared,
            "inner_batch_fn": lambda batch: batch["support"],
            "outer_batch_fn": lambda batch: batch["query"],
            "average_across_steps": o.average_across_steps,
            "inner_v": o.inner_v.spelled,
            "keep_inner_v": o.inner_v.keep,
            "outer_v": o.outer_v.spelled,
            "keep_outer_v": o.outer_v.keep,
        }
        return (self.batch, inner, None if o.same_cost else outer, *where), keywords

    def native(self, name: str, dtype: str | None = None) -> Problem:
        """Return the problem in the arrays of a framework, and in another precision if asked; all in it is its own."""
        target = framework(name)

        def plain(leaf: Any, wanted: Any = None) -> NDArray[Any]:
            array = self.framework.to_numpy(leaf)
            return np.array(array, wanted or dtype or array.dtype, order="C")

        def convert(leaf: Any) -> Any:
            return target.array(plain(leaf))

        wide = self.wide if target.promotes else frozenset()
        own = {
            chain: plain(leaf, "float64" if chain in wide else None) for chain, leaf in leaves(self.variables).items()
        }
        laid = iter(laid_out(self.memory if target.has_views else "contiguous", list(own.values()), target.array))

        rate = self.inner_learning_rate
        found = replace(
            self,
            framework=target,
            batch=map_leaves(convert, self.batch),
            variables=map_leaves(lambda _: next(laid), self.variables),
            inner_learning_rate=rate if np.isscalar(rate) else map_leaves(convert, rate),
            nest=deepcopy(self.nest),
            options=deepcopy(self.options),
            wide=wide,
        )
        object.__setattr__(found, "is_built_in", self.is_built_in)  # it is the same problem
        return found

    def with_outer_step(self, rate: float | None) -> Problem:
        """Return the problem for a subject that returns its variables after one outer step of a rate."""
        found = replace(self, outer_learning_rate=rate)
        object.__setattr__(found, "is_built_in", self.is_built_in)
        return found

    # How an oracle sees it

    def views(self, xp: Any, disturb: Disturb | None = None, dtype: Any = np.float64) -> list[TaskView]:
        """Return each task in flat vectors of `dtype`; `disturb` changes the data, to measure conditioning."""
        return [self._view(t, xp, disturb or (lambda array: array), dtype) for t in range(self.num_tasks)]

    def _view(self, t: int, xp: Any, disturb: Disturb, dtype: Any) -> TaskView:
        def plain(leaf: Any) -> NDArray[Any]:
            return self.framework.to_numpy(leaf).astype(dtype)

        theta = {chain: plain(leaf) for chain, leaf in leaves(self.variables).items()}
        if self.options.batched:
            theta = {chain: leaf[t] for chain, leaf in theta.items()}
        if self.algorithm.rates:
            theta |= {f"{RATES}/{chain}": plain(leaf) for chain, leaf in leaves(self.inner_learning_rate).items()}
        batch = map_leaves(lambda leaf: disturb(plain(leaf)[t : t + 1]), self.batch)
        chains = tuple(theta)
        inner = self.options.inner_v.of_task(t, tuple(self._variables))
        outer = self.options.outer_v.of_task(t, chains)
        support, query = batch["support"], batch["query"]
        return TaskView(
            theta=np.concatenate([leaf.ravel() for leaf in theta.values()]),
            inner_costs=self._flat(self.family.inner_costs, support, xp),
            outer_costs=self._flat(self._outer_costs, query, xp),
            inner_costs_on_query=self._flat(self.family.inner_costs, query, xp),
            outer_costs_on_support=self._flat(self._outer_costs, support, xp),
            inner_mask=self._vector({chain: float(chain in inner) for chain in chains}).astype(dtype),
            outer_mask=self._vector({chain: float(chain in outer) for chain in chains}).astype(dtype),
            rate=self._vector(self._rates(chains)).astype(dtype),
            steps=self.inner_grad_steps,
            average=self.options.average_across_steps,
            quadratics=self._quadratics(batch) if self.family.name == "quadratic" and self.algorithm.is_plain else None,
            update=InnerUpdate((self._learned_rates(),)) if self.algorithm.rates else self.algorithm.update,
            weights=self.algorithm.weights,
            support_weight=float(self.algorithm.adds_support),
            hessian_free=self.algorithm.hessian_free,
            implicit=self.algorithm.implicit,
            examples=self.examples,
            query_examples=self.query_examples,
        )

    def kink_distances(self, t: int, points: NDArray[Any]) -> NDArray[Any]:
        """Return how far points [P, n] are from where a cost of task t has a kink; infinity where none has any."""
        measure = self.family.kink_distances
        if measure is None:
            return np.full(len(points), np.inf)
        data = [_cut(self.batch[name], slice(t, t + 1)) for name in ("support", "query")]
        distances: NDArray[Any] = np.min([self._flat(measure, batch, np)(points) for batch in data], axis=0)
        return distances

    def split(self, vector: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Cut a flat vector into leaves by key chain."""
        return {chain: vector[spot].reshape(self.shape(chain)) for chain, spot in self._spots.items()}

    def shape(self, chain: str) -> tuple[int, ...]:
        """Return the shape of a variable, without the task axis."""
        if chain in self._variables:
            return self.family.shapes[self._variables[chain]]
        return self.shape(chain.removeprefix(f"{RATES}/")) if self.algorithm.rates is Rates.BY_ENTRY else ()

    # Inside

    def _rows(self, part: str, rows: slice) -> Tree:
        return map_leaves(lambda leaf: self.framework.cut(leaf, rows), self.batch[part])

    @property
    def _outer_costs(self) -> Costs:
        return self.family.inner_costs if self.options.same_cost else self.family.outer_costs

    @property
    def _outer_cost(self) -> Cost:
        return self.family.inner_cost if self.options.same_cost else self.family.outer_cost

    def _cost(self, cost: Cost, batch: Tree, v: Tree) -> Any:
        given = self._by_name(leaves(v))
        compiled = self.framework.compiled
        return compiled(cost)(batch, given) if compiled else cost(self.framework.xp, batch, given)

    def _gradient(self, cost: Cost, batch: Tree, v: Tree) -> Tree:
        given = leaves(v)  # in an order of its own: JAX, for one, sorts the keys of dicts
        found = self.framework.gradient(cost, batch, self._by_name(given))
        gradients = iter([found[self.names[chain]] for chain in given])
        return map_leaves(lambda _: next(gradients), v)

    def _by_name(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {name: given[chain] for chain, name in self._variables.items()}

    def _three(self, cost: Callable[..., Any]) -> Callable[..., Any]:
        """Return the three-parameter form: of a leaf that is in both, a quarter and three quarters are taken."""

        def with_both(batch: Tree, inner_v: Tree, outer_v: Tree) -> Any:
            inner, outer = _present(inner_v), _present(outer_v)
            both = {chain: 0.25 * inner[chain] + 0.75 * outer[chain] for chain in inner if chain in outer}
            return cost(batch, {**inner, **outer, **both})

        return with_both

    def _flat(self, costs: Costs, batch: Tree, xp: Any) -> Callable[[Any], Any]:
        # autograd's functions are NumPy's with a look at what they get: as long as the work itself on small arrays.
        plainly = np if xp is anp else xp

        def of_points(points: Any) -> Any:
            here = plainly if isinstance(points, np.ndarray) else xp
            parts = {name: points[:, self._spots[chain]] for chain, name in self._variables.items()}
            return costs(here, batch, self.family.rows(here, parts))

        return of_points

    def _vector(self, by_chain: Mapping[str, Any]) -> NDArray[np.float64]:
        full = [np.broadcast_to(by_chain[chain], self.shape(chain)).ravel() for chain in self.names]
        return np.concatenate(full).astype(np.float64)

    def _rates(self, chains: Chains) -> dict[str, Any]:
        if self.algorithm.rates:
            return dict.fromkeys(chains, 1.0)  # learned rates are in the update
        return {chain: self.framework.to_numpy(leaf) for chain, leaf in self._given_rates().items()}

    def _given_rates(self) -> dict[str, Any]:
        """Return the rate of each variable by key chain, where one may have been given for all."""
        rates = leaves(self.inner_learning_rate)
        return dict.fromkeys(self._variables, rates[""]) if "" in rates else rates

    def _spread_rates(self) -> Tree:
        """Return learned rates, each in its shape: those that there are, or one that there is for all."""
        shaped = {
            chain: np.broadcast_to(self.framework.to_numpy(rate), self.shape(f"{RATES}/{chain}"))
            for chain, rate in self._given_rates().items()
        }
        arrays = iter([self.framework.array(shaped[chain].astype(self.dtype)) for chain in self._variables])
        return map_leaves(lambda _: next(arrays), self.nest)

    def _learned_rates(self) -> LearnedRates:
        places = self.split(np.arange(sum(spot.stop - spot.start for spot in self._spots.values())))
        found = [np.broadcast_to(places[f"{RATES}/{chain}"], self.shape(chain)).ravel() for chain in self._variables]
        rates = [places[chain].ravel() for chain in self.names if chain not in self._variables]
        return LearnedRates(places=tuple(np.concatenate([*found, *rates]).tolist()))

    def _quadratics(self, batch: Tree) -> tuple[Quadratic, Quadratic]:
        everything = tuple(self.names.values())
        inner = [name for name in everything if name not in self.family.inner_ignores]
        ignored = self.family.inner_ignores if self.options.same_cost else self.family.outer_ignores
        outer = [name for name in everything if name not in ignored]
        return self._quadratic(batch["support"], inner), self._quadratic(batch["query"], outer)

    def _quadratic(self, data: Tree, takes: list[str]) -> Quadratic:
        """Spread a quadratic over the whole vector, with zeros for the variables that it does not take."""
        order = [name for name in self.family.shapes if name in takes]
        index = np.arange(sum(int(np.prod(shape, dtype=int)) for shape in self.family.shapes.values()))
        spots = {self.names[chain]: part.ravel() for chain, part in self.split(index).items()}
        where = np.concatenate([spots[name] for name in order])
        matrix, centre = np.zeros((index.size, index.size)), np.zeros(index.size)
        matrix[np.ix_(where, where)] = data["matrix"][0]
        centre[where] = data["centre"][0]
        return Quadratic(matrix, centre)


def _two(cost: Callable[..., Any]) -> Callable[..., Any]:
    return cost


def _cut(batch: Tree, rows: slice) -> Tree:
    return map_leaves(lambda leaf: leaf[rows], batch)


def _present(variables: Tree) -> dict[str, Any]:
    """Return the leaves that a selection left in; None marks the place of the others in lists and tuples."""
    return {chain: leaf for chain, leaf in leaves(variables).items() if leaf is not None}
