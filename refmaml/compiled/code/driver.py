"""The compiled step: what `refmaml.reference` computes, as the functions that Numba compiles.

θ are the variables, φ a task's adapted ones, α the learning rate, S and Q the inner and the outer cost, K the number of
inner steps. What a driver calls are the bodies: what depends on the costs, the shapes and the dtypes, as
`refmaml.compiled.code.source` writes it. To Numba they are intrinsics, and LLVM puts their instructions into the place
of the calls. `memory` is where they find θ, the batch, φ and the sums.

Any number of threads run a driver at once. Each claims chunks of tasks until none is left, and every chunk adds its
tasks' gradients, in order, into a slot of its own. Which thread computes a chunk therefore never shows in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

#: The numbers that a call has, for `number`. `OWN`: 1 where every task has variables of its own, 0 where they are
#: the same for all.
#: `LANES`: how many tasks the bodies compute at once. `HISTORY`: where the φ_k of second order begin, by dtype.
CHUNKS, CHUNK_SIZE, TASKS, STEPS, AVERAGE, ADAPTED, OWN, LANES, HISTORY = range(9)

Body: TypeAlias = Callable[..., Any]
Driver: TypeAlias = Callable[..., Callable[[Any], None]]


def first_order(
    number: Body, claim: Body, begin: Body, start: Body, inner: Body, outer: Body, leave: Body, finish: Body
) -> Callable[[Any], None]:
    """Return a step of first order: the gradients of the outer cost at φ_K are those of the answer."""

    def step(memory: Any) -> None:
        size, tasks = number(memory, CHUNK_SIZE), number(memory, TASKS)
        chunk = claim(memory)
        while chunk >= 0:
            begin(memory, chunk)  # the sums of the chunk's costs and gradients are 0
            stop = (chunk + 1) * size
            task, stop = chunk * size, stop if stop < tasks else tasks
            while task < stop:  # a `range` whose step is a variable can raise, which calls Numba and Python
                start(memory, task)  # φ ← θ
                steps = number(memory, STEPS)
                first = 0 if number(memory, AVERAGE) else steps
                for k in range(steps + 1):
                    if k >= first:  # at φ_K alone, or averaged over φ₀ … φ_K
                        outer(memory, chunk, task)  # the sums += Q(φ), ∇Q(φ)
                    if k < steps:
                        inner(memory, chunk, task)  # φ ← φ − α ∇S(φ)
                leave(memory, chunk, task)  # φ where the caller wants it; in Reptile, the sums += θ − φ
                task += number(memory, LANES)
            finish(memory, chunk)  # the sums to the chunk's slot
            chunk = claim(memory)

    return step


def second_order(
    number: Body, claim: Body, begin: Body, start: Body, keep: Body, inner: Body, leave: Body, recall: Body,
    adjoint: Body, outer: Body, add: Body, finish: Body,
) -> Callable[[Any], None]:  # fmt: skip
    """Return a step of second order: it keeps every φ_k, then carries the adjoint λ = ∂Q(φ_K)/∂φ_k back to θ."""

    def step(memory: Any) -> None:
        size, tasks = number(memory, CHUNK_SIZE), number(memory, TASKS)
        chunk = claim(memory)
        while chunk >= 0:
            begin(memory, chunk)
            stop = (chunk + 1) * size
            for task in range(chunk * size, stop if stop < tasks else tasks):
                start(memory, task)  # φ₀ ← θ, λ ← 0
                steps = number(memory, STEPS)
                first = 0 if number(memory, AVERAGE) else steps
                for k in range(steps):
                    keep(memory, k)  # φ_k
                    inner(memory, chunk, k)  # φ_{k+1} ← φ_k − α ∇S(φ_k)
                keep(memory, steps)
                leave(memory, chunk, task)
                for back in range(steps + 1):
                    k = steps - back
                    recall(memory, k)  # φ_k
                    if k < steps:
                        adjoint(memory, chunk, k)  # λ ← (∂φ_{k+1}/∂φ_k)ᵀ λ
                    if k >= first:
                        outer(memory, chunk, task)  # λ += ∇Q(φ_k), the sum of costs += Q(φ_k)
                add(memory)  # the sums of gradients += λ
            finish(memory, chunk)
            chunk = claim(memory)

    return step
