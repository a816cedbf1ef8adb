"""Inner optimisation steps: how one step of the inner loop moves the adapted variables.

`gradient_descent_update` is the papers'. The functions below it make inner optimizers with the formulas of
`torch.optim` and `torch.nn.utils`: pass one as `inner_optimization_step`, or several joined by ``+``, through which the
gradients go from left to right.

    fomaml_step(…, inner_optimization_step=adam())
    maml_step(…, inner_optimization_step=clip_by_norm(1.0) + momentum(0.9))

Their states begin anew whenever a task is adapted. At second order the outer gradient goes through them; with
``held=True`` what a state holds from earlier steps, or the factor of a clip, is a constant to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import autograd.numpy as anp
import numpy as np

from refmaml.containers import Array, Container, Leaves, children, fill, flatten, map_leaves, owned, skeleton_of, unbox


class InnerOptimizationStep(Protocol):
    """What `inner_optimization_step` has to be: containers in, a container of the same nesting out."""

    def __call__(self, w: Container, dcdw: Container, lr: Container, /, *, stop_gradients: bool) -> Container:
        """Return the variables after one step of the inner loop."""


def gradient_descent_update(
    w: Container, dcdw: Container, lr: Container, /, *, stop_gradients: bool = True
) -> Container:
    """Take one step of plain gradient descent, w ← w − lr · dc/dw.

    This is the inner update of Finn, Abbeel and Levine (2017), algorithm 1, line 6.

    Args:
        w: container of variables.
        dcdw: their gradients, with the nesting and shapes of `w`.
        lr: the learning rate: a number, an array that broadcasts against every leaf, or a container with the nesting
            of `w` and one learning rate per leaf. It is rounded to the dtype of the leaf, so that dtypes stay.
        stop_gradients: whether to return plain arrays even inside an enclosing autograd trace.

    Returns:
        A new container with the nesting, shapes and dtypes of `w`.
    """
    rates = lr if children(lr) is not None else map_leaves(lambda _: lr, w)
    return map_leaves(unbox if stop_gradients else _same, map_leaves(_descend, w, dcdw, rates))


def _descend(w: Array, dcdw: Array, rate: Array) -> Array:
    return w - cast(rate, w.dtype) * dcdw


def _same(leaf: Array) -> Array:
    return leaf


def cast(rate: Array, dtype: np.dtype) -> Array:
    """Return a learning rate as an array of `dtype`, so that it does not promote what it multiplies."""
    return owned(rate).astype(dtype)


#: What a part keeps from step to step, by a name of its own.
Memory: TypeAlias = dict[str, Leaves]


@dataclass(frozen=True)
class Step:
    """Where a part is asked for a direction: the variables, the number of steps before, and whether rows are tasks."""

    w: Leaves
    count: int
    batched: bool


#: From gradients to the direction that takes their place.
Part: TypeAlias = Callable[[Memory, Leaves, Step], Leaves]


@dataclass(frozen=True)
class InnerOptimizer:
    """An inner update made of parts, whose state begins anew for each task; it is not called itself, but `fresh` is."""

    spelled: str
    parts: tuple[Part, ...]

    def __repr__(self) -> str:
        return self.spelled

    def __add__(self, other: InnerOptimizer) -> InnerOptimizer:
        """Return the update that hands the directions of this one to the other."""
        if not isinstance(other, InnerOptimizer):
            return NotImplemented
        return InnerOptimizer(f"{self} + {other}", (*self.parts, *other.parts))

    def fresh(self, *, batched: bool = False) -> InnerOptimizationStep:
        """Return an inner step without a history, for the inner loop of one task; in batched mode for that of all.

        Args:
            batched: whether the leaves have a leading task axis: what is over all leaves is then over those of a row.
        """
        return _Running(self.parts, batched)

    def __call__(self, *_: Container, stop_gradients: bool) -> Container:  # noqa: ARG002  # the interface names it
        """Refuse: a step that does not know of states would take the first step of a task again and again.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{self} has a state for each task, and this step calls it as if it had none. Pass it to the steps of "
            f"refmaml, or at the start of each task make an inner step by its method fresh()."
        )


