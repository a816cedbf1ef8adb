"""The harnesses in other languages: the right ones pass all that they declare, and each wrong one is named."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from verification.protocol import smoke, verify_program

pytestmark = pytest.mark.once  # programs of other languages

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE = 60.0  # a JVM on a busy machine

Command = Callable[[str], str]


def need(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed here")


@pytest.fixture(scope="module")
def javascript() -> Command:
    need("node")
    return lambda name: shlex.join(["node", str(EXAMPLES / "javascript" / f"{name}.js")])


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Command:
    need("g++")
    folder = tmp_path_factory.mktemp("cpp")
    flags = ["-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror"]
    sources = sorted((EXAMPLES / "cpp").glob("*.cpp"))
    running = [subprocess.Popen(["g++", *flags, "-o", str(folder / source.stem), str(source)]) for source in sources]
    assert [process.wait() for process in running] == [0, 0]
    return lambda name: str(folder / name)


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Command:
    need("javac")
    need("java")
    folder = tmp_path_factory.mktemp("java")
    sources = [str(source) for source in sorted((EXAMPLES / "java").glob("*.java"))]
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", str(folder), *sources], check=True)
    names = {"fomaml": "Fomaml", "fomaml_wrong": "FomamlWrong"}
    return lambda name: shlex.join(["java", "-Xshare:auto", "-cp", str(folder), names[name]])


LANGUAGES = [
    # language, orders that are passed, its share of cases at least, and the mistake of the twin
    ("javascript", {1, "reptile"}, 600, "E01"),
    ("cpp", {1}, 60, "D01"),
    ("java", {1, 2}, 80, "C04"),
]


@pytest.mark.parametrize(("language", "orders", "least", "fault"), LANGUAGES)
def test_a_right_program_passes_all_that_it_declares(
    language: str, orders: set[object], least: int, fault: str, request: pytest.FixtureRequest
) -> None:
    """Each right harness passes the built-in problems and golden vectors that it declares, as many as it should."""
    report = verify_program(request.getfixturevalue(language)("fomaml"), timeout=PATIENCE)
    assert report.verdict == "pass", report.reason
    assert report.kind == "program"
    assert {case.order for case in report.cases} == orders
    assert len(report.cases) >= least
    assert {case.group for case in report.cases} == {"problems", "vectors"}


@pytest.mark.parametrize(("language", "orders", "least", "fault"), LANGUAGES)
def test_its_wrong_twin_is_named(
    language: str, orders: set[object], least: int, fault: str, request: pytest.FixtureRequest
) -> None:
    """The mistake of each wrong harness is the only one in its diagnosis."""
    report = verify_program(request.getfixturevalue(language)("fomaml_wrong"), timeout=PATIENCE)
    assert report.verdict == "fail"
    assert [diagnosis.name for diagnosis in report.diagnosis] == [fault]


@pytest.mark.parametrize("name", ["fomaml", "fomaml_wrong"])
@pytest.mark.parametrize("language", [language[0] for language in LANGUAGES])
def test_smoke_finds_nothing_in_a_harness_that_works(language: str, name: str, request: pytest.FixtureRequest) -> None:
    """The wrong algorithm has a right harness, and right costs."""
    checks = smoke(request.getfixturevalue(language)(name), timeout=PATIENCE)
    assert [check for check in checks if check.cause] == []


def test_the_template_passes_what_it_declares() -> None:
    """The template that harnesses are translated from passes smoke and the judge."""
    command = shlex.join([sys.executable, "-S", str(EXAMPLES / "template" / "harness.py")])
    report = verify_program(command, timeout=PATIENCE)
    assert report.verdict == "pass", report.reason
    assert all(check.is_passed for check in smoke(command, timeout=PATIENCE))


@pytest.mark.parametrize(
    ("file", "begins"),
    [("examples/template/protocol.py", ""), ("verification/templates/node_subject.js", "// The protocol: ")],
)
def test_the_protocol_takes_at_most_sixty_lines(file: str, begins: str) -> None:
    """What a new language has to write before its own code is short."""
    text = (EXAMPLES.parent / file).read_text("utf-8")
    lines = text[text.index(begins) :].splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith(("//", "#", "/*"))]
    assert len(code) <= 60


def test_vectors_alone_name_a_mistake_where_no_built_in_problem_was_answered(
    java: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program whose only family has gains in every built-in problem, and that has none, is judged by vectors."""
    report = verify_program(java("fomaml_wrong"), timeout=PATIENCE, problems=())
    assert {case.group for case in report.cases} == {"vectors"}
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["C04"]
