"""Every option, against values that do not come from the code under test.

The problem has three unequal tasks, six shots each and three leaves: the regression x·w + b·s − y, whose mean square
is the cost. This file computes it a second time from the definition, in plain NumPy: the gradient by its formula, and
derivatives through the inner loop by the complex step, Im f(θ + ih)/h, which is exact to rounding for a polynomial
(Squire and Trapp, "Using complex variables to estimate derivatives of real functions", 1998).
"""

import functools
from collections import OrderedDict, namedtuple
from types import MappingProxyType

import autograd.numpy as np
import numpy as onp
import pytest
from autograd import grad
from autograd.tracer import isbox

from refmaml import fomaml_step, gradient_descent_update, maml_step, reptile_step

LEAVES = ("net/w", "net/b", "s")
STEPS, RATE = 3, 0.1
SAME_RATE = dict.fromkeys(LEAVES, RATE)

each_mode = pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
each_order = pytest.mark.parametrize("order", [1, 2], ids=["fomaml", "maml"])


# The problem as a user writes it: one cost function for both modes, since a task's sub-batch has a leading axis of 1.


def squared_error(batch, v):
    tasks = batch["x"].shape[0]
    w = np.reshape(v["net"]["w"], (tasks, 2, 1))
    offset = np.reshape(v["net"]["b"] * v["s"], (tasks, 1, 1))
    return np.mean((batch["x"] @ w + offset - batch["y"]) ** 2)


def make_batch(dtype=float):
    rng = onp.random.default_rng(20180308)
    x, y = rng.uniform(-1, 1, size=(3, 6, 2)), rng.uniform(-1, 1, size=(3, 6, 1))
    assert onp.all(x != 0)
    assert len({float(value) for value in y.mean(axis=(1, 2))}) == 3, "three unequal tasks"
    return {"x": x.astype(dtype), "y": y.astype(dtype)}


def make_variables(batched=False, rows=3):
    theta = {"net": {"w": onp.array([0.5, -0.75]), "b": onp.array(0.625)}, "s": onp.array(-0.875)}
    if not batched:
        return theta
    return {
        "net": {"w": onp.tile(theta["net"]["w"], (rows, 1)), "b": onp.tile(theta["net"]["b"], rows)},
        "s": onp.tile(theta["s"], rows),
    }


def step_of(order, *, batched, steps=STEPS, rate=RATE, batch=None, outer_cost=None, cost=squared_error, **options):
    step = {1: fomaml_step, 2: maml_step}[order]
    batch = make_batch() if batch is None else batch
    rows = options.pop("variable_rows", 3)
    return step(batch, cost, outer_cost, make_variables(batched, rows), steps, rate, batched=batched, **options)


# The same problem from the definition.


def residual(v, x, y):
    return x @ v["net/w"] + v["net/b"] * v["s"] - y[:, 0]


def cost_of(v, x, y):
    return (residual(v, x, y) ** 2).mean()


def gradient_of(v, x, y):
    r = residual(v, x, y)
    return {"net/w": 2 * x.T @ r / len(r), "net/b": 2 * v["s"] * r.mean(), "s": 2 * v["net/b"] * r.mean()}


def descent(v, x, y, steps, rates, leaves):
    points = [v]
    for _ in range(steps):
        gradient = gradient_of(points[-1], x, y)
        points.append({c: w - rates[c] * gradient[c] if c in leaves else w for c, w in points[-1].items()})
    return points


def complex_step(function, v, chain):
    derivative = onp.zeros(onp.shape(v[chain]))
    for index in onp.ndindex(derivative.shape):
        moved = onp.array(v[chain], dtype=complex)
        moved[index] += 1e-100j
        derivative[index] = function({**v, chain: moved}).imag / 1e-100
    return derivative


def by_definition(
    order,
    *,
    steps=STEPS,
    rates=SAME_RATE,
    inner=(LEAVES,) * 3,
    outer=(LEAVES,) * 3,
    averaged=False,
    tasks=3,
    inner_shots=slice(None),
    outer_shots=slice(None),
):
    """SPEC: means over the tasks of Q(φ_K), ∇_O Q and of φ_K, or of the averages over φ_0, …, φ_K."""
    batch, theta = make_batch(), {"net/w": onp.array([0.5, -0.75]), "net/b": 0.625, "s": -0.875}
    costs, gradients, ends = [], [], []
    for t in range(tasks):
        support = batch["x"][t, inner_shots], batch["y"][t, inner_shots]
        query = batch["x"][t, outer_shots], batch["y"][t, outer_shots]

        def outer_cost(v, t=t, support=support, query=query):
            points = descent(v, *support, steps, rates, inner[t])
            return sum(cost_of(p, *query) for p in points) / (steps + 1) if averaged else cost_of(points[-1], *query)

        points = descent(theta, *support, steps, rates, inner[t])
        at = [gradient_of(p, *query) for p in (points if averaged else points[-1:])]
        first = {c: sum(g[c] for g in at) / len(at) for c in LEAVES}
        gradient = first if order == 1 else {c: complex_step(outer_cost, theta, c) for c in LEAVES}
        costs.append(outer_cost(theta))
        gradients.append({c: gradient[c] if c in outer[t] else 0 * gradient[c] for c in LEAVES})
        ends.append(points[-1])
    selected = [c for c in LEAVES if any(c in selection for selection in outer[:tasks])]
    return sum(costs) / tasks, {c: sum(g[c] for g in gradients) / tasks for c in selected}, ends


def tolerance(dtype=float):
    """A bound on the rounding error of one step on this problem, absolute.

    All of |x|, |y|, |θ| are at most 1, so |r| ≤ 4 and costs and gradients are at most 16. The Hessian is at most
    2·|∂r|² + 2·|r| ≤ 2·4 + 2·4 = 16 in norm, so that a step amplifies an error by at most 1 + 16α: three steps of
    α ≤ 0.1 by 2.6³ = 17.6, and one step of α = 1 by 17. An
    evaluation rounds at most 17 times on its longest path (residual 6, mean over six shots 6, products 3, update 2);
    there are K + 1 = 4 of them, and a mean over three tasks.
    """
    roundings, amplification, largest = 4 * 17 + 3, 2.6**STEPS, 16
    return roundings * amplification * largest * onp.finfo(dtype).eps


def flat(container):
    return {
        f"{key}/{below}" if below else key: leaf
        for key, child in container.items()
        for below, leaf in (flat(child).items() if isinstance(child, dict) else [("", child)])
    }


