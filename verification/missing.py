"""What a report says where answers are missing: how many, why, and what to do."""

from __future__ import annotations

from dataclasses import replace

from verification.cases import PROTOCOL, Case
from verification.processes import Partner, limits
from verification.report import Report
from verification.subjects import TIME


def with_missing(report: Report, partner: Partner) -> Report:
    """Return the report with a reason that tells of the answers that are missing, if there are any.

    They are missing because the process of `partner` broke down, was late, or is given up for that.
    """
    answers = [case for case in report.cases if case.group != PROTOCOL]
    missing = [case for case in answers if _is_missing(case, partner)]
    if not missing:
        return report
    count, lost = len(missing), sum(case.verdict == "fail" for case in missing)
    said = f"{count} of {len(answers)} answers {'is' if count == 1 else 'are'} missing"
    wrong = sum(case.verdict == "fail" for case in answers) - lost
    if wrong:
        said += f", and {wrong} {'is' if wrong == 1 else 'are'} wrong"
    before = "" if wrong or lost else f"{report.reason} "
    return replace(report, reason=f"{before}{said}. The cause: {partner.given_up or missing[0].findings[-1].message}.")


def _is_missing(case: Case, partner: Partner) -> bool:
    kinds = ("process", TIME, "program") if partner.given_up else ("process", TIME)
    return bool(case.findings) and all(finding.what in kinds for finding in case.findings)


def with_time(report: Report, partner: Partner) -> Report:
    """Return the report with what helps where a limit of time was too short, and what that says of the subject."""
    if not any(case.is_late for case in report.cases) and not report.has_late_relations:
        return report
    known = "" if report.verdict == "fail" else " This says nothing of the algorithm."
    longer = f"Where it needs longer, pass a longer limit, such as --timeout {limits.ROPE_FACTOR * partner.timeout:g}."
    return replace(report, reason=f"{report.reason}{known} {longer}")
