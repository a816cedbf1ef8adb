"""Figures of a report, as SVG: errors against bounds, and how an error grows with the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape
from itertools import pairwise

from verification.cases import VECTORS, Case
from verification.naming.growth import Growth

_ROW = 20  # pixels
_RIGHT = "errors that are no number, or infinite, stand at the right edge"


def errors_figure(cases: list[Case]) -> str:
    """Return a row for each problem, with a mark for each answer: its error in bounds, on a logarithmic axis."""
    rows: dict[str, list[Case]] = {}
    for case in cases:
        rows.setdefault(_row(case), []).append(case)
    place, ticks = _axis([case.worst for case in cases] + [1.0], margin=1)
    lines = ['<span class="corner"></span>', f'<div class="plot">{_labels(ticks, place)}</div>']
    for name, answers in rows.items():
        marks = "".join(_mark(case, place) for case in sorted(answers, key=lambda case: case.dtype, reverse=True))
        lines.append(f'<span class="name">{escape(name)}</span>')
        lines.append(
            f'<div class="plot"><svg height="{_ROW}" aria-hidden="true">{_lines(ticks, place)}{marks}</svg></div>'
        )
    keys = [_key(dtype) for dtype in dict.fromkeys(case.dtype for case in cases)]
    keys.append('<span><svg viewBox="0 0 16 16"><line class="bound" x1="8" x2="8" y1="0" y2="16"/></svg>bound</span>')
    caption = (
        "The largest error of an answer, divided by its bound. Left of the bound it is right, and its mark is open; "
        f"right of it, it is wrong, and its mark is filled. An error of 0 stands at the left edge; {_RIGHT}."
    )
    return (
        f'<figure><div class="legend">{"".join(keys)}</div><div class="chart">{"".join(lines)}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def growth_figure(growth: Growth) -> str:
    """Return the error at each learning rate, on logarithmic axes: the slope is the p of α^p."""
    points = [(rate, error) for rate, error in zip(growth.rates, growth.errors, strict=True) if 0 < error < math.inf]
    if not points:
        return f"<p>On {escape(growth.problem)} there is no error to draw at smaller learning rates.</p>"
    across, rates = _axis([rate for rate, _ in points], base=2)
    up, sizes = _axis([error for _, error in points])
    height = 240

    def y(size: float) -> float:
        return height * (1 - up(size) / 100)

    shapes = [
        f'<line class="grid" x1="0%" x2="100%" y1="{y(10.0**size):.1f}" y2="{y(10.0**size):.1f}"/>'
        f'<text x="0%" dx="-10" y="{y(10.0**size) + 4:.1f}" text-anchor="end">{_power(10, size)}</text>'
        for size in sizes
    ]
    shapes += [
        f'<line class="grid" x1="{across(2.0**rate):.2f}%" x2="{across(2.0**rate):.2f}%" y1="0" y2="{height}"/>'
        f'<text x="{across(2.0**rate):.2f}%" y="{height + 16}" text-anchor="middle">{_power(2, rate)}</text>'
        for rate in rates
    ]
    for (rate, error), (next_rate, next_error) in pairwise(points):
        shapes.append(
            f'<line class="float64" stroke-width="1.5" x1="{across(rate):.2f}%" x2="{across(next_rate):.2f}%" '
            f'y1="{y(error):.1f}" y2="{y(next_error):.1f}"/>'
        )
    shapes += [
        f'<circle class="float64" r="4.5" cx="{across(rate):.2f}%" cy="{y(error):.1f}">'
        f"<title>α = {rate:g}: {error:.3g}</title></circle>"
        for rate, error in points
    ]
    if growth.exponent is None:
        slope = "The slope has not settled on a whole number."
    else:
        slope = f"The slope is {growth.exponent:.2f}: the error grows like α to that power."
    caption = (
        f"The 2-norm of the error of the gradients on {escape(growth.problem)}, order {growth.order}, in float64, "
        f"against the inner learning rate α; both axes are logarithmic. {slope}"
    )
    return (
        f'<figure><div class="plot growth"><svg height="{height + 24}" role="img" aria-label="{escape(slope)}">'
        f"{''.join(shapes)}</svg></div><figcaption>{caption}</figcaption></figure>"
    )


def _row(case: Case) -> str:
    """Return what the cases of a row share: golden vectors of an order have one together."""
    words = ["golden vectors" if case.group == VECTORS else case.problem, f"order {case.order}"]
    return ", ".join([*words, *([case.part] if case.part else [])])


def _axis(values: list[float], *, base: int = 10, margin: int = 0) -> tuple[Callable[[float], float], list[int]]:
    """Return what places a value on a logarithmic axis, in percent, and the powers of the base to mark."""
    logs = [math.log(value, base) for value in values if 0 < value < math.inf]
    low, high = math.floor(min(logs)) - margin, math.ceil(max(logs)) + margin
    high = min(max(high, low + 1), 308)  # the last power of ten that is a number
    step = max(1, math.ceil((high - low) / 6))
    ticks = [power for power in range(low, high + 1) if power % step == 0]

    def place(value: float) -> float:
        if not value < math.inf:
            return 100.0
        return 100 * (min(max(math.log(value, base), low), high) - low) / (high - low) if value > 0 else 0.0

    return place, ticks


def _labels(ticks: Iterable[int], place: Callable[[float], float]) -> str:
    words = "".join(
        f'<text x="{place(10.0**tick):.2f}%" y="14" text-anchor="middle">{_power(10, tick)}</text>' for tick in ticks
    )
    return f'<svg height="{_ROW}" aria-hidden="true">{words}</svg>'


def _lines(ticks: Iterable[int], place: Callable[[float], float]) -> str:
    lines = "".join(
        f'<line class="grid" x1="{place(10.0**tick):.2f}%" x2="{place(10.0**tick):.2f}%" y1="0" y2="{_ROW}"/>'
        for tick in ticks
    )
    return f'{lines}<line class="bound" x1="{place(1.0):.2f}%" x2="{place(1.0):.2f}%" y1="0" y2="{_ROW}"/>'


def _mark(case: Case, place: Callable[[float], float]) -> str:
    """Return a circle for float64 and a square for float32, filled where the answer is wrong."""
    error = f"{case.worst:.2g}" if case.is_compared else "no number"
    at = place(case.worst) if case.is_compared else 100.0
    state = "" if case.verdict == "fail" else " open"
    title = f"<title>{escape(case.title)}: {error}</title>"
    style = f'class="{case.dtype}{state}" stroke-width="2"'
    if case.dtype == "float64":
        return f'<circle {style} r="5" cx="{at:.2f}%" cy="{_ROW // 2}">{title}</circle>'
    middle = 'transform="translate(-4 0)"'
    return f'<rect {style} width="8" height="8" x="{at:.2f}%" y="{_ROW // 2 - 4}" {middle}>{title}</rect>'


def _key(dtype: str) -> str:
    shape = '<circle r="5" cx="8" cy="8"/>' if dtype == "float64" else '<rect width="9" height="9" x="3.5" y="3.5"/>'
    return f'<span><svg viewBox="0 0 16 16"><g class="{dtype}">{shape}</g></svg>{dtype}</span>'


def _power(base: int, exponent: int) -> str:
    """Return a power as SVG text, its exponent raised."""
    if exponent == 0:
        return "1"
    sign = "−" if exponent < 0 else ""
    return f'{base}<tspan dy="-4" font-size="9">{sign}{abs(exponent)}</tspan>'
