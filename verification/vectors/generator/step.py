"""The steps from their definition, in ball arithmetic, with the places open in which a step can go wrong.

For one task with inner cost S, outer cost Q, rates D = diag(α on I, 0 elsewhere):

    φ_0 = θ,   φ_{k+1} = φ_k − D ∇S(φ_k)
    fomaml:    ∇_O Q(φ_K)                                  (Finn, Abbeel and Levine, 2017, section 5.2)
    maml:      ∇_O of Q(φ_K(θ)): g ← g − H_k D g for k = K−1, …, 0, from g = ∇Q(φ_K)   (section 2.2)
    reptile:   (θ − φ_K)/α                                 (Nichol, Achiam and Schulman, 2018, section 4)

and the mean over tasks. A `Rule` says how a step differs from that; the rule without arguments is the definition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from verification.vectors.generator.balls import Scalar, constant, exact, flint
from verification.vectors.generator.costs import INNER_ALONE, OUTER_ALONE, Cost, Point, Touch, total, untouched
from verification.vectors.generator.layout import Array, Json, array

Move = Callable[[Scalar], Scalar]
GAIN_COPY = "inner_gain/copy"  # where a fault adapts the two occurrences of the inner gain as two variables


def still(ball: Scalar) -> Scalar:
    """Leave a number as it is; conditioning puts a disturbance in its place."""
    return ball


@dataclass(frozen=True)
class Rule:
    """How a step is done. `stretch` multiplies the inner rates, `decay` the variables before each inner update.

    `frozen` names a variable that never adapts, `swapped` two whose updates change places; `at_start` takes every
    inner gradient at θ, `through` takes them with respect to θ (for two steps); `hessian_shift` takes H at a later
    iterate; `last_only` differentiates the last update alone. `kind` is the step, `steps` its number of inner steps.
    """

    kind: str
    steps: int
    average: bool
    inner_data: str = "support"
    outer_data: str = "query"
    stretch: Scalar = 1
    decay: Scalar = 1
    frozen: str | None = None
    swapped: tuple[str, str] | None = None
    at_start: bool = False
    through: bool = False
    hessian_shift: int = 0
    last_only: bool = False
    silent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """One task of a problem: θ, the two costs on their data, I and O, α by variable."""

    theta: Point
    data: dict[str, dict[str, Array]]
    family: str
    same_cost: bool
    inner_names: tuple[str, ...]
    outer_names: tuple[str, ...]
    rates: dict[str, Scalar]
    touch: Touch = untouched
    move: Move = still

    def inner_cost(self, rule: Rule, touch: Touch | None = None) -> Cost:
        """Return S, on the data that the rule says."""
        data, copy = self.data[rule.inner_data], GAIN_COPY if GAIN_COPY in self.theta else None
        return Cost(self.family, data, OUTER_ALONE, "inner_gain", touch or self.touch, copy)

    def outer_cost(self, rule: Rule, data: str | None = None) -> Cost:
        """Return Q, on the data that the rule says."""
        if self.same_cost:
            return replace(self.inner_cost(rule), data=self.data[data or rule.outer_data])
        where = self.data[data or rule.outer_data]
        return Cost(self.family, where, INNER_ALONE, "outer_gain", self.touch)


@dataclass(frozen=True)
class Solution:
    """One task's cost, gradient over every variable (0 outside O) and φ_K."""

    cost: Scalar
    gradient: Point
    adapted: Point


@dataclass(frozen=True)
class Answer:
    """What a step returns: cost, gradients by variable, adapted variables by task."""

    cost: Scalar
    gradients: Point
    adapted: list[Point] = field(default_factory=list)


def tasks_of(problem: Json, touch: Touch = untouched, move: Move = still) -> list[Task]:
    """Return the tasks of a problem in the JSON layout; `move` disturbs every number that goes in."""
    variables = {name: array(leaf) for name, leaf in problem["variables"].items()}
    batch = {part: {k: array(leaf) for k, leaf in (problem[part] or {}).items()} for part in ("support", "query")}
    made = []
    for t in range(problem["num_tasks"]):
        theta = {name: leaf.row(t) if problem["batched"] else leaf for name, leaf in variables.items()}
        rows = {part: {k: leaf.row(t) for k, leaf in data.items()} for part, data in batch.items()}
        made.append(
            Task(
                theta={name: [move(value) for value in leaf.values] for name, leaf in theta.items()},
                data={p: {k: _moved(leaf, move) for k, leaf in data.items()} for p, data in rows.items()},
                family=problem["family"],
                same_cost=problem["same_cost"],
                inner_names=tuple(problem["inner"][t]),
                outer_names=tuple(problem["outer"][t]),
                rates={name: exact(float.fromhex(rate)) for name, rate in problem["rates"].items()},
                touch=touch,
                move=move,
            )
        )
    return made


def _moved(leaf: Array, move: Move) -> Array:
    return Array(leaf.shape, [move(value) for value in leaf.values])


def rule_of(problem: Json) -> Rule:
    """Return the definition for a problem."""
    return Rule(problem["step"], problem["steps"], problem["average"])


def iterates(task: Task, rule: Rule) -> list[Point]:
    """Return φ_0, …, φ_K."""
    cost, points = task.inner_cost(rule), [task.theta]
    for k in range(rule.steps):
        gradient = cost.gradient(points[0] if rule.at_start else points[-1])
        if rule.through and k == 1:  # J_1 = I − D H_0 is what a gradient by θ through the first update passes
            gradient = _pulled_back(task, rule, points[:1], gradient)
        update = _update(task, rule, gradient)
        points.append({name: _stepped(task, rule, name, points[-1], update) for name in points[-1]})
    return points


