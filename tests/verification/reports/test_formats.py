"""Every form of a report: valid by its rules, with the conditions inside, and safe whatever a subject says."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from verification.cases import Case, Related
from verification.naming.growth import Growth
from verification.naming.wording import Diagnosis
from verification.relations import Result
from verification.report import Conditions, Part, Report
from verification.reports import schema
from verification.reports.formats import FORMATS
from verification.reports.terminal import knows_links, show
from verification.subjects import Finding, Source
from verification.verdicts import GRAVITY

DATE = "2026-01-02T03:04:05Z"
CONDITIONS = Conditions(
    level="full", seed=7, dtypes=("float64", "float32"), conventions=("sum",), date=DATE,
    versions={"refmaml": "0.1", "Python": "3.11", "NumPy": "2.0", "torch": "2.9"},
)  # fmt: skip
B02 = Diagnosis(("B02",), "one inner step too few", "∇Q(φ_{K−1})", "equals it", "a/b#12 (its first version)", "Count.")
PAGE = "https://refmaml.readthedocs.io/en/latest/faults/B02.html"
#: What would be obeyed: by a terminal, by Rich, by HTML and XML, by Markdown, by a runner of GitHub.
EVIL = (
    "\x1b[31m\x9b2J\u202e [red]x[/] </pre></style><script>alert(1)</script>&amp; | `a` **b** ![c](d)\n::error::no\r\x07"
)


def case(**changes):
    made = Case(
        problem="bilinear", order=1, dtype="float64", verdict="pass", findings=[], worst=0.01, separation=1e9,
        snippet="print(1)",
    )  # fmt: skip
    return replace(made, **changes)


def report(verdict="fail", **changes):
    wrong = [Finding("cost", "it differs", None, np.array(1.0), np.array(2.0), 3e9, 64.0)] if verdict == "fail" else []
    cases = [case(), case(dtype="float32", verdict=verdict, findings=wrong, worst=5e7 if wrong else 0.02)]
    made = Report(
        "steps.py:step", "torch", "step", verdict, "A reason.", [B02] if wrong else [], cases,
        [Related("batched", 1, Result("hessian_blindness", "pass", 0.1, 1.0, "It holds."))], ["average"], ["B11"],
        conditions=CONDITIONS, source=Source("my code/steps.py", 12),
        growth=[Growth("bilinear", 1, (0.25, 0.125), (1.0, 0.5), (0.0, 0.0), 1.0)] if wrong else [],
    )  # fmt: skip
    return replace(made, **changes)


REPORTS = {
    **{verdict: report(verdict) for verdict in GRAVITY},
    "without a name": report(diagnosis=[]),
    "nothing tested": report("inconclusive", cases=[], relations=[]),
    "a broken relation": report(
        diagnosis=[], cases=[case()], relations=[Related("batched", 2, Result("symmetry", "fail", 9.0, 1.0, "No."))]
    ),
    "no numbers": report(
        cases=[
            case(verdict="fail", worst=float("inf"), findings=[Finding("exception", "it raised ValueError: no")]),
            case(worst=0.0), case(worst=float("nan")),
        ],
    ),
    "parts": report(parts=[Part("reference", "fail", (1,), 2), Part("compiled", note="not installed")]),
    "no source": report(source=None),
    "evil": report(
        subject=EVIL, framework=EVIL, reason=EVIL, left_out=[EVIL], why_left_out={EVIL: EVIL},
        diagnosis=[replace(B02, evidence=EVIL, source=f"{EVIL} a/b#12")],
        cases=[case(problem=EVIL, snippet=EVIL, verdict="fail", findings=[Finding(EVIL, EVIL, EVIL)])],
        relations=[Related(EVIL, 1, Result(EVIL, "fail", 1.0, 1.0, EVIL))],
        parts=[Part(EVIL, "fail", (1,), 1, EVIL)], source=Source(EVIL, 1),
        growth=[Growth(EVIL, 1, (0.25, 0.125), (1.0, 0.5), (0.0, 0.0), None)],
        conditions=replace(CONDITIONS, problems=(EVIL,), versions={**CONDITIONS.versions, "torch": EVIL}),
    ),
}  # fmt: skip
every_report = pytest.mark.parametrize("name", REPORTS)


def rendered(form, name):
    return FORMATS[form].render(REPORTS[name])


@every_report
def test_json_fulfils_the_schema(name):
    """The JSON of every kind of report is valid; of "evil", text in places of names is no text of the schema."""
    content = json.loads(rendered("json", name), parse_constant=pytest.fail)
    assert content["conditions"]["date"] == DATE
    if name != "evil":
        jsonschema.Draft202012Validator(schema()).validate(content)


#: What junit-10.xsd of Jenkins' xunit plugin allows: the children and the attributes of each element, those required
#: with an exclamation mark.
JUNIT = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name!", "tests!", "failures!", "errors!", "group", "time", "skipped", "timestamp", "hostname", "id",
         "package", "file", "log", "url"},
    ),
    "properties": ({"property"}, set()),
    "property": (set(), {"name!", "value!"}),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"}, {"name!", "time", "classname", "group"},
    ),
    "failure": (set(), {"type", "message"}),
    "error": (set(), {"type", "message"}),
    "skipped": (set(), {"type", "message"}),
}  # fmt: skip


@every_report
def test_junit_has_the_structure_of_its_schema(name):
    """Elements and attributes are those of the schema, the counts are right, and only a pass is green."""
    root = ElementTree.fromstring(rendered("junit", name))
    assert root.tag == "testsuites"
    for element in root.iter():
        children, attributes = JUNIT[element.tag]
        assert {child.tag for child in element} <= children
        assert set(element.attrib) <= {attribute.strip("!") for attribute in attributes}
        assert {attribute[:-1] for attribute in attributes if attribute.endswith("!")} <= set(element.attrib)
    (suite,) = root
    for tag, count in (("testcase", "tests"), ("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.attrib[count] == str(len(list(suite.iter(tag))))
    is_green = suite.attrib["failures"] == suite.attrib["errors"] == "0"
    assert is_green == (REPORTS[name].verdict == "pass")
    properties = {entry.attrib["name"]: entry.attrib["value"] for entry in suite.iter("property")}
    assert properties.items() >= {"seed": "7", "dtypes": "float64, float32", "conventions": "sum", "date": DATE}.items()


#: The part of the schema of SARIF 2.1.0 that a report of ours can break: required properties, types and values.
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {"items": {
            "required": ["tool", "results"],
            "properties": {
                "tool": {"properties": {"driver": {
                    "required": ["name"],
                    "properties": {"rules": {"uniqueItems": True, "items": {
                        "required": ["id"],
                        "properties": {"id": {"type": "string"}, "shortDescription": TEXT, "help": TEXT,
                                       "helpUri": {"type": "string", "pattern": "^https://[!-~]+$"}},
                    }}},
                }}},
                "invocations": {"items": {
                    "required": ["executionSuccessful"],
                    "properties": {"endTimeUtc": {"pattern": "^[0-9-]{10}T[0-9:]{8}Z$"}},
                }},
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "results": {"items": {
                    "required": ["message", "ruleId", "locations"],
                    "properties": {
                        "message": TEXT, "level": {"enum": ["none", "note", "warning", "error"]},
                        "ruleIndex": {"type": "integer", "minimum": 0},
                        "locations": {"items": {"properties": {"physicalLocation": {"properties": {
                            "artifactLocation": {"properties": {"uri": {"pattern": "^[!-~]+$"}}},
                            "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}},
                        }}}}},
                        "partialFingerprints": {"additionalProperties": {"type": "string"}},
                    },
                }},
            },
        }},
    },
}  # fmt: skip


@every_report
def test_sarif_has_what_its_standard_requires(name):
    """Required properties and values are there, each result has its rule, and a pass has none."""
    content = json.loads(rendered("sarif", name))
    jsonschema.Draft202012Validator(SARIF).validate(content)
    (run,) = content["runs"]
    assert bool(run["results"]) == (REPORTS[name].verdict != "pass")
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert run["properties"].items() >= {"seed": "7", "date": DATE}.items()
    pages = {rule.get("helpUri") for rule in run["tool"]["driver"]["rules"]} - {None}
    assert pages == ({PAGE} if REPORTS[name].diagnosis else set())
    if name == "fail":
        place = run["results"][0]["locations"][0]["physicalLocation"]
        assert unquote(place["artifactLocation"]["uri"]) == "my code/steps.py"
        assert place["region"]["startLine"] == 12


@every_report
def test_annotations_are_workflow_commands(name):
    """Each line is one command with a title, at the subject where that is known, and holds nothing that ends it."""
    lines = rendered("github", name).splitlines()
    assert lines
    for line in lines:
        found = re.fullmatch(r"::(notice|error|warning) ((?:file=[^,:]+,line=\d+,)?title=[^,:]+)::(.+)", line)
        assert found, line
        assert ("file=" in found[2]) == bool(REPORTS[name].source)
        assert {"pass": "notice", "fail": "error", "inconclusive": "warning"}[REPORTS[name].verdict] == found[1]


@every_report
def test_markdown_has_no_markup_of_a_subject(name):
    """A reader of Markdown finds our headings and tables, and no HTML, image, emphasis or link but to issues."""
    parser = MarkdownIt("gfm-like", {"linkify": False})
    tokens = [inner for token in parser.parse(rendered("markdown", name)) for inner in [token, *(token.children or [])]]
    kinds = {token.type for token in tokens}
    assert {"heading_open", "table_open"} <= kinds
    assert not kinds & {"html_block", "html_inline", "image", "strong_open", "em_open", "code_inline", "s_open"}
    links = {token.attrs["href"] for token in tokens if token.type == "link_open"}
    assert links <= {"https://github.com/a/b/issues/12", PAGE, PAGE.replace("B02", "B11")}
    assert (PAGE in links) == bool(REPORTS[name].diagnosis)
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) > len(REPORTS[name].conditions.entries())


@every_report
def test_a_page_stands_alone_and_is_well_formed(name):
    """The page is well-formed XML, loads nothing, runs nothing, and has its figures and conditions."""
    text = rendered("html", name)
    root = ElementTree.fromstring(text)
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(tags)
    assert "url(" not in text
    assert "@import" not in text
    for element in root.iter():
        assert not {"src", "onload", "onclick"} & set(element.attrib)
        assert element.attrib.get("href", PAGE).startswith(("https://github.com/", PAGE[: -len("B02.html")]))
    assert (f'href="{PAGE}"' in text) == bool(REPORTS[name].diagnosis)
    assert tags.count("svg") >= 2 * bool(REPORTS[name].cases)
    assert DATE in text


@every_report
def test_a_badge_is_one_small_image(name):
    """The badge is SVG of fixed height with the verdict in it."""
    text = rendered("badge", name)
    root = ElementTree.fromstring(text)
    assert (root.tag, root.attrib["height"]) == ("{http://www.w3.org/2000/svg}svg", "20")
    assert REPORTS[name].verdict in text


@every_report
@pytest.mark.parametrize("form", FORMATS)
def test_no_form_has_what_a_terminal_obeys(form, name):
    """No escape sequence, control or mark of direction is in any form, and markup of Rich is shown as it is."""
    text = rendered(form, name)
    assert text.strip()
    assert [character for character in text if not character.isprintable() and character != "\n"] == []
    if name == "evil":
        assert "x1b[31m" in text.replace("\\", "") or form == "badge"
        assert not re.search(r"^::error::no", text, flags=re.MULTILINE)


def test_a_report_has_nothing_to_obey_in_itself():
    """What a subject says is spelled out in the data already, so that no form has to remember it."""
    evil = REPORTS["evil"]
    texts = [evil.subject, evil.left_out[0], evil.cases[0].findings[0].message, *evil.why_left_out]
    assert all("\\x1b[31m\\x9b2J\\u202e" in text for text in texts)
    assert "\n" not in evil.about + evil.cases[0].title


def test_the_date_is_that_of_the_build(monkeypatch):
    """SOURCE_DATE_EPOCH sets the date of a report."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767323045")
    assert Conditions().date == DATE


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in ("text", "badge")])
def test_each_form_leads_to_the_page_of_the_fault(form):
    """The address of the page on a named fault is in every form that can have one; without a name there is none."""
    assert PAGE.replace(":", "%3A") in rendered(form, "fail").replace(":", "%3A")
    assert "faults/B02" not in rendered(form, "without a name")


