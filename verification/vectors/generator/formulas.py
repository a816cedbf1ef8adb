"""The cost families as plain formulas, for any arithmetic: the second route's own reading of docs/vectors.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

from verification.vectors.generator.layout import Json

Vector: TypeAlias = list[Any]
Named: TypeAlias = dict[str, Vector]


@dataclass(frozen=True)
class Arithmetic:
    """A number type: `number` makes one of a rational; rationals themselves have no exp, log and tanh."""

    number: Callable[[Any], Any]
    exp: Any
    log: Any
    tanh: Any

    @property
    def is_exact(self) -> bool:
        """Whether there is no rounding."""
        return self.exp is None


def cost_of(problem: Json, t: int, which: str, arithmetic: Arithmetic) -> Callable[[Vector], Any]:
    """Return the "inner" or "outer" cost of a task as a function of the flat vector of all variables."""
    role = "inner" if problem["same_cost"] else which
    ignored = ("outer_gain", "outer_only") if role == "inner" else ("inner_gain", "inner_only")
    data = _data(problem["support" if which == "inner" else "query"], t, arithmetic)
    layout = _sizes(problem)
    formula = _FORMULAS[problem["family"].split("-")[0]]

    def cost(flat: Vector) -> Any:
        v, start = {}, 0
        for name, size in layout.items():
            v[name] = flat[start : start + size]
            start += size
        base = formula(problem["family"], data, {k: x for k, x in v.items() if k not in ignored}, arithmetic)
        gain = v.get(f"{role}_gain")
        return base if gain is None else arithmetic.exp(gain[0]) * base + gain[0] ** 2 / 2

    return cost


def _sizes(problem: Json) -> dict[str, int]:
    skip = 1 if problem["batched"] else 0
    return {name: prod(leaf["shape"][skip:]) for name, leaf in problem["variables"].items()}


def _data(part: Json, t: int, arithmetic: Arithmetic) -> dict[str, Any]:
    """Return one task's arrays as nested lists."""
    result = {}
    for name, leaf in part.items():
        values = [arithmetic.number(Fraction(float.fromhex(entry))) for entry in leaf["values"]]
        result[name] = _nested(values, leaf["shape"])[t]
    return result


def _nested(values: Vector, shape: list[int]) -> Any:
    if len(shape) == 1:
        return values
    size = prod(shape[1:])
    return [_nested(values[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]


def _quadratic(_: str, data: Any, v: Named, __: Arithmetic) -> Any:
    r = [x for name in ("inner_only", "vector", "matrix", "outer_only") for x in v.get(name, [])]
    r = [a - c for a, c in zip(r, data["centre"], strict=True)]
    n = range(len(r))
    return sum(r[i] * data["matrix"][i][j] * r[j] for i in n for j in n) / 2


def _bilinear(_: str, data: Any, v: Named, __: Arithmetic) -> Any:
    terms = [x[j] * v["latent"][j] * v["weight"][j] for x in data["x"] for j in range(len(x))]
    return -sum(terms) / len(data["x"])


def _outputs(x: Vector, weight: Vector, bias: Vector) -> Vector:
    o = len(bias)
    return [sum(x[i] * weight[i * o + j] for i in range(len(x))) + bias[j] for j in range(o)]


def _squares(outputs: list[Vector], targets: list[Vector]) -> Any:
    terms = [(a - b) ** 2 for o, y in zip(outputs, targets, strict=True) for a, b in zip(o, y, strict=True)]
    return sum(terms) / len(terms)


def _cross_entropy(outputs: list[Vector], targets: list[Vector], a: Arithmetic) -> Any:
    terms = []
    for o, y in zip(outputs, targets, strict=True):
        top = max(o)
        terms.append(
            top + a.log(sum(a.exp(entry - top) for entry in o)) - sum(p * q for p, q in zip(o, y, strict=True))
        )
    return sum(terms) / len(terms)


def _linear(_: str, data: Any, v: Named, __: Arithmetic) -> Any:
    return _squares([_outputs(x, v["weight"], v["bias"]) for x in data["x"]], data["y"])


def _softplus(z: Any, a: Arithmetic) -> Any:
    return max(z, a.number(0)) + a.log(1 + a.exp(-abs(z)))


def _logistic(_: str, data: Any, v: Named, a: Arithmetic) -> Any:
    z = [_outputs(x, v["weight"], v["bias"])[0] for x in data["x"]]
    return sum(_softplus(entry, a) - y * entry for entry, y in zip(z, data["y"], strict=True)) / len(z)


def _mlp(family: str, data: Any, v: Named, a: Arithmetic) -> Any:
    _, activation, loss = family.split("-")
    act = {"tanh": a.tanh, "relu": lambda z: max(z, a.number(0)), "softplus": lambda z: _softplus(z, a)}[activation]
    hidden = [[act(z) for z in _outputs(x, v["w1"], v["b1"])] for x in data["x"]]
    outputs = [_outputs(h, v["w2"], v["b2"]) for h in hidden]
    return _squares(outputs, data["y"]) if loss == "mse" else _cross_entropy(outputs, data["y"], a)


_FORMULAS: dict[str, Callable[[str, Any, Named, Arithmetic], Any]] = {
    "quadratic": _quadratic,
    "bilinear": _bilinear,
    "linear": _linear,
    "logistic": _logistic,
    "mlp": _mlp,
}
