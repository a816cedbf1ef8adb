"""Asking a subject: which of the two kinds it is, and one call."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from verification.problems.problem import ALL_USED, EXTRAS, Problem
from verification.subjects.exceptions import ProgramError, SkippedError, described, place_of
from verification.subjects.loading import SubjectError
from verification.subjects.reply import Finding, Reply, read

#: A "step" has the interface of `fomaml_step`; a "problem" subject is called with a `Problem`; a "model" is a training
#: step on a model of its own.
Kind = Literal["step", "problem", "model"]
#: What code for PyTorch raises where it is given other arrays.
_WANTS_TENSORS = re.compile(r"\bTensor\b|'numpy\.\w+' object has no attribute")


@dataclass(frozen=True)
class Source:
    """Where a subject is written: a file, by its path from the current folder with slashes, and a line from 1 on."""

    file: str
    line: int


@dataclass(frozen=True)
class Subject:
    """An implementation under test: the function, its kind, the framework of its arrays, and the name it goes by."""

    function: Callable[..., Any]
    kind: Kind
    framework: str
    name: str
    #: What the framework was inferred from, in words; nothing where it was given.
    inferred_from: str = field(default="", kw_only=True)

    @property
    def is_own(self) -> bool:
        """Whether it is `refmaml`'s: then nothing of `refmaml` may say what is right."""
        return str(getattr(_innermost(self.function), "__module__", "")).split(".")[0] == "refmaml"

    @property
    def source(self) -> Source | None:
        """Where the function is written, as a path from the current folder; None where it is not in a file below it."""
        function = inspect.unwrap(_innermost(self.function))
        if not inspect.isfunction(function):
            function = type(function).__call__  # of an instance that can be called
        code = getattr(function, "__code__", None)
        return code and source_below(Path(code.co_filename), code.co_firstlineno)

    @property
    def place(self) -> str:
        """Where it can be loaded from: its name, or for a module of `refmaml` as a whole the step that is asked."""
        return self.name if ":" in self.name or not self.is_own else f"{self.name}:{self.function.__name__}"

    def can(self, problem: Problem) -> bool:
        """Return whether the subject is to be asked.

        A problem subject does plain problems and what it `supports`; so does a step that says what it supports, and any
        other step does everything.
        """
        if self.needs_all_used and problem.ignores_variables:
            return False
        if problem.outer_learning_rate is not None and problem.options.batched:
            return False  # one step would have to move each task's own variables
        declares = self.kind == "problem" or hasattr(self.function, "supports")
        return not declares or problem.needs <= supported(self.function)

    @property
    def needs_all_used(self) -> bool:
        """Whether it is to be asked only problems whose costs both use every variable."""
        return ALL_USED in supported(self.function)

    def call(self, problem: Problem) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments that it is called with."""
        return ((problem,), {}) if self.kind == "problem" else arguments_of(self.function, problem)

    def require_signature(self, problem: Problem) -> None:
        """Check that the subject takes what it is called with.

        Raises:
            SubjectError: it does not; the message says what it lacks, and what to do.
        """
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):
            return  # its parameters cannot be read: calling it will tell
        positional, keywords = self.call(problem)
        try:
            signature.bind(*positional, **keywords)
        except TypeError as error:
            raise SubjectError(f"{self.name}: {self._lacking(signature, keywords, error)}") from error

    def _lacking(self, signature: inspect.Signature, keywords: Mapping[str, Any], error: TypeError) -> str:
        with contextlib.suppress(SubjectError):
            if (other := kind_of(self.function)) != self.kind:
                meant = (
                    "a function of one problem" if other == "problem" else "a step with the interface of fomaml_step"
                )
                return f"{error}. Is it {meant}? Then pass --kind {other}."
        missing = [keyword for keyword in keywords if keyword not in signature.parameters]
        if self.kind == "problem" or not missing:
            return f"it cannot be called as a {self.kind} is: {error}."
        advice = (
            "declare in its attribute `supports` what it supports" if not hasattr(self.function, "supports") else ""
        )
        return (
            f"a step is called with the interface of refmaml.fomaml_step, and this one does not take "
            f"{', '.join(missing)}. Take them{f', or {advice}' if advice else ''}, or write a function of one problem."
        )


#: What the interface's keywords are where a problem asks nothing of them; a step that declares what it supports may
#: lack those keywords.
_AT_REST = {
    "average_across_steps": False,
    "batched": False,
    "inner_v": None,
    "keep_inner_v": True,
    "outer_v": None,
    "keep_outer_v": True,
    "num_tasks": None,
    "return_inner_v": True,
}


def arguments_of(step: Callable[..., Any], problem: Problem) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a step is called with: without keywords at rest that it has not, where it says what it supports."""
    positional, keywords = problem.arguments()
    if not hasattr(step, "supports"):
        return positional, keywords
    parameters = inspect.signature(step).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return positional, keywords
    kept = {
        name: value
        for name, value in keywords.items()
        if name in parameters or name not in _AT_REST or value != _AT_REST[name]
    }
    return positional, kept


def _innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what partial functions are made of."""
    while isinstance(function, partial):
        function = function.func
    return function


def source_below(path: Path, line: int) -> Source | None:
    """Return a place in a file by its path from the current folder; None where there is no such file below it."""
    try:
        return Source(path.resolve(strict=True).relative_to(Path.cwd()).as_posix(), line)
    except (OSError, ValueError):
        return None


def supported(function: Callable[..., Any]) -> frozenset[str]:
    """Return what a subject says that it supports beyond plain problems.

    Raises:
        SubjectError: its attribute `supports` is no collection of the names that there are.
    """
    declared, names = getattr(function, "supports", ()), EXTRAS | {ALL_USED}
    if isinstance(declared, str) or not isinstance(declared, Iterable) or not set(declared) <= names:
        known = ", ".join(map(repr, sorted(names)))
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
        with problem.framework.precision(problem.dtype):
            positional, keywords = subject.call(problem)
            result = subject.function(*positional, **keywords)
            # Reading the result runs code of the subject's framework, which may raise as well.
            return read(problem, result, keeps_dtypes=subject.kind == "step")
    except SkippedError:
        raise
    except ProgramError as error:
        return Reply(findings=[Finding("program", str(error))])
    except (Exception, SystemExit) as error:
        place = place_of(error, subject.function)
        text = f"{described(error).rstrip('.')}{f' ({place})' if place else ''}"
        hint = _hint(subject, text)
        said = f"{text}. {hint}" if hint else text
        return Reply(findings=[Finding("exception", f"it raised {said}")])


def _hint(subject: Subject, text: str) -> str:
    """Return what the caller may have meant, in sentences without the last full stop; often nothing."""
    if subject.framework != "torch" and _WANTS_TENSORS.search(text):
        return "Is it written for PyTorch? Then pass --framework torch"
    if subject.framework == "torch" and "allow_unused" in text:
        return (
            "Gradients of unused variables are 0. If your models always use all their parameters, list "
            f"{ALL_USED!r} in the subject's attribute `supports`"
        )
    return ""
