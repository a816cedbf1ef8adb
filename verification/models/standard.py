"""What a step on a model is held against: the definition in float64, its sensitivity, and the question to faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from verification.faults import Question
from verification.faults.question import Outcome, combined
from verification.faults.work import Product, Solved, Work, made, mark, solve
from verification.judging.conventions import Declared
from verification.judging.standard import Standard
from verification.judging.tolerances import Sensitivity, norm, unit_roundoff
from verification.judging.truth import Truth
from verification.models.interface import Host, LossCosts
from verification.models.problem import ModelProblem
from verification.models.recent import Recent
from verification.models.request import Request
from verification.oracles.view import FlatArray, TaskView
from verification.problems.answers import Answer
from verification.subjects import SubjectError, described

SOURCE = "the definition"
_DRAWS = 3  # of all tasks together, at least
#: Relative, by the precision that the definition is worked in: far above its rounding. The largest from which no answer
#: bends is used, since kinks (ReLU, max pooling) that a disturbance of the size of float32's rounding crosses are
#: crossed in float32 as well; what bends from all of them has no bound.
_DELTAS = {"float64": (2.0**-20, 2.0**-24, 2.0**-34), "float32": (2.0**-11,)}
_BENT = 2.0**-4  # of the whole gradient: an answer that moves by more is no longer proportional to a disturbance
_SHARE = 0.25  # of the error of the definition in float32
_SEED = 20180302
#: What a question keeps: so many vectors of θ's size, and so many bytes in any case.
_VECTORS, _KEPT = 4, 2**25
_OFF = 8.0  # times an error estimate, which is of the size of the error


def problem_of_request(request: Request, host: Host, tasks: Sequence[Any], name: str) -> ModelProblem:
    """Return the problem that a request puts on some of its tasks."""
    theta = request.parameters
    support, query = (host.cast(batch) for batch in tasks[0])
    problem = ModelProblem(
        name=name, order=request.order, theta=theta, adapts=request.adapts, trained=request.trained,
        inner_grad_steps=request.inner_steps, inner_learning_rate=request.inner_learning_rate, num_tasks=len(tasks),
        examples=host.examples(support), query_examples=host.examples(query),
        outer_learning_rate=request.outer_learning_rate,
    )  # fmt: skip
    start = problem.flat(theta)
    by_inner = host.costs(request.inner_loss, support).uses(start)
    by_outer = host.costs(request.outer_loss, query).uses(start)
    return replace(
        problem,
        ignored_by_inner=tuple(key for key in theta if key not in by_inner),
        ignored_by_outer=tuple(key for key in theta if key not in by_outer),
    )


def pose_model(
    request: Request,
    problem: ModelProblem,
    host: Host,
    tasks: Sequence[Any],
    disturbance: Any = None,
    memory: Recent | None = None,
) -> Question:
    """Return the question that a model's problem puts to faults, with a memory of its own or that of another one.

    A question that is disturbed is asked once, and forgets.
    """

    def costs(loss: Any, batch: Any) -> LossCosts:
        found = host.costs(loss, batch)
        return found if disturbance is None else found.disturbed(disturbance)

    def derive(costs: Any, phi: FlatArray) -> FlatArray:
        request.listener.alive()
        found: FlatArray = costs.gradient(phi)
        return found

    def curve(costs: Any, points: Any) -> list[Product]:
        def product(phi: FlatArray, u: FlatArray) -> FlatArray:
            # ∇²S(φ) u is kept like a gradient: many faults multiply the same vectors.
            key = ("product", costs, mark(phi), mark(u))
            if key in known:
                found: FlatArray = known[key]
                return found
            request.listener.alive()
            try:
                found = costs.product(phi, u)
            except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
                if request.order == 2:
                    raise SubjectError(
                        f"the losses have no second derivative, which order=2 needs: they raised {described(error)}"
                    ) from error
                found = np.full_like(u, np.nan)  # only faults ask for it, and none of them has been made
            known[key] = made(found, "product", costs, phi, u)
            return found

        return [partial(product, phi) for phi in points]

    theta, inner, outer = problem.flat(problem.theta), problem.mask(problem.adapts), problem.mask(problem.trained)
    limit = max(_KEPT, _VECTORS * theta.nbytes) if disturbance is None else 0
    known = Recent(limit) if memory is None else memory
    works = []
    for task in tasks:
        support, query = (host.cast(batch) for batch in task)
        on_support, on_query = costs(request.inner_loss, support), costs(request.outer_loss, query)
        same = request.inner_loss == request.outer_loss
        view = TaskView(
            theta=theta, inner_costs=on_support, outer_costs=on_query, inner_mask=inner, outer_mask=outer,
            rate=problem.rates, steps=problem.inner_grad_steps,
            inner_costs_on_query=on_query if same else costs(request.inner_loss, query),
            outer_costs_on_support=on_support if same else costs(request.outer_loss, support),
            examples=host.examples(support), query_examples=host.examples(query),
            entries=host.entries(support), query_entries=host.entries(query),
        )  # fmt: skip
        works.append(Work(view, derive, curve, memory=known))

    def posed_in(dtype: Any) -> Question:
        return pose_model(request, problem, request.adapter.host(request, np.dtype(dtype).name), tasks)

    return Question(problem, works, problem.order, posed_in)


def standard_of(
    request: Request,
    host: Host,
    tasks: Sequence[Any],
    name: str,
    *,
    draws: int | None = None,
    memory: Recent | None = None,
) -> Standard:
    """Return everything that is known of a model's problem; its sensitivity is measured, in so many draws a task."""
    problem = problem_of_request(request, host, tasks, name)
    question = pose_model(request, problem, host, tasks, memory=memory)
    solved = [solve(work, question.order) for work in question.works]
    right = combined(question, solved)
    return Standard(
        problem,
        certified=Truth(SOURCE, _answer(right), _errors(request, problem, host, tasks, right)),
        allowance=_sensitivity(request, problem, host, tasks, question, solved, draws or -(-_DRAWS // len(tasks))),
        posed=question,
    )


def cut_down(standard: Standard, tasks: int, steps: int, name: str) -> Standard:
    """Return the standard of the first tasks, in so many inner steps; what is known of all of them serves here, too.

    The mean of t of T tasks moves by at most T/t times as much as that of all, but for what cancels between tasks, and
    in fewer steps by less.
    """
    whole, parts = standard.question, standard.problem.num_tasks / tasks
    problem = replace(cast(ModelProblem, standard.problem), name=name, num_tasks=tasks, inner_grad_steps=steps)

    def cut(question: Question) -> Question:
        works = [work.changed(steps=steps) for work in question.works[:tasks]]
        return replace(question, problem=problem, works=works, posed_in=lambda dtype: cut(whole.posed_in(dtype)))

    question, known = cut(whole), standard.sensitivity
    gradients, sizes = (
        {chain: parts * value for chain, value in leaves.items()} for leaves in (known.gradients, known.sizes)
    )
    errors = {chain: parts * error for chain, error in standard.truths(own=False)[0].errors.items()}
    return Standard(
        problem,
        certified=Truth(SOURCE, _answer(Declared().right(question)), errors),
        allowance=Sensitivity(parts * known.cost, gradients, {}, sizes),
        posed=question,
    )


def with_part(standard: Standard) -> Standard:
    """Return the standard with that of its first task as the part that tells the separation.

    A mistake in one task alone is hardly ever further off than one in all of them, and takes a T-th of the time.
    """
    if standard.problem.num_tasks == 1:
        return standard
    return replace(standard, part=cut_down(standard, 1, standard.problem.inner_grad_steps, "the first task"))


def _errors(
    request: Request, problem: ModelProblem, host: Host, tasks: Sequence[Any], right: Outcome
) -> dict[str, float]:
    """Return how far off the answer is by the errors of its Hessian-vector products, where these are estimates."""
    off = host.off_by_errors()
    if off is None:
        return dict.fromkeys(problem.trained, 0.0)
    other = Declared().right(pose_model(request, problem, off, tasks))
    return {
        chain: _OFF * norm(other.gradients[chain] - leaf) for chain, leaf in right.gradients.items() if leaf is not None
    }


def _answer(found: Outcome) -> Answer:
    gradients = {chain: leaf for chain, leaf in found.gradients.items() if leaf is not None}
    return Answer(found.cost, gradients, {})


def _sensitivity(
    request: Request,
    problem: ModelProblem,
    host: Host,
    tasks: Sequence[Any],
    question: Question,
    solved: list[Solved],
    draws: int,
) -> Sensitivity:
    """Measure how far the answer moves when the result of every operation changes by a relative ±δ.

    A leaf whose terms cancel moves by what its terms do. Within one operation of the framework terms may cancel as
    well: the gradient of a bias before batch normalisation is what the rounding of a mean leaves, which is the same for
    all examples. Only a run with that rounding shows it, so that the definition is worked in float32, too. One run is
    one sample; a quarter of its error, times C, is sixteen times what it was.
    The tasks are disturbed independently, each `draws` times: the mean over T of them moves by the root of the sum of
    squares, over T.
    Parameters that are read back have the rounding of θ over β, and Reptile's displacement that of θ over α.
    """
    base = _answer(combined(question, solved)).gradients
    sizes = {chain: norm(leaf) for chain, leaf in base.items()}
    rng = np.random.default_rng(_SEED)
    disturbances = {delta: host.disturbance(delta, rng) for delta in _DELTAS[host.dtype]}
    costs, squares = 0.0, dict.fromkeys(base, 0.0)
    for task, solution in zip(tasks, solved, strict=True):
        right = combined(question, [solution])
        cost, moved = _moved(request, host, problem, task, right, disturbances, draws)
        costs += cost**2
        squares = {chain: square + moved[chain] ** 2 for chain, square in squares.items()}
    moves = {chain: float(np.sqrt(square)) / len(tasks) for chain, square in squares.items()}
    if host.dtype != "float32":
        rounded = Declared().right(pose_model(request, problem, request.adapter.host(request, "float32"), tasks))
        for chain, leaf in base.items():
            error = norm(rounded.gradients[chain] - leaf) / unit_roundoff("float32")
            moves[chain] = max(moves[chain], _SHARE * error)
    read_back = request.outer_learning_rate if request.gives == "parameters" else None
    ends = problem.split(problem.flat(problem.theta) / problem.rates) if request.order == "reptile" else {}
    least = {
        chain: max(norm(problem.theta[chain]) / read_back if read_back else 0.0, norm(ends.get(chain, 0.0)))
        for chain in moves
    }
    return Sensitivity(float(np.sqrt(costs)) / len(tasks), moves, {}, sizes).at_least(least)


def _moved(
    request: Request,
    host: Host,
    problem: ModelProblem,
    task: Any,
    right: Outcome,
    disturbances: dict[float, Any],
    draws: int,
) -> tuple[float, dict[str, float]]:
    """Return how far cost and leaves of one task move per unit of relative change; infinity where the answer bends.

    A change from which it bends is taken out of the `disturbances` for the next task: kinks are as close there.
    """
    base = _answer(right).gradients
    total = norm([norm(leaf) for leaf in base.values()])
    for delta, disturbance in list(disturbances.items()):
        cost, moves = 0.0, dict.fromkeys(base, 0.0)
        for _ in range(draws):
            moved = Declared().right(pose_model(request, problem, host, [task], disturbance))
            off = {chain: norm(moved.gradients[chain] - leaf) for chain, leaf in base.items()}
            if not norm(list(off.values())) <= _BENT * total:  # NaN too
                break
            moves = {chain: max(moves[chain], one / delta) for chain, one in off.items()}
            cost = max(cost, abs(moved.cost - right.cost) / delta)
        else:
            return cost, moves
        if len(disturbances) > 1:
            del disturbances[delta]
    return float("inf"), dict.fromkeys(base, float("inf"))
