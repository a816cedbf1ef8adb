"""Calling a training step on its own model, and reading the meta-gradient that it leaves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.frameworks.base import optional
from verification.models.request import Request
from verification.models.torch_losses import in_precision
from verification.models.torch_state import begin_anew, kept, seed
from verification.subjects import Finding, Reply, SubjectError
from verification.subjects.exceptions import described

Arrays = dict[str, NDArray[Any] | None]
_SEED = 20170311


def ask(
    request: Request,
    dtype: str,
    *,
    calls: int = 1,
    tasks: Sequence[Any] | None = None,
    number: int = _SEED,
    watching: Callable[[], Any] | None = None,
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
    with kept(request.model, request.optimizers):
        replies = []
        for call in range(calls):
            if call == 0:
                begin_anew(request.model, request.optimizers, dtype)
            elif not _again(request, dtype):
                break
            seed(number)
            replies.append(_called(request, dtype, request.tasks if tasks is None else tasks, watching))
            if replies[-1].findings and not replies[-1].returned:
                break
        return replies


def _again(request: Request, dtype: str) -> bool:
    """Bring the parameters back to θ for a second call, where they still are; `.grad` stays where nobody reads it."""
    torch = optional("torch", "torch")
    precision = getattr(torch, dtype)
    parameters = dict(request.model.named_parameters())
    if parameters.keys() != request.parameters.keys():
        return False
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(request.parameters[name].to(precision))
            if request.gives == "grad":
                parameter.grad = None
    return True


def _called(request: Request, dtype: str, tasks: Sequence[Any], watching: Callable[[], Any] | None) -> Reply:
    torch = optional("torch", "torch")
    before = {name: parameter.detach().clone() for name, parameter in request.model.named_parameters()}
    objects = dict(request.model.named_parameters())
    given = in_precision(list(tasks), getattr(torch, dtype))
    try:
        positional, keywords = arguments(request, given)
        if watching is None:
            result = request.step(*positional, **keywords)
        else:
            with watching():
                result = request.step(*positional, **keywords)
        found = _read(request, result, before, objects)
    except SubjectError:
        raise
    except (Exception, SystemExit) as error:  # whatever a step raises is an answer
        return Reply(findings=[Finding("exception", f"it raised {described(error)}")])
    return found


def arguments(request: Request, tasks: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a step is called with: what its parameters name, else (model, tasks), (tasks) or nothing.

    Raises:
        SubjectError: it requires something that the judge does not have.
    """
    known = {
        "model": request.model, "tasks": tasks, "inner_loss": request.inner_loss, "outer_loss": request.outer_loss,
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
    if not required:
        return (), named
    if not named and len(required) <= 2:
        return ((tasks,) if len(required) == 1 else (request.model, tasks)), {}
    raise SubjectError(
        f"step: expected parameters among {', '.join(known)}, or one for the tasks, or two for model and tasks, but it "
        f"requires also {', '.join(required)}. Wrap it in a function that has these."
    )


def takes_tasks(request: Request) -> bool:
    """Return whether a step is called with the tasks, so that it can be asked about fewer of them."""
    marker: list[Any] = []
    positional, keywords = arguments(request, marker)
    return any(value is marker for value in (*positional, *keywords.values()))


def _read(request: Request, result: Any, before: Mapping[str, Any], objects: Mapping[str, Any]) -> Reply:
    """Return the gradients that a call left, as the request says where they are."""
    if request.gives == "parameters":
        now = dict(request.model.named_parameters())
        rate = float(request.outer_learning_rate or 1.0)
        moved: dict[str, Any] = {
            name: (before[name].double() - now[name].detach().double()) / rate for name in before if name in now
        }
        return _reply(request, moved)
    if request.gives == "grad":
        # Of the parameters that the caller's optimizer holds, whatever the model is made of now.
        return _reply(request, {name: parameter.grad for name, parameter in objects.items()})
    return _reply(request, _by_name(request, result))


def _by_name(request: Request, result: Any) -> Any:
    """Return gradients by name of what a step returned; a sentence where it is no container of gradients."""
    torch = optional("torch", "torch")
    names = list(request.parameters)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping | list | tuple):
        result = result[1]  # (loss, gradients)
    if isinstance(result, Mapping):
        owners = {id(parameter): name for name, parameter in request.model.named_parameters()}
        by_name = {key if isinstance(key, str) else owners.get(id(key), str(key)): leaf for key, leaf in result.items()}
        unknown = [key for key in by_name if key not in request.all_names]
        if unknown:
            return f"expected gradients by the names of parameters, but got {', '.join(map(repr, unknown[:3]))}"
        return {name: by_name[name] for name in names if name in by_name}
    if isinstance(result, Iterable) and not torch.is_tensor(result) and not isinstance(result, str | bytes):
        leaves = list(result)
        trained = list(request.trained)
        for order in (names, trained):
            if len(order) == len(leaves):
                return dict(zip(order, leaves, strict=True))
        return f"expected {len(trained)} gradients, one for each parameter, but got {len(leaves)}"
    return f"expected a container of gradients as its result, but it returned {type(result).__name__}"


def _reply(request: Request, found: Any) -> Reply:
    if isinstance(found, str):
        return Reply(findings=[Finding("gradients", found)], malformed=True)
    findings, returned, gradients, malformed = [], {}, {}, False
    for name in request.trained:
        shape = tuple(request.parameters[name].shape)
        leaf = _array(found.get(name))
        if leaf is None and not request.matters(name):
            leaf = np.zeros(shape)  # PyTorch has None for the gradient of what a loss does not use
        returned[name] = leaf
        if leaf is None:
            findings.append(Finding("gradients", "it is None: no gradient reached it", name))
        elif leaf.shape != shape:
            findings.append(Finding("gradients", f"expected the shape {shape}, but it is {leaf.shape}", name))
        else:
            gradients[name] = leaf
    return Reply(gradients=gradients, returned=returned, findings=findings, malformed=malformed)


def _array(leaf: Any) -> NDArray[Any] | None:
    torch = optional("torch", "torch")
    if leaf is None:
        return None
    if torch.is_tensor(leaf):
        leaf = leaf.detach().to("cpu")
        leaf = (leaf.to_dense() if leaf.is_sparse else leaf).double().numpy()
    return np.array(leaf, np.float64)
