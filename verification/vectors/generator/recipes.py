"""The plan of the vectors: a grid of families, steps, K, T and modes; options; and edge cases (`edges`).

Their order matters: a vector is kept where it kills something that none before it does (`collection`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

from verification.vectors.generator.drawing import Recipe
from verification.vectors.generator.edges import edges

LINEAR = ("quadratic", "linear-regression", "logistic-regression", "bilinear")
NETWORKS = tuple(f"mlp-{act}-{loss}" for act in ("tanh", "relu", "softplus") for loss in ("mse", "softmax"))
FAMILIES = (*LINEAR, *NETWORKS)
STEPS = ("fomaml", "maml", "reptile")
#: Two variables, or two groups of them, that the selections pick, by family.
HALVES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "quadratic": (("vector", "outer_only"), ("inner_only", "matrix")),
    "linear-regression": (("weight",), ("bias",)),
    "logistic-regression": (("weight",), ("bias",)),
    "bilinear": (("latent",), ("weight",)),
    **dict.fromkeys(NETWORKS, (("w2", "b2"), ("w1", "b1"))),
}


def recipes() -> list[Recipe]:
    """Return the whole plan."""
    return distinct([*_grid(), *_options(), *edges()])


def distinct(plan: list[Recipe]) -> list[Recipe]:
    """Return a plan, in which no slug comes twice.

    Raises:
        AssertionError: one does.
    """
    slugs = [recipe.slug for recipe in plan]
    twice = {slug for slug in slugs if slugs.count(slug) > 1}
    if twice:
        raise AssertionError(f"Two recipes have one slug: {', '.join(sorted(twice))}. A slug seeds the numbers.")
    return plan


def _grid() -> Iterator[Recipe]:
    loop_tasks, batched_tasks = cycle((3, 2, 5, 1, 3)), cycle((5, 3, 2))
    for index, family in enumerate(FAMILIES):
        for step in STEPS:
            for steps in (0, 1, 2, 3, 5, 20):
                tasks = next(loop_tasks)
                if steps == 20 and family in NETWORKS:
                    tasks = min(tasks, 2)  # twenty second-order steps of a network are the most expensive of all
                yield _plain(family, step, steps, tasks, sizes=index + steps)
                if steps in (1, 2, 3, 5):
                    yield _plain(family, step, steps, next(batched_tasks), batched=True, full=True, sizes=index + 1)


def _plain(
    family: str, step: str, steps: int, tasks: int, *, sizes: int, batched: bool = False, full: bool = False
) -> Recipe:
    mode = "batched" if batched else "loop"
    precision = "double" if full else "single"
    return Recipe(
        slug=f"{family}-{step}-k{steps}-t{tasks}-{mode}-{precision}",
        family=family,
        step=step,
        steps=steps,
        tasks=tasks,
        batched=batched,
        full_precision=full,
        sizes=sizes % 3,
    )


def _options() -> Iterator[Recipe]:
    for index, family in enumerate(FAMILIES):
        yield from _averaging(family, index)
        yield from _selecting(family, index)
        yield from _rates_and_rows(family, index)


def _option(family: str, step: str, name: str, **changes: Any) -> Recipe:
    slug = f"{family}-{step}-{name}"
    return Recipe(slug=slug, family=family, step=step, settings=(name,), **changes)


def _averaging(family: str, index: int) -> Iterator[Recipe]:
    for step in ("fomaml", "maml"):
        yield _option(family, step, "average", average=True, steps=2 + index % 2, sizes=index % 3)
    yield _option(
        family, "fomaml", "average-batched", average=True, batched=True, steps=3 - index % 2, full_precision=True
    )
    gains = family != "bilinear"  # which has none
    yield _option(family, "fomaml", "average-one-cost", average=True, same_cost=True, gains=gains, steps=2)
    for step in STEPS if gains else ():
        yield _option(family, step, "gains", gains=True, steps=2, tasks=2, full_precision=index % 2 == 0)


def _selecting(family: str, index: int) -> Iterator[Recipe]:
    inner, outer = HALVES[family]
    gains = family == "quadratic"  # its other variables come with them
    for step in ("fomaml", "maml"):
        yield _option(family, step, "inner-selection", inner=inner, gains=gains, steps=2 + index % 2)
        yield _option(
            family, step, "disjoint-selections", inner=inner, outer=outer, gains=gains, batched=index % 2 == 0
        )
    yield _option(family, "fomaml", "outer-selection", outer=outer, gains=gains, steps=2, batched=index % 2 == 1)
    every = (inner, outer, (*inner, *outer))
    for step in ("fomaml", "maml"):
        yield _option(
            family, step, "selections-by-task", inner=_ordered(every), steps=2, gains=gains,
            outer=_ordered((outer, inner, inner) if step == "maml" else (every[2], outer, inner)),
        )  # fmt: skip


def _ordered(selections: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Return the selections with their names in the order of the variables."""
    order = ("inner_only", "vector", "matrix", "outer_only", "w1", "b1", "w2", "b2", "latent", "weight", "bias")
    return tuple(tuple(sorted(selection, key=order.index)) for selection in selections)


def _rates_and_rows(family: str, index: int) -> Iterator[Recipe]:
    gains = family == "quadratic"
    for step in STEPS:
        batched = (index + STEPS.index(step)) % 2 == 0
        yield _option(family, step, "leaf-rates", leaf_rates=True, gains=gains, steps=2, tasks=2, batched=batched)
    yield _option(family, "fomaml", "spare-rows", rows=3, tasks=2, steps=2, batched=index % 2 == 0, sizes=index % 3)
    step = "maml" if index % 2 else "reptile"
    yield _option(family, step, "spare-rows", rows=5, tasks=3, steps=2, batched=index % 3 == 0)
