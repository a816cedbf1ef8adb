"""A loss of NumPy arrays as costs of one flat vector: derivatives by autograd, or by the user's own gradient.

Where the user has a gradient, Hessian-vector products are its differences, or a complex step where that agrees with
them: code that is analytic gives it to the last digits, and other code something else. Central differences at steps h,
h/4, … are off by a series in h²; two rounds of extrapolation (Richardson, 1911) take its first terms away, until
rounding or a kink takes over. The error estimate is what two neighbouring ones differ by, the least of all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from autograd import grad
from numpy.typing import NDArray

from verification.judging.tolerances import norm
from verification.models.forms import thinned
from verification.models.interface import Host, LossCosts
from verification.models.numpy_tracing import Disturbance
from verification.models.numpy_trees import Path, cast, leaves_of, map_leaves, parameters_in
from verification.oracles.view import FlatArray

#: The user's own gradients by loss: gradient(model, batch).
Gradient = Mapping[Any, Callable[..., Any]]
#: Of ‖φ‖, each a quarter of the one before.
_STEPS = tuple(2.0**-k for k in range(5, 17, 2))
_TINY = 2.0**-66  # a step whose square is below rounding
_AGREE, _SAME = 30.0, 1e-9  # times the error estimate; of the product
_NEAR = 1e-3  # relative: how far points are where a loss is looked at for what it depends on


class NumpyHost:
    """A model's form, a precision, and the gradients that the user brings; `off` moves products by their errors."""

    def __init__(
        self, model: Any, dtype: str, gradients: Mapping[Any, Callable[..., Any]], *, off: bool = False
    ) -> None:
        self.dtype, self.container, self.gradients, self.off = dtype, model, gradients, off
        found = parameters_in(model)
        self.paths = {path: name for name, (path, _) in found.items()}
        self.shapes = {name: np.shape(leaf) for name, (_, leaf) in found.items()}
        ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in self.shapes.values()]).tolist()
        self.size = ends[-1]
        self.spots = {name: slice(a, b) for name, a, b in zip(self.shapes, [0, *ends[:-1]], ends, strict=True)}

    def cast(self, batch: Any) -> Any:
        """Return a fresh copy of a batch in the precision."""
        return cast(batch, self.dtype)

    def examples(self, batch: Any) -> int:
        """Return the length of the first array of a batch that has one."""
        return next((len(leaf) for _, leaf in leaves_of(batch) if isinstance(leaf, np.ndarray) and leaf.ndim), 1)

    def entries(self, batch: Any) -> int:
        """Return how many numbers the last array of a batch has."""
        return next((leaf.size for _, leaf in reversed(list(leaves_of(batch))) if isinstance(leaf, np.ndarray)), 1)

    def fewer(self, batch: Any, count: int) -> Any:
        """Return a batch with so many of its examples, evenly spaced."""
        length = self.examples(batch)
        return map_leaves(lambda _, leaf: thinned(leaf, length, count) if isinstance(leaf, np.ndarray) else leaf, batch)

    def costs(self, loss: Callable[..., Any], batch: Any) -> NumpyCosts:
        """Return a loss on a batch that is cast."""
        return NumpyCosts(self, loss, batch)

    def disturbance(self, delta: float, rng: np.random.Generator) -> Disturbance:
        """Return a relative change of ±δ, with signs of its own for every operation."""
        return Disturbance(delta, rng)

    def off_by_errors(self) -> NumpyHost | None:
        """Return a host whose products are off by their error estimates, where they are differences."""
        return NumpyHost(self.container, self.dtype, self.gradients, off=True) if self.gradients else None

    def model(self, vector: Any) -> Any:
        """Return the model with the parameters of a flat vector."""

        def part(path: Path, leaf: Any) -> Any:
            name = self.paths.get(path)
            return leaf if name is None else vector[self.spots[name]].reshape(self.shapes[name])

        return map_leaves(part, self.container)

    def flat(self, gradients: Any) -> NDArray[Any]:
        """Return gradients in the form of the model as a flat vector; 0 where there is none.

        Raises:
            TypeError: they have not the form of the model.
        """
        leaves = {self.paths[path]: leaf for path, leaf in leaves_of(gradients) if path in self.paths}
        for name, shape in self.shapes.items():
            if name not in leaves or (leaves[name] is not None and np.shape(leaves[name]) != shape):
                raise TypeError(f"the gradient: expected an array of shape {shape} for {name}, in the model's form")
        return np.concatenate(
            [
                np.zeros(int(np.prod(shape, dtype=int))) if leaves[name] is None else np.ravel(np.asarray(leaves[name]))
                for name, shape in self.shapes.items()
            ]
        )