def _update(task: Task, rule: Rule, gradient: Point) -> Point:
    """Return D g: what is taken away from the variables; empty for those that stay."""
    source = _exchange(rule)
    return {
        name: [rate * task.move(entry) for entry in gradient[source.get(name, name)]]
        for name, rate in _rates(task, rule).items()
    }


def _rates(task: Task, rule: Rule) -> dict[str, Scalar]:
    """Return the rates of the variables that adapt."""
    return {name: task.rates[name] * rule.stretch for name in task.inner_names if name != rule.frozen}


def _exchange(rule: Rule) -> dict[str, str]:
    """Return whose gradient a variable is updated with, where it is another's."""
    return dict(zip(rule.swapped, reversed(rule.swapped), strict=True)) if rule.swapped else {}


def _stepped(task: Task, rule: Rule, name: str, point: Point, update: Point) -> list[Scalar]:
    if name not in update:
        return point[name]
    moved = [rule.decay * a - b for a, b in zip(point[name], update[name], strict=True)]
    return [a if b.is_zero() and rule.decay == 1 else task.move(c)
            for a, b, c in zip(point[name], update[name], moved, strict=True)]  # fmt: skip


def _pulled_back(task: Task, rule: Rule, points: list[Point], gradient: Point) -> Point:
    """Multiply by the transposed Jacobians of the updates, the last one first: g ← γ g − H Pᵀ D g."""
    cost = task.inner_cost(rule, _silencing(rule.silent) if rule.silent else None)
    back, rates = _exchange(rule), _rates(task, rule)
    for point in reversed(points):
        direction = {name: [flint.arb(0)] * len(leaf) for name, leaf in gradient.items()}
        for name, rate in rates.items():
            direction[back.get(name, name)] = [rate * entry for entry in gradient[name]]
        curved = cost.hessian_times(point, direction)
        stay = {name: rule.decay if name in rates else 1 for name in gradient}
        gradient = {
            name: [task.move(stay[name] * a - b) for a, b in zip(leaf, curved[name], strict=True)]
            for name, leaf in gradient.items()
        }
    return gradient


def _silencing(kinds: tuple[str, ...]) -> Touch:
    return lambda kind, scalar: constant(scalar) if kind in kinds else scalar


def solve(task: Task, rule: Rule) -> Solution:
    """Return one task's solution under a rule."""
    points = iterates(task, rule)
    if rule.kind == "reptile":
        cost = task.inner_cost(rule)
        costs = [cost.value(point) for point in points]
        return Solution(task.move(mean(costs)), displacement(task, points), points[-1])
    outer = task.outer_cost(rule)
    ks = range(rule.steps + 1) if rule.average else [rule.steps]
    gradients = [outer_gradient(task, rule, points, k, outer) for k in ks]
    cost_value = task.move(mean([outer.value(points[k]) for k in ks]))
    return Solution(cost_value, selected(mean_point(gradients), task.outer_names), points[-1])


def outer_gradient(task: Task, rule: Rule, points: list[Point], k: int, outer: Cost) -> Point:
    """Return ∇Q(φ_k), through the inner loop where the rule is MAML's."""
    gradient = {name: [task.move(entry) for entry in leaf] for name, leaf in outer.gradient(points[k]).items()}
    if rule.kind != "maml":
        return gradient
    if rule.at_start:
        return _at_once(task, rule, points[0], k, gradient)
    start = max(0, k - 1) if rule.last_only else 0
    behind = points[start + rule.hessian_shift : k + rule.hessian_shift]
    return _pulled_back(task, rule, behind, gradient)


def _at_once(task: Task, rule: Rule, theta: Point, k: int, gradient: Point) -> Point:
    """Return (I − k D H_0)ᵀ g: the k updates of `at_start` are one update of k times the rate."""
    return _pulled_back(task, replace(rule, stretch=rule.stretch * k), [theta], gradient) if k else gradient


def displacement(task: Task, points: list[Point]) -> Point:
    """Return (θ − φ_K)/α."""
    return {
        name: [(a - b) / task.rates[name] for a, b in zip(leaf, points[-1][name], strict=True)]
        for name, leaf in points[0].items()
    }


def selected(gradient: Point, names: Any) -> Point:
    """Return the gradient with an exact 0 in the variables that are not named."""
    return {name: leaf if name in names else [flint.arb(0)] * len(leaf) for name, leaf in gradient.items()}


def mean(numbers: list[Scalar]) -> Scalar:
    """Return the mean."""
    return total(numbers) / len(numbers)


def mean_point(points: list[Point]) -> Point:
    """Return the mean, variable by variable."""
    return {name: [mean(list(column)) for column in zip(*(p[name] for p in points), strict=True)] for name in points[0]}


def added(one: Point, other: Point) -> Point:
    """Return the sum, variable by variable."""
    return {name: [a + b for a, b in zip(leaf, other[name], strict=True)] for name, leaf in one.items()}


def outer_union(tasks: list[Task]) -> list[str]:
    """Return the variables that some task's outer loop selects: those that the gradients have."""
    return [name for name in tasks[0].theta if any(name in task.outer_names for task in tasks)]


def answer(tasks: list[Task], solutions: list[Solution]) -> Answer:
    """Return the means over tasks, and every task's adapted variables."""
    gradient = mean_point([solution.gradient for solution in solutions])
    gradients = {name: gradient[name] for name in outer_union(tasks)}
    return Answer(mean([s.cost for s in solutions]), gradients, [s.adapted for s in solutions])
