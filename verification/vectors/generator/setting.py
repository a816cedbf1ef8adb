"""A problem as the faults see it, and the conditions under which they can occur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from verification.vectors.generator.costs import Point
from verification.vectors.generator.layout import Array, Json, variable_shapes
from verification.vectors.generator.step import (
    Rule,
    Task,
    answer,
    mean_point,
    outer_union,
    rule_of,
    selected,
    solve,
    tasks_of,
)  # fmt: skip

Gradients: TypeAlias = dict[str, "Array | None"]


@dataclass(frozen=True)
class Setting:
    """A problem as the faults see it."""

    problem: Json
    tasks: list[Task]
    rule: Rule

    @property
    def kind(self) -> str:
        """Return the step: fomaml, maml or reptile."""
        return self.rule.kind

    @property
    def steps(self) -> int:
        """Return K."""
        return self.rule.steps

    @property
    def examples(self) -> int:
        """Return the number of examples in the support set; 0 where the data are no examples."""
        leaf = self.tasks[0].data["support"].get("x")
        return leaf.shape[0] if leaf else 0

    def under(self, tasks: list[Task] | None = None, **changes: Any) -> Gradients:
        """Return the gradients of a step that follows another rule."""
        setting, rule = replace(self, tasks=tasks or self.tasks), replace(self.rule, **changes)
        return setting.shaped(answer(setting.tasks, [solve(task, rule) for task in setting.tasks]).gradients)

    def by_task(self) -> list[Point]:
        """Return the right gradient of each task."""
        return [solve(task, self.rule).gradient for task in self.tasks]

    def shaped(self, gradients: Point) -> Gradients:
        """Return the gradients that are due, with their shapes."""
        shapes = variable_shapes(self.problem)
        return {name: Array(shapes[name], gradients[name]) for name in outer_union(self.tasks)}

    def of_tasks(self, gradient: Callable[[Task], Point]) -> Gradients:
        """Return the mean over tasks of a gradient, in the selected variables."""
        return self.shaped(mean_point([selected(gradient(task), task.outer_names) for task in self.tasks]))


Wrong: TypeAlias = Callable[[Setting], "Gradients | None"]


def setting_of(problem: Json) -> Setting:
    """Return the setting of a problem, at the current working precision."""
    return Setting(problem, tasks_of(problem), rule_of(problem))


def when(condition: Callable[[Setting], bool], wrong: Wrong) -> Wrong:
    """Return the fault where the condition holds."""
    return lambda s: wrong(s) if condition(s) else None


def rule(**changes: Any) -> Wrong:
    """Return the fault of following another rule."""
    return lambda s: s.under(**changes)


def maml(s: Setting) -> bool:
    """Tell whether the step is second-order MAML with an inner loop."""
    return s.kind == "maml" and s.steps > 0


def outer(s: Setting) -> bool:
    """Tell whether there is an outer cost and an inner loop."""
    return s.kind != "reptile" and s.steps > 0


def steps(s: Setting) -> bool:
    """Tell whether there is an inner loop."""
    return s.steps > 0


def long(s: Setting) -> bool:
    """Tell whether the inner loop has two steps or more."""
    return s.steps > 1


def many(s: Setting) -> bool:
    """Tell whether there are two tasks or more."""
    return len(s.tasks) > 1
