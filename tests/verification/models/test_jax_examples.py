"""The steps of examples/own_model in JAX: right ones pass, wrong ones are named, and nothing is changed."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import numpy as np
import pytest

import verification

jax = pytest.importorskip("jax", reason="the examples are JAX code")

pytestmark = [pytest.mark.once, pytest.mark.framework("jax"), pytest.mark.usefixtures("compiled_once")]  # arithmetic

FOLDER = Path(__file__).parents[3] / "examples" / "own_model"
sys.path.insert(0, str(FOLDER))

import jax_network as network  # noqa: E402  # they lie in a folder of their own, which a script there has on its path
from jax_steps import RIGHT  # noqa: E402
from jax_wrong_steps import WRONG  # noqa: E402


def state_of(model) -> str:
    """Return a hash of everything that judging might leave behind."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(model):
        found.update(f"{path} {leaf.dtype} {id(leaf)}".encode() + np.asarray(leaf).tobytes())
    settings = (jax.config.jax_enable_x64, jax.config.read("jax_disable_most_optimizations"))
    found.update(repr((random.getstate(), np.random.get_state(), settings)).encode())
    return found.hexdigest()


def judged(step, order, gives: str, adapts: str | None = None, *, seed: int = 0):
    """Return the report on a step with a network, whose state must be the same afterwards."""
    model = network.make_model(seed)
    before = state_of(model)
    report = verification.check(
        step, model=model, inner_loss=network.loss, tasks=network.make_tasks(seed), inner_steps=network.INNER_STEPS,
        inner_learning_rate=network.INNER_RATE, order=order, gives=gives, adapts=adapts,
        outer_learning_rate=network.OUTER_RATE if gives == "parameters" else None,
    )  # fmt: skip
    assert state_of(model) == before
    return report


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_step_passes_and_leaves_no_trace(name):
    """Right code on a network with normalisation passes in both precisions, in whatever way it is written."""
    report = judged(*RIGHT[name])
    assert (report.verdict, report.framework) == ("pass", "jax")
    assert [case.dtype for case in report.cases] == ["float64", "float32"]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_step_is_named(name):
    """Each wrong step fails with the name of its mistake before all others, and leaves no trace either."""
    fault, *step = WRONG[name]
    report = judged(*step)
    assert report.verdict == "fail"
    assert report.diagnosis[0].name == fault


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2])
def test_steps_on_other_networks(seed):
    """On two other networks no right step is accused, and at most one wrong one is misnamed."""
    assert [name for name, step in RIGHT.items() if judged(*step, seed=seed).verdict == "fail"] == []
    reports = {name: (fault, judged(*step, seed=seed)) for name, (fault, *step) in WRONG.items()}
    assert {report.verdict for _, report in reports.values()} == {"fail"}
    misnamed = [name for name, (fault, report) in reports.items() if report.diagnosis[0].name != fault]
    assert len(misnamed) <= 1, misnamed


@pytest.mark.parametrize("script", ["jax_steps.py", "jax_train.py"])
def test_a_script_is_judged_from_the_shell(script, capsys):
    """`refmaml check` imports a script in JAX, trains nothing, and judges the problem that it names."""
    from verification.commands.cli import main

    with pytest.raises(SystemExit) as end:
        main(["check", str(FOLDER / f"{script}:problem")])
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert "PASS" in output
    assert "query loss" not in output