@dataclass(frozen=True, eq=False)
class NumpyCosts:
    """One loss on one batch, as costs [P] of points [P, n]."""

    host: NumpyHost
    loss: Callable[..., Any]
    batch: Any
    disturbance: Disturbance | None = None

    # Variants that faults ask for: a function has no mode of its own, and no parameter that is tied

    def in_other_mode(self) -> NumpyCosts:
        """Return the loss itself."""
        return self

    def after(self, passes: Sequence[Any]) -> NumpyCosts:  # noqa: ARG002
        """Return the loss itself: nothing is left behind by a function."""
        return self

    def in_lower_precision(self) -> NumpyCosts:
        """Return the loss itself: nobody asks, since NumPy does not tell what operations come in."""
        return self

    def with_copies(self) -> NumpyCosts:
        """Return the loss itself."""
        return self

    @property
    def copies(self) -> NDArray[np.intp]:
        """Each coordinate once."""
        return np.arange(self.host.size)

    def disturbed(self, disturbance: Disturbance) -> NumpyCosts:
        """Return the loss with the result of every operation disturbed."""
        return replace(self, disturbance=disturbance)

    def reads_what_changes(self, other: Any, phi: FlatArray) -> bool:  # noqa: ARG002
        """Return False: nothing is left behind by a function."""
        return False

    # What it computes

    def __call__(self, points: Any) -> Any:
        """Return the costs [P] of points [P, n]."""
        return np.array([float(self._value(self._given(point))) for point in points])

    def gradient(self, phi: FlatArray) -> FlatArray:
        """Return ∇S(φ)."""
        return self._gradient(phi, None if self.disturbance is None else self.disturbance.draw())

    def product(self, phi: FlatArray, u: FlatArray) -> FlatArray:
        """Return ∇²S(φ) u."""
        if self.loss not in self.host.gradients:
            moved = self._given(u)
            slope = grad(lambda at: (grad(self._value)(at) * moved).sum())
            return np.asarray(slope(self._given(phi)), np.float64)
        if self.host.dtype != "float64":  # differences are worth nothing there
            double = NumpyHost(self.host.container, "float64", self.host.gradients)
            return double.costs(self.loss, double.cast(self.batch)).product(phi, u)
        seed = None if self.disturbance is None else self.disturbance.draw()
        found, error = self._differences(phi, u, seed)
        exact = self._complex_step(phi, u, seed)
        if exact is not None and norm(exact - found) <= max(_AGREE * norm(error), _SAME * norm(found)):
            return exact
        return found + error if self.host.off else found

    def held(self, phi: FlatArray) -> NDArray[np.bool_]:
        """Return that nothing is a constant."""
        return np.zeros(phi.size, np.bool_)

    def uses(self, phi: FlatArray) -> set[str]:
        """Return the names of the parameters by which the gradient is not 0 at each of some points."""
        rng = np.random.default_rng(0)
        points = [phi, *(phi * (1 + _NEAR * rng.standard_normal(phi.size)) for _ in range(2))]
        self._check(self._value(self._given(phi)))
        slopes = [self.gradient(point) for point in points]
        return {name for name, spot in self.host.spots.items() if any(np.any(slope[spot]) for slope in slopes)}

    def _value(self, vector: Any) -> Any:
        return self.loss(self.host.model(vector), self._batch())

    def _check(self, value: Any) -> None:
        if not isinstance(value, np.ndarray | np.generic | float | int):
            raise TypeError(
                f"the loss: expected a number of NumPy's, but it returned {type(value).__name__}. A model of NumPy "
                'arrays whose losses are JAX code is one of JAX: framework="jax"'
            )
        if np.size(value) != 1 or np.asarray(value).dtype.kind != "f":
            raise TypeError(f"the loss: expected a scalar, but it returned an array of shape {np.shape(value)}.")

    def _gradient(self, phi: FlatArray, seed: int | None) -> FlatArray:
        if self.disturbance is not None and seed is not None:
            self.disturbance.begin(seed)
        own = self.host.gradients.get(self.loss)
        given = self._given(phi)
        if own is None:
            return np.asarray(grad(self._value)(given), np.float64)
        found = self.host.flat(own(self.host.model(given), self._batch()))
        return np.asarray(found.imag if np.iscomplexobj(phi) else found, np.float64)

    def _given(self, vector: FlatArray) -> Any:
        found = np.array(vector, np.complex128 if np.iscomplexobj(vector) else self.host.dtype)
        return found if self.disturbance is None else self.disturbance.watching(found)

    def _batch(self) -> Any:
        """Return a copy of the batch, which a loss may write into."""
        batch = self.host.cast(self.batch)
        if self.disturbance is None:
            return batch
        watching = self.disturbance.watching
        return map_leaves(
            lambda _, leaf: watching(leaf) if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" else leaf, batch
        )

    def _complex_step(self, phi: FlatArray, u: FlatArray, seed: int | None) -> FlatArray | None:
        """Return Im ∇S(φ + ihu) / h, exact to rounding where the gradient is analytic code (Squire and Trapp, 1998)."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of NumPy, where an imaginary part is lost
                found = self._gradient(phi + 1j * _TINY * u, seed) / _TINY
        except Exception:  # whatever the user's code makes of complex numbers
            return None
        return found if np.all(np.isfinite(found)) else None

    def _differences(self, phi: FlatArray, u: FlatArray, seed: int | None) -> tuple[FlatArray, FlatArray]:
        """Return ∇²S(φ) u by differences of the gradient, and how far off that may be."""
        length = norm(u)
        if length == 0:
            return np.zeros_like(u), np.zeros_like(u)
        scale = (norm(phi) or 1.0) / length
        plain = []
        for step in _STEPS:
            h = step * scale
            ahead, behind = (self._gradient(phi + sign * h * u, seed) for sign in (1.0, -1.0))
            plain.append((ahead - behind) / (2 * h))
        once = [fine + (fine - coarse) / 15 for coarse, fine in pairwise(plain)]
        twice = [fine + (fine - coarse) / 255 for coarse, fine in pairwise(once)]
        errors = [abs(fine - coarse) for coarse, fine in pairwise(twice)]
        best = int(np.argmin([norm(error) for error in errors]))
        return twice[best + 1], errors[best]


_: tuple[type[LossCosts], type[Host]] = (NumpyCosts, NumpyHost)
