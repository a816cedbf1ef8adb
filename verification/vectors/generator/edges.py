"""Edge cases: formulas that are right on paper and fail in floating point, and options at their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from verification.vectors.generator.drawing import Recipe
from verification.vectors.generator.layout import Json, hex_float

_DOUBLE = ("float64",)


def edges() -> Iterator[Recipe]:
    """Yield the edge cases."""
    yield from _zero_rates()
    yield from _saturated()
    yield from _large_logits()
    yield from _tiny_and_huge()
    yield from _sensitive()


def _zero_rates() -> Iterator[Recipe]:
    note = "A rate of 0: nothing adapts, and first and second order agree."
    for family in ("quadratic", "logistic-regression", "mlp-tanh-softmax"):
        for step in ("fomaml", "maml"):
            yield Recipe(
                slug=f"{family}-{step}-zero-rate", family=family, step=step, steps=2, rate=0.0,
                notes=(note,), settings=("zero rate",),
            )  # fmt: skip
    for family, name in (("linear-regression", "weight"), ("mlp-softplus-mse", "w1")):
        yield Recipe(
            slug=f"{family}-maml-one-zero-rate", family=family, step="maml", steps=3, leaf_rates=True,
            change=_zero_rate(name), notes=(f"The variable {name} has a rate of 0 and stays.",),
            settings=("one zero rate",),
        )  # fmt: skip


def _zero_rate(name: str) -> Callable[[Json], None]:
    def change(problem: Json) -> None:
        problem["rates"][name] = hex_float(0.0)

    return change


def _saturated() -> Iterator[Recipe]:
    note = "One hidden unit is saturated: tanh rounds to ±1 there, its derivative is about 1e-17; no leaf rests on it."
    for family in ("mlp-tanh-mse", "mlp-tanh-softmax"):
        for step in ("fomaml", "maml", "reptile"):
            yield Recipe(
                slug=f"{family}-{step}-saturated", family=family, step=step, steps=3, tasks=2, sizes=0,
                change=_entry("b1", 0, 20.0), notes=(note,), settings=("saturated tanh",),
            )  # fmt: skip


def _entry(name: str, index: int, value: float) -> Callable[[Json], None]:
    """Return a change that sets one entry of a variable."""

    def change(problem: Json) -> None:
        problem["variables"][name]["values"][index] = hex_float(value)

    return change


def _large_logits() -> Iterator[Recipe]:
    note = "A logit beyond 709, whose exp overflows: softmax, softplus and the logistic cost need their stable form."
    cases = {
        "logistic-regression": ("bias", 800.0),
        "mlp-tanh-softmax": ("b2", 800.0),
        "mlp-relu-softmax": ("b2", 900.0),
        "mlp-softplus-softmax": ("b2", 1000.0),
        "mlp-softplus-mse": ("b1", 750.0),
    }
    for family, (name, value) in cases.items():
        for step in ("fomaml", "maml"):
            scale = 2.0**-20 if family == "mlp-softplus-mse" else None
            yield Recipe(
                slug=f"{family}-{step}-large-logits", family=family, step=step, steps=2, tasks=2, rate=scale,
                change=_entry(name, 0, value), notes=(note,), settings=("large logits",),
            )  # fmt: skip


def _tiny_and_huge() -> Iterator[Recipe]:
    tiny = "Variables and centres are subnormal: flushed to zero, nothing is left."
    huge = "Variables near 1e150, costs near 1e300: a sum of four squares of these would overflow."
    for step in ("fomaml", "maml", "reptile"):
        for steps in (1, 3):
            yield Recipe(
                slug=f"quadratic-{step}-subnormal-k{steps}", family="quadratic", step=step, steps=steps, tasks=2,
                size=2.0**-1030, notes=(tiny,), dtypes=_DOUBLE, settings=("subnormal",),
            )  # fmt: skip
        yield Recipe(
            slug=f"quadratic-{step}-huge", family="quadratic", step=step, steps=2, tasks=2, size=2.0**500,
            notes=(huge,), dtypes=_DOUBLE, settings=("huge",),
        )  # fmt: skip
        yield Recipe(
            slug=f"linear-regression-{step}-huge", family="linear-regression", step=step, steps=2, tasks=2,
            size=2.0**500, notes=(huge,), dtypes=_DOUBLE, settings=("huge",),
        )  # fmt: skip
    for family in ("linear-regression", "bilinear"):
        for step in ("fomaml", "maml", "reptile"):
            yield Recipe(
                slug=f"{family}-{step}-steep", family=family, step=step, steps=2, size=100.0, rate=0.0625,
                notes=("Gradients beyond 10, which a step that clips would clip.",), settings=("steep",),
            )  # fmt: skip


def _sensitive() -> Iterator[Recipe]:
    near = "The query's centre is 2^-12 from the adapted point's start: what is left after cancellation is sensitive."
    for step in ("fomaml", "maml"):
        yield Recipe(
            slug=f"quadratic-{step}-near-minimum", family="quadratic", step=step, steps=1, rate=2.0**-13,
            change=_near_minimum, notes=(near,), settings=("near a minimum",),
        )  # fmt: skip
        yield Recipe(
            slug=f"quadratic-{step}-unstable", family="quadratic", step=step, steps=20, rate=1.75,
            notes=("The rate is beyond the stable range: the inner loop runs away.",), settings=("unstable",),
        )  # fmt: skip


def _near_minimum(problem: Json) -> None:
    """Put the query's centres beside θ."""
    theta = [float.fromhex(entry) for entry in problem["variables"]["vector"]["values"]]
    rows = problem["query"]["centre"]["shape"][0]
    problem["query"]["centre"]["values"] = [hex_float(entry + 2.0**-12) for _ in range(rows) for entry in theta]