class _Running:
    """The inner step of one inner loop: the memories of its parts, and the number of steps that it has taken."""

    def __init__(self, parts: tuple[Part, ...], batched: bool) -> None:
        self._parts = [(part, Memory()) for part in parts]
        self._batched, self._count = batched, 0

    def __call__(self, w: Container, dcdw: Container, lr: Container, /, *, stop_gradients: bool = True) -> Container:
        """Return the variables after one step of the inner loop."""
        directions = _present(dcdw)
        step = Step(_present(w), self._count, self._batched)
        for part, memory in self._parts:
            directions = _of_dtypes(part(memory, directions, step), step.w)
        self._count += 1
        return gradient_descent_update(w, fill(skeleton_of(w), directions), lr, stop_gradients=stop_gradients)


def _present(container: Container) -> Leaves:
    return {chain: leaf for chain, leaf in flatten(container) if leaf is not None}


def _of_dtypes(leaves: Leaves, like: Leaves) -> Leaves:
    """Return leaves in the dtypes of others: NumPy 1 takes an array without axes over a number to float64."""
    return {chain: leaf.astype(unbox(like[chain]).dtype) for chain, leaf in leaves.items()}


def _moved(memory: Memory, name: str, g: Leaves, keep: float, add: Callable[[Array], Array], held: bool) -> Leaves:
    """Return keep · x + add(g), with x what the memory has under a name (at first 0), and put it there."""
    before = memory.get(name) or {chain: np.zeros_like(unbox(leaf)) for chain, leaf in g.items()}
    before = {chain: unbox(leaf) if held else leaf for chain, leaf in before.items()}
    memory[name] = {chain: keep * before[chain] + add(leaf) for chain, leaf in g.items()}
    return memory[name]


def momentum(mu: float = 0.9, *, held: bool = False) -> InnerOptimizer:
    """Return heavy-ball momentum: m ← μ m + g, φ ← φ − α m, as `torch.optim.SGD(momentum=μ)` (Polyak, 1964)."""

    def part(memory: Memory, g: Leaves, _: Step) -> Leaves:
        return _moved(memory, "m", g, mu, lambda leaf: leaf, held)

    return InnerOptimizer(_spelled("momentum", held, f"{mu:g}"), (part,))


def nesterov(mu: float = 0.9, *, held: bool = False) -> InnerOptimizer:
    """Return Nesterov's momentum: m ← μ m + g, φ ← φ − α (g + μ m), as `torch.optim.SGD(…, nesterov=True)`.

    Sutskever, Martens, Dahl and Hinton (2013), in PyTorch's form.
    """

    def part(memory: Memory, g: Leaves, _: Step) -> Leaves:
        m = _moved(memory, "m", g, mu, lambda leaf: leaf, held)
        return {chain: leaf + mu * m[chain] for chain, leaf in g.items()}

    return InnerOptimizer(_spelled("nesterov", held, f"{mu:g}"), (part,))


def rmsprop(rho: float = 0.99, eps: float = 1e-8, *, held: bool = False) -> InnerOptimizer:
    """Return RMSProp: v ← ρ v + (1 − ρ) g², φ ← φ − α g/(√v + ε) (Tieleman and Hinton, 2012)."""

    def part(memory: Memory, g: Leaves, _: Step) -> Leaves:
        v = _moved(memory, "v", g, rho, lambda leaf: (1 - rho) * leaf**2, held)
        return {chain: leaf / (_root(v[chain]) + eps) for chain, leaf in g.items()}

    return InnerOptimizer(_spelled("rmsprop", held, f"{rho:g}", f"eps={eps:g}"), (part,))


