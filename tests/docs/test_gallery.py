"""The figures of the gallery, and the page on the command line: made of what the project says elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import click
import command_page
import numpy as np
import pytest

from verification.commands.cli import main
from verification.faults import CATALOGUE

DOCS = Path(__file__).parents[2] / "docs"
pytest.importorskip("matplotlib", reason="matplotlib is not installed")
draw = pytest.importorskip("draw")

pytestmark = pytest.mark.once  # figures and texts


def test_remainders_fall_as_the_figure_says():
    """Against the surrogate the remainder falls like h², against the meta-objective like h, at the small steps."""
    steps, remainders = draw.taylor()
    for name, order in (("the surrogate", 2), ("the meta-objective", 1)):
        slopes = np.diff(np.log(remainders[name])) / np.diff(np.log(steps))
        assert np.all(np.abs(slopes[-8:] - order) < 0.02)  # the next order: the step itself, at most 2⁻¹², times a few


def test_the_kill_matrix_has_every_fault():
    """The figure has a row for each fault of the catalogue, of each kind of step, with at least one check."""
    found = draw.kill_matrix((DOCS / "kill-matrix.md").read_text("utf-8"))
    assert found.keys() == CATALOGUE.keys()
    assert {order for cells in found.values() for order, _ in cells} == {"First order", "Second order", "Reptile"}
    assert {check for cells in found.values() for _, check in cells} <= set(draw._CHECKS)
    assert found["A06"]["First order", "gradients"] == "named as another"
    assert found["B02"]["First order", "gradients"] == "named"


def test_the_speeds_are_those_of_the_page():
    """The figure has the ten workloads of the table, with their numbers."""
    found = draw.speeds((DOCS / "engine.md").read_text("utf-8"))
    assert len(found) == 10
    assert found["omniglot-mlp"] == (16.1, 9.0)


def test_every_figure_is_in_the_gallery_with_its_command():
    """Each section of the gallery has a figure that is there, and a command."""
    for section in (DOCS / "gallery.md").read_text("utf-8").split("\n## ")[1:]:
        (figure,) = re.findall(r"\]\((figures/[\w-]+\.\w+)\)", section)
        assert (DOCS / figure).is_file()
        assert "```console\n$ " in section


def test_every_command_has_a_section():
    """The page on the command line has a section for each command, those below `vectors` too, with its options."""
    page = command_page.page()
    for name in main.list_commands(click.Context(main)):
        assert f"\n## `refmaml {name}`\n" in page
    assert "\n### `refmaml vectors export`\n" in page
    assert page.count("--timeout SECONDS") >= 2


@pytest.mark.framework("torch")
def test_the_picture_of_a_report_is_what_the_command_prints(tmp_path):
    """Every figure is drawn, and the report has the verdict and the mistake that the judge names; it loads no font."""
    draw.main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.svg", "taylor.svg", "kill-matrix.svg", "speeds.svg"}
    for folder in (tmp_path, DOCS / "figures"):
        text = re.sub(r"<[^>]+>", "", (folder / "report.svg").read_text("utf-8")).replace("&#160;", " ")
        assert "The mistake is B01: outer loss from before adaptation" in text
        assert "20 of 22 answers are" in text
        assert "font-face" not in text