def assert_agrees(answer, expected, dtype=float):
    """Cost, gradients with their key chains and shapes, and adapted variables where they are there."""
    cost, gradient = answer[0], flat(answer[1])
    assert list(gradient) == list(expected[1])
    onp.testing.assert_allclose(cost, expected[0], rtol=0, atol=tolerance(dtype))
    for chain, leaf in gradient.items():
        onp.testing.assert_allclose(leaf, expected[1][chain], rtol=0, atol=tolerance(dtype), err_msg=chain)
        assert leaf.shape == onp.shape(expected[1][chain])


def assert_same(one, two):
    """The same structure and the same bits."""
    assert list(flat(one)) == list(flat(two))
    for chain, leaf in flat(one).items():
        other = flat(two)[chain]
        assert (leaf.dtype, leaf.shape, leaf.tobytes()) == (other.dtype, other.shape, other.tobytes()), chain


def copied(container):
    return {key: copied(leaf) if isinstance(leaf, dict) else leaf.copy() for key, leaf in container.items()}


def test_the_definition_against_its_own_complex_step():
    """The formula for the gradient above is the derivative of the cost above."""
    batch, theta = make_batch(), {"net/w": onp.array([0.5, -0.75]), "net/b": 0.625, "s": -0.875}
    for x, y in zip(batch["x"], batch["y"], strict=True):
        for chain, leaf in gradient_of(theta, x, y).items():
            derivative = complex_step(lambda v, x=x, y=y: cost_of(v, x, y), theta, chain)
            onp.testing.assert_allclose(leaf, derivative, rtol=0, atol=tolerance())


class TestTheLoop:
    """Steps, averages, batch functions and the outer cost."""

    @each_order
    @each_mode
    @pytest.mark.parametrize("averaged", [False, True])
    @pytest.mark.parametrize("steps", [0, 1, 3])
    def test_steps_and_averages(self, order, batched, averaged, steps):
        """`inner_grad_steps` and `average_across_steps`."""
        answer = step_of(order, batched=batched, steps=steps, average_across_steps=averaged)
        assert_agrees(answer, by_definition(order, steps=steps, averaged=averaged))

    @each_order
    @each_mode
    @pytest.mark.parametrize("averaged", [False, True])
    def test_batch_functions(self, order, batched, averaged):
        """Without an outer cost function the inner one is taken, in every term on the outer batch."""
        answer = step_of(
            order, batched=batched, average_across_steps=averaged,
            inner_batch_fn=lambda batch: {key: leaf[:, :4] for key, leaf in batch.items()},
            outer_batch_fn=lambda batch: {key: leaf[:, 4:] for key, leaf in batch.items()},
        )  # fmt: skip
        expected = by_definition(order, averaged=averaged, inner_shots=slice(0, 4), outer_shots=slice(4, 6))
        assert_agrees(answer, expected)

    @each_mode
    @pytest.mark.parametrize("which", ["inner", "outer"])
    def test_one_batch_function_alone(self, batched, which):
        """The cost without a batch function sees every shot."""
        first_half = {f"{which}_batch_fn": lambda batch: {key: leaf[:, :3] for key, leaf in batch.items()}}
        answer = step_of(1, batched=batched, **first_half)
        assert_agrees(answer, by_definition(1, **{f"{which}_shots": slice(0, 3)}))

    @each_mode
    def test_what_a_batch_function_gets(self, batched):
        """It gets the sub-batch with its leading axis, once for each task in loop mode, and once in batched mode."""
        shapes = []

        def watch(batch):
            shapes.append({key: leaf.shape for key, leaf in batch.items()})
            return batch

        step_of(1, batched=batched, inner_batch_fn=watch, num_tasks=2, variable_rows=2)
        rows = [2] if batched else [1, 1]
        assert shapes == [{"x": (n, 6, 2), "y": (n, 6, 1)} for n in rows]

    @each_order
    @each_mode
    def test_outer_cost_function(self, order, batched):
        """Three times the inner cost as outer cost: three times cost and gradient, at the same adapted point."""
        answer = step_of(
            order, batched=batched, outer_cost=lambda batch, v: 3 * squared_error(batch, v), return_inner_v=True
        )
        cost, gradient, ends = by_definition(order)
        thirds = (answer[0] / 3, {"net": {k: g / 3 for k, g in answer[1]["net"].items()}, "s": answer[1]["s"] / 3})
        assert_agrees(thirds, (cost, gradient))
        onp.testing.assert_allclose(answer[2]["s"], [end["s"] for end in ends], rtol=0, atol=tolerance())

    @each_order
    @each_mode
    def test_a_cost_of_one_element(self, order, batched):
        """A cost may come as an array of one element of any shape; the returned cost is a scalar."""
        answer = step_of(
            order, batched=batched, average_across_steps=True,
            cost=lambda batch, v: np.reshape(squared_error(batch, v), (1, 1)),
        )  # fmt: skip
        assert_agrees(answer, by_definition(order, averaged=True))
        assert answer[0].shape == ()

    def test_a_cost_may_return_an_integer(self):
        """A cost that is constant, here 2, has a zero gradient and raises no warning."""
        for step in (fomaml_step, maml_step):
            cost, gradient = step(make_batch(), lambda batch, v: 2, None, {"w": onp.ones(2)}, 1, RATE, batched=False)
            assert (cost, gradient["w"].tolist()) == (2.0, [0.0, 0.0])


