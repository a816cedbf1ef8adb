"""What a user hands to the judge: a training step, its model, losses and tasks, checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from verification.frameworks.base import optional
from verification.orders import ORDERS, Order

#: Where the meta-gradient is after a call: in what it returned, in `.grad`, or in how the parameters moved.
Gives = Literal["gradients", "grad", "parameters"]
GIVES = ("gradients", "grad", "parameters")


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """A training step on a model of one's own; made by `problem_of`."""

    step: Callable[..., Any]
    model: Any
    inner_loss: Callable[[Any, Any], Any]
    outer_loss: Callable[[Any, Any], Any]
    tasks: Sequence[tuple[Any, Any]]
    inner_steps: int
    inner_learning_rate: float | Mapping[str, float]
    order: Order
    adapts: tuple[str, ...]
    trained: tuple[str, ...]
    outer_learning_rate: float | None
    gives: Gives
    name: str
    #: The parameters' values, each tied one once, by name; and all names, those of tied ones included.
    parameters: Mapping[str, Any]
    all_names: frozenset[str]
    #: Whether the step only repeats what a run left, in the precision of that run.
    is_recorded: bool = False
    #: The optimizers that hold a parameter of the model.
    optimizers: tuple[Any, ...] = ()
    #: The parameters that neither loss uses, found when the losses are first called.
    unused: set[str] = field(default_factory=set)

    def matters(self, name: str) -> bool:
        """Return whether a loss uses a parameter."""
        return name not in self.unused


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
    adapts: str | Sequence[str] | None = None,
    gives: Gives | None = None,
    outer_learning_rate: float | None = None,
    name: str | None = None,
) -> Request:
    """Return what `check` judges, for ``refmaml check path/to/script.py:name``; see `check` for the arguments."""
    torch = optional("torch", "torch")
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, but got {type(model).__name__}.")
    if not callable(step):
        raise TypeError(f"step: expected a function, but got {type(step).__name__}.")
    if order not in ORDERS:
        raise ValueError(f"order: expected one of {', '.join(map(repr, ORDERS))}, but got {order!r}.")
    if isinstance(inner_steps, bool) or not isinstance(inner_steps, int) or inner_steps < 0:
        raise ValueError(f"inner_steps: expected a whole number from 0 up, but got {inner_steps!r}.")
    pairs = list(tasks)
    if not pairs or not all(isinstance(task, tuple | list) and len(task) == 2 for task in pairs):
        raise ValueError("tasks: expected pairs (support, query), one for each task and at least one.")
    if gives not in (None, *GIVES):
        raise ValueError(f"gives: expected one of {', '.join(map(repr, GIVES))}, but got {gives!r}.")
    if outer_learning_rate is not None and not outer_learning_rate > 0:
        raise ValueError(f"outer_learning_rate: expected a number above 0, but got {outer_learning_rate!r}.")
    if gives == "parameters" and outer_learning_rate is None:
        raise ValueError("outer_learning_rate: expected the rate of the outer step, since the step gives parameters.")
    parameters = parameters_of(model)
    elsewhere = [key for key, value in parameters.items() if value.device.type != "cpu"]
    if elsewhere:
        raise ValueError(f"model: expected parameters on the CPU, but {elsewhere[0]} is not. Use a copy: model.cpu().")
    trained = tuple(key for key, parameter in model.named_parameters() if parameter.requires_grad)
    if not trained:
        raise ValueError("model: expected parameters that require gradients, but it has none.")
    chosen = _adapting(adapts, parameters, trained)
    rates = _rates(inner_learning_rate, parameters)
    if isinstance(rates, Mapping) and (missing := [key for key in chosen if key not in rates]):
        raise ValueError(f"inner_learning_rate: expected a rate for each parameter that adapts; {missing[0]} has none.")
    return Request(
        step=step, model=model, inner_loss=_of_model(inner_loss), outer_loss=_of_model(outer_loss or inner_loss),
        tasks=pairs, inner_steps=inner_steps, inner_learning_rate=rates,
        order=order, adapts=chosen, trained=trained,
        outer_learning_rate=outer_learning_rate,
        gives=gives or ("gradients" if outer_learning_rate is None else "parameters"),
        name=name or str(getattr(step, "__qualname__", type(step).__name__)), parameters=parameters,
        all_names=frozenset(key for key, _ in model.named_parameters(remove_duplicate=False)),
    )  # fmt: skip


def parameters_of(model: Any) -> dict[str, Any]:
    """Return copies of a model's parameters, each tied one once, by name."""
    return {key: parameter.detach().clone() for key, parameter in model.named_parameters()}


def _of_model(loss: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Return a loss(model, batch); a criterion such as `torch.nn.MSELoss()` is called with outputs and targets."""
    torch = optional("torch", "torch")
    if not isinstance(loss, torch.nn.Module):
        return loss
    return _Criterion(loss)


@dataclass(frozen=True)
class _Criterion:
    """The loss of a criterion on a batch of inputs and targets; equal for one criterion."""

    criterion: Any

    def __call__(self, model: Any, batch: Any) -> Any:
        inputs, targets = batch
        return self.criterion(model(inputs), targets)


def _rates(rate: float | Mapping[str, float], parameters: Mapping[str, Any]) -> float | Mapping[str, float]:
    if isinstance(rate, Mapping):
        unknown = [key for key in rate if key not in parameters]
        if unknown:
            raise ValueError(f"inner_learning_rate: expected the names of parameters, but got {unknown[0]!r}.")
        return dict(rate)
    return float(rate)


def _adapting(
    adapts: str | Sequence[str] | None, parameters: Mapping[str, Any], trained: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of the parameters that names, or modules that hold them, select."""
    if adapts is None:
        return trained
    chosen = [adapts] if isinstance(adapts, str) else list(adapts)
    for part in chosen:
        if not any(_within(key, part) for key in parameters):
            raise ValueError(
                f"adapts: expected names of parameters or of modules, but got {part!r}. The model has "
                f"{', '.join(list(parameters)[:6])}{', …' if len(parameters) > 6 else ''}."
            )
    return tuple(key for key in parameters if any(_within(key, part) for part in chosen))


def _within(key: str, part: str) -> bool:
    return key == part or key.startswith(f"{part}.")
