"""Calling a training step on its own model, in whatever framework, and reading the meta-gradient that it leaves."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np

from verification.models.interface import Caller, Gradients, LowerPrecisionError
from verification.models.request import Request
from verification.subjects import Finding, Reply, SubjectError
from verification.subjects.exceptions import described

_SEED = 20170311


def ask(
    request: Request,
    dtype: str,
    *,
    calls: int = 1,
    tasks: Sequence[Any] | None = None,
    number: int = _SEED,
    watching: Callable[[], Any] = nullcontext,
) -> list[Reply]:
    """Call a step, `calls` times from the same parameters, and put everything back.

    Args:
        request: what is judged.
        dtype: the precision of the model and of the tasks.
        calls: how many calls; what a step keeps between calls stays until the last.
        tasks: other tasks than the request's.
        number: the seed of all random numbers.
        watching: returns a context that every call runs in.
    """
    adapter = request.adapter
    with adapter.kept(request), adapter.calling(dtype):
        caller = adapter.caller(request, dtype)
        replies: list[Reply] = []
        for call in range(calls):
            if not caller.begin(call):
                break
            adapter.seed(number)
            request.listener.alive()
            reply = _called(request, caller, request.tasks if tasks is None else tasks, watching)
            replies.append(_alike(reply, replies[0]) if replies else reply)
            if replies[-1].findings and not replies[-1].returned:
                break
        return replies


def _alike(reply: Reply, first: Reply) -> Reply:
    """Return a reply that holds the arrays of the first one where they are the same: they may be large."""
    leaves, others = reply.returned, first.returned
    same = leaves.keys() == others.keys() and all(
        leaf is not None and other is not None and np.array_equal(leaf, other)
        for leaf, other in zip(leaves.values(), (others[name] for name in leaves), strict=True)
    )
    return replace(reply, returned=others, gradients=first.gradients) if same else reply


def _called(request: Request, caller: Caller, tasks: Sequence[Any], watching: Callable[[], Any]) -> Reply:
    given = caller.cast(tasks)
    try:
        positional, keywords = arguments(request, given, caller.model)
        with watching(), _limits_put_back():
            result = request.step(*positional, **keywords)
        found = caller.read(result)
    except SubjectError:
        raise
    except LowerPrecisionError as error:
        return Reply(findings=[Finding("exception", str(error))])
    except BaseException as error:  # whatever a step raises is an answer
        if isinstance(error, KeyboardInterrupt) and not request.listener.is_elsewhere:
            raise
        return Reply(findings=[Finding("exception", f"it raised {described(error)}{request.adapter.hint(error)}")])
    return _reply(request, found)


@contextmanager
def _limits_put_back() -> Iterator[None]:
    """Put back how deep calls may go, and what NumPy does on overflow: the judge computes with both."""
    depth = sys.getrecursionlimit()
    try:
        with np.errstate():
            yield
    finally:
        sys.setrecursionlimit(depth)


def precisions(request: Request, dtype: str) -> set[str]:
    """Return the precisions that the operations of a step come in, as far as its framework can tell."""
    return _looked_at(request, dtype, lambda caller: caller.precisions)


def draws(request: Request, dtype: str) -> set[str]:
    """Return which operations of a step draw random numbers, where watching a call does not show it."""
    return _looked_at(request, dtype, lambda caller: caller.draws)


def _looked_at(request: Request, dtype: str, look: Callable[[Caller], Callable[..., set[str]]]) -> set[str]:
    adapter = request.adapter
    with adapter.kept(request), adapter.calling(dtype):
        caller = adapter.caller(request, dtype)
        caller.begin(0)
        adapter.seed(_SEED)
        positional, keywords = arguments(request, caller.cast(request.tasks), caller.model)
        request.listener.alive()
        try:
            return look(caller)(request.step, positional, keywords)
        except BaseException as error:  # it raised when it was judged, too
            if isinstance(error, KeyboardInterrupt) and not request.listener.is_elsewhere:
                raise
            return set()


def arguments(request: Request, tasks: Any, model: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a step is called with: what its parameters name, else (model, tasks), (tasks) or nothing.

    Where it names one of model and tasks and requires one more, that is the other. A wrapper that takes whatever comes
    gets (model, tasks).

    Raises:
        SubjectError: it requires something that the judge does not have.
    """
    known = {
        "model": model, "tasks": tasks, "inner_loss": request.inner_loss, "outer_loss": request.outer_loss,
        "inner_steps": request.inner_steps, "inner_learning_rate": request.inner_learning_rate,
    }  # fmt: skip
    try:
        parameters = list(inspect.signature(request.step).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = {
        parameter.name: known[parameter.name]
        for parameter in parameters
        if parameter.name in known and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    required = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in named
    ]
    if not named and not required and any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return (model, tasks), {}
    missing = [name for name in ("model", "tasks") if name not in named]
    if len(required) == len(missing) == 1:  # step(params, tasks)
        named[required.pop()] = known[missing.pop()]
    if not required:
        # By position as far as that goes: a derivative is by arguments that have a position.
        leading = takewhile(lambda one: one.name in named and one.kind is not one.KEYWORD_ONLY, parameters)
        positional = tuple(named.pop(one.name) for one in list(leading))
        return positional, named
    if not named and len(required) <= 2:
        return ((tasks,) if len(required) == 1 else (model, tasks)), {}
    raise SubjectError(
        f"step: expected parameters among {', '.join(known)}, or one for the tasks, or two for model and tasks, but it "
        f"requires also {', '.join(required)}. Wrap it in a function that has these."
    )


def takes(request: Request, what: str) -> bool:
    """Return whether a step is called with "model", "tasks" or "inner_steps"."""
    markers: dict[str, Any] = {"model": [], "tasks": [], "inner_steps": []}
    marked = replace(request, inner_steps=markers["inner_steps"])
    positional, keywords = arguments(marked, markers["tasks"], markers["model"])
    return any(value is markers[what] for value in (*positional, *keywords.values()))


def _reply(request: Request, found: Gradients | str) -> Reply:
    if isinstance(found, str):
        return Reply(findings=[Finding("gradients", found)], malformed=True)
    findings, returned, gradients = [], {}, {}
    for name in request.trained:
        shape = request.parameters[name].shape
        leaf = found.get(name)
        if leaf is None and not request.matters(name):
            leaf = np.zeros(shape)  # None stands for the gradient of what a loss does not use
        returned[name] = leaf
        if leaf is None:
            findings.append(Finding("gradients", "it is None: no gradient reached it", name))
        elif leaf.shape != shape:
            findings.append(Finding("gradients", f"expected the shape {shape}, but it is {leaf.shape}", name))
        else:
            gradients[name] = leaf
    return Reply(gradients=gradients, returned=returned, findings=findings)