class TestTasks:
    """`num_tasks` and `return_inner_v`."""

    @each_order
    @pytest.mark.parametrize(("batched", "rows"), [(False, 0), (True, 2), (True, 3)])
    def test_num_tasks(self, order, batched, rows):
        """The first two tasks of three; in batched mode the variables have two rows or all three."""
        answer = step_of(order, batched=batched, num_tasks=2, variable_rows=rows, return_inner_v=True)
        assert_agrees(answer, by_definition(order, tasks=2))
        assert {leaf.shape[0] for leaf in flat(answer[2]).values()} == {2}

    @each_mode
    def test_num_tasks_may_be_a_numpy_integer(self, batched):
        """An integer is an integer."""
        answer = step_of(1, batched=batched, num_tasks=onp.int32(3), steps=onp.int64(2))
        assert_agrees(answer, by_definition(1, steps=2))

    @each_order
    @each_mode
    @pytest.mark.parametrize(("value", "rows"), [("first", 1), ("all", 3), (True, 3)])
    def test_return_inner_v(self, order, batched, value, rows):
        """All variables after adaptation, with a leading task axis, also those that stay and in their own order."""
        answer = step_of(order, batched=batched, return_inner_v=value, inner_v="net", outer_v="s")
        expected = by_definition(order, inner=(("net/w", "net/b"),) * 3, outer=(("s",),) * 3)
        assert_agrees(answer, expected)
        assert list(flat(answer[2])) == list(LEAVES)
        for chain, leaf in flat(answer[2]).items():
            ends = onp.array([end[chain] for end in expected[2][:rows]])
            assert leaf.shape == ends.shape
            onp.testing.assert_allclose(leaf, ends, rtol=0, atol=tolerance())

    @each_order
    @each_mode
    def test_nothing_more_is_returned_by_default(self, order, batched):
        """The answer is (cost, gradients) unless adapted variables are asked for."""
        assert len(step_of(order, batched=batched)) == len(step_of(order, batched=batched, return_inner_v=False)) == 2
        assert len(step_of(order, batched=batched, return_inner_v="first")) == 3

    def test_batched_is_the_default(self):
        """Without `batched`, each variable carries a task axis."""
        for order, step in ((1, fomaml_step), (2, maml_step)):
            answer = step(make_batch(), squared_error, None, make_variables(batched=True), STEPS, RATE)
            assert_agrees(answer, by_definition(order))
        cost, gradient = reptile_step(make_batch(), squared_error, make_variables(batched=True), 0, RATE)
        onp.testing.assert_allclose(cost, by_definition(1, steps=0)[0], rtol=0, atol=tolerance())
        assert gradient["net"]["w"].shape == (2,)

    def test_rows_may_differ(self):
        """In batched mode each task starts from its own row of the variables."""
        x = onp.array([[1.0], [3.0]])

        def half_square(batch, v):
            return np.mean(0.5 * (v["w"] - batch["x"]) ** 2)

        # φ_1 = (θ + x)/2: (2 + 1)/2 and (4 + 3)/2; costs ½(½)² each; gradients ½ each.
        cost, gradient, adapted = fomaml_step(
            {"x": x}, half_square, None, {"w": onp.array([[2.0], [4.0]])}, 1, 0.5, return_inner_v=True
        )
        assert (cost, gradient["w"].tolist(), adapted["w"].tolist()) == (0.125, [0.5], [[1.5], [3.5]])


FORMS = {
    "none": (None, True, LEAVES),
    "none is every leaf, also when complemented": (None, False, LEAVES),
    "leaf": ("net/w", True, ("net/w",)),
    "leaf left out": ("net/w", False, ("net/b", "s")),
    "branch": ("net", True, ("net/w", "net/b")),
    "branch left out": ("net", False, ("s",)),
    "list in another order": (["s", "net/w"], True, ("net/w", "s")),
    "tuple": (("s", "net/b"), True, ("net/b", "s")),
    "list left out": (["net/b", "s"], False, ("net/w",)),
    "leaf and its branch": (["net", "net/w"], True, ("net/w", "net/b")),
    "empty list left out": ([], False, LEAVES),
    "mapping": ({"net": {"w": True, "b": False}, "s": True}, True, ("net/w", "s")),
    "mapping left out": ({"net": {"w": True, "b": False}, "s": True}, False, ("net/b",)),
    "part of a mapping": ({"net": {"b": True}}, True, ("net/b",)),
    "mapping of a branch": ({"net": True, "s": False}, True, ("net/w", "net/b")),
    "mapping of a branch to False": ({"net": False, "s": True}, True, ("s",)),
    "mapping with NumPy booleans": ({"s": onp.True_}, True, ("s",)),
    "mapping that is no dict": (MappingProxyType({"net": MappingProxyType({"w": True})}), True, ("net/w",)),
    "mapping by key chain": ({"net/w": True}, True, ("net/w",)),
}


class TestSelections:
    """`inner_v`, `outer_v` and their complements."""

    @each_order
    @each_mode
    @pytest.mark.parametrize("form", FORMS)
    def test_inner_v(self, order, batched, form):
        """Only the selected leaves are adapted."""
        selection, keep, leaves = FORMS[form]
        answer = step_of(order, batched=batched, inner_v=selection, keep_inner_v=keep)
        assert_agrees(answer, by_definition(order, inner=(leaves,) * 3))

    @each_order
    @each_mode
    @pytest.mark.parametrize("form", FORMS)
    def test_outer_v(self, order, batched, form):
        """The gradient container holds the selected leaves alone, in the order of the variables."""
        selection, keep, leaves = FORMS[form]
        answer = step_of(order, batched=batched, outer_v=selection, keep_outer_v=keep)
        assert_agrees(answer, by_definition(order, outer=(leaves,) * 3))

    @each_order
    @pytest.mark.parametrize("averaged", [False, True])
    @pytest.mark.parametrize("kind", [list, tuple])
    def test_per_task(self, order, averaged, kind):
        """Each task adapts its own leaves; the gradients have the union, to which a task adds zero for the others."""
        inner = kind([["net"], "s", ("net/w", "s")])
        outer = kind([("s",), {"net": {"b": True}}, "net/b"])
        answer = step_of(
            order, batched=False, average_across_steps=averaged, inner_v=inner, outer_v=outer, return_inner_v=True
        )
        expected = by_definition(
            order, averaged=averaged, inner=(("net/w", "net/b"), ("s",), ("net/w", "s")),
            outer=(("s",), ("net/b",), ("net/b",)),
        )  # fmt: skip
        assert_agrees(answer, expected)
        for t, end in enumerate(expected[2]):
            onp.testing.assert_allclose(answer[2]["s"][t], end["s"], rtol=0, atol=tolerance())

    @pytest.mark.parametrize("selections", [[None, "s", "net"], [{"s": False, "net": True}, None, "s"]])
    def test_per_task_complements(self, selections):
        """A first element that is None or a mapping makes a selection per task as well; each is complemented alone."""
        read = {"s": ("net/w", "net/b"), "net": ("s",), None: LEAVES}
        outer = [("s",) if isinstance(selection, dict) else read[selection] for selection in selections]
        answer = step_of(1, batched=False, outer_v=selections, keep_outer_v=False)
        assert_agrees(answer, by_definition(1, outer=outer))

    @pytest.mark.parametrize("listed", [2, 3])
    def test_per_task_with_num_tasks(self, listed):
        """One selection for each task in use, or for each task in the batch, of which the first are taken."""
        selections = [["s"], ["net/b"], ["net/w"]][:listed]
        answer = step_of(1, batched=False, num_tasks=2, outer_v=selections)
        assert_agrees(answer, by_definition(1, tasks=2, outer=(("s",), ("net/b",))))

    @each_mode
    def test_lists_keep_their_places(self, batched):
        """In a list or tuple None stands for a leaf that was not selected, so that an index means what it meant."""
        rows = (2,) if batched else ()
        variables = {"layers": [onp.ones(rows), (onp.full(rows, 2.0), onp.full(rows, 3.0))], "b": onp.ones(rows)}
        batch = {"x": onp.array([1.0, 3.0])}

        def cost(batch, inner_v, outer_v):
            assert inner_v["layers"][0] is None
            assert outer_v["layers"][1][0] is None
            return np.mean(batch["x"] * inner_v["layers"][1][0] * outer_v["layers"][1][1] * outer_v["b"])

        # w = 2 − ½·3x is ½ and −5/2. Cost 3xw: (3·½ − 9·5/2)/2; ∂/∂(layers/1/1) = xw: (½ − 15/2)/2; ∂/∂b = the cost.
        total, gradient = fomaml_step(
            batch, cost, None, variables, 1, 0.5, batched=batched, inner_v="layers/1/0", outer_v=["b", "layers/1/1"]
        )
        assert total == -10.5
        assert gradient == {"layers": [None, (None, -3.5)], "b": -10.5}

    @each_order
    @each_mode
    def test_three_parameters(self, order, batched):
        """The three-parameter form sees the selected leaves, at their adapted values, and gives the same answer."""
        visited = set()

        def cost(batch, inner_v, outer_v):
            visited.add((tuple(flat(inner_v)), tuple(flat(outer_v))))
            return squared_error(batch, {"net": inner_v["net"], "s": outer_v["s"]})

        options = {"batched": batched, "inner_v": "net", "outer_v": ["net/b", "s"]}
        answer = step_of(order, cost=cost, **options)
        assert visited == {(("net/w", "net/b"), ("net/b", "s"))}
        expected = by_definition(order, inner=(("net/w", "net/b"),) * 3, outer=(("net/b", "s"),) * 3)
        assert_agrees(answer, expected)

    def test_the_form_is_told_by_required_positional_parameters(self):
        """Defaults, keywords and star parameters do not count."""

        def two(batch, v, extra=None, *rest, flag=True, **more):
            return squared_error(batch, v)

        def three(batch, inner_v, outer_v, extra=None, *rest, flag=True, **more):
            return squared_error(batch, outer_v)

        class Callable:
            def __call__(self, batch, v, /):
                return squared_error(batch, v)

        partial = functools.partial(lambda scale, batch, v: scale * squared_error(batch, v), 1.0)
        expected = by_definition(1)
        for cost in (two, three, Callable(), partial):
            assert_agrees(step_of(1, batched=False, cost=cost), expected)
        assert_agrees(step_of(1, batched=False, cost=two, outer_cost=three), expected)


