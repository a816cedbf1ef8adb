"""One diagnosis over all tests of a subject, for the terminal summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from verification.cases import Case
from verification.judge import run_of
from verification.judging.standard import Standards
from verification.naming.wording import Diagnosis
from verification.orders import DTYPES
from verification.testing.transport import Data, unpack_case, unpack_observation


def summaries(results: Iterable[Data]) -> list[tuple[str, list[str]]]:
    """Return the verdict and the lines about each subject, from what its tests packed."""
    groups: dict[str, list[Data]] = {}
    for packed in results:
        key = repr((packed["subject"], packed["order"], packed["conventions"]))
        groups.setdefault(key, []).append(packed)
    standards = Standards()
    return [_summary(group, standards) for group in groups.values()]


def _summary(group: list[Data], standards: Standards) -> tuple[str, list[str]]:
    first = group[0]
    answered = [packed for packed in group if "case" in packed]
    cases = [unpack_case(packed["case"]) for packed in answered]
    wrong, undecided = (sum(case.verdict == verdict for case in cases) for verdict in ("fail", "inconclusive"))
    verdict = "FAIL" if wrong else "INCONCLUSIVE" if undecided or not cases else "PASS"
    subject = first["subject"]
    about = f"{subject['name']} ({subject['framework']} {subject['kind']}, order {first['order']})"
    right = len(cases) - wrong - undecided
    counts = [f"{right} of {len(cases)} answers are right"]
    counts += [f"{wrong} wrong"] * bool(wrong) + [f"{undecided} undecided"] * bool(undecided)
    lines = [f"{verdict}  {about}: {', '.join(counts)}."]
    if wrong:
        diagnoses = _diagnoses(answered, cases, standards)
        lines += [str(diagnosis) for diagnosis in diagnoses] or _names(answered)
    left_out = Counter(packed["reason_to_skip"] for packed in group if packed["reason_to_skip"])
    lines += [f"Skipped {_tests(count)}: {reason}." for reason, count in left_out.most_common()]
    return verdict, lines


def _tests(count: int) -> str:
    return f"{count} {'test' if count == 1 else 'tests'}"


def _diagnoses(answered: list[Data], cases: list[Case], standards: Standards) -> list[Diagnosis]:
    """Name the mistake from the answers to built-in problems, which can be made again here."""
    first = answered[0]
    observations = [
        unpack_observation(observation, standards.of(packed["problem"], packed["order"]))
        for packed in answered
        if packed["is_built_in"]
        for observation in packed["observations"]
    ]
    if not observations:
        return []
    run = run_of(DTYPES, first["conventions"], "quick", 0)
    return run.name(None, first["order"], cases, observations)


def _names(answered: list[Data]) -> list[str]:
    """Return how often each name was given, where no diagnosis over all answers can be made."""
    names = Counter(name for packed in answered for name in packed["names"])
    failures = sum(packed["case"]["verdict"] == "fail" for packed in answered)
    return [f"{name}: named in {count} of {failures} failures." for name, count in names.most_common()]
