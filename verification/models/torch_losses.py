"""A PyTorch model's losses as functions of one flat vector: values, gradients and Hessian-vector products.

Nothing here touches the model that is judged: a copy of it, in the precision that is wanted, is called with parameters
and buffers of its own (`torch.func.functional_call`), so that a forward pass leaves nothing behind. Tied parameters
are one parameter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.faults.work import mark
from verification.frameworks.base import optional
from verification.models.forms import thinned
from verification.models.interface import Host, LossCosts
from verification.models.torch_watch import Disturbance
from verification.oracles.view import FlatArray


def map_tensors(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply `function` to each tensor of nested containers, dataclasses and named tuples; keep all else."""
    torch = optional("torch", "torch")
    if torch.is_tensor(tree):
        return function(tree)
    if isinstance(tree, Mapping):
        changed = {key: map_tensors(function, branch) for key, branch in tree.items()}
        return changed if type(tree) is dict else _like(tree, changed)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tensors(function, branch) for branch in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(map_tensors(function, branch) for branch in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        parts = {name: map_tensors(function, branch) for name, branch in vars(tree).items()}
        return _like(tree, parts, attributes=True)
    return tree


def _like(tree: Any, parts: dict[Any, Any], *, attributes: bool = False) -> Any:
    found = copy.copy(tree)
    for key, part in parts.items():
        if attributes:
            object.__setattr__(found, key, part)
        else:
            found[key] = part
    return found


def tensors_in(tree: Any) -> list[Any]:
    """Return the tensors of nested containers, in order."""
    found: list[Any] = []
    map_tensors(found.append, tree)
    return found


def in_precision(tree: Any, dtype: Any) -> Any:
    """Return fresh copies of all tensors, those of floating point in another precision."""
    return map_tensors(
        lambda tensor: tensor.detach().to(dtype=dtype, copy=True) if tensor.is_floating_point() else tensor.clone(),
        tree,
    )


class TorchHost:
    """A copy of a model in a precision, and how its parameters lie in a flat vector.

    `aliases` has for each further name of a tied parameter the name that it goes by.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        torch = optional("torch", "torch")
        self.dtype, self.precision = dtype, getattr(torch, dtype)
        self.model = copy.deepcopy(model).to(self.precision)
        self.flags = [(module, module.training) for module in self.model.modules()]
        self.shapes = {name: tuple(parameter.shape) for name, parameter in self.model.named_parameters()}
        self.sizes = {name: parameter.numel() for name, parameter in self.model.named_parameters()}
        self.buffers = dict(self.model.named_buffers(remove_duplicate=False))
        #: Parameters and slopes of the points that were last multiplied at, with the graph that leads from one to the
        #: other: faults multiply many vectors at the same points.
        self.bent: dict[tuple[TorchCosts, bytes], tuple[dict[str, Any], Any]] = {}
        first = {id(parameter): name for name, parameter in self.model.named_parameters()}
        self.aliases = {
            name: first[id(parameter)]
            for name, parameter in self.model.named_parameters(remove_duplicate=False)
            if first[id(parameter)] != name
        }

    def cast(self, batch: Any) -> Any:
        """Return a fresh copy of a batch in the precision."""
        return in_precision(batch, self.precision)

    def examples(self, batch: Any) -> int:
        """Return the length of the first tensor of a batch that has one."""
        return next((len(tensor) for tensor in tensors_in(batch) if tensor.dim()), 1)

    def entries(self, batch: Any) -> int:
        """Return how many numbers the last tensor of a batch has."""
        return next((tensor.numel() for tensor in reversed(list(tensors_in(batch)))), 1)

    def fewer(self, batch: Any, count: int) -> Any:
        """Return a batch with so many of its examples, evenly spaced."""
        length = self.examples(batch)
        return map_tensors(lambda tensor: thinned(tensor, length, count), batch)

    def costs(self, loss: Callable[[Any, Any], Any], batch: Any) -> TorchCosts:
        """Return a loss on a batch that is cast."""
        return TorchCosts(self, loss, batch)

    def disturbance(self, delta: float, rng: np.random.Generator) -> Disturbance:
        """Return a relative change of ±δ, with signs of its own for every operation."""
        return Disturbance(delta, rng)

    def off_by_errors(self) -> None:
        """Return None: PyTorch's derivatives are exact but for rounding."""

    @contextmanager
    def as_it_was(self, training: bool | None) -> Iterator[None]:
        """Restore the modes of all modules afterwards: a loss may switch them; `training` switches them all before."""
        try:
            if training is not None:
                self.model.train(training)
            yield
        finally:
            for module, flag in self.flags:
                module.training = flag


@dataclass(frozen=True, eq=False)
class TorchCosts:
    """One loss on one batch, as costs [P] of points [P, n].

    `training` puts the model into training or evaluation mode, None leaves it as it is; `lower` computes under
    autocast; `untied` takes a vector with the further copies of tied parameters at its end; `buffers` are others than
    those of the start.
    """

    host: TorchHost
    loss: Callable[[Any, Any], Any]
    batch: Any
    training: bool | None = None
    lower: bool = False
    untied: bool = False
    buffers: Mapping[str, Any] | None = None
    disturbance: Disturbance | None = None
    memory: dict[Any, TorchCosts] = field(default_factory=dict, repr=False)
    #: The value where the gradient was taken last, which is mostly wanted next.
    values: dict[bytes, float] = field(default_factory=dict, repr=False)

    # Variants, which faults ask for: the same one every time, so that what is known of it can be kept

    def in_other_mode(self) -> TorchCosts:
        """Return the loss with the model in the mode that it is not in."""
        return self._variant(training=not self.host.model.training)

    def after(self, passes: Sequence[tuple[TorchCosts, FlatArray]]) -> TorchCosts:
        """Return the loss with the buffers that passes of losses leave, each at a point; itself where nothing moves."""
        key = tuple((costs, mark(phi)) for costs, phi in passes)
        if not passes or not self.host.buffers:
            return self
        if key not in self.memory:
            torch, before, buffers = optional("torch", "torch"), self._buffers(), self._buffers()
            for costs, phi in passes:
                costs._loss_of(costs._leaves(costs.array(phi)), buffers)
            moved = any(not torch.equal(buffers[name], buffer) for name, buffer in before.items())
            self.memory[key] = replace(self, buffers=buffers, memory={}, values={}) if moved else self
        return self.memory[key]

    def in_lower_precision(self) -> TorchCosts:
        """Return the loss under autocast."""
        return self._variant(lower=True)

    def with_copies(self) -> TorchCosts:
        """Return the loss as a function of a vector that has tied parameters once for each of their names."""
        return self._variant(untied=True)

    @property
    def copies(self) -> NDArray[np.intp]:
        """The coordinates of the flat vector that each coordinate of the vector with all copies comes from."""
        sizes = self.host.sizes
        ends = dict(zip(sizes, np.cumsum(list(sizes.values())).tolist(), strict=True))
        spots = {name: np.arange(ends[name] - size, ends[name]) for name, size in sizes.items()}
        return np.concatenate([*spots.values(), *(spots[name] for name in self.host.aliases.values())])

    def _variant(self, **changes: Any) -> TorchCosts:
        key = tuple(changes.items())
        if key not in self.memory:
            self.memory[key] = replace(self, **changes, memory={}, values={})
        return self.memory[key]

    def disturbed(self, disturbance: Disturbance) -> TorchCosts:
        """Return the loss with the result of every operation disturbed."""
        return replace(self, disturbance=disturbance, memory={}, values={})

    # What it computes

    def __call__(self, points: Any) -> Any:
        """Return the costs [P] of points [P, n]."""
        return np.array([self._value(point) for point in points])

    def _value(self, phi: FlatArray) -> float:
        known = self.values.get(mark(phi))
        return float(self._loss_of(self._leaves(self.array(phi))).detach()) if known is None else known

    def array(self, vector: FlatArray) -> Any:
        """Return a tensor of a flat vector."""
        torch = optional("torch", "torch")
        return torch.from_numpy(np.array(vector)).to(self.host.precision)

    def gradient(self, phi: FlatArray) -> FlatArray:
        """Return ∇S(φ)."""
        torch = optional("torch", "torch")
        with self._watched() as disturb:
            leaves = self._fresh(disturb(self.array(phi)))

            def both() -> Any:
                value = self._called()
                return value, torch.autograd.grad(value, list(leaves.values()), **_ZEROS)

            value, found = self._with(leaves, both)
        self.values.clear()
        self.values[mark(phi)] = float(value.detach())
        return _numbers(found)

    def product(self, phi: FlatArray, u: FlatArray) -> FlatArray:
        """Return ∇²S(φ) u, by differentiating ∇S · u."""
        torch = optional("torch", "torch")
        with self._watched() as disturb:
            leaves, slopes = self._bent_at(phi, disturb)
            by = self._leaves(disturb(self.array(u)))
            # A slope that no parameter has an effect on has no graph.
            bent = [(slope, part) for slope, part in zip(slopes, by.values(), strict=True) if slope.requires_grad]
            if not bent:
                return np.zeros_like(u)
            outputs, cotangents = zip(*bent, strict=True)
            back = partial(
                torch.autograd.grad, outputs, list(leaves.values()), cotangents, retain_graph=self._keeps(phi), **_ZEROS
            )
            found = self._with(leaves, back)
        return _numbers(found)

    def _bent_at(self, phi: FlatArray, disturb: Callable[[Any], Any]) -> tuple[dict[str, Any], Any]:
        """Return parameters at a point and the slopes there, with their graph: that of a former call, where it is kept.

        A disturbance is another one every time, in costs of its own.
        """
        torch, known, key = optional("torch", "torch"), self.host.bent, (self, mark(phi))
        if key in known:
            return known[key]
        leaves = self._fresh(disturb(self.array(phi)))
        given = list(leaves.values())
        slopes = self._with(leaves, lambda: torch.autograd.grad(self._called(), given, create_graph=True, **_ZEROS))
        if self._keeps(phi):
            while len(known) >= _GRAPHS:
                del known[next(iter(known))]
            known[key] = leaves, slopes
        return leaves, slopes

    def _keeps(self, phi: FlatArray) -> bool:
        """Return whether the graph at a point is kept: not one with disturbances, nor that of a large model."""
        return self.disturbance is None and phi.nbytes <= _LARGE

    def uses(self, phi: FlatArray) -> set[str]:
        """Return the names of the parameters that a graph leads from to the loss."""
        torch = optional("torch", "torch")
        leaves = self._fresh(self.array(phi))
        given = list(leaves.values())
        found = self._with(leaves, lambda: torch.autograd.grad(self._called(), given, allow_unused=True))
        return {name for name, leaf in zip(leaves, found, strict=True) if leaf is not None}

    def held(self, phi: FlatArray) -> NDArray[np.bool_]:
        """Return which coordinates are rows of an embedding's padding, which PyTorch gives no gradient."""
        torch, overrides = optional("torch", "torch"), optional("torch.overrides", "torch")
        leaves = self._leaves(self.array(phi))
        rows = {name: torch.zeros_like(leaf, dtype=torch.bool) for name, leaf in leaves.items()}

        def handle(_: Any, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ARG001  # torch's
            given = kwargs or {}
            if function is torch.nn.functional.embedding:
                weight, padding = (
                    args[place] if len(args) > place else given.get(name)
                    for place, name in ((1, "weight"), (2, "padding_idx"))
                )
                for name, leaf in leaves.items():
                    if padding is not None and leaf is weight:
                        rows[name][padding] = True
            return function(*args, **given)

        # A class of its own, since PyTorch is imported only where it is used.
        with type("Mode", (overrides.TorchFunctionMode,), {"__torch_function__": handle})():
            self._loss_of(leaves)
        return np.concatenate([np.ravel(row.numpy()) for row in rows.values()])

    @contextmanager
    def _watched(self) -> Iterator[Callable[[Any], Any]]:
        if self.disturbance is None:
            yield lambda tensor: tensor
            return
        with self.disturbance.mode():
            yield self.disturbance.moved

    def _leaves(self, vector: Any) -> dict[str, Any]:
        names = [*self.host.shapes, *(self.host.aliases if self.untied else ())]
        first = [self.host.aliases.get(name, name) for name in names]
        pieces = vector.split([self.host.sizes[name] for name in first])
        return {name: piece.view(self.host.shapes[one]) for name, one, piece in zip(names, first, pieces, strict=True)}

    def _fresh(self, vector: Any) -> dict[str, Any]:
        """Return parameters to differentiate by: each by itself, which is faster than by the vector."""
        return {name: leaf.detach().requires_grad_() for name, leaf in self._leaves(vector).items()}

    def reads_what_changes(self, other: TorchCosts, phi: FlatArray) -> bool:
        """Return whether an evaluation of another loss leaves buffers (running statistics) that this loss reads."""
        buffers = self._buffers()
        before = float(self._loss_of(self._leaves(self.array(phi)), self._buffers()).detach())
        other._loss_of(other._leaves(other.array(phi)), buffers)
        now = float(self._loss_of(self._leaves(self.array(phi)), buffers).detach())
        return not np.array_equal(before, now, equal_nan=True)

    def _buffers(self) -> dict[str, Any]:
        known = self.host.buffers if self.buffers is None else self.buffers
        copies = {id(buffer): buffer.clone() for buffer in known.values()}
        return {name: copies[id(buffer)] for name, buffer in known.items()}

    def _loss_of(self, leaves: Mapping[str, Any], buffers: Mapping[str, Any] | None = None) -> Any:
        return self._with(leaves, self._called, buffers)

    def _with(
        self, leaves: Mapping[str, Any], function: Callable[[], Any], buffers: Mapping[str, Any] | None = None
    ) -> Any:
        """Return what a function returns while the model has these parameters and buffers.

        A derivative is taken inside as well: checkpointing computes parts of the model again on the way back.
        """
        torch = optional("torch", "torch")
        attention = optional("torch.nn.attention", "torch")
        wrapper = torch.nn.Module()
        wrapper.model = self.host.model
        wrapper.forward = function
        state = {f"model.{name}": leaf for name, leaf in leaves.items()}
        if not self.untied:  # a tied parameter is replaced wherever it stands
            state |= {f"model.{name}": leaves[first] for name, first in self.host.aliases.items()}
        used = self._buffers() if buffers is None else buffers
        state |= {f"model.{name}": buffer for name, buffer in used.items()}
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            stack.enter_context(self.host.as_it_was(self.training))
            # The fused kernels of attention have no second derivative; all kernels compute the same function.
            stack.enter_context(attention.sdpa_kernel(attention.SDPBackend.MATH))
            return torch.func.functional_call(wrapper, state, (), tie_weights=False)

    def _called(self) -> Any:
        """Return the loss with the parameters that the model has now."""
        torch = optional("torch", "torch")
        batch = self.batch
        if self.disturbance is not None:
            disturb = self.disturbance.moved
            batch = map_tensors(lambda tensor: disturb(tensor) if tensor.is_floating_point() else tensor, batch)
        with torch.autocast("cpu", torch.bfloat16) if self.lower else nullcontext():
            value = self.loss(self.host.model, batch)
        if not torch.is_tensor(value) or value.numel() != 1:
            came = f"a tensor of shape {tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
            raise TypeError(f"the loss: expected a scalar tensor, but it returned {came}.")
        return value.reshape(())


_: tuple[type[LossCosts], type[Host]] = (TorchCosts, TorchHost)


#: So many graphs are kept, up to so many bytes of parameters: the smallest questions have two inner steps, and a graph
#: holds several vectors of θ's size.
_GRAPHS, _LARGE = 2, 2**24

#: For differentiating: what a loss does not use has a derivative of 0.
_ZEROS = {"allow_unused": True, "materialize_grads": True}


def _numbers(tensors: Sequence[Any]) -> FlatArray:
    # Of an embedding, a gradient may come as the rows that were used alone.
    parts = [np.ravel(tensor.detach().to_dense().double().cpu().numpy()) for tensor in tensors]
    return np.concatenate(parts).astype(np.float64, copy=False)
