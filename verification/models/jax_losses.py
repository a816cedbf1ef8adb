"""A loss of JAX functions as costs of one flat vector: values, gradients and Hessian-vector products, compiled.

The cost of JAX is to trace and compile, and to dispatch what is not compiled. So a loss is compiled once for all tasks
whose batches have the same form, with the arrays of a batch as arguments. A loss that needs numbers of its batch while
it is traced has them as constants, and is compiled for each task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.frameworks.base import optional
from verification.models.forms import thinned
from verification.models.interface import Host, LossCosts
from verification.models.jax_modes import flags_in, other_mode_of
from verification.models.jax_tracing import Disturbance, Walk, depends_on, precisions_in
from verification.models.jax_trees import fresh, is_array, is_parameter, leaves_of, map_arrays, names_of
from verification.oracles.view import FlatArray

_LOWER = {"float64": {"float32", "float16", "bfloat16"}, "float32": {"float16", "bfloat16"}}


class JaxHost:
    """A model's form, and a precision that its parameters have in a flat vector; `compiled` outlives the host."""

    def __init__(self, model: Any, dtype: str, compiled: dict[Any, Any]) -> None:
        self.dtype, self.compiled = dtype, compiled
        paths, self.form = leaves_of(model)
        self.leaves = [leaf for _, leaf in paths]
        self.spots = [spot for spot, leaf in enumerate(self.leaves) if is_parameter(leaf)]
        self.flags = flags_in(paths)
        names = names_of(paths[spot][0] for spot in self.spots)
        self.shapes = {name: np.shape(self.leaves[spot]) for name, spot in zip(names, self.spots, strict=True)}
        self.ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in self.shapes.values()]).tolist()

    def cast(self, batch: Any) -> Any:
        """Return a fresh copy of a batch in the precision."""
        return map_arrays(lambda leaf: fresh(leaf, self.dtype), batch)

    def examples(self, batch: Any) -> int:
        """Return the length of the first array of a batch that has one."""
        return next((len(leaf) for _, leaf in leaves_of(batch)[0] if is_array(leaf) and np.ndim(leaf)), 1)

    def entries(self, batch: Any) -> int:
        """Return how many numbers the last array of a batch has."""
        return next((int(np.size(leaf)) for _, leaf in reversed(leaves_of(batch)[0]) if is_array(leaf)), 1)

    def fewer(self, batch: Any, count: int) -> Any:
        """Return a batch with so many of its examples, evenly spaced."""
        length = self.examples(batch)
        return map_arrays(lambda leaf: thinned(leaf, length, count), batch)

    def costs(self, loss: Callable[..., Any], batch: Any) -> JaxCosts:
        """Return a loss on a batch that is cast."""
        leaves, form = optional("jax", "jax").tree_util.tree_flatten(batch)
        spots = [spot for spot, leaf in enumerate(leaves) if is_array(leaf)]
        return JaxCosts(self, loss, form, leaves, spots)

    def disturbance(self, delta: float, rng: np.random.Generator) -> Disturbance:
        """Return a relative change of ±δ, with signs of its own for every operation."""
        return Disturbance(delta, rng)

    def off_by_errors(self) -> None:
        """Return None: JAX's derivatives are exact but for rounding."""

    def parts(self, vector: Any) -> list[Any]:
        """Cut a flat array into the parameters."""
        starts = [0, *self.ends[:-1]]
        return [
            vector[start:end].reshape(shape)
            for start, end, shape in zip(starts, self.ends, self.shapes.values(), strict=True)
        ]

    def model(self, parts: list[Any], *, switched: bool) -> Any:
        """Return the model with other parameters, and its flags turned over where it is switched."""
        leaves = list(self.leaves)
        for spot in self.flags:
            leaves[spot] = leaves[spot] != switched
        for spot, part in zip(self.spots, parts, strict=True):
            leaves[spot] = part
        return optional("jax", "jax").tree_util.tree_unflatten(self.form, leaves)


