"""Relations about a call: what it may depend on, what it may touch, and what its options mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from verification.problems.trees import Tree, leaves
from verification.relations.answer import Array, Arrays, StepAnswer, scaled
from verification.relations.bounds import compare, same_bits, sensitivity
from verification.relations.case import Case, NotTested, StepError
from verification.relations.costs import altered, on_batch, three_parameters
from verification.relations.points import worst_of
from verification.relations.result import Result


def purity(case: Case) -> Result:
    """Inputs are the same after the call, to the bit, and results share no memory with them."""
    native = case.native()
    before = _snapshot(case, native)
    result = case.call(*native)
    try:
        after = _snapshot(case, native)
    except RuntimeError as error:  # JAX deletes an array that is donated to a compiled function
        raise StepError(f"the call made its inputs unreadable: {error}") from error
    changed = [name for name, leaf in before.items() if leaf.tobytes() != after[name].tobytes()]
    shared = _shared(case, native, result)
    if changed:
        return Result("purity", "fail", np.inf, 0.0, f"the call changed its inputs: {', '.join(changed)}.")
    if shared:
        return Result("purity", "fail", np.inf, 0.0, f"results share memory with inputs: {', '.join(shared)}.")
    return Result("purity", "pass", 0.0, 0.0, "inputs are unchanged, and no result shares memory with them.")


def _views(case: Case, native: tuple[Tree, Tree, Any]) -> Arrays:
    chosen = zip(("batch", "variables", "inner_learning_rate"), native, strict=True)
    return {
        f"{what}, {chain}" if chain else what: np.asarray(case.framework.to_numpy(leaf))
        for what, tree in chosen
        for chain, leaf in leaves(tree).items()
    }


def _snapshot(case: Case, native: tuple[Tree, Tree, Any]) -> Arrays:
    return {name: np.array(leaf) for name, leaf in _views(case, native).items()}


def _shared(case: Case, native: tuple[Tree, Tree, Any], result: Any) -> list[str]:
    outputs = [
        (f"{what}, {chain}", np.asarray(case.framework.to_numpy(leaf)))
        for what, tree in zip(("cost", "gradients", "adapted"), result, strict=False)
        for chain, leaf in leaves(tree).items()
        if leaf is not None
    ]
    inputs = _views(case, native).items()
    return [f"{out} with {name}" for out, leaf in outputs for name, given in inputs if np.shares_memory(leaf, given)]


def second_call(case: Case) -> Result:
    """The same call again gives the same bits, also after a call with something else.

    It breaks on gradients that are not cleared, on state of an inner optimizer, and on random numbers.
    """
    first = case.ask()
    again = case.ask()
    case.but(rate=case.scaled_rate(2.0), steps=case.steps + 1).ask()
    later = case.ask()
    sentences = {"the same call again": again, "the same call after another": later}
    return worst_of([same_bits("second_call", case, got, first, equation) for equation, got in sentences.items()])


def cost_scale(case: Case) -> Result:
    """A cost times a power of two: 4 Q gives 4 times cost and gradients, and 4 S with α/4 the same.

    Gradients are linear in the cost, and powers of two do not round: where the same operations run, it holds to the
    bit. A compiler may order the operations of another cost function otherwise, so that rounding is allowed. It breaks
    on clipping, on constants in denominators, and on anything added to a gradient.
    """
    results = [_outer_scale(case)]
    if case.options.get("inner_optimization_step") is None:
        results.append(_inner_scale(case))
    return worst_of(results)


def _outer_scale(case: Case) -> Result:
    times_four = case.but(outer_cost=altered(case.query_cost, lambda value, _: 4.0 * value)).answer
    return _scale_result(case, scaled(times_four, 0.25), "four times the outer cost")


def _inner_scale(case: Case) -> Result:
    times_four = case.but(
        inner_cost=altered(case.inner_cost, lambda value, _: 4.0 * value),
        outer_cost=case.query_cost,
        rate=case.scaled_rate(0.25),
    )
    return _scale_result(case, times_four.answer, "four times the inner cost at a quarter of α")


def _scale_result(case: Case, got: StepAnswer, equation: str) -> Result:
    return compare("cost_scale", case, got, case.answer, None, equation, moves=sensitivity(case))


def keep_complement(case: Case) -> Result:
    """`keep_*` = False selects the rest: it equals the complementary selection, and what is selected is what comes.

    With `outer_v` = V the gradients are those for every variable cut to V; with `inner_v` = V the others stay, to the
    bit. It breaks on selections that are ignored, exchanged, or complemented wrongly.
    """
    case.require("inner_v", "keep_inner_v", "outer_v", "keep_outer_v")
    if len(case.theta) < 2:
        raise NotTested("there is one variable only")
    if three_parameters(case.inner_cost) or three_parameters(case.query_cost):
        raise NotTested("a cost of three parameters takes what is selected, and changes with the selection")
    chains = list(case.theta)
    one, rest = chains[::2], chains[1::2]
    free = case.with_options(inner_v=None, outer_v=None, keep_inner_v=True, keep_outer_v=True)
    return worst_of([_outer_selection(free, one, rest), *_inner_selection(free, one, rest)])


def _outer_selection(case: Case, one: list[str], rest: list[str]) -> Result:
    kept = case.with_options(outer_v=one).answer
    left = case.with_options(outer_v=one, keep_outer_v=False).answer
    equation = "outer_v and the rest, cut from all"
    if set(kept.gradients) != set(one) or set(left.gradients) != set(rest):
        sentence = (
            f"{equation}: expected gradients for {one} and for {rest}, got {[*kept.gradients]}, {[*left.gradients]}."
        )
        return Result("keep_complement", "fail", np.inf, 0.0, sentence)
    joined = StepAnswer(kept.cost, {c: {**kept.gradients, **left.gradients}[c] for c in case.theta}, kept.adapted)
    return compare("keep_complement", case, joined, case.answer, None, equation, moves=sensitivity(case))


def _inner_selection(case: Case, one: list[str], rest: list[str]) -> list[Result]:
    kept = case.with_options(inner_v=rest)
    left = case.with_options(inner_v=one, keep_inner_v=False).answer
    equation = "inner_v against the complement of the rest"
    wrong = case.answer if case.steps else None
    results = [compare("keep_complement", case, left, kept.answer, wrong, equation, moves=sensitivity(kept))]
    adapted = kept.answer.adapted
    moved = [c for c in one if adapted and np.any(adapted[c] != _start(case, c))]
    if moved:
        sentence = f"inner_v: the variables {', '.join(moved)} were not selected, and moved."
        results.append(Result("keep_complement", "fail", np.inf, 0.0, sentence))
    return results


def _start(case: Case, chain: str) -> Array:
    return case.theta[chain] if case.batched else case.theta[chain][None]


def batch_functions(case: Case) -> Result:
    """A batch function may stand in the cost: step(batch_fn = f, cost) = step(cost ∘ f); f = identity changes nothing.

    It breaks where the inner and the outer data are mixed up, in the averaged outer cost too.
    """
    case.require("inner_batch_fn", "outer_batch_fn")
    inner, outer = (case.options.get(name) or _identity for name in ("inner_batch_fn", "outer_batch_fn"))
    inside = case.but(inner_cost=on_batch(case.inner_cost, inner), outer_cost=on_batch(case.query_cost, outer))
    got = inside.with_options(inner_batch_fn=_identity, outer_batch_fn=_identity).answer
    bare = inside.with_options(inner_batch_fn=None, outer_batch_fn=None).answer
    moves = sensitivity(case)
    return worst_of([
        compare("batch_functions", case, bare, case.answer, None, "batch functions inside the costs", moves=moves),
        compare("batch_functions", case, got, bare, None, "batch functions that change nothing", moves=moves),
    ])  # fmt: skip


def _identity(batch: Tree) -> Tree:
    return batch
