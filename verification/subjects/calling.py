"""Asking a subject: which of the two kinds it is, and one call."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from verification.frameworks import framework as framework_named
from verification.problems.problem import ALL_USED, EXTRAS, Problem
from verification.processes import ProgramError
from verification.subjects.costs import Costs, costs_of
from verification.subjects.exceptions import SkippedError, described, place_of, shortened
from verification.subjects.loading import SubjectError
from verification.subjects.posing import Arguments, Posed
from verification.subjects.reply import Finding, Reply, read, unanswered

T = TypeVar("T")

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
        return self.written and source_below(Path(self.written[0]), self.written[1])

    @property
    def written(self) -> tuple[str, int] | None:
        """The file and the line where the function is written, as Python knows them."""
        function = inspect.unwrap(_innermost(self.function))
        if not inspect.isfunction(function):
            function = type(function).__call__  # of an instance that can be called
        code = getattr(function, "__code__", None)
        return code and (code.co_filename, code.co_firstlineno)

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
        declared = self.declared
        return (declared is None and self.kind == "step") or problem.needs <= (declared or frozenset())

    @property
    def has_options(self) -> bool:
        """Whether it has every option of `fomaml_step`: a step that does not say what it supports."""
        return self.kind == "step" and self.declared is None

    @property
    def algorithm(self) -> Any:
        """What its attribute `algorithm` is; empty where it has none, for plain MAML."""
        return getattr(self.function, "algorithm", "")

    @property
    def outer_step(self) -> tuple[Any, Any]:
        """What its attributes `returns` and `outer_rate` are, and None in place of one that it has not."""
        return getattr(self.function, "returns", None), getattr(self.function, "outer_rate", None)

    @property
    def needs_all_used(self) -> bool:
        """Whether it is to be asked only problems whose costs both use every variable."""
        return ALL_USED in (self.declared or ())

    @property
    def declared(self) -> frozenset[str] | None:
        """What its attribute `supports` lists; None where it has none."""
        return supported(self.function) if _declares(self.function) else None

    def pose(self, problem: Problem, dtype: str, *, rate: float | None = None) -> Posed:
        """Put a problem to it in arrays of its own, with another learning rate if asked."""
        posed = problem if rate is None else replace(problem, inner_learning_rate=rate)
        return _Here(self, Arguments(posed.native(self.framework, dtype), posed.native("numpy", dtype)))

    def preamble(self, dtype: str) -> tuple[str, ...]:
        """Return the lines by which a script makes its framework work in a precision."""
        return framework_named(self.framework).preamble.get(dtype, ())

    def costs(self, problem: Problem, dtype: str) -> Costs:
        """Return the costs of a problem in its framework."""
        return costs_of(problem.native(self.framework, dtype), dtype)

    def call(self, problem: Problem) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments that it is called with."""
        return ((problem,), {}) if self.kind == "problem" else arguments_of(self.function, problem)

    def require_signatures(self, problems: list[Problem]) -> None:
        """Check that the subject takes what it is called with for each of these problems.

        Raises:
            SubjectError: it does not; the message says what it lacks, and what to do.
        """
        for problem in problems:
            self.require_signature(problem)

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
        advice = "declare in its attribute `supports` what it supports" if not _declares(self.function) else ""
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
    """Return what a step is called with: without keywords at rest that it has not, where it says what it supports.

    It need not know which adapted variables are wanted either.
    """
    positional, keywords = problem.arguments()
    if not _declares(step):
        return positional, keywords
    parameters = inspect.signature(step).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return positional, keywords
    kept = {
        name: value
        for name, value in keywords.items()
        if name in parameters or name not in _AT_REST or (value != _AT_REST[name] and name != "return_inner_v")
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
    names = EXTRAS | {ALL_USED}
    try:
        declared = getattr(function, "supports", ())
        known = not isinstance(declared, str) and isinstance(declared, Iterable)
        listed = list(islice(declared, len(names) + 1)) if known else []
        known = known and len(listed) <= len(names) and all(isinstance(name, str) and name in names for name in listed)
        came = "" if known else shortened(repr(declared))
    except Exception as error:  # it may be anything
        raise SubjectError(f"its attribute supports raised {described(error)}") from error
    if not known:
        expected = ", ".join(map(repr, sorted(names)))
        raise SubjectError(f"its attribute supports: expected some of {expected} in a tuple, but got {came}.")
    return frozenset(listed)


def _declares(function: Callable[..., Any]) -> bool:
    """Return whether a function has the attribute `supports`; reading it tells what is wrong with it."""
    try:
        return hasattr(function, "supports")
    except Exception:
        return True


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


@dataclass(frozen=True)
class _Here(Posed):
    """A problem put to a subject in this process."""

    subject: Subject
    arguments: Arguments

    def ask(self) -> tuple[Reply, list[Finding]]:
        """Return the subject's reply, and what it changed in its arguments."""
        return ask(self.subject, self.arguments.own), self.arguments.changes()


def ask(subject: Subject, problem: Problem) -> Reply:
    """Call a subject with a problem in its own arrays; whatever it does becomes a reply.

    Raises:
        SkippedError: it is a program, and will not answer this problem.
    """
    # Reading the result runs code of the subject's framework, which may raise as well.
    is_step = subject.kind == "step"
    got = attempt(
        subject, problem, lambda found: read(problem, found, keeps_dtypes=is_step, has_options=subject.has_options)
    )
    return Reply(findings=[got]) if isinstance(got, Finding) else got


def attempt(subject: Subject, problem: Problem, receive: Callable[[Any], T]) -> T | Finding:
    """Call a subject with a problem in its own arrays; return what `receive` makes of the result, or what it raised.

    Raises:
        SkippedError: it is a program, and will not answer this problem.
        KeyboardInterrupt: the user's, or the subject's: nothing tells them apart here.
    """
    try:
        with problem.framework.precision(problem.widest_dtype):
            positional, keywords = subject.call(problem)
            return receive(subject.function(*positional, **keywords))
    except (SkippedError, KeyboardInterrupt):
        raise
    except ProgramError as error:
        return unanswered(error, "program")
    except BaseException as error:  # an exception of its own may be derived from that
        return raised(subject, error)


def raised(subject: Subject, error: BaseException) -> Finding:
    """Return the finding that a call of a subject raised an error."""
    place = place_of(error, subject.function)
    text = f"{described(error).rstrip('.')}{f' ({place})' if place else ''}"
    hint = _hint(subject, text)
    return Finding("exception", f"it raised {text}. {hint}" if hint else f"it raised {text}")


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
