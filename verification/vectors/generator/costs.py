"""The cost families in ball arithmetic: values and gradients by hand, products with Hessians by Taylor arithmetic.

The formulas are those of docs/vectors.md. A gradient is derived by hand and written once, for balls and for their
first-order Taylor polynomials φ + t u alike: the coefficient of t of ∇S(φ + t u) is H(φ) u, with no further formula.

`touch(kind, scalar)` sees values on the way: "before" an activation, "hidden" (after it), "slope" (its derivative),
"logit" and "probability" (before and after softmax and the logistic function). Conditioning disturbs some of them; a
fault may hold some constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from verification.vectors.generator.balls import Scalar, UndecidedError, along, flint, is_positive, slope
from verification.vectors.generator.layout import Array

Point: TypeAlias = dict[str, list[Scalar]]
Touch: TypeAlias = Callable[[str, Scalar], Scalar]
Matrix: TypeAlias = list[list[Scalar]]
Base: TypeAlias = Callable[["Cost", Point], tuple[Scalar, Point]]

INNER_ALONE = ("inner_gain", "inner_only")  # variables that the outer cost ignores
OUTER_ALONE = ("outer_gain", "outer_only")  # variables that the inner cost ignores
QUADRATIC_ORDER = ("inner_only", "vector", "matrix", "outer_only")


def untouched(kind: str, scalar: Scalar) -> Scalar:  # noqa: ARG001  # the interface of every touch
    """Leave a value as it is."""
    return scalar


@dataclass(frozen=True)
class Cost:
    """One task's inner or outer cost; `ignores` names the variables that do not enter, `gain` the one that scales it.

    `gain_copy` takes the place of `gain` in the term ½ gain², which is a fault where the two are tied.
    """

    family: str
    data: dict[str, Array]
    ignores: tuple[str, ...]
    gain: str
    touch: Touch = untouched
    gain_copy: str | None = None

    def value(self, v: Point) -> Scalar:
        """Return the cost at v."""
        return self.value_and_gradient(v)[0]

    def gradient(self, v: Point) -> Point:
        """Return the gradient at v, an exact 0 for what does not enter."""
        return self.value_and_gradient(v)[1]

    def hessian_times(self, v: Point, u: Point) -> Point:
        """Return H(v) u."""
        curve = {name: [along(a, b) for a, b in zip(v[name], u[name], strict=True)] for name in v}
        try:
            gradient = self.gradient(curve)
        except ValueError as error:  # of a polynomial divided by one whose constant term may be 0
            raise UndecidedError from error
        return {name: [slope(entry) for entry in leaf] for name, leaf in gradient.items()}

    def value_and_gradient(self, v: Point) -> tuple[Scalar, Point]:
        """Return the cost and its gradient; with a gain g it is exp(g) · base + ½ g²."""
        base, partial = BASES[self.family](self, v)
        if self.gain in v:
            copy = self.gain_copy or self.gain
            factor, squared = v[self.gain][0].exp(), v[copy][0]
            partial = {name: [factor * entry for entry in leaf] for name, leaf in partial.items()}
            base = factor * base
            partial[self.gain] = [base] if copy != self.gain else [base + squared]
            if copy != self.gain:
                partial[copy] = [squared]
            base = base + squared * squared / 2
        zero = flint.arb(0)
        return base, {name: partial.get(name, [zero] * len(leaf)) for name, leaf in v.items()}

    def rows(self, name: str) -> Matrix:
        """Return a matrix of data [N, D] as rows."""
        return as_rows(self.data[name].values, self.data[name].shape[-1])


def as_rows(flat: list[Scalar], width: int) -> Matrix:
    """Cut a flat list, row by row."""
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def total(terms: list[Scalar]) -> Scalar:
    """Return the sum, in order."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def _affine(x: Matrix, weight: Matrix, bias: list[Scalar]) -> Matrix:
    """Return x W + b."""
    columns = list(zip(*weight, strict=True))
    return [
        [total([a * w for a, w in zip(row, column, strict=True)]) + b for column, b in zip(columns, bias, strict=True)]
        for row in x
    ]


def _affine_gradient(x: Matrix, delta: Matrix) -> tuple[list[Scalar], list[Scalar]]:
    """Return xᵀ δ, flat, and the column sums of δ: what x W + b passes on to W and b."""
    outputs = list(zip(*delta, strict=True))
    weight = [
        total([a * d for a, d in zip(inputs, output, strict=True)])
        for inputs in zip(*x, strict=True)
        for output in outputs
    ]
    return weight, [total(list(output)) for output in outputs]


def _quadratic(cost: Cost, v: Point) -> tuple[Scalar, Point]:
    """½ rᵀ A r with r = v − c; the gradient is A r, A being symmetric."""
    names = [name for name in QUADRATIC_ORDER if name in v and name not in cost.ignores]
    flat = [entry for name in names for entry in v[name]]
    r = [entry - centre for entry, centre in zip(flat, cost.data["centre"].values, strict=True)]
    gradient = [total([a * b for a, b in zip(row, r, strict=True)]) for row in cost.rows("matrix")]
    value = total([a * b for a, b in zip(r, gradient, strict=True)]) / 2
    parts, start = {}, 0
    for name in names:
        parts[name] = gradient[start : start + len(v[name])]
        start += len(v[name])
    return value, parts


