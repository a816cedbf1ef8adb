"""Random problems in the JSON layout, from seeds that are words: `random.Random` gives the same numbers everywhere."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

from verification.vectors.generator.layout import Json, array_layout, hex_float

Shape = tuple[int, ...]
MLP_SIZES = ((2, 3, 2), (1, 2, 2), (2, 2, 3))  # inputs, hidden units, outputs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a problem is made. Its slug says what it is and seeds its numbers.

    `rows` of data are drawn, of which `tasks` are used; `inner` and `outer` select variables by task (None: all);
    `size` scales the variables, `reach` the inputs x of examples; `spread` replaces a number of a named array.
    """

    slug: str
    family: str
    step: str = "fomaml"
    steps: int = 3
    tasks: int = 3
    rows: int | None = None
    batched: bool = False
    average: bool = False
    same_cost: bool = False
    gains: bool = False
    full_precision: bool = False
    leaf_rates: bool = False
    rate: float | None = None
    inner: tuple[Any, ...] | None = None
    outer: tuple[Any, ...] | None = None
    sizes: int = 0
    size: float = 1.0
    reach: float = 1.0
    change: Callable[[Json], None] | None = None
    notes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] | None = None
    settings: tuple[str, ...] = field(default=())


def variable_shapes(recipe: Recipe) -> dict[str, Shape]:
    """Return the variables of a recipe with their shapes, in the family's order."""
    family, gains = recipe.family, recipe.gains
    if family == "quadratic":
        shapes: dict[str, Shape] = {"vector": (2 + recipe.sizes,)}
        return {"inner_only": (1,), **shapes, "matrix": (2, 2), "outer_only": ()} if gains else shapes
    if family == "linear-regression":
        shapes = {"weight": (2, 2), "bias": (2,)}
    elif family == "logistic-regression":
        shapes = {"weight": (3,), "bias": (1,)}
    elif family == "bilinear":
        shapes = {"latent": (2 + recipe.sizes % 2,), "weight": (2 + recipe.sizes % 2,)}
    else:
        inputs, hidden, outputs = MLP_SIZES[recipe.sizes % len(MLP_SIZES)]
        shapes = {"w1": (inputs, hidden), "b1": (hidden,), "w2": (hidden, outputs), "b2": (outputs,)}
    return {"inner_gain": (1,), **shapes, "outer_gain": ()} if gains else shapes


class Numbers:
    """A stream of numbers for one attempt at a recipe."""

    def __init__(self, recipe: Recipe, attempt: int) -> None:
        self.random = random.Random(f"{recipe.slug}/{attempt}")
        self.full = recipe.full_precision

    def between(self, low: float, high: float) -> float:
        """Return a number of all 53 bits, or one that binary32 has."""
        number = low + (high - low) * self.random.random()
        return number if self.full else float(struct.unpack("<f", struct.pack("<f", number))[0])

    def signed(self) -> float:
        """Return a number of either sign, between ¼ and 1¼ in size."""
        return self.between(0.25, 1.25) * (1 if self.random.getrandbits(1) else -1)

    def array(self, shape: Shape, scale: float = 1.0) -> Json:
        """Return an array of signed numbers."""
        return array_layout(shape, [scale * self.signed() for _ in range(prod(shape))])


def draw(recipe: Recipe, attempt: int) -> Json:
    """Return a problem in the JSON layout."""
    numbers = Numbers(recipe, attempt)
    shapes = variable_shapes(recipe)
    rows = recipe.rows or recipe.tasks
    lead = (rows,) if recipe.batched else ()
    names = list(shapes)
    problem: Json = {
        "family": recipe.family,
        "step": recipe.step,
        "steps": recipe.steps,
        "num_tasks": recipe.tasks,
        "batched": recipe.batched,
        "average": recipe.average,
        "same_cost": recipe.same_cost,
        "inner": _selections(recipe.inner, names, recipe.tasks),
        "outer": _selections(recipe.outer, names, recipe.tasks),
        "rates": _rates(recipe, names, numbers),
        "variables": {name: numbers.array((*lead, *shape), recipe.size) for name, shape in shapes.items()},
        "support": _data(recipe, shapes, rows, 3, numbers),
        "query": None if recipe.step == "reptile" else _data(recipe, shapes, rows, 2, numbers),
    }
    if recipe.change:
        recipe.change(problem)
    return problem


def _selections(chosen: tuple[Any, ...] | None, names: list[str], tasks: int) -> list[list[str]]:
    if chosen is None:
        return [names] * tasks
    if isinstance(chosen[0], str):
        return [list(chosen)] * tasks
    return [list(chosen[t % len(chosen)]) for t in range(tasks)]


def _rates(recipe: Recipe, names: list[str], numbers: Numbers) -> dict[str, str]:
    if recipe.leaf_rates:
        return {name: hex_float(numbers.between(0.05, 0.25)) for name in names}
    rate = numbers.between(0.06, 0.2) if recipe.rate is None else recipe.rate
    return dict.fromkeys(names, hex_float(rate))


def _data(recipe: Recipe, shapes: dict[str, Shape], rows: int, count: int, numbers: Numbers) -> Json:
    family = recipe.family
    if family == "quadratic":
        size = sum(prod(shape) for shape in shapes.values()) - (1 if recipe.gains else 0)
        return {"matrix": _matrices(rows, size, numbers), "centre": numbers.array((rows, size), recipe.size)}
    if family == "bilinear":
        return {"x": numbers.array((rows, count, shapes["latent"][0]), recipe.reach)}
    if family == "logistic-regression":
        x = numbers.array((rows, count, 3), recipe.reach)
        return {"x": x, "y": _labels(rows, count, numbers)}
    inputs, outputs = (2, 2) if family == "linear-regression" else (shapes["w1"][0], shapes["b2"][0])
    x = numbers.array((rows, count, inputs), recipe.reach)
    if family.endswith("softmax"):
        return {"x": x, "y": _one_hot(rows, count, outputs, numbers)}
    return {"x": x, "y": numbers.array((rows, count, outputs))}


def _matrices(rows: int, size: int, numbers: Numbers) -> Json:
    """Return symmetric matrices with ¾ to 1¾ on the diagonal and small numbers beside it."""
    entries: list[float] = []
    for _ in range(rows):
        lower = {(i, j): numbers.between(0.75, 1.75) if i == j else numbers.signed() / 8
                 for i in range(size) for j in range(i + 1)}  # fmt: skip
        entries += [lower[max(i, j), min(i, j)] for i in range(size) for j in range(size)]
    return array_layout((rows, size, size), entries)


def _labels(rows: int, count: int, numbers: Numbers) -> Json:
    """Return zeros and ones in turn, with either first."""
    first = [numbers.random.getrandbits(1) for _ in range(rows)]
    return array_layout((rows, count), [float((start + n) % 2) for start in first for n in range(count)])


def _one_hot(rows: int, count: int, classes: int, numbers: Numbers) -> Json:
    entries: list[float] = []
    for _ in range(rows * count):
        label = numbers.random.randrange(classes)
        entries += [float(j == label) for j in range(classes)]
    return array_layout((rows, count, classes), entries)
