"""The densities and distributions of scipy.stats that autograd has, recorded as elementary functions.

They are those of SciPy outside of their support and of their parameters too: −∞, 0 or NaN.
"""

# ruff: noqa: ARG001 - a definition has the parameters of the primitive that it is for, needed or not
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import autograd.numpy
import numpy as np
import scipy.special
from autograd.extend import primitive
from autograd.numpy import linalg
from autograd.numpy import numpy_wrapper as anp
from autograd.scipy import special as asp
from autograd.scipy.stats import beta, chi2, dirichlet, gamma, multivariate_normal, norm, poisson, t

from refmaml.compiled.recording.definitions import Definition, defined, read

where = autograd.numpy.where

ndtr, log_ndtr = primitive(scipy.special.ndtr), primitive(scipy.special.log_ndtr)
stdtr = primitive(scipy.special.stdtr)


def _inside(condition: Any, value: Any, outside: float) -> Any:
    return where(condition, value, outside)


def _standard(function: Callable[..., Any], outside: float = -math.inf, power: int = 0) -> Definition:
    """Return a density with a location and a scale from the standard one; `power` of the scale divides it."""

    def located(x: Any, *args: Any) -> Any:
        *shapes, loc, scale = args
        value = function((x - loc) / scale, *shapes)
        value = value - power * anp.log(scale) if outside else value / scale**power
        return where(scale > 0, value, np.nan)

    return located


def _normal(function: Callable[[Any], Any], outside: float, power: int) -> Definition:
    located = _standard(function, outside, power)
    return lambda x, loc=0.0, scale=1.0: located(x, anp.array(loc), anp.array(scale))


_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
defined(norm.logpdf)(_normal(lambda z: -0.5 * z**2 - _HALF_LOG_TWO_PI, -math.inf, 1))
defined(norm.pdf)(_normal(lambda z: anp.exp(-0.5 * z**2) / math.sqrt(2 * math.pi), 0.0, 1))
defined(norm.cdf)(_normal(ndtr, 0.0, 0))
defined(norm.logcdf)(_normal(log_ndtr, -math.inf, 0))
defined(norm.sf)(_normal(lambda z: ndtr(-z), 0.0, 0))
defined(norm.logsf)(_normal(lambda z: log_ndtr(-z), -math.inf, 0))


def _log_t(z: Any, df: Any) -> Any:
    constant = asp.gammaln((df + 1) / 2) - asp.gammaln(df / 2) - 0.5 * anp.log(df * math.pi)
    return constant - (df + 1) / 2 * anp.log1p(z**2 / df)