def momentum_like(w, dcdw, lr, /, *, stop_gradients):
    """Half of the descent twice: the same point as plain descent, in another way."""
    half = gradient_descent_update(w, dcdw, 0.5 * lr, stop_gradients=stop_gradients)
    return gradient_descent_update(half, dcdw, 0.5 * lr, stop_gradients=stop_gradients)


def in_place(w, dcdw, lr, /, *, stop_gradients):
    """Plain descent that writes into the arrays it got, gradients included."""
    for chain, leaf in flat(w).items():
        gradient = flat(dcdw)[chain]
        gradient *= lr
        np.subtract(leaf, gradient, out=leaf)
    return w


class TestInnerOptimizationStep:
    """`inner_optimization_step` and `inner_learning_rate`."""

    @each_order
    @each_mode
    @pytest.mark.parametrize("averaged", [False, True])
    def test_another_step(self, order, batched, averaged):
        """A step of one's own is followed, and differentiated through by maml_step."""
        answer = step_of(
            order, batched=batched, inner_optimization_step=momentum_like, inner_v="net", average_across_steps=averaged
        )
        assert_agrees(answer, by_definition(order, averaged=averaged, inner=(("net/w", "net/b"),) * 3))

    @each_mode
    @pytest.mark.parametrize("averaged", [False, True])
    def test_a_step_that_writes_in_place(self, batched, averaged):
        """It changes neither the caller's variables nor the points of the inner loop that averages need."""
        answer = step_of(1, batched=batched, inner_optimization_step=in_place, average_across_steps=averaged)
        assert_agrees(answer, by_definition(1, averaged=averaged))

    @each_mode
    def test_leaves_with_one_gradient_do_not_share_it(self, batched):
        """Gradients that are equal, here of a + b, are arrays apart: a step that writes into one leaves the other."""
        variables = {"a": onp.ones((1, 2)), "b": onp.ones((1, 2))}
        adapted = fomaml_step(
            {"x": onp.ones((1, 2))}, lambda batch, v: np.sum((v["a"] + v["b"]) * batch["x"]), None, variables, 1, 0.5,
            inner_optimization_step=in_place, return_inner_v=True, batched=True,
        )[2]  # fmt: skip
        assert {key: leaf.tolist() for key, leaf in adapted.items()} == {"a": [[0.5, 0.5]], "b": [[0.5, 0.5]]}

    def test_a_step_that_returns_one_buffer(self):
        """What a step returns is copied: a step that reuses its memory does not rewrite earlier points."""
        buffer = onp.empty(1)

        def reuse(w, dcdw, lr, /, *, stop_gradients):
            buffer[:] = w["w"] - lr * dcdw["w"]
            return {"w": buffer}

        # φ = 2, 3, 7/2 towards 4: the costs are 2, ½ and 1/8.
        cost, _ = fomaml_step(
            {"x": onp.array([[4.0]])}, lambda batch, v: np.mean(0.5 * (v["w"] - batch["x"]) ** 2), None,
            {"w": onp.array([2.0])}, 2, 0.5, batched=False, inner_optimization_step=reuse, average_across_steps=True,
        )  # fmt: skip
        assert cost == 0.875

    @pytest.mark.parametrize("stop_gradients", [False, True])
    def test_what_a_step_gets(self, stop_gradients):
        """It gets the adapted leaves in their nesting, the learning rate as it was given, and `stop_gradients`."""
        visits = []

        def watch(w, dcdw, lr, /, *, stop_gradients):
            visits.append((list(flat(w)), list(flat(dcdw)), lr, stop_gradients))
            return gradient_descent_update(w, dcdw, lr, stop_gradients=stop_gradients)

        for rate in (RATE, {"net": {"w": 0.1, "b": 0.2}, "s": 0.3}):
            step_of(
                1, batched=False, steps=1, rate=rate, inner_optimization_step=watch, inner_v="net/b", num_tasks=1,
                stop_gradients=stop_gradients,
            )  # fmt: skip
        assert visits == [
            (["net/b"], ["net/b"], RATE, stop_gradients),
            (["net/b"], ["net/b"], {"net": {"b": 0.2}}, stop_gradients),
        ]

    def test_maml_differentiates_through_the_step(self):
        """maml_step asks the inner step to stay differentiable even though it returns plain arrays itself."""
        requests = set()

        def watch(w, dcdw, lr, /, *, stop_gradients):
            requests.add((stop_gradients, isbox(w["s"])))
            return gradient_descent_update(w, dcdw, lr, stop_gradients=stop_gradients)

        step_of(2, batched=False, inner_optimization_step=watch)
        assert requests == {(False, True)}

    @each_order
    @each_mode
    @pytest.mark.parametrize("rate", [0.1, onp.float32(0.1), onp.array(0.1), 1], ids=["float", "float32", "0-d", "int"])
    def test_rates_for_every_leaf(self, order, batched, rate):
        """A number of any real type; it is rounded to the leaf's dtype, which is float64 here."""
        answer = step_of(order, batched=batched, rate=rate, steps=1)
        assert_agrees(answer, by_definition(order, steps=1, rates=dict.fromkeys(LEAVES, float(rate))))

    @each_order
    @each_mode
    @pytest.mark.parametrize(
        ("inner_v", "rate"),
        [
            (None, {"net": {"w": 0.1, "b": 0.05}, "s": 0.02}),
            ("net", {"net": {"w": 0.1, "b": onp.float32(0.05)}}),
            ("net/w", {"net": {"w": onp.array([0.1, 0.03]), "b": 0.05}, "s": 7.0}),
            ("net/w", MappingProxyType({"net": {"w": 0.1}})),
        ],
        ids=["all", "the adapted ones", "an array and more than adapted", "a mapping that is no dict"],
    )
    def test_rates_per_leaf(self, order, batched, inner_v, rate):
        """A container with a rate for every adapted leaf; an array has one for each element."""
        inner = {None: LEAVES, "net": ("net/w", "net/b"), "net/w": ("net/w",)}[inner_v]
        rates = flat({**rate})
        answer = step_of(order, batched=batched, rate=rate, inner_v=inner_v)
        assert_agrees(answer, by_definition(order, rates=rates, inner=(inner,) * 3))

    @each_mode
    def test_an_array_rate_broadcasts(self, batched):
        """One array for every leaf: each leaf has two elements, 2 − (½, ¼)·(2 − 4) = (3, 5/2), costs ½·1 + ½·9/4."""
        variables = {"u": onp.array([2.0, 2.0]), "v": onp.array([2.0, 2.0])}
        if batched:
            variables = {key: leaf[None] for key, leaf in variables.items()}
        cost, gradient, adapted = fomaml_step(
            {"x": onp.array([[4.0]])}, lambda batch, v: np.sum(0.5 * (v["u"] - 4) ** 2 + 0.5 * (v["v"] - 4) ** 2),
            None, variables, 1, onp.array([0.5, 0.25]), batched=batched, return_inner_v=True,
        )  # fmt: skip
        assert cost == 2 * (0.5 + 1.125)
        assert gradient["u"].tolist() == gradient["v"].tolist() == [-1.0, -1.5]
        assert adapted["v"].tolist() == [[3.0, 2.5]]

    def test_gradient_descent_update(self):
        """It returns w − lr·dcdw in the dtype of w, leaf by leaf, in new arrays, with one rate or one per leaf."""
        w = {"a": onp.array([1.0, 2.0], dtype=onp.float32), "b": [onp.array(3.0)]}
        dcdw = {"a": onp.array([4.0, -4.0], dtype=onp.float32), "b": [onp.array(8.0)]}
        for rate, expected in ((0.25, (0.0, 3.0, 1.0)), ({"a": 0.5, "b": [0.125]}, (-1.0, 4.0, 2.0))):
            new = gradient_descent_update(w, dcdw, rate)
            assert (*new["a"].tolist(), new["b"][0]) == expected
            assert new["a"].dtype == onp.float32
            assert not onp.shares_memory(new["a"], w["a"])
        assert w["a"].tolist() == [1.0, 2.0]

    def test_gradient_descent_update_stops_gradients_by_default(self):
        """Its result carries a gradient only where `stop_gradients=False` asks for it."""
        found = []

        def enclosing(x):
            w, dcdw = {"w": x * 2}, {"w": x * 3}
            found.append([isbox(gradient_descent_update(w, dcdw, 0.1)["w"])])
            found[-1] += [
                isbox(gradient_descent_update(w, dcdw, 0.1, stop_gradients=stop)["w"]) for stop in (True, False)
            ]
            return x

        grad(enclosing)(1.0)
        assert found == [[False, False, True]]


