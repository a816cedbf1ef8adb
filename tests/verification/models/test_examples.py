"""The steps of examples/own_model: right ones pass, wrong ones are named, and nothing is changed by being judged."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import numpy as np
import pytest

import verification

torch = pytest.importorskip("torch", reason="the examples are PyTorch code")

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic

FOLDER = Path(__file__).parents[3] / "examples" / "own_model"
sys.path.insert(0, str(FOLDER))

import network  # noqa: E402  # they lie in a folder of their own, which running a script there puts on the path
from idioms import RIGHT_IDIOMS, WRONG_IDIOMS  # noqa: E402
from steps import RIGHT  # noqa: E402
from wrong_steps import OUTER_RATE, WRONG  # noqa: E402


def state_of(model, optimizer) -> str:
    """Return a hash of everything that judging might leave behind."""
    groups = [{**group, "params": [id(parameter) for parameter in group["params"]]} for group in optimizer.param_groups]
    found = hashlib.sha256(repr(groups).encode())
    for parameter, entries in optimizer.state.items():
        for name, entry in entries.items():
            found.update(f"{id(parameter)} {name} {id(entry)}".encode() + entry.numpy().tobytes())
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        found.update(f"{name} {tensor.dtype} {id(tensor)} {tensor.data_ptr()} {tensor.requires_grad}".encode())
        found.update(tensor.detach().numpy().tobytes())
        if tensor.grad is not None:
            found.update(str(id(tensor.grad)).encode() + tensor.grad.numpy().tobytes())
    found.update(str([module.training for module in model.modules()]).encode())
    found.update(repr((random.getstate(), np.random.get_state(), torch.get_default_dtype())).encode())
    found.update(torch.get_rng_state().numpy().tobytes())
    return found.hexdigest()


def judged(step, order: int, gives: str, seed: int):
    """Return the report on a step with a network, whose state must be the same afterwards."""
    model = network.make_model(seed)
    model.head.eval()  # modules need not all be in one mode
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step()
    before = state_of(model, optimizer)
    report = verification.check(
        step, model=model, inner_loss=network.loss, tasks=network.make_tasks(seed), inner_steps=network.INNER_STEPS,
        inner_learning_rate=network.INNER_RATE, order=order, gives=gives,
        outer_learning_rate=OUTER_RATE if gives == "parameters" else None,
    )  # fmt: skip
    assert state_of(model, optimizer) == before
    return report


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_step_passes_and_leaves_no_trace(name):
    """Right code on a network with batch normalisation passes, in whatever way it is written."""
    report = judged(*RIGHT[name], seed=0)
    assert report.verdict == "pass"
    assert [case.dtype for case in report.cases] == ["float64", "float32"]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_step_is_named(name):
    """Each wrong step fails with the name of its mistake before all others, and leaves no trace either."""
    fault, *step = WRONG[name]
    report = judged(*step, seed=0)
    assert report.verdict == "fail"
    assert report.diagnosis[0].name == fault


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", RIGHT_IDIOMS)
def test_an_idiom_of_a_library_passes(name):
    """Clones with their graph kept, patched copies and differentiable optimizers pass where they are used rightly."""
    step, order = RIGHT_IDIOMS[name]
    assert judged(step, order, "grad", seed=0).verdict == "pass"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", WRONG_IDIOMS)
def test_a_mistake_in_an_idiom_is_named(name):
    """What goes wrong with these libraries has its name."""
    fault, step, order = WRONG_IDIOMS[name]
    report = judged(step, order, "grad", seed=0)
    assert (report.verdict, report.diagnosis[0].name) == ("fail", fault)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_steps_on_other_networks(seed):
    """On three other networks and sets of tasks no right step is accused, and at most one wrong one is misnamed."""
    assert [name for name, step in RIGHT.items() if judged(*step, seed=seed).verdict == "fail"] == []
    reports = {name: (fault, judged(*step, seed=seed)) for name, (fault, *step) in WRONG.items()}
    assert {report.verdict for _, report in reports.values()} == {"fail"}
    misnamed = [name for name, (fault, report) in reports.items() if report.diagnosis[0].name != fault]
    assert len(misnamed) <= 1, misnamed


def test_the_script_is_judged_from_the_shell(capsys):
    """`refmaml check` imports a training script, trains nothing, and judges the problem that it names."""
    from verification.commands.cli import main

    with pytest.raises(SystemExit) as end:
        main(["check", str(FOLDER / "train.py:problem")])
    assert end.value.code == 0
    assert "PASS" in capsys.readouterr().out
