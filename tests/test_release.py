"""What a release says about itself in several files says the same."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def found(pattern: str, name: str) -> list[str]:
    """Return what a pattern's group matches in a file, by lines."""
    return re.findall(pattern, (ROOT / name).read_text("utf-8"), re.MULTILINE)


def test_the_version_is_the_same_everywhere() -> None:
    """The package, the citation and the newest dated section of the changelog have one version, and one date."""
    (version,) = found(r'^version = "(.+)"$', "pyproject.toml")
    assert found(r"^version: (.+)$", "CITATION.cff") == [version]
    sections = found(r"^## \[(.+)\]", "CHANGELOG.md")
    assert sections[:2] == ["Unreleased", version]
    assert found(r"^## \[.+\] - (.+)$", "CHANGELOG.md")[:1] == found(r'^date-released: "(.+)"$', "CITATION.cff")


def test_no_extra_is_mentioned_that_there_is_not() -> None:
    """Each `refmaml[…]` and `.[…]` that the pages and messages tell a user to install is an extra of the package."""
    (section,) = re.findall(
        r"^\[project\.optional-dependencies\]\n(.+?)\n\n", (ROOT / "pyproject.toml").read_text("utf-8"), re.M | re.S
    )
    extras = {line.split(" = ")[0] for line in section.splitlines()}
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    modules = [path for package in ("refmaml", "verification") for path in (ROOT / package).rglob("*.py")]
    mentioned = {
        extra
        for path in pages + modules
        for group in re.findall(r"(?:\brefmaml|[\"'.]\.)\[([a-z,]+)\]", path.read_text("utf-8"))
        for extra in group.split(",")
    }
    assert {"test", "torch"} <= mentioned
    assert mentioned <= extras
