"""Steps that are wrong on purpose: `refmaml`'s own with one thing changed, to see which relation breaks.

A name is an id of the catalogue of faults, or a word where the catalogue has no row. The formulas use gF(θ, K, α) for
the right first-order gradient; the second-order faults are in `SECOND`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refmaml import fomaml_step, gradient_descent_update, maml_step
from verification.problems.trees import leaves, map_leaves

Step = Callable[..., tuple[Any, ...]]


def _with_gradients(change: Callable[..., Any]) -> Step:
    """Return the first-order step with change(grads, batch) in place of its gradients."""

    def step(batch: Any, *rest: Any, **options: Any) -> tuple[Any, ...]:
        cost, grads, *adapted = fomaml_step(batch, *rest, **options)
        return cost, change(grads, _count(batch, options)), *adapted

    return step


def _count(batch: Any, options: dict[str, Any]) -> int:
    return int(options.get("num_tasks") or len(next(iter(leaves(batch).values()))))


def _calling(
    steps: Callable[[int], int] = lambda k: k, rate: Callable[..., Any] = lambda a, k: a, **fixed: Any
) -> Step:
    """Return the first-order step called with another K, another α, or an option overruled."""

    def step(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
        scaled = map_leaves(lambda leaf: rate(leaf, count), alpha)
        return fomaml_step(batch, inner, outer, variables, steps(count), scaled, **{**options, **fixed})

    return step


def _options(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Step:
    def step(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        return fomaml_step(*arguments, **{**options, **change(options)})

    return step


def _updating(update: Callable[..., Any]) -> Step:
    def step(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        return fomaml_step(*arguments, **{**options, "inner_optimization_step": update})

    return step


def _one(batch: Any, t: int) -> Any:
    return map_leaves(lambda leaf: leaf[t : t + 1], batch)


def at_theta(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
    """B01: the outer gradient from before adaptation, gF(θ, 0)."""
    cost, _, *adapted = fomaml_step(batch, inner, outer, variables, count, alpha, **options)
    return cost, fomaml_step(batch, inner, outer, variables, 0, alpha, **options)[1], *adapted


def without_start(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
    """B11: the average over points leaves θ out."""
    cost, mean, *adapted = fomaml_step(batch, inner, outer, variables, count, alpha, **options)
    if not (options.get("average_across_steps") and count):
        return cost, mean, *adapted
    first = fomaml_step(batch, inner, outer, variables, 0, alpha, **options)[1]
    return cost, _zip(lambda m, f: ((count + 1) * m - f) / count, mean, first), *adapted


def _zip(function: Callable[..., Any], one: Any, other: Any) -> Any:
    rest = iter(leaves(other).values())
    return map_leaves(lambda leaf: function(leaf, next(rest)), one)


def support_in_average(
    batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any
) -> Any:
    """C02: without an outer cost, the averaged outer gradient takes its first K terms from the inner batch."""
    right = fomaml_step(batch, inner, outer, variables, count, alpha, **options)
    if outer is not None or not options.get("average_across_steps"):
        return right
    single = {**options, "average_across_steps": False}
    support = {**single, "outer_batch_fn": options.get("inner_batch_fn")}
    terms = [fomaml_step(batch, inner, outer, variables, k, alpha, **support) for k in range(count)]
    terms.append(fomaml_step(batch, inner, outer, variables, count, alpha, **single))
    total = terms[0][1]
    for term in terms[1:]:
        total = _zip(np.add, total, term[1])
    return (np.mean([t[0] for t in terms]), map_leaves(lambda g: g / (count + 1), total), *right[2:])


def only_task(which: int, share: bool) -> Step:
    """D03, D04: the gradients of one task, divided by T or not; the cost is right."""

    def step(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
        cost, _, *adapted = fomaml_step(batch, inner, outer, variables, count, alpha, **options)
        tasks = _count(batch, options)
        few = {k: v for k, v in options.items() if k != "num_tasks"}
        alone = fomaml_step(_one(batch, which % tasks), inner, outer, variables, count, alpha, **few)[1]
        return cost, map_leaves(lambda g: g / tasks if share else g, alone), *adapted

    return step


def accumulating() -> Step:
    """D05: gradients are not cleared between calls, so that the n-th call returns the sum of n."""
    kept: dict[str, Any] = {}

    def step(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        cost, grads, *adapted = fomaml_step(*arguments, **options)
        for chain, leaf in leaves(grads).items():
            kept[chain] = kept.get(chain, 0) + leaf
        return cost, {chain: np.array(kept[chain]) for chain in leaves(grads)}, *adapted

    return step


def inner_left(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
    """D06: the inner gradients stay in the accumulator: Σ_k ∇S(φ_k) + ∇Q(φ_K)."""
    request = {**options, "return_inner_v": True}
    cost, grads, adapted = fomaml_step(batch, inner, outer, variables, count, alpha, **request)
    rest = _displacement(variables, adapted, alpha)
    return cost, _zip(np.add, grads, rest), adapted


def _displacement(variables: Any, adapted: Any, alpha: Any) -> Any:
    """Return mean_t (θ − φ_K)/α, zero where α is."""
    return _zip(lambda w, phi: np.mean(w - phi, axis=0) / alpha if alpha else 0 * w, variables, adapted)


def chained(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
    """E01: φ_K of a task is where the next one starts."""
    options = {**options, "return_inner_v": True}
    tasks = range(_count(batch, options))
    options.pop("num_tasks", None)
    answers, start = [], variables
    for t in tasks:
        answers.append(fomaml_step(_one(batch, t), inner, outer, start, count, alpha, **options))
        start = map_leaves(lambda leaf: leaf[0], answers[-1][2])
    total, rows = answers[0][1], answers[0][2]
    for answer in answers[1:]:
        total, rows = _zip(np.add, total, answer[1]), _zip(lambda a, b: np.concatenate([a, b]), rows, answer[2])
    return np.mean([answer[0] for answer in answers]), map_leaves(lambda g: g / len(answers), total), rows


def overwriting(batch: Any, inner: Any, outer: Any, variables: Any, *rest: Any, **options: Any) -> Any:
    """E02: the adapted variables of the last task are written into the caller's."""
    cost, grads, adapted = fomaml_step(batch, inner, outer, variables, *rest, **{**options, "return_inner_v": True})
    _zip(lambda w, phi: w.__setitem__(..., phi[-1]), variables, adapted)
    return cost, grads, adapted