class TestStopGradients:
    """`stop_gradients`, inside an enclosing trace of autograd."""

    @each_mode
    @pytest.mark.parametrize("averaged", [False, True])
    @pytest.mark.parametrize("name", ["fomaml", "maml", "reptile"])
    def test_nothing_that_is_returned_carries_a_gradient(self, name, batched, averaged):
        """With `stop_gradients=True` cost, gradients and adapted variables are plain arrays.

        Everything that comes in is boxed: variables, data, the learning rate, and a factor that the costs close over.
        """
        step = {
            "fomaml": functools.partial(fomaml_step, average_across_steps=averaged),
            "maml": functools.partial(maml_step, average_across_steps=averaged),
            "reptile": reptile_step,
        }[name]
        returned = []

        def enclosing(factor):
            variables = {"net": {k: factor * w for k, w in make_variables(batched)["net"].items()}, "s": factor * 0.5}
            if batched:
                variables["s"] = factor * onp.full(3, 0.5)
            batch = {key: factor * leaf for key, leaf in make_batch().items()}
            costs = [lambda batch, v: factor * squared_error(batch, v)] + ([None] if name != "reptile" else [])
            answer = step(batch, *costs, variables, 2, factor * RATE, batched=batched, return_inner_v=True)
            returned.extend([answer[0], *flat(answer[1]).values(), *flat(answer[2]).values()])
            return factor

        grad(enclosing)(1.0)
        assert len(returned) == 7
        assert not any(isbox(leaf) for leaf in returned)

    @each_mode
    @pytest.mark.parametrize("averaged", [False, True])
    def test_the_cost_differentiates_to_second_order_maml(self, batched, averaged):
        """The gradient of fomaml_step's cost from outside is maml_step's gradient, by the complex step."""

        def cost(variables):
            return fomaml_step(
                make_batch(), squared_error, None, variables, STEPS, RATE, batched=batched, stop_gradients=False,
                average_across_steps=averaged,
            )[0]  # fmt: skip

        gradient = grad(cost)(make_variables(batched))
        if batched:  # row t holds task t's share of the mean
            gradient = {"net": {k: g.sum(axis=0) for k, g in gradient["net"].items()}, "s": gradient["s"].sum(axis=0)}
        assert_agrees((cost(make_variables(batched)), gradient), by_definition(2, averaged=averaged))

    @pytest.mark.parametrize("which", ["cost", "gradient", "adapted", "reptile", "maml"])
    @each_mode
    def test_everything_stays_differentiable(self, which, batched):
        """Each result can be differentiated by θ from outside, as on the quadratic with x = 4, α = ½, K = 1.

        φ = (θ + 4)/2 = 3. Cost ½(φ − 4)²: derivative (φ − 4)/2 = −½. First-order gradient φ − 4: ½. Adapted: ½.
        Reptile's (θ − φ)/½ = θ − 4: 1. MAML's (φ − 4)/2: ¼.
        """

        def half_square(batch, v):
            return np.mean(0.5 * (v["w"] - batch["x"]) ** 2)

        def result(theta):
            variables = {"w": np.reshape(theta, (1, 1) if batched else (1,))}
            options = {"batched": batched, "stop_gradients": False, "return_inner_v": True}
            batch = {"x": onp.array([[4.0]])}
            if which == "reptile":
                return np.sum(reptile_step(batch, half_square, variables, 1, 0.5, **options)[1]["w"])
            step = maml_step if which == "maml" else fomaml_step
            cost, gradient, adapted = step(batch, half_square, None, variables, 1, 0.5, **options)
            return {"cost": cost, "adapted": np.sum(adapted["w"])}.get(which, np.sum(gradient["w"]))

        expected = {"cost": -0.5, "gradient": 0.5, "adapted": 0.5, "reptile": 1.0, "maml": 0.25}[which]
        assert grad(result)(2.0) == expected

    def test_the_learning_rate_and_the_data_can_be_differentiated_by(self):
        """φ = 2 + 2α towards x = 4 costs ½(2 − 2α)²: dQ/dα = −2(2 − 2α) = −2 at ½; and dQ/dx = (φ − x)(∂φ/∂x − 1) = ½.

        There ∂φ/∂x = α = ½ and φ = 3, so that dQ/dx = (−1)(−½).
        """

        def cost(x, rate):
            batch = {"x": np.reshape(x, (1, 1))}
            return fomaml_step(
                batch, lambda batch, v: np.sum(0.5 * (v["w"] - batch["x"]) ** 2), None, {"w": onp.array(2.0)}, 1, rate,
                batched=False, stop_gradients=False,
            )[0]  # fmt: skip

        assert grad(cost, 1)(4.0, 0.5) == -2.0
        assert grad(cost, 0)(4.0, 0.5) == 0.5

    def test_the_third_derivative_exists(self):
        """The gradient of maml_step is differentiable in turn: S = w³/3 gives φ = θ − αθ² and Q' = φ²(1 − 2αθ).

        With θ = 1 and α = ¼: φ = ¾, ∂φ = ½, Q' = 9/32; the derivative of Q' is 2φ(∂φ)² − 2αφ² = 3/8 − 9/32 = 3/32.
        """

        def gradient(theta):
            return maml_step(
                {"x": onp.ones((1, 1))}, lambda batch, v: v["w"] ** 3 / 3, None, {"w": theta}, 1, 0.25, batched=False,
                stop_gradients=False,
            )[1]["w"]  # fmt: skip

        assert gradient(onp.array(1.0)) == pytest.approx(9 / 32, rel=4 * onp.finfo(float).eps)
        assert grad(gradient)(1.0) == pytest.approx(3 / 32, rel=16 * onp.finfo(float).eps)


