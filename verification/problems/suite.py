"""The built-in problems: awkward by construction, and made to prove it.

A problem that begins at zero, or has one task, or one step, hides faults. Each problem here has three unequal tasks and
three inner steps unless its name says otherwise, different data and costs in the inner and the outer loop, support
and query sets of different sizes, no zeros, and variables of the shapes (), (1,), (3,) and (2, 3), of which each cost
ignores one, at one end of them but for the problem that is named for it. `awkwardness` checks all that: in the tests,
and for other numbers whenever they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.algorithms import PLAIN, Algorithm, Rates
from verification.algorithms import algorithm as algorithm_named
from verification.frameworks import framework
from verification.orders import DTYPES, ORDERS, Order
from verification.problems import corners, families
from verification.problems.awkwardness import assert_awkward
from verification.problems.families import Family
from verification.problems.options import Options, Selection
from verification.problems.problem import Problem
from verification.problems.trees import Tree, leaves, map_leaves

_SUPPORT, _QUERY = 4, 5  # examples; unequal, so that exchanged data cannot pass for its counterpart
_ATTEMPTS = 200  # relu problems with no unit near its kink are one in ten or so
_UNEVEN = (1.0, 0.75, 1.25, 0.5)
_ALPHA = 0.125  # exact in every binary precision: a rounded learning rate is no part of the question


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a built-in problem is made; `seed` fixes its numbers."""

    family: Callable[[], Family]
    seed: int
    tasks: int = 3
    steps: int = 3
    rate: float = _ALPHA
    distance: float = 1.0  # of the centres of a quadratic cost, about; its gradients grow with it
    nest: Tree = None
    leaf_rates: bool = False
    options: Options = field(default_factory=Options)


def _arrays(recipe: Recipe, family: Family, rng: np.random.Generator) -> Tree:
    if family.name == "quadratic":
        ignored = {"support": family.inner_ignores, "query": family.outer_ignores}
        return {
            name: _quadratic(recipe.tasks, recipe.distance, rng, size=_size(family, without=ignores))
            for name, ignores in ignored.items()
        }
    sizes = {"support": _SUPPORT, "query": _QUERY}
    return {name: _examples(family.name, recipe.tasks, count, rng) for name, count in sizes.items()}


def _size(family: Family, *, without: tuple[str, ...]) -> int:
    """Return how many numbers the variables of a family hold, but for some of them."""
    return sum(int(np.prod(shape, dtype=int)) for name, shape in family.shapes.items() if name not in without)


def _quadratic(tasks: int, distance: float, rng: np.random.Generator, *, size: int) -> Tree:
    """Return symmetric matrices with eigenvalues between ½ and 2, and centres."""
    bases = np.linalg.qr(rng.normal(size=(tasks, size, size)))[0]
    eigenvalues = rng.uniform(0.5, 2.0, size=(tasks, 1, size))
    matrix = (bases * eigenvalues) @ np.swapaxes(bases, 1, 2)
    return {"matrix": matrix, "centre": distance * _nonzero(rng, (tasks, size))}


def _examples(name: str, tasks: int, count: int, rng: np.random.Generator) -> Tree:
    inputs = 3 if name in ("logistic-regression", "bilinear") else 2
    x = _nonzero(rng, (tasks, count, inputs))
    if name == "bilinear":
        return {"x": x}
    if name == "logistic-regression":
        return {"x": x, "y": rng.integers(0, 2, size=(tasks, count)).astype(float)}
    if name.endswith("softmax"):
        return {"x": x, "y": np.eye(3)[rng.integers(0, 3, size=(tasks, count))]}
    return {"x": x, "y": _nonzero(rng, (tasks, count, 3))}


