"""Campaigns that are killed: what was done is kept, and the end is the same as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from verification.campaigns.campaign import Campaign
from verification.campaigns.journal import Journal
from verification.campaigns.running import run
from verification.campaigns.takers import InThisProcess

pytestmark = [
    pytest.mark.once,  # processes, which no version of Python ends differently
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc"),
]

SUBJECT = """
import refmaml


def step(batch, inner, variables, steps, rate, /, **options):
    return refmaml.reptile_step(batch, inner, variables, steps, rate, **options)
"""
POLL = 0.005  # s


def started(arguments, folder):
    """Start the command, in a folder."""
    command = [sys.executable, "-m", "refmaml", "campaign", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def workers(running):
    """Return those processes that take trials."""
    found = []
    for number in running():
        try:
            if b"campaigns.serving" in Path(f"/proc/{number}/cmdline").read_bytes():
                found.append(number)
        except OSError:
            continue
    return found


def lines(journal):
    """Return how many lines a journal has."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def kill_once(process, journal, running, chance, *, worker):
    """Wait until some more is done, then kill the process or one that works for it; return whether there was one."""
    wanted = lines(journal) + chance.randrange(2)
    while process.poll() is None and (lines(journal) < wanted or not workers(running)):
        time.sleep(POLL)
    time.sleep(chance.random() * 0.1)  # somewhere within a chunk, or while it is written
    targets = workers(running) if worker else [process.pid]
    if process.poll() is not None or not targets:
        return False
    try:
        os.kill(chance.choice(targets), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("kills", "trials"),
    [pytest.param(3, 80, id="3 kills"), pytest.param(20, 600, id="20 kills", marks=pytest.mark.nightly)],
)
def test_a_campaign_that_is_killed_finds_the_same(tmp_path, nothing_is_left, kills, trials):
    """Main process and workers are killed at random moments; all trials are there, once, with the same results."""
    (tmp_path / "subject.py").write_text(SUBJECT, "utf-8")
    journal, out, chance = tmp_path / "journal.jsonl", tmp_path / "out.json", random.Random(kills)
    subject = ["subject.py:step", "--order", "reptile", "--trials", trials, "--dtype", "float64"]
    arguments = [*subject, "--journal", journal, "--json", out]
    process, kept, done = started(arguments, tmp_path), b"", 0
    while done < kills:
        worker = done % 2 == 1
        if kill_once(process, journal, nothing_is_left, chance, worker=worker):
            done += 1
        elif process.poll() is not None:
            pytest.fail(f"the campaign was over after {done} kills: give it more trials")
        if not worker:
            process.wait()
            whole = journal.read_bytes().rpartition(b"\n")[0]
            assert whole.startswith(kept), "something that was written is gone"
            kept = whole
            process = started(arguments, tmp_path)
    assert process.wait() == 0
    found = json.loads(out.read_text("utf-8"))
    undisturbed = Campaign(f"{tmp_path}/subject.py:step", orders=("reptile",), dtypes=("float64",))
    expected = run(InThisProcess(undisturbed), trials, Journal(None, undisturbed))
    written = [trial for line in journal.read_bytes().splitlines()[1:] for trial in json.loads(line)["trials"]]
    became = {number: (state, name) for number, _, state, name, _ in written}
    assert became == {record.number: (record.became, record.name) for record in expected}
    assert found["became"] == dict(Counter(record.became for record in expected).most_common())
    assert (found["trials"], len(written)) == (trials, trials)
    deadline = time.monotonic() + 60
    while nothing_is_left() and time.monotonic() < deadline:
        time.sleep(POLL)  # those whose main process was killed finish their chunk, and go