Pair = namedtuple("Pair", ["left", "right"])


def total_of_squares(batch, v):
    """Half of the sum of squares of all leaves of any container, and the data once: gradient v, cost ½ Σ v² + x."""

    def total(node):
        if hasattr(node, "items"):
            return sum(total(child) for child in node.values())
        if isinstance(node, list | tuple):
            return sum(total(child) for child in node)
        return 0.5 * np.sum(node * node)

    return total(v) + np.mean(batch["x"])


class TestContainers:
    """Nestings, leaves and dtypes come out as they went in."""

    @each_order
    @pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
    def test_nestings(self, order, batched):
        """Dicts, lists, tuples and named tuples keep kind and key order; other mappings come back as dicts.

        With S = ½ Σ v² and α = ½, one step halves every leaf: φ = θ/2 is the first-order gradient, θ/4 MAML's.
        """
        one = onp.ones((1,) if batched else ())
        variables = OrderedDict(
            z=[8 * one, (16 * one, {"deep": 24 * one})], a=Pair(32 * one, [40 * one]), m=MappingProxyType({7: 48 * one})
        )
        step = {1: fomaml_step, 2: maml_step}[order]
        cost, gradient, adapted = step(
            {"x": onp.ones((1, 1))}, total_of_squares, None, variables, 1, 0.5, batched=batched, return_inner_v=True
        )
        divisor = 2 * order
        assert cost == 1 + 0.5 * sum(n * n for n in (4, 8, 12, 16, 20, 24))
        expected = {"z": [8, (16, {"deep": 24})], "a": Pair(32, [40]), "m": {7: 48}}
        assert repr_of(gradient, lambda leaf: leaf * divisor) == repr_of(expected, onp.asarray)
        assert repr_of(adapted, lambda leaf: leaf[0] * 2) == repr_of(expected, onp.asarray)

    @each_order
    @pytest.mark.parametrize("nest", [list, tuple], ids=["list", "tuple"])
    def test_the_whole_container_may_be_a_list_or_tuple(self, order, nest):
        """Indices are the key chains: '0' is adapted alone, 6 → 3, and '1' is differentiated by: its own value 5."""
        variables = nest([onp.array(6.0), onp.array(5.0)])
        step = {1: fomaml_step, 2: maml_step}[order]
        cost, gradient = step(
            {"x": onp.ones((1, 1))}, total_of_squares, None, variables, 1, 0.5, batched=False, inner_v="0", outer_v="1"
        )
        assert cost == 1 + 0.5 * (9 + 25)
        assert gradient == nest([None, 5.0])

    def test_the_whole_container_may_be_one_array(self):
        """A bare array has the empty key chain; 6 halves to 3."""
        cost, gradient = fomaml_step(
            onp.ones((1, 1)), lambda batch, v: 0.5 * v * v + np.mean(batch), None, onp.array(6.0), 1, 0.5, batched=False
        )
        assert (cost, gradient) == (5.5, 3.0)

    def test_python_numbers_are_leaves(self):
        """A Python float is a float64 leaf of shape ()."""
        cost, gradient = fomaml_step({"x": onp.ones((1, 1))}, total_of_squares, None, {"a": 6.0}, 1, 0.5, batched=False)
        assert (cost, gradient["a"], gradient["a"].dtype, gradient["a"].shape) == (5.5, 3.0, onp.float64, ())

    def test_empty_branches_stay(self):
        """A branch without leaves is part of the nesting, for the costs and for what is returned."""
        variables = {"net": {}, "layers": [], "w": onp.array(6.0)}

        def cost(batch, v):
            assert (v["net"], v["layers"]) == ({}, [])
            return 0.5 * v["w"] ** 2

        gradient = fomaml_step({"x": onp.ones((1, 1))}, cost, None, variables, 1, 0.5, batched=False)[1]
        assert gradient == {"net": {}, "layers": [], "w": 3.0}

    @each_mode
    @pytest.mark.parametrize("name", ["fomaml", "maml", "reptile"])
    def test_dtypes_leaf_by_leaf(self, name, batched):
        """Every leaf keeps its own precision in gradients and adapted variables, next to leaves of another."""
        dtypes = {"half": onp.float16, "single": onp.float32, "double": onp.float64}
        variables = {key: onp.full((3, 2) if batched else (2,), 0.5, dtype=dtype) for key, dtype in dtypes.items()}
        variables["scalar"] = onp.full((3,) if batched else (), 0.5, dtype=onp.float32)

        def cost(batch, v):
            return np.mean(v["half"]) * np.mean(v["double"]) + np.mean(v["single"] ** 2) * np.mean(v["scalar"])

        costs = [cost] if name == "reptile" else [cost, None]
        step = {"fomaml": fomaml_step, "maml": maml_step, "reptile": reptile_step}[name]
        for rate in (0.1, onp.float64(0.1), {key: onp.float64(0.1) for key in variables}):
            _, gradient, adapted = step(make_batch(), *costs, variables, 2, rate, batched=batched, return_inner_v=True)
            for chain, leaf in variables.items():
                assert gradient[chain].dtype == adapted[chain].dtype == leaf.dtype
                assert type(gradient[chain]) is not float

    @each_order
    @each_mode
    def test_float32_answers(self, order, batched):
        """A float32 problem is computed and answered in float32."""
        variables = make_variables(batched)
        single = {
            "net": {k: w.astype(onp.float32) for k, w in variables["net"].items()},
            "s": variables["s"].astype(onp.float32),
        }
        step = {1: fomaml_step, 2: maml_step}[order]
        answer = step(make_batch(onp.float32), squared_error, None, single, STEPS, RATE, batched=batched)
        assert_agrees(answer, by_definition(order), onp.float32)
        assert {answer[0].dtype} | {leaf.dtype for leaf in flat(answer[1]).values()} == {onp.dtype(onp.float32)}

    @each_order
    @pytest.mark.parametrize("averaged", [False, True])
    def test_float32_stays_for_scalars(self, order, averaged):
        """A 0-d float32 leaf gives float32 results, also where NumPy 1 would take a float32 scalar over an int up."""
        step = {1: fomaml_step, 2: maml_step}[order]
        cost, gradient, adapted = step(
            {"x": onp.ones((3, 1), dtype=onp.float32)}, lambda batch, v: np.mean(v["w"] * batch["x"]), None,
            {"w": onp.array(2.0, dtype=onp.float32)}, 2, 0.1, batched=False, average_across_steps=averaged,
            return_inner_v=True,
        )  # fmt: skip
        assert {cost.dtype, gradient["w"].dtype, adapted["w"].dtype} == {onp.dtype(onp.float32)}


