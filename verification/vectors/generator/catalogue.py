"""The catalogue: every fault that an answer of one step can show, and why an answer cannot show the others."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

from verification.vectors.generator import faults as f
from verification.vectors.generator import setting as on
from verification.vectors.generator.balls import exact, value
from verification.vectors.generator.layout import Json, hex_float
from verification.vectors.generator.setting import Gradients, Setting, Wrong, setting_of, when

_SMALLEST_NORMAL = 2.0**-1022
_LARGEST_EXPONENT = 709.0  # exp of more overflows binary64


@dataclass(frozen=True)
class Fault:
    """A name ("B11/sum": a fault and its variant), a sentence, and what comes back."""

    name: str
    sentence: str
    wrong: Wrong


def _stretched(factor: Any) -> Wrong:
    return when(on.steps, lambda s: s.under(stretch=factor(s) if callable(factor) else exact(factor)))


def _rates(s: Setting, rates: dict[str, Any]) -> Gradients:
    return s.under([replace(task, rates=rates) for task in s.tasks])


def _outer_rate(s: Setting) -> Gradients | None:
    if not s.steps or s.kind == "reptile":
        return None
    return _rates(s, dict.fromkeys(s.tasks[0].rates, exact(f.OUTER_RATE)))


def _mapped(problem: Json, change: Any) -> Json:
    """Return the problem with every number of its data and variables changed."""

    def leaf(node: Json) -> Json:
        return {**node, "values": [hex_float(change(float.fromhex(entry))) for entry in node["values"]]}

    parts = ("variables", "support", "query")
    changed = {part: {k: leaf(v) for k, v in (problem[part] or {}).items()} for part in parts}
    return {**problem, **changed}


def _binary32(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def _lower_precision(s: Setting) -> Gradients | None:
    numbers = [
        float.fromhex(v) for part in ("variables", "support") for a in s.problem[part].values() for v in a["values"]
    ]
    if max(map(abs, numbers)) > 2.0**120 or all(_binary32(number) == number for number in numbers):
        return None
    return setting_of(_mapped(s.problem, _binary32)).under()


def _flushed(s: Setting) -> Gradients | None:
    flushed = _mapped(s.problem, lambda x: x if abs(x) >= _SMALLEST_NORMAL else 0.0)
    return None if flushed == s.problem else setting_of(flushed).under()


def _overflown(s: Setting) -> Gradients | None:
    """Exp of a number beyond its range gives infinity, and infinity over infinity NaN."""
    highest = [0.0]
    exponents = ("logit", "before") if "softplus" in s.problem["family"] else ("logit",)

    def watch(kind: str, scalar: Any) -> Any:
        if kind in exponents:
            highest[0] = max(highest[0], float(value(scalar)))
        return scalar

    s.under([replace(task, touch=watch) for task in s.tasks])
    return dict.fromkeys(s.under()) if highest[0] > _LARGEST_EXPONENT else None


def _rate_missing(s: Setting) -> Gradients | None:
    if not s.steps or not all(rate.is_zero() for rate in s.tasks[0].rates.values()):
        return None
    return _rates(s, dict.fromkeys(s.tasks[0].rates, exact(f.MISSING_RATE)))


def _one_rate(s: Setting) -> Gradients | None:
    rates = s.tasks[0].rates
    first = next(iter(rates.values()))
    differ = any(not (rate - first).is_zero() for rate in rates.values())
    return _rates(s, dict.fromkeys(rates, first)) if differ and s.steps else None


def _first_selection(s: Setting) -> Gradients | None:
    first = s.tasks[0]
    if all((task.inner_names, task.outer_names) == (first.inner_names, first.outer_names) for task in s.tasks):
        return None
    return s.under([replace(t, inner_names=first.inner_names, outer_names=first.outer_names) for t in s.tasks])


def _everything_adapts(s: Setting) -> Gradients | None:
    names = tuple(s.tasks[0].theta)
    if not s.steps or all(task.inner_names == names for task in s.tasks):
        return None
    return s.under([replace(task, inner_names=names) for task in s.tasks])


def _all_rows(s: Setting) -> Gradients | None:
    rows = next(iter(s.problem["support"].values()))["shape"][0]
    if rows == s.problem["num_tasks"]:
        return None
    every = {**s.problem, "num_tasks": rows}
    for key in ("inner", "outer"):
        every[key] = s.problem[key] + [s.problem[key][0]] * (rows - len(s.problem[key]))
    return setting_of(every).under()


def _loop_with_many(s: Setting) -> bool:
    return on.many(s) and on.steps(s) and not s.problem["batched"]


def _examples(s: Setting) -> bool:
    return on.steps(s) and s.examples > 1


def _nonlinear(s: Setting) -> bool:
    return on.maml(s) and s.problem["family"] not in ("quadratic", "bilinear")


CATALOGUE = (
    Fault("A01", "second order asked, first order given", when(on.maml, on.rule(kind="fomaml"))),
    Fault("A02", "adapted values written back into the variables", when(on.maml, on.rule(kind="fomaml"))),
    Fault("A03", "updated through a detached copy: no gradient", f.zeros),
    Fault("A04", "the first-order switch ignored or inverted",
          when(on.outer, lambda s: s.under(kind="fomaml" if s.kind == "maml" else "maml"))),
    Fault("A05", "the parameters detached, not the gradients", when(lambda s: s.kind == "fomaml", f.zeros)),
    Fault("A06", "initial weights detached", when(lambda s: s.kind != "reptile", f.zeros)),
    Fault("A08", "only the last inner step differentiated",
          when(lambda s: on.maml(s) and on.long(s), on.rule(last_only=True))),
    Fault("A09", "a second derivative silently zero", when(_nonlinear, on.rule(silent=("probability", "slope")))),
    Fault("B01", "the outer loss from before adaptation", when(on.outer, on.rule(steps=0))),
    Fault("B02", "one inner step too few", when(on.long, lambda s: s.under(steps=s.steps - 1))),
    Fault("B03", "one inner step too many", lambda s: s.under(steps=s.steps + 1)),
    Fault("B05", "inner gradients with respect to θ through the loop",
          when(lambda s: s.kind == "fomaml" and s.steps == 2, on.rule(through=True))),
    Fault("B06", "all inner gradients at θ", when(on.long, on.rule(at_start=True))),
    Fault("B07", "fast weights copied afresh at each step", when(on.long, on.rule(steps=1))),
    Fault("B08", "the graph lost at the second step", when(lambda s: s.kind == "maml" and on.long(s), f.zeros)),
    Fault("B11/no-start", "the average leaves θ out",
          when(lambda s: s.rule.average and on.steps(s), f.without_start)),
    Fault("B11/sum", "a sum over the points for their mean",
          when(lambda s: s.rule.average and on.steps(s), lambda s: f.scaled(s, s.steps + 1))),
    Fault("C01", "one batch for support and query", when(lambda s: s.kind != "reptile", on.rule(outer_data="support"))),
    Fault("C02", "support data in the averaged outer gradient", f.support_in_average),
    Fault("C03", "support and query exchanged",
          when(lambda s: s.kind != "reptile", on.rule(inner_data="query", outer_data="support"))),
    Fault("C04", "query data in the inner loop", when(on.outer, on.rule(inner_data="query"))),
    Fault("C05", "the inner cost summed over examples", when(_examples, _stretched(lambda s: s.examples))),
    Fault("C06", "the mean over examples taken twice",
          when(_examples, _stretched(lambda s: exact(1.0) / s.examples))),
    Fault("D01", "the sum over tasks for the mean", when(on.many, lambda s: f.scaled(s, len(s.tasks)))),
    Fault("D02", "divided by the number of tasks twice",
          when(on.many, lambda s: f.scaled(s, exact(1.0) / len(s.tasks)))),
    Fault("D03/whole", "the last task only", f.one_task(-1, 0)),
    Fault("D03/share", "the last task only, over the number of tasks", f.one_task(-1, 1)),
    Fault("D04", "the first task only, over the number of tasks", f.one_task(0, 1)),
    Fault("D06", "inner gradients left in the accumulator", when(on.outer, f.accumulated)),
    Fault("D07", "the parameter's own first axis summed away", f.first_axis_summed),
    Fault("D08", "a sum over tasks in batched mode",
          when(lambda s: bool(s.problem["batched"]) and on.many(s), _stretched(lambda s: len(s.tasks)))),
    Fault("D09", "a gradient path counted twice", f.path_twice),
    Fault("E01", "a task starts where the one before ended", when(_loop_with_many, f.leaking)),
    Fault("F01", "a tied parameter adapted as two", when(on.long, f.untied)),
    Fault("F02", "no gradient for an unused parameter", f.unused_missing),
    Fault("F03", "the first adapted variable never adapted", when(on.steps, f.one_frozen)),
    Fault("F04", "inner and outer selection exchanged", f.exchanged_selections),
    Fault("F05", "updates paired by position", when(on.steps, f.swapped_updates)),
    Fault("G01", "the outer rate (2^-10) used as inner rate", _outer_rate),
    Fault("G02", "inner ascent", _stretched(-1.0)),
    Fault("G03/no-rate", "θ − φ_K without 1/α",
          when(lambda s: s.kind == "reptile", f.displacement_over(lambda _, rate: rate))),
    Fault("G03/per-step", "(θ − φ_K)/(K α)",
          when(lambda s: s.kind == "reptile" and on.long(s), f.displacement_over(lambda s, _: exact(1.0) / s.steps))),
    Fault("G03/mean", "the mean of K + 1 gradients over α",
          when(lambda s: s.kind == "reptile", f.mean_gradient_over_rate)),
    Fault("G04", "Reptile that is first-order MAML", when(lambda s: s.kind == "reptile", f.last_gradient)),
    Fault("G06", "weight decay (factor 1 − 2^-7) in the inner loop", when(on.steps, on.rule(decay=exact(f.DECAY)))),
    Fault("G07", "the gradient clipped to [−10, 10]", f.clipped),
    Fault("G09", "Hessians at the next iterate", when(on.maml, on.rule(hessian_shift=1))),
    Fault("G10", "the inner loss scaled by 2", _stretched(f.LOSS_SCALE)),
    Fault("G11", "inputs rounded to binary32", _lower_precision),
    Fault("V01", "exponentials that overflow", _overflown),
    Fault("V02", "subnormal inputs flushed to zero", _flushed),
    Fault("V03", "a rate of zero taken for a missing one (0.01)", _rate_missing),
    Fault("V04", "the first variable's rate for every variable", _one_rate),
    Fault("V05", "the first task's selections for every task", _first_selection),
    Fault("V06", "every variable adapted, selected or not", _everything_adapts),
    Fault("V07", "the number of tasks ignored, every row used", _all_rows),
)  # fmt: skip

#: Faults of A to G that the answer of one step cannot show, or not on these families, and why.
NOT_SHOWN = {
    "A07": "it needs an inner update with clipping; the update of every vector is plain descent",
    "A13": "it needs a cost whose second derivative is not finite where the first is; no family has one",
    "B10": "it shows in the variables after the outer update; a step returns gradients",
    "D05": "it needs two calls",
    "D10": "it shows in the variables after the outer update; a step returns gradients",
    "E02": "the answer is right; compare the inputs before and after the call",
    "E03": "it needs a buffer and two calls",
    "E04": "it needs an inner optimizer with state; the update of every vector is plain descent",
    "G08": "it belongs to implicit MAML, which is none of the three steps",
}
