"""The relations of the specification, over random problems, nestings, dtypes and options.

A random problem has two cost functions, of random kind, on a random container of variables; everything random is
drawn by Hypothesis, so that a failure shrinks and can be repeated. `tolerance` bounds what rounding can do.
"""

from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
import numpy as onp
from autograd import grad
from hypothesis import given
from hypothesis import strategies as st

from refmaml import fomaml_step, gradient_descent_update, maml_step, reptile_step
from verification.orders import DTYPES
from verification.testing import strategies

MOST_TASKS, MOST_STEPS = 3, 3
LARGEST_RATE = 1 / 16


# Containers, written without the package's own.


def leaves_of(node, chain=""):
    """(key chain, leaf) in order; None in a list or tuple is the place of a leaf that was not selected."""
    if node is None:
        return []
    if hasattr(node, "items"):
        pairs = list(node.items())
    elif isinstance(node, list | tuple):
        pairs = list(enumerate(node))
    else:
        return [(chain, node)]
    return [leaf for key, child in pairs for leaf in leaves_of(child, f"{chain}/{key}" if chain else str(key))]


def mapped(function, node):
    if isinstance(node, dict):
        return {key: mapped(function, child) for key, child in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(mapped(function, child) for child in node)
    return function(node)


def same_bits(one, two):
    """Whether two containers have the same key chains, dtypes, shapes and bits."""
    return [(c, leaf.dtype, leaf.shape, leaf.tobytes()) for c, leaf in leaves_of(one)] == [
        (c, leaf.dtype, leaf.shape, leaf.tobytes()) for c, leaf in leaves_of(two)
    ]


@dataclass(frozen=True)
class Problem:
    """What a step is called with."""

    batch: dict[str, Any]
    inner_cost: Any
    outer_cost: Any
    variables: Any
    steps: int
    rate: float
    averaged: bool

    def run(self, step, *, batched=False, variables=None, **options):
        """Call a step in either mode, with the two-parameter costs."""
        variables = self.variables if variables is None else variables
        if batched:
            tasks = len(self.batch["x"])
            variables = mapped(lambda leaf: onp.repeat(leaf[None], tasks, axis=0), variables)
        if step is reptile_step:
            return step(self.batch, two(self.inner_cost), variables, self.steps, self.rate, batched=batched, **options)
        return step(
            self.batch, two(self.inner_cost), two(self.outer_cost), variables, self.steps, self.rate,
            average_across_steps=self.averaged, batched=batched, **options,
        )  # fmt: skip


def two(cost):
    return lambda batch, v: cost(batch, [leaf for _, leaf in leaves_of(v)])


def tolerance(problem):
    """A bound, absolute, on the difference that rounding can make between two ways to compute one step.

    Norms are greatest elements, and of the Hessian greatest row sums; data and θ are at most 1.

    The small network's prediction p and its target are at most 1, so that |r| ≤ 2, wherever φ is. Σ|∂p| ≤ 2, one for
    each factor of p, and Σ|∂²p| ≤ 4, since |tanh'| ≤ 1 and |tanh''| ≤ 0.77: gradient 2|r|Σ|∂p| ≤ 8, Hessian
    2(Σ|∂p|)² + 2|r|Σ|∂²p| ≤ 24, cost at most 4. The quadratic's Hessian is at most 2 and its gradient 2|φ| + 1, which
    with α ≤ 1/16 keeps |φ| ≤ 2 over three steps: gradient at most 5, cost ½·3² + ½·2² ≤ 7.

    So M = 8 bounds every value, and G = (1 + 24α)^K what the inner loop makes of an error. On its longest path an
    evaluation and its gradient round at most 9 times for each leaf (6 elements averaged, three products or sums) and
    12 times besides (shots, tasks, update): N = 9L + 12. There are K + 1 of them; the backward pass rounds as often as
    the forward pass, which makes it 2N, and the two ways may err in opposite directions, which makes it 4N.
    """
    leaves = leaves_of(problem.variables)
    eps = max(onp.finfo(leaf.dtype).eps for leaf in [*(leaf for _, leaf in leaves), *problem.batch.values()])
    growth = (1 + 24 * abs(problem.rate)) ** problem.steps
    roundings = (problem.steps + 1) * (9 * len(leaves) + 12)
    return 2 * 2 * roundings * growth * 8 * eps


def assert_close(one, two, bound):
    """Cost, gradients and adapted variables: the same key chains, dtypes and shapes, and values within the bound."""
    assert len(one) == len(two)
    for part, other in zip(one, two, strict=True):
        flat, flat_other = leaves_of(part), leaves_of(other)
        assert [chain for chain, _ in flat] == [chain for chain, _ in flat_other]
        for (chain, leaf), (_, leaf_other) in zip(flat, flat_other, strict=True):
            assert (leaf.dtype, leaf.shape) == (leaf_other.dtype, leaf_other.shape)
            onp.testing.assert_allclose(leaf, leaf_other, rtol=0, atol=bound, err_msg=chain)


# Strategies


@st.composite
def problems(draw, dtypes=DTYPES):
    tasks = draw(st.integers(1, MOST_TASKS))
    return Problem(
        batch=draw(strategies.batches(tasks, dtypes=dtypes)),
        inner_cost=draw(strategies.costs()),
        outer_cost=draw(strategies.costs()),
        variables=draw(strategies.containers(strategies.arrays(dtypes=dtypes))),
        steps=draw(st.integers(0, MOST_STEPS)),
        rate=draw(st.sampled_from([LARGEST_RATE, LARGEST_RATE / 4, -LARGEST_RATE / 2])),
        averaged=draw(st.booleans()),
    )


def selections(chains):
    """Lists of key chains, not empty."""
    return strategies.selections(chains).map(lambda selection: list(selection.meant))


steps = st.sampled_from([fomaml_step, maml_step, reptile_step])


@given(problem=problems(), step=steps)
def test_loop_against_batched(problem, step):
    """One task after the other, or all in one batch: the same answer to rounding."""
    loop = problem.run(step, return_inner_v="all")
    batched = problem.run(step, batched=True, return_inner_v="all")
    scale = 1 / abs(problem.rate) if step is reptile_step else 1
    assert_close(loop, batched, scale * tolerance(problem))


@given(problem=problems(), step=st.sampled_from([fomaml_step, maml_step]), data=st.data(), batched=st.booleans())
def test_three_against_two_parameters(problem, step, data, batched):
    """A cost gets its two selections; one that puts them together gives the same bits as one that gets all leaves."""
    chains = [chain for chain, _ in leaves_of(problem.variables)]
    inner = data.draw(selections(chains))
    outer = [chain for chain in chains if chain not in inner] + data.draw(selections(inner))

    def three(cost):
        def together(batch, inner_v, outer_v):
            leaves = {**dict(leaves_of(inner_v)), **dict(leaves_of(outer_v))}
            assert [chain for chain, _ in leaves_of(inner_v)] == [chain for chain in chains if chain in inner]
            assert [chain for chain, _ in leaves_of(outer_v)] == [chain for chain in chains if chain in outer]
            return cost(batch, [leaves[chain] for chain in chains])

        return together

    options = {"inner_v": inner, "outer_v": outer, "return_inner_v": "all", "batched": batched}
    one = problem.run(step, **options)
    tasks = len(problem.batch["x"])
    variables = problem.variables
    if batched:
        variables = mapped(lambda leaf: onp.repeat(leaf[None], tasks, axis=0), variables)
    other = step(
        problem.batch, three(problem.inner_cost), three(problem.outer_cost), variables, problem.steps, problem.rate,
        average_across_steps=problem.averaged, **options,
    )  # fmt: skip
    assert all(same_bits(part, part_of_other) for part, part_of_other in zip(one, other, strict=True))


@given(problem=problems(), step=st.sampled_from([fomaml_step, maml_step]), data=st.data(), batched=st.booleans())
def test_complements(problem, step, data, batched):
    """To keep some leaves, or to leave the others out, as list or as mapping, is the same selection: the same bits."""
    chains = [chain for chain, _ in leaves_of(problem.variables)]
    inner, outer = data.draw(selections(chains)), data.draw(selections(chains))

    def others(selection):
        return [chain for chain in chains if chain not in selection]

    kept = problem.run(step, inner_v=inner, outer_v=outer, return_inner_v="all", batched=batched)
    left_out = problem.run(
        step, inner_v=others(inner), keep_inner_v=False, outer_v={chain: chain not in outer for chain in chains},
        keep_outer_v=False, return_inner_v="all", batched=batched,
    )  # fmt: skip
    assert all(same_bits(one, two) for one, two in zip(kept, left_out, strict=True))
    assert [chain for chain, _ in leaves_of(kept[1])] == [chain for chain in chains if chain in outer]


@given(problem=problems(), data=st.data())
def test_the_gradient_of_a_selection_is_that_part_of_the_whole(problem, data):
    """`outer_v` chooses what is returned and changes no first-order value: the same bits as without it."""
    chains = [chain for chain, _ in leaves_of(problem.variables)]
    outer = data.draw(selections(chains))
    whole, part = problem.run(fomaml_step), problem.run(fomaml_step, outer_v=outer)
    assert same_bits(whole[0], part[0])
    assert same_bits({c: g for c, g in leaves_of(whole[1]) if c in outer}, dict(leaves_of(part[1])))


@given(problem=problems(), step=steps, batched=st.booleans())
def test_purity_and_repeatability(problem, step, batched):
    """Two calls give the same bits, change no input, and share no memory with the inputs or each other."""
    batch, variables = mapped(onp.copy, problem.batch), mapped(onp.copy, problem.variables)
    one = problem.run(step, batched=batched, return_inner_v="all")
    two = problem.run(step, batched=batched, return_inner_v="all")
    assert all(same_bits(part, again) for part, again in zip(one, two, strict=True))
    assert same_bits(problem.batch, batch)
    assert same_bits(problem.variables, variables)
    apart = [leaf for part in (*one[1:], *two[1:], problem.batch, problem.variables) for _, leaf in leaves_of(part)]
    assert not any(onp.shares_memory(leaf, other) for n, leaf in enumerate(apart) for other in apart[:n])


def _then_scribbled(batch):
    """Return what the batch holds, and write over the arrays that held it."""
    kept = mapped(onp.copy, batch)
    for _, leaf in leaves_of(batch):
        leaf[...] = onp.nan
    return kept


class _ScribblingDescent:
    """Descend, and write over the variables that were given, and at the next call over those that were returned."""

    def __init__(self):
        self.returned = []

    def __call__(self, w, dcdw, lr, /, *, stop_gradients):
        for leaf in self.returned:
            leaf[...] = onp.nan
        new = gradient_descent_update(w, dcdw, lr, stop_gradients=stop_gradients)
        for _, leaf in leaves_of(w):
            if isinstance(leaf, onp.ndarray):
                leaf[...] = onp.nan
        self.returned = [leaf for _, leaf in leaves_of(new) if isinstance(leaf, onp.ndarray)]
        return new


@given(problem=problems(), step=st.sampled_from([fomaml_step, maml_step]), batched=st.booleans(), data=st.data())
def test_functions_that_write_into_what_they_get(problem, step, batched, data):
    """Batch functions and inner steps may use what they get as scratch, and no cost gets the caller's own arrays."""
    chains = [chain for chain, _ in leaves_of(problem.variables)]
    inner, outer = data.draw(selections(chains)), data.draw(selections(chains))
    tasks = len(problem.batch["x"])
    variables = problem.variables
    if batched:
        variables = mapped(lambda leaf: onp.repeat(leaf[None], tasks, axis=0), variables)
    given_arrays = [leaf for part in (problem.batch, variables) for _, leaf in leaves_of(part)]
    before = mapped(onp.copy, (problem.batch, variables))

    def looking(cost):
        def looked_at(batch, v):
            plain = [leaf for part in (batch, v) for _, leaf in leaves_of(part) if isinstance(leaf, onp.ndarray)]
            assert not any(onp.shares_memory(leaf, own) for leaf in plain for own in given_arrays)
            return two(cost)(batch, v)

        return looked_at

    def run(**options):
        return step(
            problem.batch, looking(problem.inner_cost), looking(problem.outer_cost), variables, problem.steps,
            problem.rate, average_across_steps=problem.averaged, inner_v=inner, outer_v=outer, batched=batched,
            return_inner_v="all", **options,
        )  # fmt: skip

    scribbled = run(
        inner_batch_fn=_then_scribbled, outer_batch_fn=_then_scribbled, inner_optimization_step=_ScribblingDescent()
    )
    assert all(same_bits(part, other) for part, other in zip(run(), scribbled, strict=True))
    assert same_bits((problem.batch, variables), before)


@given(problem=problems(), step=steps, batched=st.booleans())
def test_nesting_and_dtypes(problem, step, batched):
    """Gradients and adapted variables have the nesting, order, shapes and dtypes of the variables."""
    _, gradient, adapted = problem.run(step, batched=batched, return_inner_v="all")
    tasks = len(problem.batch["x"])
    assert repr(mapped(lambda leaf: (leaf.shape, leaf.dtype), gradient)) == repr(
        mapped(lambda leaf: (leaf.shape, leaf.dtype), problem.variables)
    )
    assert repr(mapped(lambda leaf: (leaf.shape, leaf.dtype), adapted)) == repr(
        mapped(lambda leaf: ((tasks, *leaf.shape), leaf.dtype), problem.variables)
    )


@given(problem=problems(dtypes=["float64"]), batched=st.booleans())
def test_stop_gradients_against_maml(problem, batched):
    """The gradient, from outside, of fomaml_step's cost with `stop_gradients=False` is maml_step's."""
    tasks = len(problem.batch["x"])

    def cost(variables):
        return fomaml_step(
            problem.batch, two(problem.inner_cost), two(problem.outer_cost), variables, problem.steps, problem.rate,
            average_across_steps=problem.averaged, batched=batched, stop_gradients=False,
        )[0]  # fmt: skip

    variables = problem.variables
    if batched:
        variables = mapped(lambda leaf: onp.repeat(leaf[None], tasks, axis=0), variables)
    outside = grad(cost)(variables)
    if batched:  # row t holds task t's share of the mean
        outside = mapped(lambda leaf: onp.asarray(leaf.sum(axis=0)), outside)
    value, inside = problem.run(maml_step, batched=batched)
    assert_close((cost(variables), outside), (value, mapped(onp.asarray, inside)), tolerance(problem))


def cost_after_adapting(problem, flat):
    """The mean outer cost after the inner loop, with a descent of its own on one flat vector."""
    shapes = [leaf.shape for _, leaf in leaves_of(problem.variables)]
    ends = onp.cumsum([int(onp.prod(shape)) for shape in shapes])

    def leaves(vector):
        parts = zip(ends, shapes, strict=True)
        return [np.reshape(vector[end - int(onp.prod(shape)) : end], shape) for end, shape in parts]

    total = 0.0
    for t in range(len(problem.batch["x"])):
        task = {key: leaf[t : t + 1] for key, leaf in problem.batch.items()}
        slope = grad(lambda vector, task=task: problem.inner_cost(task, leaves(vector)))
        points = [flat]
        for _ in range(problem.steps):
            points.append(points[-1] - problem.rate * slope(points[-1]))
        used = points if problem.averaged else points[-1:]
        total += sum(problem.outer_cost(task, leaves(point)) for point in used) / len(used)
    return total / len(problem.batch["x"])


@given(problem=problems(dtypes=["float64"]), batched=st.booleans(), data=st.data())
def test_maml_against_finite_differences(problem, batched, data):
    """The directional derivative of the cost after adapting, by central differences with Richardson extrapolation.

    D(h) = (f(θ + hd) − f(θ − hd))/2h has the error c₂h² + c₄h⁴ + …, and R = (4D(h/2) − D(h))/3 removes the first term.
    R − D(h/2) = (D(h/2) − D(h))/3 estimates the error of D(h/2), a bound on that of R while c₄h⁴ is well below c₂h²;
    where c₂ happens to vanish the estimate at 2h covers: the larger of the two is taken. Rounding of f, at most
    `tolerance`, is divided by h, and weighted (8 + 1)/3 = 3 in R at step h/2.
    """
    flat = onp.concatenate([leaf.ravel() for _, leaf in leaves_of(problem.variables)])
    direction = data.draw(strategies.arrays([flat.shape], ["float64"]).filter(onp.any))
    direction = direction / onp.max(abs(direction))

    def central(h):
        f = [cost_after_adapting(problem, flat + sign * h * direction) for sign in (1, -1)]
        return (f[0] - f[1]) / (2 * h)

    h = 2.0**-8
    coarse, middle, fine = central(2 * h), central(h), central(h / 2)
    richardson = (4 * fine - middle) / 3
    truncation = max(abs(fine - middle), abs(middle - coarse) / 4) / 3
    bound = truncation + 3 * tolerance(problem) / h
    _, gradient = problem.run(maml_step, batched=batched)
    derivative = onp.concatenate([leaf.ravel() for _, leaf in leaves_of(gradient)]) @ direction
    assert abs(derivative - richardson) <= bound
