"""Whether a program speaks the protocol: what fails here is the harness, or a cost, and not the algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from verification.judging.comparison import compare
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.processes import LateError, limits
from verification.protocol.capabilities import EVERYTHING, Capabilities
from verification.protocol.program import Program
from verification.protocol.subject import subject_of
from verification.subjects import TIME, ProgramError, SkippedError, ask
from verification.vectors import golden, to_problem
from verification.vectors.layout import Json, from_array, to_array

#: Zeros of either sign, numbers that are no decimal fractions, and both ends of the range.
_NUMBERS = [0.0, -0.0, 1.0, -3.0, 0.1, 1 / 3, 2.0**-126, np.finfo(float).max, -np.finfo(float).tiny]
_SUBNORMAL = [5e-324, 1.5e-310]
_UNKNOWN = "no-such-command"


@dataclass(frozen=True)
class Check:
    """One check: what was tried, and the cause where it failed; `part` is "harness" or "cost"."""

    name: str
    part: str
    cause: str = ""
    is_skipped: bool = False

    @property
    def is_passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.cause


def smoke(command: str, *, timeout: float = limits.TIMEOUT) -> list[Check]:
    """Try each kind of message, and each declared family with no inner step; stop where the program is given up.

    Raises:
        SubjectError: there is no such program.
    """
    with Program(command, timeout) as program:
        checks = []
        for check in _checks(program):
            checks.append(check)
            if program.given_up:
                return checks
        complaint = program.stop()
        return [*checks, Check("it ends after `stop`", "harness", _cause(complaint) if complaint else "")]


def _checks(program: Program) -> Iterator[Check]:
    capabilities = EVERYTHING

    def introduced() -> None:
        nonlocal capabilities
        capabilities = program.introduce()

    yield _tried("it starts, and declares what it can do", "harness", introduced)
    yield _tried("numbers survive reading and writing", "harness", lambda: _echoed(program, capabilities))
    yield _tried("it answers an unknown command with an error", "harness", lambda: _refused(program))
    for layout, dtype in _simplest(capabilities):
        name = f"{layout['family']}, {layout['step']} of one task without an inner step, {dtype}"
        yield _tried(name, "cost", partial(_answered, program, capabilities, layout, dtype))


def _tried(name: str, part: str, attempt: Callable[[], Any]) -> Check:
    try:
        attempt()
    except ProgramError as error:
        return Check(name, "harness", _cause(error))
    except _WrongError as error:
        return Check(name, part, str(error))
    except SkippedError as skipped:
        return Check(f"{name} (skipped: {skipped})", part, is_skipped=True)
    return Check(name, part)


def _cause(error: ProgramError) -> str:
    more = ". Where it needs longer, pass a longer limit: --timeout" if isinstance(error, LateError) else ""
    return f"{error}{more}"


class _WrongError(Exception):
    """An answer has the right form and wrong numbers."""


def _echoed(program: Program, capabilities: Capabilities) -> None:
    numbers = _NUMBERS if "subnormals" in capabilities.without else _NUMBERS + _SUBNORMAL
    for shape in ((len(numbers),), (1, len(numbers), 1), ()):
        sent = np.array(numbers if shape else np.pi).reshape(shape)
        got = program.echo(from_array(sent))
        if got.shape != sent.shape:
            raise _WrongError(f"`echo` of an array of shape {list(sent.shape)} came back with shape {list(got.shape)}")
        for one, other in zip(sent.ravel().tolist(), got.ravel().tolist(), strict=True):
            if one.hex() != other.hex():
                raise _WrongError(f"`echo` of {one!r}, {one.hex()}, came back as {other!r}, {other.hex()}")


def _refused(program: Program) -> None:
    kind, content = program.raw(_UNKNOWN)
    if kind != "error":
        raise _WrongError(f"expected an error as the answer to an unknown command, but got `{kind}`: {content}")


def _simplest(capabilities: Capabilities) -> Iterator[tuple[Json, str]]:
    """Yield for each family, step and precision that are declared a problem of one task without inner steps."""
    known = set()
    for vector in golden():
        key = vector.problem["family"], vector.problem["step"]
        if vector.problem["steps"] == 0 and not vector.problem["batched"] and key not in known:
            known.add(key)
            layout = _of_one_task(vector.problem)
            yield from ((layout, dtype) for dtype in vector.dtypes if not capabilities.lacks(layout, dtype))


def _of_one_task(layout: Json) -> Json:
    """Return a problem with the first of its tasks alone."""

    def first(data: Json | None) -> Json | None:
        return data and {name: from_array(to_array(array)[:1]) for name, array in data.items()}

    rows = {"support": first(layout["support"]), "query": first(layout["query"])}
    return {**layout, **rows, "num_tasks": 1, "inner": layout["inner"][:1], "outer": layout["outer"][:1]}


def _answered(program: Program, capabilities: Capabilities, layout: Json, dtype: str) -> None:
    problem = to_problem(layout, name=f"{layout['family']} without an inner step", framework_name="numpy", dtype=dtype)
    reply = ask(subject_of(program, capabilities), problem)
    standard = Standard(problem.native("autograd", "float64"))
    findings, _ = compare(standard, dtype, reply, standard.truths(own=False), Declared())
    if not findings:
        return
    first = findings[0]
    part = f"{first.what}, {first.leaf}" if first.leaf else first.what
    if first.what == TIME:
        raise LateError(first.message)
    if first.what in ("program", "exception"):
        raise ProgramError(first.message)
    numbers = "" if first.expected is None else f" (expected {first.expected.tolist()}, got {_listed(first.got)})"
    raise _WrongError(f"{part}: {first.message}{numbers}")


def _listed(array: Any) -> Any:
    return None if array is None else array.tolist()
