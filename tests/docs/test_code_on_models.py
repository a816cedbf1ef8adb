"""The code on the pages of the faults that only a model shows: what is wrong is named, and what mends it is right."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import fault_pages
import pytest
from fault_pages import FOLDER, Snippet
from loading import Step, load_step, load_wrong, order_of

import verification
from verification import Report

torch = pytest.importorskip("torch", reason="the code on models is PyTorch code")

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic
nn = torch.nn

OUTER_RATE = 0.05
#: Steps on models: where their meta-gradient is, and what adapts.
_STEPS: dict[str, dict[str, Any]] = {
    "fomaml_model": {},
    "fomaml_model_head": {"adapts": ["head"]},
    "fomaml_training": {"gives": "parameters", "outer_learning_rate": OUTER_RATE},
    "maml_model": {},
}


def mlp() -> Any:
    """Return a smooth model with a body and a head."""
    return nn.Sequential(OrderedDict(body=nn.Linear(3, 4), between=nn.Tanh(), head=nn.Linear(4, 2)))


def normalised() -> Any:
    """Return a model that is another one in evaluation mode."""
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


def tied() -> Any:
    """Return a model two layers of which share their weight."""
    first, last = nn.Linear(3, 3), nn.Linear(3, 3)
    last.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), last, nn.Linear(3, 2))


#: Faults that need a model of their own.
_MODELS: dict[str, Callable[[], Any]] = {"F01": tied, "M01": normalised}


def loss(model: Any, batch: Any) -> Any:
    """Return the mean squared error."""
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def judged(function: Step, step: str, make: Callable[[], Any]) -> Report:
    """Return the report on a step with a model, on three tasks; all numbers are the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = make()
        tasks = [[(torch.randn(rows, 3), torch.randn(rows, 2)) for rows in (4, 5)] for _ in range(3)]
    return verification.check(
        function, model=model, inner_loss=loss, tasks=tasks, inner_steps=3, inner_learning_rate=0.3,
        order=order_of(step), **_STEPS[step],
    )  # fmt: skip


def _model(snippet: Snippet) -> Callable[[], Any]:
    return _MODELS.get(snippet.fault, mlp)


SNIPPETS = [snippet for snippet in fault_pages.snippets("torch").values() if snippet.step in _STEPS]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.fault)
def test_wrong_code_on_a_model_is_named(snippet, tmp_path):
    """The judge names the fault of each page for the code on it, before all others."""
    report = judged(load_wrong(snippet, tmp_path), snippet.step, _model(snippet))
    assert report.verdict == "fail"
    assert report.diagnosis[0].name == snippet.fault, str(report)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("step", _STEPS)
def test_right_code_on_a_model_passes(step):
    """What the wrong code is mended to is right, on the models that show what was wrong."""
    for make in dict.fromkeys(_model(snippet) for snippet in SNIPPETS if snippet.step == step):
        report = judged(load_step(FOLDER / "torch" / f"{step}.py", step), step, make)
        assert report.verdict == "pass", str(report)
