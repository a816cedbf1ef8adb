"""Asking a subject: which of the two kinds it is, and one call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from verification.problems.problem import EXTRAS, Problem
from verification.subjects.exceptions import ProgramError, SkippedError, described
from verification.subjects.loading import SubjectError
from verification.subjects.reply import Finding, Reply, read

#: A "step" has the interface of `fomaml_step`; a "problem" subject is called with a `Problem`; a "model" is a training
#: step on a model of its own.
Kind = Literal["step", "problem", "model"]
#: What code for PyTorch raises where it is given other arrays.
_WANTS_TENSORS = re.compile(r"\bTensor\b|'numpy\.\w+' object has no attribute")


@dataclass(frozen=True)
class Subject:
    """An implementation under test: the function, its kind, the framework of its arrays, and the name it goes by."""

    function: Callable[..., Any]
    kind: Kind
    framework: str
    name: str

    @property
    def is_own(self) -> bool:
        """Whether it is `refmaml`'s: then nothing of `refmaml` may say what is right."""
        function = self.function
        while isinstance(function, partial):
            function = function.func
        return str(getattr(function, "__module__", "")).split(".")[0] == "refmaml"

    @property
    def place(self) -> str:
        """Where it can be loaded from: its name, or for a module of `refmaml` as a whole the step that is asked."""
        return self.name if ":" in self.name or not self.is_own else f"{self.name}:{self.function.__name__}"

    def can(self, problem: Problem) -> bool:
        """Return whether the subject is to be asked: a problem subject does plain problems and what it `supports`."""
        return self.kind == "step" or problem.needs <= supported(self.function)


def supported(function: Callable[..., Any]) -> frozenset[str]:
    """Return what a problem subject says that it supports beyond plain problems.

    Raises:
        SubjectError: its attribute `supports` is no collection of the names that there are.
    """
    declared = getattr(function, "supports", ())
    if isinstance(declared, str) or not isinstance(declared, Iterable) or not set(declared) <= EXTRAS:
        known = ", ".join(map(repr, sorted(EXTRAS)))
        raise SubjectError(f"its attribute supports: expected some of {known} in a tuple, but got {declared!r}.")
    return frozenset(declared)


def kind_of(function: Callable[..., Any], declared: str | None = None) -> Kind:
    """Return the declared kind of a subject, or infer it from its required positional parameters.

    A problem subject has one of them, a step five or six.

    Raises:
        SubjectError: it is neither, or its parameters cannot be read.
    """
    if declared is not None:
        return "step" if declared == "step" else "problem"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise SubjectError(
            f"the judge cannot read its parameters ({error}); pass its kind, step or problem."
        ) from error
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        parameter.name
        for parameter in parameters
        if parameter.kind in positional and parameter.default is parameter.empty
    ]
    if len(required) == 1:
        return "problem"
    if len(required) in (5, 6):
        return "step"
    raise SubjectError(
        f"expected one required parameter (problem) or the five or six of a step, but got {len(required)} "
        f"({', '.join(required)}). If this is right, pass its kind, step or problem."
    )


def ask(subject: Subject, problem: Problem) -> Reply:
    """Call a subject with a problem in its own arrays; whatever it does becomes a reply.

    Raises:
        SkippedError: it is a program, and will not answer this problem.
    """
    try:
        if subject.kind == "problem":
            result = subject.function(problem)
        else:
            positional, keywords = problem.arguments()
            result = subject.function(*positional, **keywords)
        # Reading the result runs code of the subject's framework, which may raise as well.
        return read(problem, result, keeps_dtypes=subject.kind == "step")
    except SkippedError:
        raise
    except ProgramError as error:
        return Reply(findings=[Finding("program", str(error))])
    except (Exception, SystemExit) as error:
        text = described(error)
        hint = _hint(subject, problem, error, text)
        said = f"{text.rstrip('.')}. {hint}" if hint else text
        return Reply(findings=[Finding("exception", f"it raised {said}")])


def _hint(subject: Subject, problem: Problem, error: BaseException, text: str) -> str:
    """Return what the caller may have meant, in sentences without the last full stop; often nothing."""
    if isinstance(error, TypeError) and (other := _other_kind(subject, problem)):
        meant = "a function of one problem" if other == "problem" else "a step with the interface of fomaml_step"
        return f"Is it {meant}? Then pass --kind {other}"
    if subject.framework != "torch" and _WANTS_TENSORS.search(text):
        return "Is it written for PyTorch? Then pass --framework torch"
    return ""


def _other_kind(subject: Subject, problem: Problem) -> Kind | None:
    """Return the kind that a subject looks like, where it does not take what its own kind is called with."""
    positional, keywords = ((problem,), {}) if subject.kind == "problem" else problem.arguments()
    try:
        other = kind_of(subject.function)
        inspect.signature(subject.function).bind(*positional, **keywords)
    except SubjectError:
        return None
    except TypeError:
        return other if other != subject.kind else None
    return None
