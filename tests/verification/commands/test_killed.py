"""Commands that are killed: whatever the moment, each output file is whole, and of this run or of the one before."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.once  # a rename of the file system

OLD = '{"of": "the run before"}\n'
VERIFY = ["verify", "refmaml:fomaml_step", "--kind", "step", "--problem", "one-task", "--json", "report.json"]
COMMANDS = {
    "verify": ([*VERIFY, "--format", "html=page.html", "--format", "markdown=table.md"], ("report.json", "page.html")),
    "self-test": (["self-test", "--order", "1", "--jobs", "1", "--format", "html=page.html"], ("page.html",)),
    "campaign": (["campaign", "self-test", "--trials", "3", "--jobs", "1", "--json", "report.json"], ("report.json",)),
}
#: The command; a self-test has one fault, since all take minutes.
MAIN = """
from verification.commands.cli import main
from verification.faults import CATALOGUE
from verification.selftest.lineup import Lineup
main(prog_name="refmaml", obj=Lineup({"B01": CATALOGUE["B01"]}, list))
"""
MOMENTS = 25  # for each command; in CI, a sample of them


def start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start the command, leading a process group, in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture(
    scope="module", params=["verify", *(pytest.param(name, marks=pytest.mark.nightly) for name in list(COMMANDS)[1:])]
)
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """Return a command, and the seconds that it takes where nobody kills it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    words, files = COMMANDS[request.param]
    began = time.monotonic()
    assert start(words, folder).wait() == 0
    assert all(is_whole(folder / file) for file in files)
    return request.param, time.monotonic() - began


def is_whole(path: Path) -> bool:
    """Return whether a report has its end."""
    text = path.read_text("utf-8")
    return bool(json.loads(text)) if path.suffix == ".json" else text.rstrip().endswith("</html>")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_file_is_whole_whenever_the_command_is_killed(
    undisturbed: tuple[str, float], moment: int, tmp_path: Path
) -> None:
    """SIGKILL at a random moment, most of them near the end, where files are written, leaves old files or new ones."""
    name, seconds = undisturbed
    words, files = COMMANDS[name]
    for file in files:
        (tmp_path / file).write_text(OLD, "utf-8")
    process = start(words, tmp_path)
    time.sleep(seconds * (1 - random.Random(f"{name} {moment}").random() ** 2))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for file in files:
        assert (tmp_path / file).read_text("utf-8") == OLD or is_whole(tmp_path / file)