def _mse(cost: Cost, output: Matrix) -> tuple[Scalar, Matrix]:
    """Return mean (o − y)² over examples and outputs, and 2 (o − y)/(N O)."""
    target = cost.rows("y")
    count = len(output) * len(output[0])
    r = [[a - b for a, b in zip(row, aim, strict=True)] for row, aim in zip(output, target, strict=True)]
    value = total([entry * entry for row in r for entry in row]) / count
    return value, [[2 * entry / count for entry in row] for row in r]


def _softmax(cost: Cost, logits: Matrix) -> tuple[Scalar, Matrix]:
    """Return mean log Σ exp(o) − Σ y o over examples, and (softmax(o) − y)/N."""
    count = len(logits)
    terms, delta = [], []
    for row, y in zip(logits, cost.rows("y"), strict=True):
        o = [cost.touch("logit", entry) for entry in row]
        # No shift is needed: a ball's exponent has no bound, and what cancels is seen and met with more bits.
        terms.append(total([entry.exp() for entry in o]).log() - total([a * b for a, b in zip(y, o, strict=True)]))
        p = [cost.touch("probability", 1 / total([(b - a).exp() for b in o])) for a in o]
        delta.append([(a - b) / count for a, b in zip(p, y, strict=True)])
    return total(terms) / count, delta


def _linear_regression(cost: Cost, v: Point) -> tuple[Scalar, Point]:
    x = cost.rows("x")
    value, delta = _mse(cost, _affine(x, as_rows(v["weight"], len(v["bias"])), v["bias"]))
    weight, bias = _affine_gradient(x, delta)
    return value, {"weight": weight, "bias": bias}


def _logistic_regression(cost: Cost, v: Point) -> tuple[Scalar, Point]:
    """Mean log(1 + exp z) − y z with z = x w + b; by z: (σ(z) − y)/N."""
    x, y = cost.rows("x"), cost.data["y"].values
    z = [cost.touch("logit", row[0]) for row in _affine(x, [[w] for w in v["weight"]], v["bias"])]
    value = total([(1 + entry.exp()).log() - label * entry for entry, label in zip(z, y, strict=True)]) / len(z)
    p = [cost.touch("probability", 1 / (1 + (-entry).exp())) for entry in z]
    delta = [[(a - b) / len(z)] for a, b in zip(p, y, strict=True)]
    weight, bias = _affine_gradient(x, delta)
    return value, {"weight": weight, "bias": bias}


def _bilinear(cost: Cost, v: Point) -> tuple[Scalar, Point]:
    """−mean Σ_j x_j latent_j weight_j: by each factor, minus the mean of x times the other."""
    x = cost.rows("x")
    mean = [total(list(column)) / len(x) for column in zip(*x, strict=True)]
    latent, weight = v["latent"], v["weight"]
    by_latent = [-(m * w) for m, w in zip(mean, weight, strict=True)]
    by_weight = [-(m * entry) for m, entry in zip(mean, latent, strict=True)]
    return total([a * b for a, b in zip(by_latent, latent, strict=True)]), {"latent": by_latent, "weight": by_weight}


def _tanh(z: Scalar) -> tuple[Scalar, Callable[[Scalar], Scalar]]:
    up, down = z.exp(), (-z).exp()
    return (up - down) / (up + down), lambda h: 1 - h * h


def _relu(z: Scalar) -> tuple[Scalar, Callable[[Scalar], Scalar]]:
    on = 1 if is_positive(z) else 0
    return z * on, lambda _: flint.arb(on)


def _softplus(z: Scalar) -> tuple[Scalar, Callable[[Scalar], Scalar]]:
    return (1 + z.exp()).log(), lambda _: 1 / (1 + (-z).exp())


#: Activations: z ↦ act(z), and a function of act(z) that gives act'(z).
ACTIVATIONS = {"tanh": _tanh, "relu": _relu, "softplus": _softplus}
LOSSES = {"mse": _mse, "softmax": _softmax}


def _mlp(activation: str, loss: str) -> Base:
    """Return the cost loss(act(x W1 + b1) W2 + b2, y), with its gradient by back-propagation."""
    act, measure = ACTIVATIONS[activation], LOSSES[loss]

    def value_and_gradient(cost: Cost, v: Point) -> tuple[Scalar, Point]:
        x, w2 = cost.rows("x"), as_rows(v["w2"], len(v["b2"]))
        z = _affine(x, as_rows(v["w1"], len(v["b1"])), v["b1"])
        pairs = [[act(cost.touch("before", entry)) for entry in row] for row in z]
        hidden = [[cost.touch("hidden", h) for h, _ in row] for row in pairs]
        slopes = [
            [cost.touch("slope", derivative(h)) for (_, derivative), h in zip(row, touched, strict=True)]
            for row, touched in zip(pairs, hidden, strict=True)
        ]
        value, delta = measure(cost, _affine(hidden, w2, v["b2"]))
        weight2, bias2 = _affine_gradient(hidden, delta)
        back = [
            [
                total([d * w for d, w in zip(errors, outgoing, strict=True)]) * by
                for outgoing, by in zip(w2, slope_row, strict=True)
            ]
            for errors, slope_row in zip(delta, slopes, strict=True)
        ]
        weight1, bias1 = _affine_gradient(x, back)
        return value, {"w1": weight1, "b1": bias1, "w2": weight2, "b2": bias2}

    return value_and_gradient


BASES: dict[str, Base] = {
    "quadratic": _quadratic,
    "linear-regression": _linear_regression,
    "logistic-regression": _logistic_regression,
    "bilinear": _bilinear,
    **{f"mlp-{act}-{loss}": _mlp(act, loss) for act in ACTIVATIONS for loss in LOSSES},
}
