"""Making a request of what a user hands over: the framework is found, and every argument checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from verification.models.adapters import adapter_of
from verification.models.interface import Adapter, Gives
from verification.models.request import Request
from verification.orders import ORDERS, Order


def problem_of(
    step: Callable[..., Any],
    /,
    *,
    model: Any,
    inner_loss: Callable[..., Any],
    tasks: Sequence[tuple[Any, Any]],
    inner_steps: int,
    inner_learning_rate: float | Mapping[str, float],
    outer_loss: Callable[..., Any] | None = None,
    order: Order = 1,
    inner_gradient: Callable[..., Any] | None = None,
    outer_gradient: Callable[..., Any] | None = None,
    adapts: str | Sequence[str] | None = None,
    trains: str | Sequence[str] | None = None,
    gives: Gives | None = None,
    outer_learning_rate: float | None = None,
    name: str | None = None,
    framework: str | None = None,
) -> Request:
    """Return what `check` judges, for ``refmaml check path/to/script.py:name``; see `check` for the arguments."""
    adapter = adapter_of(model, framework)
    if not callable(step):
        raise TypeError(f"step: expected a function, but got {type(step).__name__}.")
    if order not in ORDERS:
        raise ValueError(f"order: expected one of {', '.join(map(repr, ORDERS))}, but got {order!r}.")
    if isinstance(inner_steps, bool) or not isinstance(inner_steps, int) or inner_steps < 0:
        raise ValueError(f"inner_steps: expected a whole number from 0 up, but got {inner_steps!r}.")
    pairs = list(tasks)
    odd = next((task for task in pairs if not (isinstance(task, tuple | list) and len(task) == 2)), None)
    if not pairs or odd is not None:
        got = f" of {len(odd)}" if isinstance(odd, tuple | list) else ""
        raise ValueError(
            "tasks: expected pairs (support, query), one for each task and at least one"
            f"{f', but got a {type(odd).__name__}{got}' if pairs else ''}."
        )
    if gives not in (None, *adapter.gives):
        raise ValueError(f"gives: expected one of {', '.join(map(repr, adapter.gives))}, but got {gives!r}.")
    if outer_learning_rate is not None and not outer_learning_rate > 0:
        raise ValueError(f"outer_learning_rate: expected a number above 0, but got {outer_learning_rate!r}.")
    if gives == "parameters" and outer_learning_rate is None:
        raise ValueError("outer_learning_rate: expected the rate of the outer step, since the step gives parameters.")
    outer = outer_loss or inner_loss
    own = _gradients(adapter, inner_loss, inner_gradient, outer, outer_gradient)
    parts = adapter.parts_of(model)
    parameters = parts.values
    trained = _selected("trains", trains, parameters, parts.trained)
    chosen = _selected("adapts", adapts, parameters, trained)
    rates = _rates(inner_learning_rate, parameters)
    if isinstance(rates, Mapping) and (missing := [key for key in chosen if key not in rates]):
        raise ValueError(f"inner_learning_rate: expected a rate for each parameter that adapts; {missing[0]} has none.")
    return Request(
        adapter=adapter, step=step, model=model,
        inner_loss=adapter.loss_of(inner_loss), outer_loss=adapter.loss_of(outer),
        tasks=pairs, inner_steps=inner_steps, inner_learning_rate=rates,
        order=order, adapts=chosen, trained=trained,
        outer_learning_rate=outer_learning_rate,
        gives=gives or ("gradients" if outer_learning_rate is None else "parameters"),
        name=name or str(getattr(step, "__qualname__", type(step).__name__)), parameters=parameters,
        all_names=parts.all_names, precision=parts.precision, own_gradients=own,
    )  # fmt: skip


def _gradients(
    adapter: Adapter, inner_loss: Any, inner_gradient: Any, outer_loss: Any, outer_gradient: Any
) -> dict[Any, Any]:
    """Return the user's own gradient of each loss: of both, where it is of one."""
    given = {"inner_gradient": inner_gradient, "outer_gradient": outer_gradient}
    names = [name for name, gradient in given.items() if gradient is not None]
    if names and not adapter.has_own_gradients:
        raise ValueError(f"{names[0]}: expected nothing, since the framework differentiates the losses.")
    if inner_loss == outer_loss and names:
        return {inner_loss: inner_gradient or outer_gradient}
    if len(names) == 1:
        missing = next(name for name in given if name not in names)
        raise ValueError(f"{missing}: expected the gradient of the other loss, too.")
    return {inner_loss: inner_gradient, outer_loss: outer_gradient} if names else {}


def _rates(rate: float | Mapping[str, float], parameters: Mapping[str, Any]) -> float | Mapping[str, float]:
    if isinstance(rate, Mapping):
        unknown = [key for key in rate if key not in parameters]
        if unknown:
            raise ValueError(f"inner_learning_rate: expected the names of parameters, but got {unknown[0]!r}.")
        return dict(rate)
    return float(rate)


def _selected(
    what: str, chosen: str | Sequence[str] | None, parameters: Collection[str], default: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of the parameters that names, or modules that hold them, select."""
    if chosen is None:
        return default
    named = [chosen] if isinstance(chosen, str) else list(chosen)
    for part in named:
        if not any(_within(key, part) for key in parameters):
            raise ValueError(
                f"{what}: expected names of parameters or of modules, but got {part!r}. The model has "
                f"{', '.join(list(parameters)[:6])}{', …' if len(parameters) > 6 else ''}."
            )
    return tuple(key for key in parameters if any(_within(key, part) for part in named))


def _within(key: str, part: str) -> bool:
    return key == part or key.startswith((f"{part}.", f"{part}["))
