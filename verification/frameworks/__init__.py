"""Array frameworks, one file each: `framework` returns one by its name."""

from collections.abc import Callable

from verification.frameworks import autograd, jax, numpy, tensorflow, torch
from verification.frameworks.base import Cost, Framework, MissingFrameworkError

__all__ = ["FRAMEWORKS", "Cost", "Framework", "MissingFrameworkError", "framework"]

_MAKERS: dict[str, Callable[[], Framework]] = {
    "autograd": autograd.make,
    "numpy": numpy.make,
    "torch": torch.make,
    "jax": jax.make,
    "tensorflow": tensorflow.make,
}
FRAMEWORKS = tuple(_MAKERS)


def framework(name: str) -> Framework:
    """Return the framework of that name; a `MissingFrameworkError` says what to install."""
    if name not in _MAKERS:
        raise ValueError(f"framework: expected one of {', '.join(FRAMEWORKS)}, but got {name!r}.")
    return _MAKERS[name]()
