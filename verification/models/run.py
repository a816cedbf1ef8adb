"""The judge on a model of one's own: is the meta-gradient of this training step right, and which mistake is it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from verification.cases import Case
from verification.faults.work import solve
from verification.judging.comparison import compare
from verification.judging.conventions import Declared
from verification.judging.standard import DECIDES, Standard
from verification.models.calls import ask, precisions, takes
from verification.models.differences import Slope, inner_slopes, slopes
from verification.models.doubts import (
    OTHER_LOSSES,
    RUNNING,
    all_round,
    depends_on_passes,
    fails_by_other_losses,
    randomness,
)
from verification.models.interface import Host, Watch
from verification.models.listening import Listener, Progress
from verification.models.making import problem_of
from verification.models.naming import name, name_precision, name_small
from verification.models.request import Request
from verification.models.smaller import answers_to_smaller
from verification.models.standard import problem_of_request, standard_of, with_part
from verification.naming.evidence import Observation
from verification.naming.wording import Diagnosis, several
from verification.report import Conditions, Report, conclude
from verification.subjects import Finding, Subject, SubjectError, described, load_object, search
from verification.verdicts import Verdict

_STAGES = ("the definition", "its differences", "the step", "whether it is repeatable", "how far mistakes are off")
#: What a model with its losses and tasks is called as a problem.
PROBLEM = "own model"


def check(step: Callable[..., Any], /, *, progress: Progress | None = None, **about: Any) -> Report:
    """Judge a training step on your own model: is the meta-gradient that it leaves right, and which mistake is it?

    The step runs in this process, which cannot stand everything: a call that never returns, that ends the process, that
    takes all memory or crashes the interpreter takes the judge with it, and one that exchanges functions of NumPy or of
    the judge can change the verdict. ``refmaml check path/to/script.py:problem`` judges in a process of its own.

    Args:
        step: your code. It is called with those of `model`, `tasks`, `inner_loss`, `outer_loss`, `inner_steps` and
            `inner_learning_rate` that its parameters name; with (model, tasks) or (tasks) where it requires two or one
            of other names; with nothing where it requires nothing. In PyTorch it may use a model of its own, if that is
            `model`.
        progress: called with (things done, things in all, what comes next).
        about: as for `problem_of`:

            - model: a `torch.nn.Module` in the mode (training, evaluation) that the losses are meant in, or a pytree
              of JAX, or a container of NumPy arrays, whose leaves of floating point are parameters.
            - inner_loss, outer_loss: loss(model, batch) → scalar, the mean over examples; or a criterion module such as
              `torch.nn.CrossEntropyLoss()`, for batches (inputs, targets). By default outer_loss is inner_loss.
            - tasks: pairs (support, query), one for each task; a batch is whatever the losses take.
            - inner_steps, inner_learning_rate: K and α; α may be a dict by parameter name.
            - order: 1 (first-order MAML), 2 (second-order MAML) or "reptile".
            - adapts: names of the parameters, or of modules, that the inner loop adapts; by default those that require
              gradients, otherwise all. `trains` likewise names those that the meta-gradient is taken by.
            - gives: "gradients" (the step returns them: a dict by name, or a sequence in the order of the parameters),
              "grad" (it leaves them in `.grad`) or "parameters" (it takes one outer SGD step, of the rate
              `outer_learning_rate`; in JAX it returns the new parameters, in NumPy too, or changes them in place).
            - inner_gradient, outer_gradient: gradient(model, batch) in the model's form, where a loss is plain NumPy.
            - framework: "torch", "jax" or "numpy", where the model does not tell.
            - name: the name in the report.

    Returns:
        The report. Model, buffers, `.grad`, optimizers, modes and random numbers are as they were, to the last bit.

    Raises:
        SubjectError: the step requires arguments that the judge does not have.
        TypeError, ValueError: an argument is not what is expected.
    """
    return judge(problem_of(step, **about), Listener(progress))


def request_of(where: str) -> Request:
    """Return what `problem_of` made, by its name: ``"package.module:name"`` or ``"path/to/file.py:name"``.

    Raises:
        SubjectError: there is none.
    """
    search()
    request = load_object(where)
    if not isinstance(request, Request):
        raise SubjectError(
            f"expected {where} to be what verification.problem_of(...) returned, but it is {type(request).__name__}."
        )
    return request


def judge(request: Request, listener: Listener | None = None) -> Report:
    """Judge a training step on its own model, and put everything back as it was."""
    adapter = request.adapter
    request = replace(
        request, optimizers=adapter.optimizers_of(request.model), unused=set(), memory={},
        listener=listener or Listener(),
    )  # fmt: skip
    if not request.is_recorded:  # a script may have trained or loaded the model since
        request = replace(request, parameters=adapter.parts_of(request.model).values)
    with adapter.kept(request), adapter.computing():
        return _Run(request).report()


@dataclass
class _Run:
    request: Request
    done: int = 0
    #: What the operations of the step gave away.
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = self.request.adapter.watch(self.request.step)

    def report(self) -> Report:
        request = self.request
        subject = Subject(request.step, "model", request.adapter.name, request.name)
        self._next("the definition")
        host, dtypes, why = self._host()
        request.listener.precisions(dtypes)
        standard = with_part(standard_of(request, host, request.tasks, PROBLEM))
        problem = standard.problem
        request.unused.update(set(problem.ignored_by_inner) & set(problem.ignored_by_outer))
        right = standard.truths(own=False)[0].answer
        broken = [] if all(np.all(np.isfinite(leaf)) for leaf in right.gradients.values()) else [_NOT_FINITE]
        if not broken and not np.isfinite(right.cost):  # the gradients are the user's own, and nothing confirms them
            raise SubjectError(f"outer_loss: expected a finite number at the adapted parameters, but got {right.cost}.")
        self._next("its differences")
        if not broken:
            broken += self._differences(standard, host)
        self._next("the step")
        cases, observations = self._cases(standard, dtypes, why)
        if not broken and all_round(cases, observations):
            standard, cases, observations = self._with_rates_in_float32(standard, host, dtypes, cases, observations)
            request = self.request
        self._next("whether it is repeatable")
        random = randomness(request, self.watch, observations)
        # Some frameworks let float32 pass among float64, and a step that is meant for float32 is right with it.
        rounds = not request.adapter.is_strict and all_round(cases, observations)
        small = name_small(observations, request.order) if rounds else []
        if rounds and not small:
            why["float64"] = "the step is off by roundings of float32 there, such as those of a constant"
            cases = cases[1:]
        elif not random and fails_by_other_losses(request, standard, cases):
            if len(cases) > 1:
                why["float32"] = OTHER_LOSSES
                cases = [case for case in cases if case.dtype != "float32"]
            else:
                random = f"In float32, the only precision that the step is judged in, {OTHER_LOSSES}."
        if not random and any(case.verdict == "fail" for case in cases) and depends_on_passes(standard):
            random = RUNNING
        failed = any(case.verdict == "fail" for case in cases)
        names: list[Diagnosis] = []
        if random:
            cases = [replace(case, verdict="inconclusive", findings=[]) for case in cases]
        elif broken:
            names = broken
            cases = [replace(case, verdict="fail", findings=case.findings or [_finding(broken[0])]) for case in cases]
        elif failed:
            self._next("naming the mistake")
            # A model has no conventions to declare.
            found = small or self._names(host, cases, observations)
            names = [replace(one, convention=None) for one in found]
        conditions = Conditions(dtypes=dtypes, problems=(standard.problem.name,))
        report = conclude(subject, cases, names, [], list(why), [], conditions)
        report = replace(report, why_left_out=why)
        return replace(report, verdict="inconclusive", reason=random) if random else report

    def _next(self, what: str) -> None:
        self.request.listener.progress(self.done, len(_STAGES) + 1, what)
        self.done += 1

    def _host(self) -> tuple[Host, tuple[str, ...], dict[str, str]]:
        """Return a copy of the model in float64, or in its own precision where its losses do not work in another."""
        own = self.request.precision
        try:
            host = self.request.adapter.host(self.request, "float64")
            problem_of_request(self.request, host, self.request.tasks, PROBLEM)
        except Exception as error:
            if own == "float64":
                raise SubjectError(
                    f"the losses cannot be computed: they raised {described(error).rstrip('.')}."
                ) from error
            why = {"float64": f"the losses do not work in float64 ({type(error).__name__}: {error})"}
            host = self.request.adapter.host(self.request, own)
            try:
                problem_of_request(self.request, host, self.request.tasks, PROBLEM)
            except Exception as cause:
                raise SubjectError(
                    f"the losses cannot be computed: they raised {described(cause).rstrip('.')}."
                ) from cause
            return host, (own,), why
        if self.request.is_recorded:
            return host, (own,), {}
        if own == "float32" and not self.request.adapter.in_place and not takes(self.request, "model"):
            return host, (own,), {"float64": "the step takes no model, and uses one of its own in float32"}
        return host, tuple(dict.fromkeys(("float64", own))), {}

    def _differences(self, standard: Standard, host: Host) -> list[Diagnosis]:
        """Compare the definition's gradient of one task with differences; both must show the same slope."""
        request, rng = self.request, np.random.default_rng(0)
        if host.dtype != "float64":
            return []
        one = replace(standard.question, works=standard.question.works[:1])
        found: list[list[Slope]] = []
        if request.order != "reptile":
            found.append(self._listened(slopes(one, solve(one.works[0], request.order).gradient, rng)))
        if request.own_gradients:
            found.append(self._listened(inner_slopes(one, rng)))
        by = "your gradient function" if request.own_gradients else "the framework's derivatives"
        for wrong in ([slope for slope in some if slope.decides and not slope.agrees] for some in found):
            if len(wrong) > 1:  # one alone may have met a kink
                return [
                    replace(
                        _WRONG_DERIVATIVE,
                        evidence=f"the slope of the objective along a direction is {wrong[0].of_differences:.6g} by "
                        f"differences of its values, to {wrong[0].error:.1g}, and {wrong[0].of_gradient:.6g} by {by}",
                    )
                ]
        return []

    def _listened(self, found: Iterable[Slope]) -> list[Slope]:
        """Return slopes, each of which takes some values of the losses."""
        listed = []
        for slope in found:
            self.request.listener.alive()
            listed.append(slope)
        return listed

    def _cases(
        self, standard: Standard, dtypes: tuple[str, ...], why: dict[str, str]
    ) -> tuple[list[Case], list[Observation]]:
        request = self.request
        cases: list[Case] = []
        observations: list[Observation] = []
        truths = standard.truths(own=False)
        for dtype in dtypes:
            # State outlives a call in any precision alike, and operations are the same: once is enough.
            alone = not observations
            twice = alone and request.gives != "grad"
            replies = ask(request, dtype, calls=1 + twice, watching=self.watch.mode if alone else nullcontext)
            first = replies[0]
            raised = [finding for finding in first.findings if finding.what == "exception"]
            if raised and dtype == "float64" and len(dtypes) > 1:
                why["float64"] = f"in float64 {raised[0].message}"
                self.watch = request.adapter.watch(request.step)
                continue
            findings, worst = compare(standard, dtype, first, truths, Declared())
            observations.append(Observation(standard, dtype, first, wrong=tuple(f.what for f in findings)))
            for call, later in enumerate(replies[1:], start=1):
                again, error = compare(standard, dtype, later, truths, Declared())
                worst = max(worst, error)
                findings += [replace(f, what="second call", message=f"in a second call {f.message}") for f in again]
                observations.append(Observation(standard, dtype, later, call=call, wrong=tuple(f.what for f in again)))
            separation = float("nan") if findings else standard.separation(dtype)
            verdict: Verdict = "fail" if findings else "inconclusive" if separation < DECIDES else "pass"
            cases.append(
                Case(
                    problem=standard.problem.name,
                    order=request.order,
                    dtype=dtype,
                    verdict=verdict,
                    findings=findings,
                    worst=worst,
                    separation=separation,
                    snippet=_SNIPPET,
                )
            )
            request.listener.case(cases[-1])
        return cases, observations

    def _with_rates_in_float32(
        self,
        standard: Standard,
        host: Host,
        dtypes: tuple[str, ...],
        cases: list[Case],
        observations: list[Observation],
    ) -> tuple[Standard, list[Case], list[Observation]]:
        """Return what is found with α as float32 has it, where that makes a step right: it may be held in a tensor."""
        request, given = self.request, self.request.inner_learning_rate
        rounded = (
            {key: float(np.float32(rate)) for key, rate in given.items()}
            if isinstance(given, Mapping)
            else float(np.float32(given))
        )
        if rounded == given:
            return standard, cases, observations
        self.request = replace(request, inner_learning_rate=rounded)
        other = with_part(standard_of(self.request, host, request.tasks, PROBLEM))
        found, observed = self._cases(other, dtypes, {})
        if all(case.verdict == "pass" for case in found):
            return other, found, observed
        self.request = request
        return standard, cases, observations

    def _names(self, host: Host, cases: list[Case], observations: list[Observation]) -> list[Diagnosis]:
        request = self.request
        if all(case.verdict != "fail" for case in cases if case.dtype == "float64") and len(cases) > 1:
            # Autocast leaves float64 alone: what is wrong in float32 only is its precision, if operations show one.
            computed = precisions(request, "float32")
            lower = next((name for name in ("float16", "bfloat16") if name in computed), "")
            single = [one for one in observations if one.dtype == "float32"]
            found = name_precision(single, request.order, lower) if lower else []
            return found or [several(_ONLY_SINGLE)]
        dtype = "float64" if any(one.dtype == "float64" for one in observations) else cases[0].dtype
        raised = any(finding.what == "exception" for case in cases for finding in case.findings)
        asked = not raised and takes(request, "tasks")
        smaller = answers_to_smaller(request, host, observations[0].standard, dtype) if asked else []

        def precision() -> str:
            # Where float32 is let pass among float64, it is no mistake in a step that is meant for it.
            meant = dtype if request.adapter.is_strict else request.precision
            below, computed = _LOWER[_LOWER.index(meant) + 1 :], precisions(request, dtype)
            return next((name for name in reversed(below) if name in computed), "")

        return name(observations, smaller, request.order, precision)


#: From the finest precision down.
_LOWER = ("float64", "float32", "float16", "bfloat16")
_ONLY_SINGLE = "the gradients are right in float64 and wrong in float32"
_SNIPPET = "verification.check(step, ...)  # as you called it"
_NOT_FINITE = Diagnosis(
    faults=("A13",),
    title="second derivative not finite where the first is",
    formula="NaN",
    evidence="the meta-gradient of the definition itself holds NaN or infinity",
    source="facebookresearch/higher#125; metaopt/torchopt#26",
    advice="Keep square roots, norms and logarithms away from 0 in the losses, for example by a small ε inside.",
)
_WRONG_DERIVATIVE = Diagnosis(
    faults=("A09",),
    title="an operation of the losses whose derivative is silently wrong",
    formula="gM without that part of H",
    evidence="",
    source="tensorflow/tensorflow#7403",
    advice="Look for a custom derivative, or an operation whose backward is not itself differentiable; compare a "
    "gradient of your own with differences. Where a loss stops a gradient on purpose (stop_gradient, detach), no "
    "difference of its values can confirm it: put the numbers that it holds into the batches for the check.",
)


def _finding(diagnosis: Diagnosis) -> Finding:
    return Finding("gradients", diagnosis.evidence)