def _student(function: Callable[[Any, Any], Any], outside: float, power: int) -> Definition:
    located = _standard(function, outside, power)

    def found(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        df = anp.array(df) * 1.0
        return where(df > 0, located(x, df, anp.array(loc), anp.array(scale)), np.nan)

    return found


defined(t.logpdf)(_student(_log_t, -math.inf, 1))
defined(t.pdf)(_student(lambda z, df: anp.exp(_log_t(z, df)), 0.0, 1))
defined(t.cdf)(_student(lambda z, df: stdtr(df, z), 0.0, 0))
defined(t.logcdf)(_student(lambda z, df: anp.log(stdtr(df, z)), -math.inf, 0))


def _times_log(factor: Any, x: Any) -> Any:
    """Factor · log x, and 0 where the factor is 0: scipy.special.xlogy."""
    none = factor == 0
    return where(none, 0.0, factor * anp.log(where(none, 1.0, x)))


def _log_gamma(x: Any, a: Any) -> Any:
    a = anp.array(a) * 1.0
    inside = where(x >= 0, x, 1.0)
    value = _times_log(a - 1.0, inside) - inside - asp.gammaln(a)
    return where(a > 0, where(anp.isnan(x), np.nan, _inside(x >= 0, value, -np.inf)), np.nan)


def _log_beta(x: Any, a: Any, b: Any) -> Any:
    a, b = anp.array(a) * 1.0, anp.array(b) * 1.0
    there = anp.logical_and(x >= 0, x <= 1)
    inside = where(there, x, 0.5)
    none = b - 1.0 == 0
    upper = where(none, 0.0, (b - 1.0) * anp.log1p(-where(none, 0.5, inside)))
    value = upper + _times_log(a - 1.0, inside) - asp.betaln(a, b)
    right = anp.logical_and(anp.logical_and(a > 0, b > 0), anp.logical_not(anp.isnan(x)))
    return where(right, _inside(there, value, -np.inf), np.nan)


def _log_poisson(k: Any, mu: Any) -> Any:
    mu = anp.array(mu) * 1.0
    whole = anp.logical_and(k >= 0, anp.floor(k) == k)
    inside = where(whole, k, 0) * 1.0
    value = _times_log(inside, mu) - asp.gammaln(inside + 1.0) - mu
    return where(mu >= 0, where(anp.isnan(k), np.nan, _inside(whole, value, -np.inf)), np.nan)


def _log_chi2(x: Any, df: Any) -> Any:
    df = anp.array(df) * 1.0
    there = x >= 0
    inside = where(there, x, 1.0)
    value = _times_log(df / 2.0 - 1.0, inside) - inside / 2.0 - asp.gammaln(df / 2.0) - math.log(2) * df / 2.0
    return where(df > 0, where(anp.isnan(x), np.nan, _inside(there, value, -np.inf)), np.nan)


for _log, _density, _of in (
    (gamma.logpdf, gamma.pdf, _log_gamma), (beta.logpdf, beta.pdf, _log_beta), (chi2.logpdf, chi2.pdf, _log_chi2),
    (poisson.logpmf, poisson.pmf, _log_poisson),
):  # fmt: skip
    defined(_log)(_of)
    defined(_density)(lambda *args, of=_of: anp.exp(of(*args)))


def _log_dirichlet(x: Any, alpha: Any) -> Any:
    """Log Γ(Σα) − Σ log Γ(α) + Σ (α − 1) log x; SciPy has an error for an x that is no point of the simplex."""
    alpha = anp.array(alpha) * 1.0
    if anp.ndim(x) != 1 or anp.shape(x) != anp.shape(alpha):
        return NotImplemented
    right = anp.logical_and(anp.all(alpha > 0), anp.logical_and(anp.all(x >= 0), anp.all(x <= 1)))
    right = anp.logical_and(right, anp.abs(anp.sum(x) - 1.0) <= 10e-10)
    right = anp.logical_and(right, anp.all(anp.logical_or(x > 0, alpha >= 1)))
    # Reading outside of an array of one element stops the step, and the reference raises SciPy's error.
    nothing = read(np.zeros(1), (anp._astype(anp.logical_not(right), np.int64),))
    value = asp.gammaln(anp.sum(alpha)) - anp.sum(asp.gammaln(alpha)) + anp.sum(_times_log(alpha - 1.0, x))
    return value + nothing


defined(dirichlet.logpdf)(_log_dirichlet)


@defined(dirichlet.pdf)
def dirichlet_pdf(x: Any, alpha: Any) -> Any:
    """The same without the logarithm."""
    value = _log_dirichlet(x, alpha)
    return value if value is NotImplemented else anp.exp(value)


def _log_normal(x: Any, mean: Any, cov: Any) -> Any:
    """The logarithm of a multivariate normal density, by Cholesky's factor L: −½ |L⁻¹(x − m)|² − log |√(2π) L|."""
    if anp.ndim(cov) != 2 or anp.ndim(mean) != 1 or anp.ndim(x) not in (1, 2):
        return NotImplemented
    low = linalg.cholesky(cov)
    half = linalg.solve(low, anp.transpose(anp.atleast_2d(x - mean)))
    logdet = anp.sum(anp.log(anp.diagonal(low)))
    value = -0.5 * anp.sum(half**2, axis=0) - logdet - _HALF_LOG_TWO_PI * anp.shape(cov)[0]
    return value if anp.ndim(x) == 2 and len(value) > 1 else value[0]


@defined(multivariate_normal.logpdf)
def log_multivariate_normal(x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
    """scipy.stats.multivariate_normal.logpdf of a covariance that has an inverse."""
    return NotImplemented if allow_singular or mean is None else _log_normal(x, mean, cov)


@defined(multivariate_normal.pdf)
def multivariate_normal_pdf(x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
    """The same without the logarithm."""
    value = NotImplemented if allow_singular or mean is None else _log_normal(x, mean, cov)
    return value if value is NotImplemented else anp.exp(value)


@defined(multivariate_normal.entropy)
def multivariate_normal_entropy(mean: Any = None, cov: Any = 1) -> Any:
    """½ log |2πe Σ|."""
    if anp.ndim(cov) != 2:
        return NotImplemented
    size = anp.shape(cov)[0]
    return 0.5 * size * (1.0 + math.log(2 * math.pi)) + anp.sum(anp.log(anp.diagonal(linalg.cholesky(cov))))
