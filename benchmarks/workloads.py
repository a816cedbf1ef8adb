"""What is measured: a cost for each library over the same data, in three spellings of the same few lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import autograd.numpy as anp
import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]
Cost = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Workload:
    """One row of the table: a network, its tasks, and the step that is taken."""

    name: str
    layers: tuple[int, ...]
    activation: str
    loss: str
    tasks: int
    shots: int
    steps: int
    dtype: str
    order: int = 1
    batched: bool = False  # all tasks at once, each with variables of its own

    @property
    def rate(self) -> float:
        """The inner learning rate."""
        return 0.01

    def data(self) -> tuple[Arrays, Arrays]:
        """Return (batch, variables); in batched mode the variables have a row for each task."""
        rng = np.random.default_rng(0)
        x = rng.uniform(-1.0, 1.0, (self.tasks, self.shots, self.layers[0]))
        if self.loss == "softmax":
            y = np.eye(self.layers[-1])[rng.integers(0, self.layers[-1], (self.tasks, self.shots))]
        elif self.loss == "logistic":
            y = np.sign(rng.normal(size=(self.tasks, self.shots, 1)))
        else:
            y = np.sin(3.0 * x.sum(-1, keepdims=True))
        variables: Arrays = {}
        for number, (before, after) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            variables[f"w{number}"] = rng.normal(size=(before, after)) / np.sqrt(before)
            variables[f"b{number}"] = rng.normal(size=after) * 0.1
        if self.batched:
            variables = {name: np.repeat(leaf[None], self.tasks, axis=0) for name, leaf in variables.items()}
        as_dtype = np.dtype(self.dtype)
        return {"x": x.astype(as_dtype), "y": y.astype(as_dtype)}, {k: v.astype(as_dtype) for k, v in variables.items()}

    def cost(self, xp: Any) -> Callable[[Any, Any], Any]:
        """Return the cost, of a batch without task axis and the variables, in the array library `xp`."""
        return self._cost(xp, lambda bias: bias)

    def cost_of_all(self, xp: Any) -> Callable[[Any, Any], Any]:
        """Return the mean cost of all tasks, of a batch and variables that have a row for each."""
        return self._cost(xp, lambda bias: bias[:, None])

    def _cost(self, xp: Any, by_shot: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        def cost(batch: Any, v: Any) -> Any:
            h = batch["x"]
            last = len(self.layers) - 2
            for number in range(last + 1):
                h = xp.matmul(h, v[f"w{number}"]) + by_shot(v[f"b{number}"])
                if number < last:
                    h = xp.tanh(h) if self.activation == "tanh" else xp.maximum(h, xp.zeros_like(h))
            return self._loss(xp, h, batch["y"])

        return cost

    def _loss(self, xp: Any, h: Any, y: Any) -> Any:
        if self.loss == "softmax":
            return xp.mean(_logsumexp(xp, h) - xp.sum(h * y, -1))
        if self.loss == "logistic":
            return xp.mean(xp.log1p(xp.exp(-h * y)))
        return xp.mean((h - y) ** 2)

    def autograd_cost(self) -> Callable[[Any, Any], Any]:
        """Return the cost that the engine compiles; in loop mode the batch keeps its task axis, of length 1."""
        if self.batched:
            return self.cost_of_all(anp)
        cost = self.cost(anp)
        return lambda batch, v: cost({"x": batch["x"][0], "y": batch["y"][0]}, v)


@dataclass(frozen=True)
class Recurrent(Workload):
    """A gated recurrent unit over sequences of 12; `layers` are the sizes of input, state and output."""

    def data(self) -> tuple[Arrays, Arrays]:
        """Return (batch, variables)."""
        inputs, state, outputs = self.layers
        shapes = {"w": (inputs, 3 * state), "u": (state, 3 * state), "b": (3 * state,), "o": (state, outputs)}
        return _drawn(self, {"x": (self.shots, 12, inputs), "y": (self.shots, outputs)}, shapes)

    def _cost(self, xp: Any, by_shot: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:  # noqa: ARG002 - loop mode
        n = self.layers[1]

        def cost(batch: Any, v: Any) -> Any:
            h = 0.0
            for k in range(12):
                a, b = xp.matmul(batch["x"][:, k], v["w"]) + v["b"], 0.0 if k == 0 else xp.matmul(h, v["u"])
                both = a + b
                r, z = (0.5 + 0.5 * xp.tanh(0.5 * both[:, n * i : n * i + n]) for i in range(2))
                new = xp.tanh(a[:, 2 * n :] + (0.0 if k == 0 else r * b[:, 2 * n :]))
                h = (1.0 - z) * new + z * h
            return self._loss(xp, xp.matmul(h, v["o"]), batch["y"])

        return cost


@dataclass(frozen=True)
class Transformer(Workload):
    """Blocks of attention and a hidden layer, each after a normalisation; `layers` are width, blocks and output."""

    def data(self) -> tuple[Arrays, Arrays]:
        """Return (batch, variables)."""
        width, blocks, outputs = self.layers
        shapes: dict[str, tuple[int, ...]] = {"last": (width, outputs)}
        for block in range(blocks):
            shapes |= {f"{name}{block}": (width, width) for name in "qkvo"}
            shapes |= {f"up{block}": (width, 4 * width), f"down{block}": (4 * width, width)}
        return _drawn(self, {"x": (self.shots, width), "y": (self.shots, outputs)}, shapes)

    def _cost(self, xp: Any, by_shot: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:  # noqa: ARG002 - loop mode
        width, blocks, _ = self.layers

        def normalised(x: Any) -> Any:
            apart = x - xp.mean(x, -1, keepdims=True)
            return apart / xp.sqrt(xp.mean(apart * apart, -1, keepdims=True) + 1e-5)

        def cost(batch: Any, v: Any) -> Any:
            x = batch["x"]
            for block in range(blocks):
                h = normalised(x)
                q, k, value = (xp.matmul(h, v[f"{name}{block}"]) for name in "qkv")
                scores = xp.exp(xp.matmul(q, k.T) / width**0.5)
                mixed = xp.matmul(scores / xp.sum(scores, -1, keepdims=True), value)
                x = x + xp.matmul(mixed, v[f"o{block}"])
                hidden = xp.tanh(xp.matmul(normalised(x), v[f"up{block}"]))
                x = x + xp.matmul(hidden, v[f"down{block}"])
            return self._loss(xp, xp.matmul(x, v["last"]), batch["y"])

        return cost


def _drawn(
    workload: Workload, batch: dict[str, tuple[int, ...]], variables: dict[str, tuple[int, ...]]
) -> tuple[Arrays, Arrays]:
    """Return normal numbers of these shapes: a task axis in front of the batch, variables divided by √rows."""
    rng, dtype = np.random.default_rng(0), np.dtype(workload.dtype)
    data = {name: rng.normal(size=(workload.tasks, *shape)).astype(dtype) for name, shape in batch.items()}
    return data, {name: (rng.normal(size=shape) / np.sqrt(shape[0])).astype(dtype) for name, shape in variables.items()}


def _logsumexp(xp: Any, h: Any) -> Any:
    if xp is anp:
        from autograd.scipy.special import logsumexp

        return logsumexp(h, -1)
    if xp.__name__ == "torch":
        return xp.logsumexp(h, -1)
    from jax.scipy.special import logsumexp

    return logsumexp(h, -1)


_SINE = {"layers": (1, 40, 40, 1), "activation": "relu", "loss": "squares", "tasks": 25, "shots": 10}
_LOOPED = (
    *(Workload(f"sinusoid-{k}-{d}", steps=k, dtype=d, **_SINE) for k in (1, 5) for d in ("float32", "float64")),
    *(
        Workload(f"sinusoid-second-order-{d}", steps=5, dtype=d, order=2, **{**_SINE, "activation": "tanh"})
        for d in ("float32", "float64")
    ),
    Workload("omniglot-mlp", (784, 256, 128, 64, 64, 5), "relu", "softmax", 32, 5, 5, "float32"),
    Workload("many-small", (20, 1), "relu", "logistic", 4096, 10, 3, "float32"),
    Workload("many-tasks-1024", steps=5, dtype="float32", **{**_SINE, "tasks": 1024}),
    Workload("many-tasks-16384", steps=5, dtype="float32", **{**_SINE, "tasks": 16384}),
)

#: The rows of the table: every workload in loop mode and in batched mode.
WORKLOADS = (*_LOOPED, *(replace(workload, name=f"{workload.name}-batched", batched=True) for workload in _LOOPED))

#: The points of the figures; they are no rows of the table.
CURVES = {
    "tasks": tuple(
        Workload(f"curve-tasks-{tasks}", steps=5, dtype="float32", **{**_SINE, "tasks": tasks})
        for tasks in (4, 32, 256, 2048)
    ),
    "width": tuple(
        Workload(f"curve-width-{width}", steps=5, dtype="float32", **{**_SINE, "layers": (1, width, width, 1)})
        for width in (10, 20, 40, 80, 160)
    ),
    "steps": tuple(Workload(f"curve-steps-{steps}", steps=steps, dtype="float32", **_SINE) for steps in (1, 3, 10, 30)),
    "depth": tuple(
        Workload(f"curve-depth-{depth}", steps=1, dtype="float32", **{**_SINE, "layers": (1, *[40] * depth, 1)})
        for depth in (1, 2, 4, 8, 16)
    ),
}

#: Large programs, whose first calls are measured: what compilers do with a cost of many operations.
GROWTH = (
    Recurrent("growth-gru", (4, 16, 1), "tanh", "squares", 8, 5, 2, "float32", order=2),
    Transformer("growth-transformer", (16, 4, 4), "tanh", "squares", 8, 10, 1, "float32"),
    Workload("growth-mlp-30", (1, *[40] * 30, 1), "relu", "squares", 25, 10, 1, "float32"),
)
EVERY = (*WORKLOADS, *(point for curve in CURVES.values() for point in curve), *GROWTH)