def shared_memory(batch: Any, inner: Any, outer: Any, variables: Any, *rest: Any, **options: Any) -> Any:
    """Variables that no step moved are returned as views of the caller's."""
    cost, grads, adapted = fomaml_step(batch, inner, outer, variables, *rest, **{**options, "return_inner_v": True})
    views = _zip(lambda phi, w: np.broadcast_to(w, phi.shape) if np.all(phi == w) else phi, adapted, variables)
    return cost, grads, views


def remembering() -> Step:
    """E04: the velocity of an inner momentum survives the task and the call."""
    velocity: dict[str, Any] = {}

    def update(w: Any, dcdw: Any, lr: Any, /, *, stop_gradients: bool) -> Any:
        gradients = leaves(dcdw)
        for chain, leaf in gradients.items():
            velocity[chain] = 0.5 * velocity.get(chain, 0) + leaf
        moved = iter([velocity[chain] for chain in gradients])
        return map_leaves(lambda leaf: np.asarray(leaf - lr * next(moved)), w)

    return _updating(update)


def one_left_out(batch: Any, inner: Any, outer: Any, variables: Any, *rest: Any, **options: Any) -> Any:
    """F03: the first variable with a matrix is never adapted."""
    frozen = next(chain for chain, leaf in leaves(variables).items() if np.ndim(leaf) > 1)
    if options.get("inner_v") is None:
        options = {**options, "inner_v": [frozen], "keep_inner_v": False}
    return fomaml_step(batch, inner, outer, variables, *rest, **options)


def _by_position(w: Any, dcdw: Any, lr: Any, /, *, stop_gradients: bool) -> Any:
    """F05: two variables of one shape get each other's gradient."""
    gradients = leaves(dcdw)
    by_shape: dict[Any, list[Any]] = {}
    for leaf in gradients.values():
        by_shape.setdefault(leaf.shape, []).append(leaf)
    swapped = iter([by_shape[leaf.shape].pop() for leaf in gradients.values()])
    return map_leaves(lambda leaf: np.asarray(leaf - lr * next(swapped)), w)


def _decaying(w: Any, dcdw: Any, lr: Any, /, *, stop_gradients: bool) -> Any:
    """G06: weight decay in the inner loop, φ ← 0.999 φ − α∇S."""
    moved = gradient_descent_update(w, dcdw, lr, stop_gradients=stop_gradients)
    return _zip(lambda new, old: np.asarray(new - 0.001 * old), moved, w)


def _clipping(w: Any, dcdw: Any, lr: Any, /, *, stop_gradients: bool) -> Any:
    """A07 in first order: inner gradients clipped to 0.3."""
    return gradient_descent_update(
        w, map_leaves(lambda g: np.clip(g, -0.3, 0.3), dcdw), lr, stop_gradients=stop_gradients
    )


