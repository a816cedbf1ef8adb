"""What a report says of right and wrong answers beside a name: where all is right, and what is off that is no number.

Each sentence is worked out from what was answered: it holds on every problem tested, and says nothing of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from verification.cases import PROBLEMS, Case
from verification.judging.comparison import compare
from verification.judging.conditions import met
from verification.judging.conventions import Declared
from verification.naming.evidence import Observation
from verification.naming.wording import Diagnosis
from verification.problems import suite
from verification.problems.setting import Setting
from verification.problems.traits import conditions
from verification.subjects import Reply

#: What problems may have, in words for those that have it and for those that have not.
_TRAITS: tuple[tuple[str, str, Callable[[Setting], bool]], ...] = (
    ("T ≥ 2", "T = 1", lambda problem: problem.num_tasks > 1),
    ("variables have a task axis", "variables have no task axis", lambda problem: problem.options.batched),
    ("an average over steps is wanted", "no average over steps is wanted",
     lambda problem: problem.options.average_across_steps),
    ("the loops select variables", "both loops take every variable",
     lambda problem: not (problem.options.inner_v.selects_all and problem.options.outer_v.selects_all)),
    ("num_tasks is less than the batch has", "every task of the batch is used",
     lambda problem: problem.options.num_tasks is not None),
    ("each variable has a rate of its own", "one rate serves every variable",
     lambda problem: isinstance(problem.inner_learning_rate, dict)),
)  # fmt: skip
_SHAPE = "Every number is right, and only shapes are wrong: {}. Give each gradient the shape of its variable."
_POSITION = (
    "Every number is right where the gradients are read in the order of the variables{}. Nest them as these are."
)
_RETURN_ADAPTED = (
    "Return the adapted variables φ_K too, as a third result: they tell whether the inner loop is right, which these "
    "answers leave open."
)


def remarks(
    cases: Sequence[Case], observations: Sequence[Observation], diagnosis: Sequence[Diagnosis], declared: Declared
) -> list[str]:
    """Return the sentences that hold of the answers of a subject that fails."""
    wrong = {(case.problem, case.order, case.dtype) for case in cases if case.verdict == "fail"}
    if not wrong:
        return []
    form = form_alone(observations, declared)
    if form:
        return [form]
    named = any(found.convincing for found in diagnosis)
    found = _conditions(observations) or [*_one_precision(cases), *_where(cases, observations, named=named)]
    if not named:
        found += _leaves(cases, observations)
        untold = all(one.reply.adapted is None for one in observations)
        if untold and any("gradients" in one.wrong and one.reply.returned for one in observations):
            found.append(_RETURN_ADAPTED)
    return found


def form_alone(observations: Sequence[Observation], declared: Declared) -> str:
    """Say what is wrong where every number is right once shapes or the nesting are; nothing where that is not so."""
    odd = [one for one in observations if one.reply.reshaped or one.reply.by_position]
    if not odd or not all(_right_when_reshaped(one, declared) for one in observations):
        return ""
    if any(one.reply.by_position for one in odd):
        none = any(leaf is None for one in odd for leaf in one.reply.by_position.values())
        return _POSITION.format(", None for 0 included" if none else "")
    shapes = {
        f"{chain} has the shape {one.reply.returned[chain].shape} in place of {leaf.shape}"  # type: ignore[union-attr]
        for one in odd
        for chain, leaf in one.reply.reshaped.items()
    }
    return _SHAPE.format(", ".join(sorted(shapes)))


def _right_when_reshaped(one: Observation, declared: Declared) -> bool:
    reply, problem = one.reply, one.problem
    gradients = {**reply.gradients, **reply.reshaped}
    for chain, leaf in reply.by_position.items():
        if leaf is not None:
            gradients[chain] = leaf
        elif chain not in problem.ignored_by_outer:
            return False
    changed = reply.reshaped.keys()
    others = [
        finding
        for finding in reply.findings
        if finding.what != "gradients" or not (finding.leaf in changed or reply.by_position)
    ]
    whole: Reply = replace(reply, gradients=gradients, findings=others)
    return not compare(one.standard, one.dtype, whole, one.standard.truths(own=False), declared)[0]


def _one_precision(cases: Sequence[Case]) -> Iterator[str]:
    # A corner is asked in one, and so are some golden vectors.
    both = [case for case in cases if case.group == PROBLEMS and not suite.is_corner(case.problem)]
    dtypes = {case.dtype for case in both}
    failing = {case.dtype for case in both if case.verdict == "fail"}
    if len(dtypes) > 1 and len(failing) == 1:
        (dtype,) = failing
        yield f"Only {dtype} is wrong: in {' and '.join(sorted(dtypes - failing))} no answer is."


def _where(cases: Sequence[Case], observations: Sequence[Observation], *, named: bool) -> Iterator[str]:
    """Say which problems are wrong by what they have; beside a name where that is fewer than are right."""
    known = {(one.problem.name, one.problem.order): one.problem for one in observations}
    failing = {(case.problem, case.order) for case in cases if case.verdict == "fail"} & known.keys()
    wrong = [problem for key, problem in known.items() if key in failing]
    right = [problem for key, problem in known.items() if key not in failing]
    if not wrong or not right or (named and len(wrong) >= len(right)):
        return
    yield from _by_steps(wrong, right)
    for has, has_not, trait in _TRAITS:
        if all(map(trait, wrong)) and not any(map(trait, right)):
            yield f"Right wherever {has_not}, and wrong wherever {has}."
        elif not any(map(trait, wrong)) and all(map(trait, right)):
            yield f"Right wherever {has}, and wrong wherever {has_not}."
        elif not named and all(map(trait, wrong)) and any(not trait(problem) for problem in right):
            yield f"Right wherever {has_not}."


def _conditions(observations: Sequence[Observation]) -> list[str]:
    """Say which conditions, one or two, all wrong answers meet and no right one, where all of those are to corners."""
    if not all(suite.is_corner(one.problem.name) for one in observations if one.wrong):
        return []
    rows = [(bool(one.wrong), set(list(met(one.standard, one.dtype))[one.call].items())) for one in observations]
    wrong, right = ([row for is_wrong, row in rows if is_wrong == wanted] for wanted in (True, False))
    common = [
        condition for condition in conditions(observations[0].problem.order) if all(map({condition}.issubset, wrong))
    ]
    for count in (1, 2):
        for some in combinations(common, count):
            if not any(row.issuperset(some) for row in right):
                return [f"Wrong wherever this is so, and nowhere else: {'; '.join(': '.join(one) for one in some)}."]
    return []


def _by_steps(wrong: Sequence[Setting], right: Sequence[Setting]) -> Iterator[str]:
    of_wrong, of_right = ({problem.inner_grad_steps for problem in problems} for problems in (wrong, right))
    if of_wrong == {0} and 0 not in of_right:
        yield "Only K = 0 is wrong: right wherever K ≥ 1."
    elif max(of_right) < min(of_wrong):
        most = "= 0" if max(of_right) == 0 else f"≤ {max(of_right)}"
        yield f"Right wherever K {most}, and wrong wherever K ≥ {min(of_wrong)}."
    elif not of_wrong & of_right:
        yield f"Wrong where K is {_listed(of_wrong)}, and right where K is {_listed(of_right)}."


def _listed(numbers: set[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))


def _adapts(problem: Setting, chain: str) -> bool:
    everything = tuple(problem.names)
    return any(chain in problem.options.inner_v.of_task(t, everything) for t in range(problem.num_tasks))


#: What a variable may be, in words for several of them.
_KINDS: tuple[tuple[str, Callable[[Setting, str], bool]], ...] = (
    ("that the inner cost does not use", lambda problem, chain: chain in problem.ignored_by_inner),
    ("that the outer cost does not use", lambda problem, chain: chain in problem.ignored_by_outer),
    ("that do not adapt", lambda problem, chain: not _adapts(problem, chain)),
    ("that adapt", _adapts),
)


def _leaves(cases: Sequence[Case], observations: Sequence[Observation]) -> Iterator[str]:
    """Say which variables have wrong gradients, where others of the same answers are right."""
    known = {(one.problem.name, one.problem.order): one for one in observations if one.call == 0}
    wrong, right = set[tuple[str, str]](), set[tuple[str, str]]()
    for case in cases:
        one = known.get((case.problem, case.order))
        if case.verdict != "fail" or one is None:
            continue
        off = {finding.leaf for finding in case.findings if finding.what in ("gradients", "second call")}
        for chain in one.reply.returned:
            (wrong if chain in off else right).add((case.problem, chain))
    right -= wrong
    if not wrong or not right:
        return
    problems = {problem.name: problem for problem in (one.problem for one in known.values())}
    for words, is_kind in _KINDS:
        if all(is_kind(problems[name], chain) for name, chain in wrong) and not any(
            is_kind(problems[name], chain) for name, chain in right
        ):
            yield f"In the wrong answers the gradients of variables {words} are wrong, and the others right."
            return
    names = {problems[name].names[chain] for name, chain in wrong}
    others = {problems[name].names[chain] for name, chain in right} - names
    if others:
        said = f"The gradients of {', '.join(sorted(others))} are right in every answer"
        yield f"{said}; wrong are those of {', '.join(sorted(names))}."
