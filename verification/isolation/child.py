"""The program that a subject runs in: it imports the subject, and then does what the judge asks for."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import refmaml  # noqa: F401  # before the path changes: a file of that name must not become the judge's reference
from verification.frameworks import MissingFrameworkError
from verification.isolation.carrying import pack_finding, packed
from verification.isolation.channel import Alive, Channel, opened
from verification.isolation.definitions import problem_of
from verification.orders import DTYPES
from verification.problems.problem import Problem
from verification.subjects import Finding, Subject, SubjectError, attempt, raised, search, subject_from
from verification.subjects.posing import Arguments
from verification.subjects.reply import wrong_form

Json: TypeAlias = dict[str, Any]


def main(job: Json) -> None:
    """Serve the judge."""
    channel, imports = opened(job["trace"])
    Server(channel, job, imports).serve()


class Server:
    """A subject with what it has been asked, in its own process."""

    def __init__(self, channel: Channel, job: Json, imports: set[str]) -> None:
        """Take the channel to the judge, what to import, and the set of our modules that the subject imports."""
        self._channel, self._imports = channel, imports
        self._last: tuple[Json, Arguments] | None = None
        self._refused: Json = {}
        folder = os.getcwd()
        try:
            self._subject = self._loaded(job)
            self._about = self._introduction(folder)
        except SubjectError as error:
            self._refused = {"refused": str(error)}
        except MissingFrameworkError as error:
            self._refused = {"missing": str(error)}
        except BaseException as error:
            self._refused = {"refused": f"importing {job['subject']} raised {type(error).__name__}: {error}"}

    def serve(self) -> None:
        """Answer the judge until it has no more questions."""
        self._channel.serve(
            {
                "import": lambda *_: self._refused or {**self._about, "imports": sorted(self._imports)},
                "signature": self._signature,
                "costs": self._costs,
                "call": self._call,
                "relations": self._relations,
            }
        )

    def _loaded(self, job: Json) -> Subject:
        search()
        return subject_from(job["subject"], framework=job["framework"], kind=job["kind"])

    def _introduction(self, folder: str) -> Json:
        subject = self._subject
        file, line = subject.written or ("", 0)
        declared = subject.declared
        returns, outer_rate = subject.outer_step
        return {
            "kind": subject.kind,
            "framework": subject.framework,
            "inferred_from": subject.inferred_from,
            "supports": None if declared is None else sorted(declared),
            "algorithm": _plain(getattr(subject.algorithm, "spelled", subject.algorithm)),
            "returns": _plain(returns),
            "outer_rate": _plain(outer_rate),
            "is_own": subject.is_own,
            "file": str(Path(folder, file)) if file else "",
            "line": line,
            "preamble": {dtype: list(subject.preamble(dtype)) for dtype in DTYPES},
        }

    def _signature(self, request: Json, alive: Alive) -> Json:
        for definition in request["problems"]:
            alive()
            try:
                self._subject.require_signature(problem_of(definition))
            except SubjectError as error:
                return {"refused": str(error)}
        return {}

    def _costs(self, request: Json, _alive: Alive) -> Json:
        found = self._subject.costs(problem_of(request["problem"]), request["dtype"])
        values = {
            loop: {"dtype": cost.dtype, "value": cost.value.hex(), "raised": cost.raised}
            for loop, cost in found.values.items()
        }
        return {"variables": list(found.variables), "data": list(found.data), "values": values}

    def _call(self, request: Json, _alive: Alive) -> Json:
        arguments = self._arguments(request)
        own = arguments.own

        def receive(result: Any) -> Json | Finding:
            wrong = wrong_form(result)
            return wrong or {"parts": [packed(part, own.framework.to_numpy) for part in result]}

        try:
            got = attempt(self._subject, own, receive)
        except KeyboardInterrupt as error:  # a terminal sends it to the judge alone
            got = raised(self._subject, error)
        sys.setrecursionlimit(RECURSION)
        changes = [pack_finding(finding) for finding in arguments.changes()]
        answer = {"finding": pack_finding(got)} if isinstance(got, Finding) else got
        return {**answer, "changes": changes, "imports": sorted(self._imports)}

    def _arguments(self, request: Json) -> Arguments:
        """Return the arrays of the last question where it is put again, otherwise new ones."""
        key = {name: request[name] for name in ("problem", "dtype")}
        if self._last is None or request["fresh"] or self._last[0] != key:
            posed, dtype = problem_of(request["problem"]), request["dtype"]
            native = posed.native(self._subject.framework, dtype)
            self._last = (key, Arguments(native, posed.native("numpy", dtype)))
        return self._last[1]

    def _relations(self, request: Json, alive: Alive) -> Json:
        from verification.relations import check_problem  # most subjects are not asked them

        step = announced(self._subject.function, alive)
        problem: Problem = problem_of(request["problem"])
        found = check_problem(step, problem.native(self._subject.framework), until_broken=request["until_broken"])
        results = [
            {**vars(result), "error": float(result.error).hex(), "bound": float(result.bound).hex()}
            for result in found.results
        ]
        return {"results": results, "not_tested": found.not_tested}


def _plain(attribute: Any) -> Any:
    """Return a number or text as it is, and in words what neither is."""
    return attribute if attribute is None or isinstance(attribute, str | int | float) else repr(attribute)


RECURSION = sys.getrecursionlimit()


def announced(function: Callable[..., Any], alive: Alive) -> Callable[..., Any]:
    """Return a function that says before each call that there is one."""

    @functools.wraps(function, updated=())
    def call(*arguments: Any, **keywords: Any) -> Any:
        alive()
        return function(*arguments, **keywords)

    if hasattr(function, "supports"):
        call.supports = function.supports  # type: ignore[attr-defined]
    return call