def repr_of(container, value):
    """The kinds, keys and values of a nested container, as text; `value` is applied to the leaves."""
    if isinstance(container, dict):
        assert type(container) is dict
        return f"dict({', '.join(f'{key!r}: {repr_of(child, value)}' for key, child in container.items())})"
    if isinstance(container, list | tuple):
        return f"{type(container).__name__}({', '.join(repr_of(child, value) for child in container)})"
    assert value(container).shape == ()
    return repr(float(value(container)))


class TestNumbers:
    """NaN, unused variables, purity and repeatability."""

    @each_order
    @each_mode
    @pytest.mark.parametrize("value", [onp.nan, onp.inf, -onp.inf])
    def test_what_is_not_finite_passes(self, order, batched, value):
        """A non-finite gradient of one leaf, x·a with infinite x, comes out as it is and leaves the other alone."""
        variables = {key: onp.ones((2,) if batched else ()) for key in ("a", "b")}
        step = {1: fomaml_step, 2: maml_step}[order]
        cost, gradient, adapted = step(
            {"x": onp.array([value, 1.0])}, lambda batch, v: np.mean(batch["x"] * v["a"]) + np.mean(v["b"]), None,
            variables, 1, 0.5, batched=batched, inner_v="b", return_inner_v=True,
        )  # fmt: skip
        onp.testing.assert_equal(cost, value)
        onp.testing.assert_equal(gradient, {"a": onp.array(value), "b": onp.array(1.0)})
        assert adapted["b"].tolist() == [0.5, 0.5]

    @each_mode
    @pytest.mark.parametrize("name", ["fomaml", "maml", "reptile"])
    def test_unused_variables(self, name, batched):
        """A variable that no cost uses gets a zero gradient of its own shape and dtype, and stays where it is."""
        variables = make_variables(batched)
        variables["unused"] = onp.full((3, 2, 3) if batched else (2, 3), 7.0, dtype=onp.float32)
        step = {"fomaml": fomaml_step, "maml": maml_step, "reptile": reptile_step}[name]
        costs = [squared_error] if name == "reptile" else [squared_error, None]
        _, gradient, adapted = step(make_batch(), *costs, variables, 2, RATE, batched=batched, return_inner_v=True)
        assert gradient["unused"].tobytes() == onp.zeros((2, 3), dtype=onp.float32).tobytes()
        assert (gradient["unused"].dtype, gradient["unused"].shape) == (onp.float32, (2, 3))
        assert adapted["unused"].tolist() == onp.full((3, 2, 3), 7.0).tolist()

    @each_order
    def test_used_by_one_cost_alone(self, order):
        """A leaf of the inner cost alone has no first-order gradient; MAML's comes through the inner loop.

        S = a·b with α = ½ takes a = 3 to 3 − b/2 = 2 (b = 2); Q = a². MAML: ∂Q/∂b = 2·2·(−½) = −2, ∂Q/∂a = 4.
        """
        step = {1: fomaml_step, 2: maml_step}[order]
        cost, gradient = step(
            {"x": onp.ones((1, 1))}, lambda batch, v: v["a"] * v["b"], lambda batch, v: v["a"] ** 2,
            {"a": onp.array(3.0), "b": onp.array(2.0)}, 1, 0.5, batched=False, inner_v="a",
        )  # fmt: skip
        assert (cost, gradient["a"], gradient["b"]) == (4.0, 4.0, {1: 0.0, 2: -2.0}[order])

    @each_mode
    @pytest.mark.parametrize("steps", [0, 2])
    @pytest.mark.parametrize("name", ["fomaml", "maml", "reptile"])
    def test_purity(self, name, steps, batched):
        """Inputs keep their bits, and what is returned shares no memory with them or with itself."""
        batch, variables = make_batch(), make_variables(batched)
        variables["unused"] = onp.ones((3, 2) if batched else (2,))
        rate = {"net": {"w": onp.array([0.1, 0.2]), "b": onp.array(0.1)}, "s": onp.array(0.1), "unused": onp.array(0.1)}
        before = copied(batch), copied(variables), copied(rate)
        options = {} if name == "reptile" else {"inner_batch_fn": lambda batch: batch, "average_across_steps": True}
        step = {"fomaml": fomaml_step, "maml": maml_step, "reptile": reptile_step}[name]
        costs = [squared_error] if name == "reptile" else [squared_error, None]
        answer = step(batch, *costs, variables, steps, rate, batched=batched, return_inner_v=True, **options)
        for container, copy in zip((batch, variables, rate), before, strict=True):
            assert_same(container, copy)
        given = [leaf for container in (batch, variables, rate) for leaf in flat(container).values()]
        returned = [leaf for part in answer[1:] for leaf in flat(part).values()]
        for n, leaf in enumerate(returned):
            assert not any(onp.shares_memory(leaf, other) for other in [*given, *returned[:n]])

    @pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
    def test_costs_and_batch_functions_that_write(self, batched):
        """What a batch function or a cost writes into its batch changes neither the caller's nor the other cost's."""
        batch = make_batch()
        before = copied(batch)

        def shift(batch):
            batch["y"] += 1000.0
            return {"x": batch["x"], "y": batch["y"] - 1000.0}

        def careless(batch, v):
            value = squared_error(batch, v)
            batch["unused"] = batch.pop("x").copy()
            batch["x"] = batch["unused"].copy()
            batch["unused"][:] = onp.nan
            return value

        answer = step_of(1, batched=batched, batch=batch, cost=careless, inner_batch_fn=shift)
        assert_same(batch, before)
        expected = by_definition(1)
        # The batch function adds 1000 and takes it off again: y is rounded to the spacing of numbers near 1000.
        onp.testing.assert_allclose(answer[0], expected[0], rtol=0, atol=1024 * tolerance())

    @each_mode
    @pytest.mark.parametrize("name", ["fomaml", "maml", "reptile"])
    def test_repeatability(self, name, batched):
        """The same call gives the same bits."""
        step = {"fomaml": fomaml_step, "maml": maml_step, "reptile": reptile_step}[name]
        costs = [squared_error] if name == "reptile" else [squared_error, None]
        one, two = (
            step(make_batch(), *costs, make_variables(batched), STEPS, RATE, batched=batched, return_inner_v=True)
            for _ in range(2)
        )
        assert one[0].tobytes() == two[0].tobytes()
        assert_same(one[1], two[1])
        assert_same(one[2], two[2])


