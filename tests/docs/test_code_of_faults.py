"""The code on the pages of the faults that problems show: what is wrong is named, and what mends it is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fault_pages
import pytest
from fault_pages import FOLDER, LIKE, Snippet
from loading import Step, load_step, load_wrong, order_of

import verification
from verification import Report
from verification.judging.standard import Standards

pytestmark = pytest.mark.once  # arithmetic
STANDARDS = Standards()


def _on_tasks(step: Step, problem: Any) -> Any:
    return step(problem.variables, list(problem.tasks()), *_losses(problem), *_descent(problem))


def _on_supports(step: Step, problem: Any) -> Any:
    supports = [support for support, _ in problem.tasks()]
    return step(problem.variables, supports, _losses(problem)[0], *_descent(problem))


def _on_all_at_once(step: Step, problem: Any) -> Any:
    batch = problem.batch
    return step(problem.variables, batch["support"], batch["query"], *_losses(problem), *_descent(problem))


def _on_selected(step: Step, problem: Any) -> Any:
    names = tuple(problem.variables)
    chosen = [selection.of_task(0, names) for selection in (problem.options.inner_v, problem.options.outer_v)]
    return step(problem.variables, *chosen, list(problem.tasks()), *_losses(problem), *_descent(problem))


def _losses(problem: Any) -> list[Callable[[Any, Any], Any]]:
    """Return the costs with their arguments in the order of the steps."""
    return [
        lambda params, batch: problem.inner_cost(batch, params),
        lambda params, batch: problem.outer_cost(batch, params),
    ]


def _descent(problem: Any) -> tuple[int, float]:
    return problem.inner_grad_steps, problem.inner_learning_rate


#: How a step is called, what it supports, and on which problems it is judged.
_PLAIN = (_on_tasks, (), ("mlp-tanh-mse", "one-step"))
_CALLS = {
    "fomaml": _PLAIN,
    "maml": _PLAIN,
    "maml_products": _PLAIN,
    "fomaml_optimizer": _PLAIN,
    "fomaml_stopped": _PLAIN,
    "fomaml_backward": _PLAIN,
    "fomaml_average": (_on_tasks, ("averaging",), ("average", "same-cost-average")),
    "fomaml_batched": (_on_all_at_once, ("batched",), ("batched",)),
    "fomaml_selected": (_on_selected, ("selections",), ("inner-chain", "outer-list")),
    "reptile": (_on_supports, (), ("mlp-tanh-mse", "one-step")),
}
#: Faults that need other problems: one task where each would begin where the last ended; equal shapes.
_PROBLEMS = {"A02": ("one-task",), "C02": ("same-cost-average",), "F05": ("bilinear",)}


def judged(function: Step, step: str, framework: str, problems: tuple[str, ...]) -> Report:
    """Return the report on a step in float64."""
    call, supports, _ = _CALLS[step]

    def subject(problem: Any) -> Any:
        return call(function, problem)

    subject.supports = supports  # type: ignore[attr-defined]
    return verification.verify(
        subject, framework=framework, order=order_of(step), dtypes=("float64",), problems=problems, standards=STANDARDS
    )


def _snippets(framework: str) -> list[Any]:
    found = fault_pages.snippets(framework)
    return [pytest.param(snippet, id=fault) for fault, snippet in found.items() if snippet.step in _CALLS]


def _steps(framework: str) -> list[Any]:
    paths = sorted((FOLDER / framework).glob("*.py"))
    return [pytest.param(path, id=path.stem) for path in paths if path.stem in _CALLS]


def _problems(snippet: Snippet) -> tuple[str, ...]:
    return _PROBLEMS.get(snippet.fault, _CALLS[snippet.step][2])


def _assert_named(snippet: Snippet, folder: Path) -> None:
    function = load_wrong(snippet, folder)
    report = judged(function, snippet.step, snippet.framework, _problems(snippet))
    assert report.verdict == "fail"
    (first, *_) = report.diagnosis
    assert first.name == LIKE.get(snippet.fault, snippet.fault), str(report)
    assert snippet.fault in (first.name, *first.cannot_tell_from)


def _assert_right(path: Path, framework: str) -> None:
    snippets = [snippet for snippet in fault_pages.snippets(framework).values() if snippet.step == path.stem]
    problems = dict.fromkeys(problem for snippet in snippets for problem in _problems(snippet))
    report = judged(load_step(path, path.stem), path.stem, framework, tuple(problems))
    assert report.verdict == "pass", str(report)


@pytest.mark.framework("torch")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("snippet", _snippets("torch"))
def test_wrong_code_in_pytorch_is_named(snippet, tmp_path):
    """The judge names the fault of each page for the code on it, and no other."""
    _assert_named(snippet, tmp_path)


@pytest.mark.framework("torch")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("path", _steps("torch"))
def test_right_code_in_pytorch_passes(path):
    """What the wrong code is mended to is right, on the problems that show what was wrong."""
    _assert_right(path, "torch")


@pytest.mark.framework("jax")
@pytest.mark.sampled(3)
@pytest.mark.parametrize("snippet", _snippets("jax"))
def test_wrong_code_in_jax_is_named(snippet, tmp_path):
    """The judge names the fault of each page for the code on it, and no other."""
    _assert_named(snippet, tmp_path)


@pytest.mark.framework("jax")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("path", _steps("jax"))
def test_right_code_in_jax_passes(path):
    """What the wrong code is mended to is right, on the problems that show what was wrong."""
    _assert_right(path, "jax")