@dataclass(frozen=True, eq=False)
class JaxCosts:
    """One loss on one batch, as costs [P] of points [P, n].

    `lower` computes in bfloat16; `switched` is in the mode (training, evaluation) that model and loss are not in.
    """

    host: JaxHost
    loss: Callable[..., Any]
    form: Any
    leaves: list[Any]
    #: Which of the batch's leaves are arrays.
    spots: list[int]
    lower: bool = False
    switched: bool = False
    disturbance: Disturbance | None = None
    memory: dict[Any, Any] = field(default_factory=dict, repr=False)

    # Variants that faults ask for: a function of JAX has no parameter that is tied

    def in_other_mode(self) -> JaxCosts:
        """Return the loss with model and loss in the mode that they are not in; the loss itself where none says so."""
        known = self.host.flags or other_mode_of(self.loss)
        return self._variant("switched", replace(self, switched=True, memory={})) if known else self

    def after(self, passes: Sequence[Any]) -> JaxCosts:  # noqa: ARG002
        """Return the loss itself: nothing is left behind by a function."""
        return self

    def in_lower_precision(self) -> JaxCosts:
        """Return the loss of parameters and data in bfloat16."""
        return self._variant("lower", replace(self, lower=True, memory={}))

    def _variant(self, what: str, made: JaxCosts) -> JaxCosts:
        found: JaxCosts = self.memory.setdefault(what, made)
        return found

    def with_copies(self) -> JaxCosts:
        """Return the loss itself."""
        return self

    @property
    def copies(self) -> NDArray[np.intp]:
        """Each coordinate once."""
        return np.arange(self.host.ends[-1])

    def disturbed(self, disturbance: Disturbance) -> JaxCosts:
        """Return the loss with the result of every operation disturbed."""
        return replace(self, disturbance=disturbance, memory={})

    def reads_what_changes(self, other: Any, phi: FlatArray) -> bool:  # noqa: ARG002
        """Return False: nothing is left behind by a function."""
        return False

    # What it computes

    def __call__(self, points: Any) -> Any:
        """Return the costs [P] of points [P, n]."""
        return np.array([float(self._run(self._both, point)[0]) for point in points])

    def gradient(self, phi: FlatArray) -> FlatArray:
        """Return ∇S(φ)."""
        return np.asarray(self._run(self._both, phi)[1], np.float64)

    def product(self, phi: FlatArray, u: FlatArray) -> FlatArray:
        """Return ∇²S(φ) u, by differentiating ∇S · u."""
        return np.asarray(self._run(self._product, phi, u)[0], np.float64)

    def held(self, phi: FlatArray) -> NDArray[np.bool_]:
        """Return that nothing is a constant."""
        return np.zeros(phi.size, np.bool_)

    def uses(self, phi: FlatArray) -> set[str]:
        """Return the names of the parameters that the loss depends on.

        Raises:
            TypeError: the loss has operations in a lower precision than what it is given.
        """
        jax = optional("jax", "jax")
        parts = self.host.parts(np.asarray(phi, self.host.dtype))
        # The batch is a constant here: whether a parameter is used may depend on it.
        jaxpr = jax.make_jaxpr(lambda *given: self._of_parts(list(given), self._arrays()))(*parts).jaxpr
        lower = precisions_in(jaxpr) & _LOWER[self.host.dtype]
        if lower:
            raise TypeError(f"some of its operations come in {min(lower)} where {self.host.dtype} is given")
        return {name for name, is_used in zip(self.host.shapes, depends_on(jaxpr, [True]), strict=True) if is_used}

    def _value(self, vector: Any, *arrays: Any) -> Any:
        return self._of_parts(self.host.parts(vector), list(arrays))

    def _both(self, vector: Any, *arrays: Any) -> tuple[Any, Any]:
        """Return value and gradient: compiling takes longer than running, so that two functions are not worth it."""
        found: tuple[Any, Any] = optional("jax", "jax").value_and_grad(self._value)(vector, *arrays)
        return found

    def _product(self, vector: Any, u: Any, *arrays: Any) -> tuple[Any]:
        jax = optional("jax", "jax")
        gradient = jax.grad(lambda at: self._value(at, *arrays))
        try:
            return (jax.jvp(gradient, (vector,), (u,))[1],)
        except TypeError:  # a custom derivative may be for the way back alone, and takes longer twice that way
            return (jax.grad(lambda at: jax.numpy.vdot(gradient(at), u))(vector),)

    def _of_parts(self, parts: list[Any], arrays: list[Any]) -> Any:
        jax = optional("jax", "jax")
        if self.lower:
            parts, arrays = ([_rounded(array) for array in some] for some in (parts, arrays))
        leaves = list(self.leaves)
        for spot, array in zip(self.spots, arrays, strict=True):
            leaves[spot] = array
        model, batch = self.host.model(parts, switched=self.switched), jax.tree_util.tree_unflatten(self.form, leaves)
        value = self.loss(model, batch, **(other_mode_of(self.loss) if self.switched else {}))
        if not isinstance(value, jax.Array) or value.size != 1 or not is_parameter(value):
            came = f"an array of shape {value.shape}" if isinstance(value, jax.Array) else type(value).__name__
            raise TypeError(f"the loss: expected a scalar array, but it returned {came}.")
        return value.reshape(()).astype(self.host.dtype)

    # How it is compiled

    def _arrays(self) -> list[Any]:
        """Return the arrays of the batch, disturbed where everything is."""
        arrays = [self.leaves[spot] for spot in self.spots]
        if self.disturbance is None:
            return arrays
        moved = self.disturbance.moved
        return [np.asarray(moved(array), array.dtype) if is_parameter(array) else array for array in arrays]

    def _run(self, function: Callable[..., Any], *vectors: FlatArray) -> Any:
        """Call one of the functions above, compiled, on flat vectors."""
        if self.disturbance is None:
            given = [np.asarray(vector, self.host.dtype) for vector in vectors]
            return self._compiled(function)(*given, *self._arrays())
        given = [np.asarray(self.disturbance.moved(vector), self.host.dtype) for vector in vectors]
        walk, compiled = self._walked(function, [*given, *self._arrays()])
        row = self.disturbance.row(walk.length)
        return compiled(row, self.disturbance.offset(), *given, *self._arrays())

    def _compiled(self, function: Callable[..., Any]) -> Any:
        jax = optional("jax", "jax")
        return self._once((function.__name__, "plain"), lambda: jax.jit(self._constant(function)))

    def _walked(self, function: Callable[..., Any], examples: list[Any]) -> tuple[Walk, Any]:
        jax = optional("jax", "jax")

        def make() -> tuple[Walk, Any]:
            walk = Walk.of(self._constant(function), *examples)
            return walk, jax.jit(walk)

        shapes = tuple((np.shape(example), str(example.dtype)) for example in examples)
        found: tuple[Walk, Any] = self._once((function.__name__, shapes), make)
        return found

    def _constant(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose batch is a constant where it cannot be an argument."""
        if self._takes_any_batch():
            return function
        arrays, count = [self.leaves[spot] for spot in self.spots], len(self.spots)
        return lambda *given: function(*given[: len(given) - count], *arrays)

    def _takes_any_batch(self) -> bool:
        """Return whether the loss can be traced without the numbers of its batch."""
        jax = optional("jax", "jax")
        key = (self.loss, self.lower, self.switched, self.form, "any batch")
        if key not in self.host.compiled:
            try:
                jax.eval_shape(self._value, np.zeros(self.host.ends[-1], self.host.dtype), *self._arrays())
                self.host.compiled[key] = True
            except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
                self.host.compiled[key] = False
        return bool(self.host.compiled[key])

    def _once(self, what: Any, make: Callable[[], Any]) -> Any:
        """Return what is made once for all batches of a form, or for this batch where its numbers are in it."""
        others = tuple(id(leaf) for spot, leaf in enumerate(self.leaves) if spot not in self.spots)
        shared = self._takes_any_batch()
        memory = self.host.compiled if shared else self.memory
        key = (self.loss, self.lower, self.switched, self.host.dtype, self.form, others, what)
        if key not in memory:
            memory[key] = make()
        return memory[key]


_: tuple[type[LossCosts], type[Host]] = (JaxCosts, JaxHost)


def _rounded(array: Any) -> Any:
    return array.astype("bfloat16") if is_parameter(array) else array