class TestReptile:
    """reptile_step: grads = mean (θ − φ_K)/α, cost = mean over tasks and points."""

    @each_mode
    @pytest.mark.parametrize("steps", [0, 1, 3])
    @pytest.mark.parametrize("tasks", [2, 3])
    def test_from_the_definition(self, batched, steps, tasks):
        """Both results, with the adapted variables and with fewer tasks than the batch has."""
        answer = reptile_step(
            make_batch(), squared_error, make_variables(batched, tasks), steps, RATE, batched=batched,
            num_tasks=tasks, return_inner_v="all",
        )  # fmt: skip
        cost, _, _ = by_definition(1, steps=steps, averaged=True, tasks=tasks)
        _, _, ends = by_definition(1, steps=steps, tasks=tasks)
        theta = flat(make_variables())
        gradient = {c: sum(theta[c] - end[c] for end in ends) / tasks / RATE for c in LEAVES}
        # Dividing by α = 1/10 multiplies the error of φ_K by 10.
        onp.testing.assert_allclose(answer[0], cost, rtol=0, atol=tolerance())
        for chain, leaf in flat(answer[1]).items():
            onp.testing.assert_allclose(leaf, gradient[chain], rtol=0, atol=10 * tolerance())
            onp.testing.assert_allclose(
                flat(answer[2])[chain], onp.array([end[chain] for end in ends]), rtol=0, atol=tolerance()
            )

    @each_mode
    def test_rates_per_leaf_scale_each_leaf(self, batched):
        """Each leaf is divided by its own rate, so that after one step the gradient is ∇S whatever the rates are."""
        rate = {"net": {"w": onp.array([0.1, 0.03]), "b": 0.05}, "s": -0.02}
        answer = reptile_step(make_batch(), squared_error, make_variables(batched), 1, rate, batched=batched)
        expected = by_definition(1, steps=0)[1]
        for chain, leaf in flat(answer[1]).items():
            onp.testing.assert_allclose(leaf, expected[chain], rtol=0, atol=tolerance() / 0.02)

    def test_another_inner_step(self):
        """Half of the descent twice is the descent."""
        options = {"batched": False, "inner_optimization_step": momentum_like}
        answer = reptile_step(make_batch(), squared_error, make_variables(), 1, RATE, **options)
        expected = by_definition(1, steps=0)[1]
        for chain, leaf in flat(answer[1]).items():
            onp.testing.assert_allclose(leaf, expected[chain], rtol=0, atol=tolerance() / RATE)
