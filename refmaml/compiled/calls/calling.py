"""One call of a compiled step: its checks, the plan that fits it, and the answer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from autograd.tracer import isbox

from refmaml import validation
from refmaml.compiled.calls import shortcut
from refmaml.compiled.calls.arguments import Answer, Call
from refmaml.compiled.calls.groups import Group, Prepared, combined, prepared
from refmaml.compiled.calls.plans import plan_for
from refmaml.compiled.errors import CompilationFallback, CompilationRefused, UnsupportedPrimitive
from refmaml.compiled.guarding.guards import Guard
from refmaml.compiled.program.program import FLOAT32
from refmaml.compiled.recording.locks import making
from refmaml.compiled.running.crew import default_threads
from refmaml.compiled.running.execution import Execution, StepFailed
from refmaml.containers import Container, children, map_leaves, unbox
from refmaml.updates import InnerOptimizer

_LARGEST = float(np.finfo(np.float32).max)


def answer(call: Call) -> Answer:
    """Return the answer of the compiled step; where that meets an error of NumPy's, what the reference does."""
    try:
        return _answer(call)
    except StepFailed:
        with making:
            return call.by_reference()


def _answer(call: Call) -> Answer:
    """Check the arguments, find or make a plan, run it, and put its results into containers."""
    if call.on_unsupported not in ("error", "reference"):
        raise ValueError(f"on_unsupported: expected 'error' or 'reference', but got {call.on_unsupported!r}.")
    threads = _threads(call.num_threads)
    known = shortcut.structure(call)
    recipe = shortcut.recall(known[0]) if known else None
    if recipe is not None and known is not None:
        _, leaves, data = known
        return recipe.answer(leaves, data, call.inner_learning_rate, call.inner_grad_steps, threads)
    boxed = _has_box(call.variables) or _has_box(call.batch) or _has_box(call.inner_learning_rate)
    if boxed:
        if not call.stop_gradients:
            return call.by_reference()
        call = call._replace(
            variables=map_leaves(unbox, call.variables), batch=map_leaves(unbox, call.batch),
            inner_learning_rate=map_leaves(unbox, call.inner_learning_rate),
        )  # fmt: skip
    try:
        return _compiled(call, threads, known)
    except CompilationRefused as refusal:
        if call.on_unsupported == "error":
            raise
        warnings.warn(f"computed by the reference: {refusal}", CompilationFallback, stacklevel=4)
        with making:
            return call.by_reference()


def _threads(num_threads: int | None) -> int:
    if num_threads is None:
        return default_threads()
    if isinstance(num_threads, bool) or not isinstance(num_threads, int):
        raise TypeError(f"num_threads: expected an integer or None, but got {num_threads!r}.")
    if num_threads < 1:
        raise ValueError(f"num_threads: expected 1 or more, but got {num_threads}.")
    return num_threads


def _has_box(node: Container) -> bool:
    if isbox(node):
        return True
    branch = children(node)
    return branch is not None and any(_has_box(child) for _, child in branch)


def _compiled(call: Call, threads: int, known: Any) -> Answer:
    if isinstance(call.inner_optimization_step, InnerOptimizer):
        raise CompilationRefused(
            f"inner_optimization_step: {call.inner_optimization_step} has a state from step to step, and the engine "
            "compiles inner steps without one. Use refmaml's reference steps, or pass on_unsupported='reference'."
        )
    ready = prepared(call)
    plans = [_planned(call, ready, group) for group in ready.groups]
    results = [
        _run(call, ready, group, execution, threads) for group, (_, execution) in zip(ready.groups, plans, strict=True)
    ]
    if known is not None and len(plans) == 1 and (plans[0][1].plan.separable or not ready.batched):
        shortcut.remember(known[0], ready, *plans[0])
    return combined(ready, results)


def _run(call: Call, ready: Prepared, group: Group, execution: Execution, threads: int) -> Any:
    plain = not execution.plan.rates
    step = validation.scalar(ready.rates[""], "inner_learning_rate") if plain else 0.0
    rates = [] if plain else [ready.rates[rate.chain] for rate in execution.plan.rates]
    descent = -float(step) * ready.rows
    if abs(descent) > _LARGEST >= abs(float(step)) and FLOAT32 in execution.plan.totals:
        raise UnsupportedPrimitive(
            f"inner_learning_rate: expected a rate that float32 can hold times {ready.rows} tasks, but got {step!r}."
        )
    count, adapted = group.count, group.adapted
    if execution.plan.separable:  # it runs for one row after the other
        count, adapted = ready.rows, ready.rows if ready.layout.adapted == "all" else adapted
    result = execution.run(
        list(ready.theta.values()), group.data, descent, rates, count, ready.steps,
        bool(call.average_across_steps), adapted, threads,
    )  # fmt: skip
    return execution.plan, result


def _planned(call: Call, ready: Prepared, group: Group) -> tuple[Guard, Execution]:
    """Return a guard and a plan; where tracing fails as the reference does too, raise what the reference raises."""
    try:
        return plan_for(call.kind, ready, group)
    except CompilationRefused:
        raise
    except Exception as error:
        call.by_reference()
        raise UnsupportedPrimitive(f"tracing failed where the reference does not: {error!r}") from error
