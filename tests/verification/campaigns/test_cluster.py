"""A campaign on a Dask cluster: the results are those of one process, also where workers of the cluster are killed."""

from __future__ import annotations

import json
import os
import signal
from importlib.util import find_spec

import pytest
from click.testing import CliRunner

from verification.campaigns.campaign import Campaign
from verification.campaigns.cluster import Cluster
from verification.campaigns.journal import Journal
from verification.campaigns.running import run
from verification.campaigns.takers import InThisProcess
from verification.commands.cli import main

pytestmark = pytest.mark.once  # processes, which no version of Python ends differently

needs_cluster = pytest.mark.skipif(not find_spec("distributed"), reason="dask.distributed is not installed")
ENDS = """
import os

import refmaml


def step(batch, inner, variables, steps, rate, /, **options):
    if steps == 0:
        os._exit(3)
    return refmaml.reptile_step(batch, inner, variables, steps, rate, **options)
"""


@pytest.fixture
def cluster():
    """Start a cluster of two processes on this machine."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as started:
        yield started


@needs_cluster
def test_a_worker_that_is_killed_loses_nothing(cluster):
    """A worker is ended with SIGKILL while it takes trials; all results are there, and what they are in one process."""
    from distributed import Client

    campaign = Campaign("self-test", seed=5, orders=("reptile",), dtypes=("float64",))
    with Client(cluster.scheduler_address) as client:
        numbers = list(client.run(os.getpid).values())
    heard = []

    def progress(done, total, words):
        heard.append(done)
        if len(heard) == 2:  # the first results have come, and others are being worked out
            os.kill(numbers[0], signal.SIGKILL)

    records = run(Cluster(campaign, cluster.scheduler_address), 50, Journal(None, campaign), progress)
    assert len(heard) == 6
    assert records == run(InThisProcess(campaign), 50, Journal(None, campaign))


@needs_cluster
def test_a_subject_that_ends_its_process(cluster, tmp_path):
    """The command tells which trials end their process on a cluster; the others are right, and no worker goes."""
    path = tmp_path / "ends.py"
    path.write_text(ENDS, "utf-8")
    arguments = [f"{path}:step", "--order", "reptile", "--trials", "12", "--format", "json"]
    result = CliRunner().invoke(main, ["campaign", *arguments, "--scheduler", cluster.scheduler_address])
    assert result.exit_code == 1, result.output
    found = json.loads(result.stdout)
    assert {trial["became"] for trial in found["failures"]} == {"crashed"}
    assert 0 < len(found["failures"]) < 12
    assert "steps=0" in found["first"]["problem"]


def test_a_scheduler_needs_the_package_and_an_address():
    """Without the package the extra to install is told, with it that nobody is at an address; with exit code 2."""
    result = CliRunner().invoke(main, ["campaign", "self-test", "--scheduler", "nonsense"])
    says = "there is no Dask scheduler" if find_spec("distributed") else "refmaml[distributed]"
    assert (result.exit_code, says in " ".join(result.output.split())) == (2, True), result.output
