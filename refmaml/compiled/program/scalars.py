"""Functions of numbers that emitted source calls, as plain Python: what they compute, and what runs with the jit off.

`machine.vectormath` has the same functions as LLVM instructions that a loop over them can be vectorised with.
Those of the C library and of SciPy are called there by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: Written as operators in emitted source.
OPERATORS = {
    "add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "true_divide": "{} / {}", "negative": "-{}",
    "equal": "{} == {}", "not_equal": "{} != {}", "less": "{} < {}", "less_equal": "{} <= {}", "greater": "{} > {}",
    "greater_equal": "{} >= {}", "logical_and": "{} & {}", "logical_or": "{} | {}", "logical_xor": "{} ^ {}",
    "copy": "{}", "logical_not": "{} ^ True",
}  # fmt: skip

#: Functions of the C library, under NumPy's names.
C_LIBRARY = {
    "exp2": "exp2", "expm1": "expm1", "log2": "log2", "log10": "log10", "sin": "sin", "cos": "cos", "tan": "tan",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "power": "pow", "arctan2": "atan2", "hypot": "hypot", "fmod": "fmod",
}  # fmt: skip

#: Functions of scipy.special's C interface: the name there. They are computed in float64, as SciPy's own are.
SPECIAL = {
    "psi": "psi", "gamma": "gamma", "gammaln": "gammaln", "gammasgn": "gammasgn", "rgamma": "rgamma", "j0": "j0",
    "j1": "j1", "y0": "y0", "y1": "y1", "i0": "i0", "i1": "i1", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv",
    "erfcinv": "erfcinv", "logit": "logit", "beta": "beta", "betaln": "betaln", "gammainc": "gammainc",
    "gammaincc": "gammaincc", "jn": "jv", "yn": "yn", "iv": "iv", "ive": "ive", "betainc": "betainc",
    "ndtr": "ndtr", "log_ndtr": "log_ndtr", "stdtr": "stdtr",
}  # fmt: skip


#: B_2k/(2k)! for k = 1 … 8, with Bernoulli's numbers B.
BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000,
)  # fmt: skip


def sech2(x: Any) -> Any:
    """1/cosh(x)², from e = exp(−2|x|), without overflow."""
    e = np.exp(-2 * abs(x))
    return 4 * e / ((1 + e) * (1 + e))


def zeta(s: Any, q: Any) -> Any:
    """Hurwitz's ζ(s, q) = Σ (k + q)⁻ˢ for s > 1, by Euler and Maclaurin (DLMF 25.11.5 with nine terms summed first).

    Outside s > 1 and at the poles q = 0, −1, … it gives what SciPy gives: NaN and infinity.
    """
    if not s > 1.0 or np.isnan(q):
        return np.nan if s != 1.0 else np.inf
    if q <= 0.0:
        if q == np.floor(q):
            return np.inf
        if s != np.floor(s):
            return np.nan
    total, base = 0.0, q
    for _ in range(10):
        total += base**-s
        base += 1.0
    while base <= 9.0:
        total += base**-s
        base += 1.0
    total += base ** (1.0 - s) / (s - 1.0) + 0.5 * base**-s
    factor, power = s, base ** (-s - 1.0)
    for k, bernoulli in enumerate(BERNOULLI):
        total += bernoulli * factor * power
        factor *= (s + 2 * k + 1) * (s + 2 * k + 2)
        power /= base * base
    return total


_PLAIN: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in C_LIBRARY},
    "exp": np.exp, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sech2": sech2, "sqrt": np.sqrt,
    "zeta": zeta, "mod": np.mod, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2,
    "maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax, "fmin": np.fmin, "absolute": np.absolute,
    "fabs": np.fabs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "rint": np.rint, "trunc": np.trunc,
    "reciprocal": np.reciprocal, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "square": np.square,
    "floor_mod": np.mod, "floor_divide": np.floor_divide,
    "where": lambda condition, x, y: x if condition else y,
}  # fmt: skip

#: What a loop can compute for a whole vector at a time.
VECTORS = {*OPERATORS, *_PLAIN, "cast", "expit"} - {*C_LIBRARY, "zeta", "mod", "floor_mod", "floor_divide"}


def plain(name: str) -> Callable[..., Any]:
    """Return a function by its name in emitted source; "where" chooses without a branch."""
    if name in SPECIAL or name == "expit":
        from scipy import special  # takes longer to import than NumPy

        found: Callable[..., Any] = getattr(special, name)
        return found
    return _PLAIN[name]
