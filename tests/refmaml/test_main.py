"""``python -m refmaml``, the command line without the folder of installed commands."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from refmaml import __main__


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "refmaml", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_it_is_the_same_command_line() -> None:
    """It has the version and the commands of `refmaml`, under the name that it was called by."""
    done = _run("--version")
    assert (done.returncode, done.stdout) == (0, f"python -m refmaml, version {version('refmaml')}\n")
    done = _run("--help")
    assert done.stdout.startswith("Usage: python -m refmaml [OPTIONS] COMMAND")
    assert {"verify", "faults", "self-test", "vectors"} <= set(done.stdout.split())


def test_its_exit_code_is_the_command_s() -> None:
    """Wrong usage is 2, as with the command `refmaml`, and is told in a sentence."""
    done = _run("verify", "nothing")
    assert done.returncode == 2
    assert "expected package.module:name or path/to/file.py:name" in " ".join(done.stderr.replace("│", " ").split())


def test_a_package_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no installed package has the command, a sentence says what to do, and the exit code is 1."""
    monkeypatch.setattr(__main__, "entry_points", lambda **_: ())
    with pytest.raises(SystemExit, match=r"no installed package has it\. Install the package first: python -m pip"):
        __main__.main()


def test_only_the_command_of_that_name_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up among the console scripts by its name, and run once however often it is found."""
    queries, runs = [], []

    class Command:
        def load(self):
            return lambda: runs.append(self)

    def found(**query: str) -> list[Command]:
        queries.append(query)
        return [Command(), Command()]

    monkeypatch.setattr(__main__, "entry_points", found)
    __main__.main()
    assert (queries, len(runs)) == ([{"group": "console_scripts", "name": "refmaml"}], 1)
