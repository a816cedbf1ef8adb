"""A report as SARIF 2.1.0, which code scanning reads: a result for each name of a mistake and each broken relation.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; section numbers below are its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from verification.report import Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://github.com/refmaml/refmaml"
_WRONG = ("wrong-answer", "An answer is wrong, and no fault of the catalogue gives it.")
_HIDDEN = ("inconclusive", "Rounding could hide a wrong answer, or nothing was tested.")


def sarif(report: Report) -> str:
    """Return a report as SARIF; a pass has no results."""
    rules, results = _rules_and_results(report)
    run = {
        "tool": {
            "driver": {
                "name": "refmaml",
                "semanticVersion": report.conditions.versions["refmaml"],
                "informationUri": _HOME,
                "rules": rules,
            }
        },
        "invocations": [
            {"executionSuccessful": True, "exitCode": report.exit_code, "endTimeUtc": report.conditions.date}
        ],
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": report.verdict,
            "reason": report.reason,
            "subject": report.about,
            **dict(report.conditions.entries()),
        },
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rules_and_results(report: Report) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rules: dict[str, dict[str, Any]] = {}
    results = []

    def add(rule: tuple[str, str], message: str, level: str = "error", more: dict[str, Any] | None = None) -> None:
        rules.setdefault(rule[0], {"id": rule[0], "shortDescription": {"text": rule[1]}, **(more or {})})
        results.append(_result(report, rule[0], list(rules).index(rule[0]), level, message))

    for diagnosis in report.diagnosis:
        rule = (diagnosis.name.replace(" ", ""), diagnosis.title) if diagnosis.convincing else _WRONG
        more: dict[str, Any] = {"help": {"text": diagnosis.advice}}
        if pages := list(diagnosis.pages.values()):
            more["helpUri"] = pages[0]
        add(rule, f"{report.reason} {diagnosis}", more=more)
    if report.failing and not report.diagnosis:
        add(_WRONG, f"{report.reason} {report.failing[0].title}: {report.failing[0]}")
    for related in report.broken:
        level = "error" if related.result.verdict == "fail" else "warning"
        rule = (related.result.name, "A relation between answers is broken.")
        add(rule, f"{related.problem}, order {related.order}: {related.result.sentence}", level)
    if report.verdict == "inconclusive":
        add(_HIDDEN, report.reason, "warning")
    return list(rules.values()), results


def _result(report: Report, rule: str, index: int, level: str, message: str) -> dict[str, Any]:
    place: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": report.subject, "kind": "function"}]}
    if report.source:
        place["physicalLocation"] = {
            # A relative reference of RFC 3986 (section 3.4.3).
            "artifactLocation": {"uri": quote(report.source.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": report.source.line},
        }
    identity = hashlib.sha256(f"{report.subject}\n{rule}\n{message.partition(':')[0]}".encode()).hexdigest()
    return {
        "ruleId": rule,
        "ruleIndex": index,
        "level": level,
        "message": {"text": message},
        "locations": [place],
        "partialFingerprints": {"subjectAndRule/v1": identity},  # one alert from run to run (section 3.27.17)
    }