def _nonzero(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return numbers of either sign between ¼ and 1¼ in size."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.25, 1.25, shape))


_NESTED = {
    "layers": [{"w": "w1", "b": "b1"}, {"w": "w2", "b": "b2"}],
    "gains": {"inner": "inner_gain", "outer": ("outer_gain",)},
}
_PLAIN: dict[str, Recipe] = {
    "quadratic": Recipe(family=families.quadratic, seed=1),
    "linear-regression": Recipe(family=families.linear_regression, seed=2),
    "logistic-regression": Recipe(family=families.logistic_regression, seed=3),
    "mlp-tanh-mse": Recipe(family=lambda: families.mlp("tanh", "mse"), seed=4),
    "mlp-relu-mse": Recipe(family=lambda: families.mlp("relu", "mse"), seed=103),
    "mlp-softplus-mse": Recipe(family=lambda: families.mlp("softplus", "mse"), seed=6, nest=_NESTED),
    "mlp-tanh-softmax": Recipe(family=lambda: families.mlp("tanh", "softmax"), seed=7),
    "mlp-relu-softmax": Recipe(family=lambda: families.mlp("relu", "softmax"), seed=112),
    "mlp-softplus-softmax": Recipe(family=lambda: families.mlp("softplus", "softmax"), seed=9),
    "bilinear": Recipe(family=families.bilinear, seed=10),
    "no-steps": Recipe(family=lambda: families.mlp("tanh", "mse"), seed=11, steps=0),
    "one-step": Recipe(family=lambda: families.mlp("tanh", "softmax"), seed=12, steps=1, rate=0.25),
    "one-task": Recipe(family=families.logistic_regression, seed=13, tasks=1, rate=0.0625),
    "five-steps": Recipe(family=families.quadratic, seed=14, steps=5),
    # Longer than the five steps that most code takes, on a cost whose Hessian changes from step to step.
    "seven-steps": Recipe(family=families.logistic_regression, seed=16, steps=7),
    # Each cost ignores a variable that stands between others of its shape.
    "unused-between": Recipe(
        family=families.alike_quadratic,
        seed=17,
        nest={name: name for name in ("matrix", "outer_only", "inner_only", "vector")},
    ),
    # Entries beyond 10, where meta-gradients are clipped most often (cbfinn/maml, for miniImageNet).
    "large-gradients": Recipe(family=families.quadratic, seed=15, distance=256.0),
}
_MLP = _PLAIN["mlp-tanh-mse"]


def _mlp(seed: int, options: Options, **changes: Any) -> Recipe:
    return replace(_MLP, seed=seed, options=options, **changes)


_WITH_OPTIONS: dict[str, Recipe] = {
    "average": _mlp(21, Options(average_across_steps=True)),
    "same-cost-average": _mlp(22, Options(average_across_steps=True, same_cost=True)),
    "batched": _mlp(23, Options(batched=True)),
    "batched-quadratic": Recipe(family=families.quadratic, seed=24, options=Options(batched=True)),
    "batched-average-first": _mlp(
        25, Options(batched=True, average_across_steps=True, return_inner_v="first"), nest=_NESTED
    ),
    "two-of-three-tasks": _mlp(26, Options(num_tasks=2)),
    "batched-two-of-three": _mlp(27, Options(num_tasks=2, batched=True)),
    "inner-chain": _mlp(28, Options(inner_v=Selection("w1", meant=("w1",)))),
    "outer-list": _mlp(29, Options(outer_v=Selection(["w1", "b2"], meant=("w1", "b2")))),
    "inner-left-out": _mlp(
        30, Options(inner_v=Selection(["w2", "b2"], keep=False, meant=("inner_gain", "w1", "b1", "outer_gain")))
    ),
    "branches": _mlp(
        31,
        Options(
            inner_v=Selection("layers/1", meant=("layers/1/w", "layers/1/b")),
            outer_v=Selection(
                {"layers": [True, {"w": True, "b": False}]}, meant=("layers/0/w", "layers/0/b", "layers/1/w")
            ),
        ),
        nest=_NESTED,
    ),
    "per-task": _mlp(
        32,
        Options(
            inner_v=Selection([None, ["w1"], {"w2": True, "b1": True}], meant_by_task=(None, ("w1",), ("b1", "w2"))),
            outer_v=Selection([["w1"], ["w1", "w2"], None], meant_by_task=(("w1",), ("w1", "w2"), None)),
        ),
    ),
    "three-parameters": _mlp(
        33,
        Options(
            three_parameters=True,
            inner_v=Selection(["w1", "b1", "inner_gain"], meant=("w1", "b1", "inner_gain")),
            outer_v=Selection("w1", keep=False, meant=("inner_gain", "b1", "w2", "b2", "outer_gain")),
        ),
    ),
    "bilinear-latent-weight": Recipe(
        family=families.bilinear,
        seed=34,
        options=Options(
            three_parameters=True,
            inner_v=Selection("latent", meant=("latent",)),
            outer_v=Selection("weight", meant=("weight",)),
        ),
    ),
    "leaf-rates": _mlp(35, Options(), leaf_rates=True),
    "batched-leaf-rates": _mlp(36, Options(batched=True, outer_v=Selection("w2", meant=("w2",))), leaf_rates=True),
}
#: The last layer of a network, by the family's names, and what is added to the inputs of its first activations.
_HEAD = frozenset({"w2", "b2"})
_CONTEXT = "b1"
_RECIPES = {**_PLAIN, **_WITH_OPTIONS}
NAMES = tuple(_RECIPES)


#: Before a name: the same problem, with ½ Σ x² added to each cost over the variables x that it ignores.
_USED = "used:"
#: Before the name of a corner: the same with none of the `EXTRAS` that it needs.
_PLAINLY = "plain:"


def kind(name: str) -> str:
    """Return the name of a problem without what makes it another one of its kind."""
    return name.removeprefix(_USED).removeprefix(_PLAINLY).partition("@")[0]


def with_all_used(name: str) -> str:
    """Return the name of the problem with costs that both use every variable."""
    found = _family(name)
    ignores = found.inner_ignores or found.outer_ignores
    return f"{_USED}{name}" if ignores and not name.startswith(_USED) else name


def plainly(name: str) -> str:
    """Return the name of the corner with none of the `EXTRAS`; of another problem its own, which has no such form."""
    used = _USED if name.startswith(_USED) else ""
    return f"{used}{_PLAINLY}{kind(name)}" if is_corner(name) else name


def _family(name: str) -> Family:
    if is_corner(name):
        return corners.corner(kind(name), 1).family
    return _RECIPES[kind(name)].family()


def is_corner(name: str) -> bool:
    """Return whether it is the name of a corner."""
    return kind(name).startswith(corners.PREFIX)


def _made(name: str, order: Order, algorithm: Algorithm) -> Problem:
    if is_corner(name):
        plain = name.removeprefix(_USED).startswith(_PLAINLY)
        found = replace(corners.corner(kind(name), order, plain=plain), name=name)
    else:
        seed = name.partition("@")[2]
        found = problem_from(_RECIPES[kind(name)], name, order, seed=int(seed) if seed else None)
    if name.startswith(_USED):
        found = replace(found, family=families.with_all_used(found.family))
    if algorithm.adapts == "context":
        found = _with_context(found)
    elif algorithm.adapts:
        found = replace(found, options=replace(found.options, inner_v=_layers(found, algorithm)))
    if algorithm.rates:
        found = replace(found, inner_learning_rate=_uneven_rates(found, by_leaf=algorithm.rates is Rates.BY_LEAF))
    found = replace(found, algorithm=algorithm)
    object.__setattr__(found, "is_built_in", True)
    return found


def _uneven_rates(problem: Problem, *, by_leaf: bool) -> Tree:
    """Return rates around those of a problem, one for each entry or each leaf, all exact in binary."""
    given = problem.inner_learning_rate
    own = dict.fromkeys(problem.names, given) if np.isscalar(given) else leaves(given)
    rates = {}
    for index, chain in enumerate(problem.names):
        shape = () if by_leaf else problem.shape(chain)
        turns = (index + np.arange(int(np.prod(shape, dtype=int))).reshape(shape)) % len(_UNEVEN)
        rates[chain] = own[chain] * np.asarray(_UNEVEN)[turns]
    chains = iter(problem.names)
    return map_leaves(lambda _: rates[next(chains)], problem.nest)


def _with_context(problem: Problem) -> Problem:
    """Return the problem with context parameters: 0 at first, adapted alone, and not learned by the outer loop."""
    context = {chain for chain, name in problem.names.items() if name == _CONTEXT}
    others = [chain for chain in problem.names if chain not in context]
    values = {chain: leaf * (chain not in context) for chain, leaf in leaves(problem.variables).items()}
    chains = iter(problem.names)
    return replace(
        problem,
        variables=map_leaves(lambda _: values[next(chains)], problem.nest),
        options=replace(
            problem.options,
            inner_v=Selection([*context], meant=tuple(context)),
            outer_v=Selection(others, meant=tuple(others)),
        ),
    )


def _layers(problem: Problem, algorithm: Algorithm) -> Selection:
    """Return the last layer of a network, or all but it."""
    head = [chain for chain, name in problem.names.items() if name in _HEAD]
    chains = head if algorithm.adapts == "head" else [chain for chain in problem.names if chain not in head]
    return Selection(chains, meant=tuple(chains))


def problem_from(recipe: Recipe, name: str, order: Order = 1, *, seed: int | None = None) -> Problem:
    """Return what a recipe makes, in float64 on autograd: with its own numbers, or with others of a seed.

    Raises:
        AssertionError: no other numbers were found that make the problem awkward.
    """
    if seed is None:
        return _from_recipe(name, recipe, recipe.seed, order)
    for attempt in range(_ATTEMPTS):
        found = _from_recipe(name, recipe, _entropy(recipe.seed, seed, attempt), order)
        try:
            assert_awkward(found)
        except AssertionError:
            continue  # the next numbers may do
        return found
    raise AssertionError(f"The problem {name} found no awkward numbers in {_ATTEMPTS} attempts. Choose another seed.")


def _entropy(own: int, seed: int, attempt: int) -> list[int]:
    """Return what other numbers are made from; NumPy drops zeros at its end, which would leave a problem's own seed."""
    return [own, seed, attempt] if seed else [own, seed, attempt, 1]


def _from_recipe(name: str, recipe: Recipe, seed: int | list[int], order: Order) -> Problem:
    rng = np.random.default_rng(seed)
    family = recipe.family()
    nest = recipe.nest or {variable: variable for variable in family.shapes}
    rows = (recipe.tasks,) if recipe.options.batched else ()
    values = {variable: _nonzero(rng, rows + shape) for variable, shape in family.shapes.items()}
    return Problem(
        name=name,
        family=family,
        nest=nest,
        # Numbers of float32 in float64: both precisions are asked the same question.
        batch=map_leaves(_short, _arrays(recipe, family, rng)),
        variables=map_leaves(lambda variable: _short(values[variable]), nest),
        inner_grad_steps=recipe.steps,
        inner_learning_rate=_leaf_rates(nest) if recipe.leaf_rates else recipe.rate,
        options=recipe.options,
        framework=framework("autograd"),
        order=order,
    )


def _short(array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(array, np.float32).astype(np.float64)


def _leaf_rates(nest: Tree) -> Tree:
    """Return a different learning rate for each leaf, all exact in binary."""
    rates = {name: np.asarray((index + 1) / 32) for index, name in enumerate(leaves(nest).values())}
    return map_leaves(rates.__getitem__, nest)


def problem(
    name: str,
    *,
    order: Order = 1,
    framework: str = "autograd",
    dtype: str = "float64",
    algorithm: str | Algorithm = PLAIN,
) -> Problem:
    """Return a built-in problem by its name, in the arrays of a framework.

    Args:
        name: one of `verification.problems.suite.NAMES`, or "corner-1" and so on; "NAME@SEED" is the same problem with
            other random numbers, "used:NAME" the same with costs that both use every variable, and "plain:corner-1" a
            corner without options.
        order: 1 (first-order MAML), 2 (second-order MAML) or "reptile".
        framework: "autograd", "numpy", "torch", "jax" or "tensorflow".
        dtype: "float64" or "float32".
        algorithm: what the step is declared to compute, as `verification.algorithms` spells it; plain MAML by default.

    Raises:
        KeyError: there is no such problem; the message lists those that are.
        ValueError: the order, the framework, the dtype or the algorithm is none of those named above.
    """
    if order not in ORDERS:
        raise ValueError(f"order: expected one of {', '.join(map(repr, ORDERS))}, but got {order!r}.")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: expected one of {', '.join(map(repr, DTYPES))}, but got {dtype!r}.")
    if not exists(name):
        known = f"{', '.join(NAMES)}, one of them with @SEED, or one of {len(corners.names())} corners"
        raise KeyError(f"name: expected one of {known} from {corners.names()[0]} on, but got {name!r}.")
    return _made(name, order, algorithm_named(algorithm)).native(framework, dtype)


def exists(name: str) -> bool:
    """Return whether there is a problem of that name."""
    _, at, seed = name.partition("@")
    if is_corner(name):
        return corners.exists(kind(name)) and not at
    return kind(name) in _RECIPES and not name.startswith(_PLAINLY) and (not at or seed.isdecimal())


def names(order: Order, *, plain: bool, algorithm: Algorithm = PLAIN) -> Iterator[str]:
    """Yield the names of the problems to ask: plain ones alone, or those with options too."""
    for name in _PLAIN if plain else _RECIPES:
        if is_asked(name, order, algorithm):
            yield name


def is_asked(name: str, order: Order, algorithm: Algorithm = PLAIN) -> bool:
    """Return whether a problem makes sense for an order and an algorithm.

    Corners are made for plain steps, and for any order of them.
    """
    return algorithm.is_plain if is_corner(name) else _is_for(_RECIPES[kind(name)], order, algorithm)


def _is_for(recipe: Recipe, order: Order, algorithm: Algorithm) -> bool:
    """Return whether a recipe makes sense for an order and an algorithm.

    Reptile has no outer loop to select or average in, weights of the points leave nothing to average, and ANIL needs a
    network with layers and all of its variables to choose from. Reptile has no outer cost, whose gradient learned
    rates could have and S could be added to, and with all rates there are all gradients. Per-FedAvg has one rate for
    all variables, iMAML has no gradient but at the end of the loop, and CAVIA learns what Reptile does not move.
    """
    if (algorithm.weights is not None or algorithm.implicit) and recipe.options.average_across_steps:
        return False
    if algorithm.adapts and not (recipe.family().shapes.keys() >= _HEAD and _selects_all(recipe)):
        return False
    if (algorithm.rates or algorithm.hessian_free or algorithm.implicit) and not _selects_all(recipe):
        return False
    if algorithm.hessian_free and recipe.leaf_rates:
        return False
    asks_outer_loop = algorithm.rates or algorithm.adds_support or algorithm.hessian_free or algorithm.implicit
    if order == "reptile" and (asks_outer_loop or algorithm.adapts == "context"):
        return False
    return order != "reptile" or _asks_nothing_of_the_outer_loop(recipe)


def _selects_all(recipe: Recipe) -> bool:
    return recipe.options.inner_v.selects_all and recipe.options.outer_v.selects_all


def _asks_nothing_of_the_outer_loop(recipe: Recipe) -> bool:
    o = recipe.options
    return _selects_all(recipe) and not (o.average_across_steps or o.same_cost or o.three_parameters)