def adam(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, *, held: bool = False) -> InnerOptimizer:
    """Return Adam: φ ← φ − α m̂/(√v̂ + ε), with m̂ and v̂ the moments m and v without their bias.

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ), t = 1, 2, … in each task (Kingma
    and Ba, 2015, algorithm 1).
    """

    def part(memory: Memory, g: Leaves, step: Step) -> Leaves:
        m = _moved(memory, "m", g, beta1, lambda leaf: (1 - beta1) * leaf, held)
        v = _moved(memory, "v", g, beta2, lambda leaf: (1 - beta2) * leaf**2, held)
        first, second = (1 - beta ** (step.count + 1) for beta in (beta1, beta2))
        return {chain: m[chain] / first / (_root(v[chain] / second) + eps) for chain in g}

    return InnerOptimizer(_spelled("adam", held, f"{beta1:g}", f"{beta2:g}", f"eps={eps:g}"), (part,))


def weight_decay(strength: float) -> InnerOptimizer:
    """Return g + λ φ for g: before `adam` a penalty of the cost, after it the decay of AdamW.

    Loshchilov and Hutter (2019), algorithm 2.
    """

    def part(_: Memory, g: Leaves, step: Step) -> Leaves:
        return {chain: leaf + strength * step.w[chain] for chain, leaf in g.items()}

    return InnerOptimizer(_spelled("weight_decay", False, f"{strength:g}"), (part,))


def clip_by_norm(limit: float, eps: float = 1e-6, *, held: bool = False) -> InnerOptimizer:
    """Return g · min(1, c/(‖g‖ + ε)), ‖g‖ over all adapting leaves of a task: `torch.nn.utils.clip_grad_norm_`.

    Pascanu, Mikolov and Bengio (2013), algorithm 1, with ε = 0.
    """

    def part(_: Memory, g: Leaves, step: Step) -> Leaves:
        squares = [_sums(leaf**2, batched=step.batched) for leaf in g.values()]
        factor = anp.minimum(limit / (_root(sum(squares[1:], squares[0])) + eps), 1.0)
        factor = unbox(factor) if held else factor
        return {chain: leaf * _along(factor, leaf, batched=step.batched) for chain, leaf in g.items()}

    return InnerOptimizer(_spelled("clip_by_norm", held, f"{limit:g}", f"eps={eps:g}"), (part,))


def clip_by_value(limit: float, *, held: bool = False) -> InnerOptimizer:
    """Return g with every entry within ±c, as `torch.nn.utils.clip_grad_value_`."""

    def part(_: Memory, g: Leaves, __: Step) -> Leaves:
        if held:
            return {chain: leaf + (np.clip(unbox(leaf), -limit, limit) - unbox(leaf)) for chain, leaf in g.items()}
        return {chain: anp.clip(leaf, -limit, limit) for chain, leaf in g.items()}

    return InnerOptimizer(_spelled("clip_by_value", held, f"{limit:g}"), (part,))


def rates_by_step(*factors: float) -> InnerOptimizer:
    """Return r_k g in step k, with the last factor from there on: given rates of MAML++ (Antoniou et al., 2019).

    Raises:
        ValueError: there is no factor.
    """
    if not factors:
        raise ValueError("rates_by_step: expected at least one factor, but got none.")

    def part(_: Memory, g: Leaves, step: Step) -> Leaves:
        factor = factors[min(step.count, len(factors) - 1)]
        return {chain: factor * leaf for chain, leaf in g.items()}

    return InnerOptimizer(_spelled("rates_by_step", False, *(f"{factor:g}" for factor in factors)), (part,))


def _spelled(name: str, held: bool, *values: str) -> str:
    return f"{name}({', '.join([*values, *['held=True'] * held])})"


def _root(v: Array) -> Array:
    """Return √v with the derivative 0 at 0, which it has as √(g²) has a factor g there: autograd's is infinite."""
    return anp.sqrt(anp.where(v > 0, v, 1.0)) * (v > 0)


def _sums(leaf: Array, *, batched: bool) -> Array:
    """Return the sum over all entries, or over those of each row."""
    return anp.sum(anp.reshape(leaf, (leaf.shape[0], -1)), axis=1) if batched else anp.sum(leaf)


def _along(factor: Array, leaf: Array, *, batched: bool) -> Array:
    """Return one factor for a whole leaf, or one for each of its rows, so that it broadcasts against the leaf."""
    return anp.reshape(factor, (leaf.shape[0], *[1] * (leaf.ndim - 1))) if batched else factor
