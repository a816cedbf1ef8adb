"""A report as JUnit XML, which test servers read: a test case for each answer and each relation.

The structure is that of junit-10.xsd of Jenkins' xunit plugin, which most readers take:
https://github.com/jenkinsci/xunit-plugin/tree/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from verification.cases import Case, Related
from verification.report import Report
from verification.verdicts import Verdict

#: An inconclusive answer has not passed, and nothing is known to be wrong: the format calls that an error.
_TAGS: dict[Verdict, str] = {"fail": "failure", "inconclusive": "error"}


def junit(report: Report) -> str:
    """Return a report as JUnit XML."""
    suite = Element("testsuite")
    _properties(suite, report)
    cases = [_case(report, case) for case in report.cases]
    cases += [_relation(report, related) for related in report.relations]
    cases += [_left_out(report, name) for name in dict.fromkeys(report.left_out)]
    if not report.cases:  # a suite without a result would count as passed
        cases.append(_result(_named(report, "verdict"), report.verdict, report.reason, report.reason))
    suite.extend(cases)
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
    }
    suite.attrib = {
        "name": report.about,
        **{name: str(count) for name, count in counts.items()},
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "timestamp": report.conditions.date.removesuffix("Z"),
    }
    root = Element("testsuites", {"name": "refmaml verify", **{name: str(count) for name, count in counts.items()}})
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, "unicode") + "\n"


def _properties(suite: Element, report: Report) -> None:
    mistakes = [("mistake", f"{diagnosis.name}: {diagnosis.title}") for diagnosis in report.diagnosis]
    properties = SubElement(suite, "properties")
    for name, value in [
        ("verdict", report.verdict),
        ("reason", report.reason),
        *mistakes,
        *(("remark", remark) for remark in report.remarks),
        *report.conditions.entries(),
    ]:
        SubElement(properties, "property", {"name": name, "value": value})


def _case(report: Report, case: Case) -> Element:
    findings = [f"{case}\n\nTo reproduce it:\n{case.snippet}"] if case.findings else []
    mistakes = [str(diagnosis) for diagnosis in report.diagnosis]
    message = str(case).partition("\n")[0] or "Rounding is as large as the difference from a wrong answer."
    return _result(_named(report, case.title), case.verdict, message, "\n\n".join([*findings, *mistakes]))


def _relation(report: Report, related: Related) -> Element:
    name = f"{related.result.name}, {related.problem}, order {related.order}"
    element = _named(report, f"{name}, {related.part}" if related.part else name)
    return _result(element, related.result.verdict, related.result.sentence, related.result.sentence)


def _left_out(report: Report, name: str) -> Element:
    element = _named(report, name)
    SubElement(element, "skipped", {"message": report.why_left_out.get(name, "The subject does not support it.")})
    return element


def _named(report: Report, name: str) -> Element:
    return Element("testcase", {"name": name, "classname": report.subject})


def _result(element: Element, verdict: Verdict, message: str, text: str) -> Element:
    """Give a test case what its verdict is."""
    if verdict in _TAGS:
        SubElement(element, _TAGS[verdict], {"type": verdict, "message": message}).text = text
    return element