@pytest.mark.parametrize("program", ["WezTerm", "Apple_Terminal"])
def test_a_terminal_that_knows_links_has_one_to_the_page(monkeypatch, program):
    """The name of the mistake is a link (OSC 8), and the text is the same without."""
    for name in ("TERM_PROGRAM", "TERM", "WT_SESSION", "DOMTERM", "KONSOLE_VERSION", "VTE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM_PROGRAM", program)
    file = io.StringIO()
    show(REPORTS["fail"], Console(file=file, force_terminal=True, width=100))
    links = re.findall(r"\x1b\]8;[^;]*;(https[^\x1b]*)\x1b", file.getvalue())
    assert links == ([PAGE, "https://github.com/a/b/issues/12"] if program == "WezTerm" else [])
    assert "The mistake is B02: one inner" in re.sub(r"\x1b(\[[\d;]*m|\]8;[^\x1b]*\x1b\\)", "", file.getvalue())


@pytest.mark.parametrize(
    ("environment", "known"),
    [
        ({"TERM_PROGRAM": "WezTerm"}, True),
        ({"VTE_VERSION": "7600"}, True),
        ({"VTE_VERSION": "4800"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "linux"}, False),
    ],
)
def test_links_are_for_terminals_that_know_them(environment, known):
    """A terminal that does not say that it knows links gets none."""
    assert knows_links(environment) is known
