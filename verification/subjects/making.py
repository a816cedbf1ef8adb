"""A subject from a function or from its name: its kind and its framework are inferred where nobody says them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any

from verification.frameworks import framework as framework_named
from verification.subjects.calling import Subject, kind_of
from verification.subjects.inference import framework_of
from verification.subjects.loading import SubjectError, is_loaded_file, load


def subject_from(subject: Callable[..., Any] | str, *, framework: str | None, kind: str | None) -> Subject:
    """Return the subject that a function is, or the function that a name names.

    Raises:
        SubjectError: it cannot be found or called at all.
        MissingFrameworkError: its framework is not installed.
    """
    function = load(subject) if isinstance(subject, str) else subject
    name = subject if isinstance(subject, str) else name_of(function)
    if inspect.isclass(function):
        raise SubjectError(
            f"{name} is a class: expected a function, or an object that can be called, such as step = "
            f"{function.__name__}(…)."
        )
    inferred, source = framework_of(function) if framework is None else (framework, "")
    framework_named(inferred)
    return Subject(function, kind_of(function, kind), inferred, name, inferred_from=source)


def found_at(function: Callable[..., Any]) -> str:
    """Return where a function can be loaded from, by its name.

    Raises:
        SubjectError: it is not to be found there.
    """
    name, module = getattr(function, "__qualname__", ""), sys.modules.get(str(getattr(function, "__module__", "")))
    file = getattr(module, "__file__", None)
    is_file = module is not None and (module.__name__ == "__main__" or is_loaded_file(module))
    with suppress(AttributeError):
        if module is not None and (file or not is_file) and attrgetter(name)(module) is function:
            return f"{file if is_file else module.__name__}:{name}"
    raise SubjectError(
        f"isolated: expected a function that its module has under its name, but got {name_of(function)}. Define it at "
        "the top of a module, or pass isolated=False."
    )


def name_of(function: Callable[..., Any]) -> str:
    """Return the name that a function goes by."""
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__name__)}"