def shortened(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
    """D08: in batched mode the gradient of a mean over tasks is taken for each task's own, α_eff = α/T."""
    rate = alpha / _count(batch, options) if options.get("batched") else alpha
    return fomaml_step(batch, inner, outer, variables, count, rate, **options)


def random() -> Step:
    """Return a step with noise of its own in the last digits, other noise in every call."""
    rng = np.random.default_rng(43)

    def step(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        cost, grads, *adapted = fomaml_step(*arguments, **options)
        noisy = map_leaves(lambda g: g * (1 + np.spacing(1.0) * rng.integers(-1, 2, g.shape)), grads)
        return cost, noisy, *adapted

    return step


def _single(g: Any) -> Any:
    return np.asarray(np.asarray(g, np.float32), g.dtype)


def _exchanged(options: dict[str, Any]) -> dict[str, Any]:
    return {"inner_batch_fn": options.get("outer_batch_fn"), "outer_batch_fn": options.get("inner_batch_fn")}


def _selections_exchanged(options: dict[str, Any]) -> dict[str, Any]:
    swapped = {"inner_v": "outer_v", "outer_v": "inner_v", "keep_inner_v": "keep_outer_v"}
    swapped["keep_outer_v"] = "keep_inner_v"
    return {name: options[other] for name, other in swapped.items() if other in options}


#: Wrong first-order steps by name; each value makes a fresh one.
FIRST: dict[str, Callable[[], Step]] = {
    "A03": lambda: _with_gradients(lambda grads, _: map_leaves(np.zeros_like, grads)),
    "A04": lambda: maml_step,
    "A07": lambda: _updating(_clipping),
    "B01": lambda: at_theta,
    "B02": lambda: _calling(steps=lambda k: max(k - 1, 0)),
    "B03": lambda: _calling(steps=lambda k: k + 1),
    "B06": lambda: _calling(steps=lambda k: min(k, 1), rate=lambda a, k: a * k),
    "B07": lambda: _calling(steps=lambda k: min(k, 1)),
    "B11": lambda: without_start,
    "C01": lambda: _options(lambda given: {"outer_batch_fn": given.get("inner_batch_fn")}),
    "C02": lambda: support_in_average,
    "C03": lambda: _options(_exchanged),
    "C04": lambda: _options(lambda given: {"inner_batch_fn": given.get("outer_batch_fn")}),
    "C06": lambda: _calling(rate=lambda a, k: a / 4),
    "D01": lambda: _with_gradients(lambda grads, tasks: map_leaves(lambda g: tasks * g, grads)),
    "D02": lambda: _with_gradients(lambda grads, tasks: map_leaves(lambda g: g / tasks, grads)),
    "D03": lambda: only_task(-1, share=False),
    "D04": lambda: only_task(0, share=True),
    "D05": accumulating,
    "D06": lambda: inner_left,
    "D07": lambda: _with_gradients(lambda grads, _: map_leaves(lambda g: np.sum(g, axis=0) if g.ndim else g, grads)),
    "D08": lambda: shortened,
    "E01": lambda: chained,
    "E02": lambda: overwriting,
    "E04": remembering,
    "F03": lambda: one_left_out,
    "F04": lambda: _options(_selections_exchanged),
    "F05": lambda: _updating(_by_position),
    "G01": lambda: _calling(rate=lambda a, k: 0 * a + 0.01),
    "G02": lambda: _calling(rate=lambda a, k: -a),
    "G06": lambda: _updating(_decaying),
    "G07": lambda: _with_gradients(lambda grads, _: map_leaves(lambda g: np.clip(g, -0.1, 0.1), grads)),
    "G11": lambda: _with_gradients(lambda grads, _: map_leaves(_single, grads)),
    "keep ignored": lambda: _options(lambda given: {"keep_outer_v": True, "keep_inner_v": True}),
    "num_tasks ignored": lambda: _options(lambda given: {"num_tasks": None}),
    "random": random,
    "shared memory": lambda: shared_memory,
}


def last_step_only(batch: Any, inner: Any, outer: Any, variables: Any, count: int, alpha: Any, **options: Any) -> Any:
    """A08: only the last inner step is differentiated, (I − αH_{K−1}) ∇Q(φ_K)."""
    request = {**options, "return_inner_v": True}
    cost, grads, adapted = maml_step(batch, inner, outer, variables, count, alpha, **request)
    if count < 2:
        return cost, grads, adapted
    request.pop("num_tasks", None)
    answers = []
    for t in range(_count(batch, options)):
        start = fomaml_step(_one(batch, t), inner, outer, variables, count - 1, alpha, **request)[2]
        start = map_leaves(lambda leaf: leaf[0], start)
        answers.append(maml_step(_one(batch, t), inner, outer, start, 1, alpha, **request)[1])
    total = answers[0]
    for answer in answers[1:]:
        total = _zip(np.add, total, answer)
    return cost, map_leaves(lambda g: g / len(answers), total), adapted


def first_written_back(batch: Any, inner: Any, outer: Any, variables: Any, *rest: Any, **options: Any) -> Any:
    """A02: first order for second, and the caller's variables overwritten by φ_K."""
    return overwriting(batch, inner, outer, variables, *rest, **options)


#: Wrong second-order steps by name.
SECOND: dict[str, Callable[[], Step]] = {
    "A01": lambda: fomaml_step,
    "A02": lambda: first_written_back,
    "A08": lambda: last_step_only,
}
