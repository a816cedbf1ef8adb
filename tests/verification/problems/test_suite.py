"""The built-in problems: awkward, alike in every framework, and what their families say they are."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest

import verification
from verification.oracles.finite_differences import complex_step_gradients
from verification.orders import DTYPES, ORDERS
from verification.problems import families, suite
from verification.problems.awkwardness import assert_awkward
from verification.problems.options import Options, Selection
from verification.problems.suite import Recipe, problem_from
from verification.problems.trees import leaves, map_leaves

U = 2.0**-53
TORCH = pytest.param("torch", marks=pytest.mark.framework("torch"))
EVERY = [(order, name) for order in ORDERS for name in suite.names(order, plain=False)]
STEPS = {"no-steps": 0, "one-step": 1, "five-steps": 5, "seven-steps": 7}
ACTIVATIONS = ("tanh", "relu", "softplus")


# Awkwardness


@pytest.mark.parametrize(("order", "name"), EVERY)
def test_every_problem_is_awkward(order, name):
    """Every built-in problem shows, at every order, what it is there to show."""
    assert_awkward(verification.problem(name, order=order))


@pytest.mark.parametrize("name", suite.NAMES)
def test_what_every_problem_has(name):
    """Unless its name says otherwise a problem has three tasks and three steps; data differ within and between."""
    problem = verification.problem(name)
    tasks = {"one-task": 1, "two-of-three-tasks": 2, "batched-two-of-three": 2}.get(name, 3)
    assert problem.num_tasks == tasks
    assert problem.inner_grad_steps == STEPS.get(name, 3)
    assert not np.array_equal(*(next(iter(role.values())).ravel()[:6] for role in problem.batch.values()))
    for leaf in [*leaves(problem.batch).values(), *leaves(problem.variables).values()]:
        assert np.all(leaf == leaf.astype(np.float32))  # both precisions are asked the same numbers


@pytest.mark.parametrize("name", [name for name in suite.NAMES if "bilinear" not in name])
def test_each_cost_ignores_a_variable_that_the_other_takes(name):
    """The two costs differ, and each has a variable with a gradient of exactly zero that moves the other one."""
    problem = verification.problem(name)
    (inner, outer), *_ = problem.tasks()
    v = problem.variables
    one, other = leaves(problem.inner_gradient(inner, v)), leaves(problem.outer_gradient(outer, v))
    names = {family_name: chain for chain, family_name in problem.names.items()}
    for ignored in problem.family.inner_ignores:
        assert not np.any(one[names[ignored]])
        assert np.all(other[names[ignored]] != 0) != problem.options.same_cost
    for ignored in problem.family.outer_ignores:
        assert np.all(one[names[ignored]] != 0)
        assert np.any(other[names[ignored]]) == problem.options.same_cost


def test_the_shapes_of_variables():
    """Among the problems there are scalars, single entries, vectors and matrices, and nests with lists and tuples."""
    every = [verification.problem(name) for name in suite.NAMES]
    shapes = {problem.shape(chain) for problem in every for chain in problem.names}
    assert shapes >= {(), (1,), (3,), (2, 3)}
    assert {type(problem.variables.get("layers")) for problem in every} == {list, type(None)}
    assert any("gains/outer/0" in problem.names for problem in every)


def violating(name="mlp-tanh-mse", **changes):
    return replace(verification.problem(name), **changes)


def zeroed():
    variables = dict(verification.problem("mlp-tanh-mse").variables)
    return violating(variables={**variables, "b1": variables["b1"] * [1, 0, 1]})


def equal_tasks():
    batch = map_leaves(lambda leaf: np.stack([leaf[0]] * 3), verification.problem("mlp-tanh-mse").batch)
    return violating(batch=batch)


def equal_sizes():
    batch = verification.problem("mlp-tanh-mse").batch
    return violating(batch={**batch, "query": map_leaves(lambda leaf: leaf[:, :4], batch["query"])})


def at_a_kink():
    problem = verification.problem("mlp-relu-mse")
    inputs = problem.batch["support"]["x"][0] @ problem.variables["w1"][:, 1]
    b1 = problem.variables["b1"].copy()
    b1[1] = 0.01 - inputs[np.argmax(np.abs(inputs))]  # and nowhere near zero itself
    return violating("mlp-relu-mse", variables={**problem.variables, "b1": b1})


def never_moving():
    return violating(inner_learning_rate=1e-7)


def moving_first_only():
    """A rate of 1 on ½ φᵀφ: the first step ends at the minimum, where all the others stay."""
    problem = verification.problem("quadratic")
    matrix = np.stack([np.eye(10)] * 3)
    return violating(
        "quadratic",
        inner_learning_rate=1.0,
        batch={**problem.batch, "support": {**problem.batch["support"], "matrix": matrix}},
    )


def linear_inner_cost():
    """An inner cost without curvature: both orders give the same gradient."""
    problem = verification.problem("bilinear")
    family = replace(
        problem.family, inner_costs=lambda xp, data, v: xp.mean(data["x"] @ v["latent"][..., None], axis=(-2, -1))
    )
    return violating("bilinear", family=family)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (zeroed, "the variable b1 has entries at or near zero"),
        (equal_tasks, "two of its tasks have nearly the same gradient"),
        (equal_sizes, "support and query set have the same number of examples"),
        (at_a_kink, "a hidden unit comes near the kink of relu"),
        (never_moving, "its gradients before and after adaptation are alike"),
        (moving_first_only, "its gradients at the last two inner iterates are alike"),
        (linear_inner_cost, "its first- and second-order gradients are alike"),
    ],
)
def test_a_problem_that_hides_faults_is_refused(make, sentence):
    """Each property of an awkward problem is missed where it is missing, with the problem's name and the reason."""
    problem = make()
    with pytest.raises(AssertionError) as caught:
        assert_awkward(problem)
    assert str(caught.value) == f"The problem {problem.name} is not awkward enough: {sentence}. Choose another seed."


def test_a_recipe_that_hides_faults_makes_no_problem():
    """Other numbers are checked whenever they are made; where none will do, no problem is made."""
    tiny_rate = Recipe(family=families.quadratic, seed=1, rate=1e-7)
    with pytest.raises(AssertionError, match="The problem tiny-rate@3 found no awkward numbers in 200 attempts"):
        problem_from(tiny_rate, "tiny-rate@3", seed=3)


# The cost families, by hand

ONE_ROW = {"inner_gain": [[math.log(2)]], "outer_gain": [math.log(3)]}
GAIN = {"inner": (2, math.log(2) ** 2 / 2), "outer": (3, math.log(3) ** 2 / 2)}  # exp(gain), ½ gain²


def log1pexp(z):
    return math.log(1 + math.exp(z))


def tiny_mlp(activation, loss, target):
    """One example x = (1, 2) with hidden z = (1, −1, 2), output act(z) · W2 with W2 = 2 I, plus b2 = (0, 1, 0)."""
    data = {"x": [[[1.0, 2.0]]], "y": [[target]]}
    w1 = [[[1.0, 1.0, 0.0], [0.0, -1.0, 0.5]]]
    v = {**ONE_ROW, "w1": w1, "b1": [[0.0, 0.0, 1.0]], "w2": [2 * np.eye(3)], "b2": [[0.0, 1.0, 0.0]]}
    act = {"tanh": math.tanh, "relu": lambda z: max(z, 0.0), "softplus": log1pexp}[activation]
    output = [2 * act(1.0), 2 * act(-1.0) + 1, 2 * act(2.0)]
    if loss == "mse":
        base = sum((o - y) ** 2 for o, y in zip(output, target, strict=True)) / 3
    else:
        base = math.log(sum(map(math.exp, output))) - output[1]
    return families.mlp(activation, loss), data, v, base


def tiny():
    """Yield (family, data, variables, inner cost, outer cost) of one row of tiny numbers."""
    # x W + b = (1·1 + 2·0, 1·0 + 2·1, 1 + 2) + (1, 0, −1) = (2, 2, 2); minus y = (1, 0, 4): squares 1, 4, 4, mean 3
    linear = {**ONE_ROW, "weight": [[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]], "bias": [[1.0, 0.0, -1.0]]}
    bases = [(families.linear_regression(), {"x": [[[1.0, 2.0]]], "y": [[[1.0, 0.0, 4.0]]]}, linear, 3.0)]
    # z = 1·½ + 2·¼ − 1·1 + 1 = 1 with y = 1, and −1 with y = 0: both cost log(1 + 1/e)
    logistic = {**ONE_ROW, "weight": [[0.5, 0.25, 1.0]], "bias": [[1.0]]}
    data = {"x": [[[1.0, 2.0, -1.0], [0.0, 0.0, -2.0]]], "y": [[1.0, 0.0]]}
    bases.append((families.logistic_regression(), data, logistic, math.log(1 + math.exp(-1))))
    bases.extend(tiny_mlp(activation, "mse", [1.0, 2.0, 3.0]) for activation in ACTIVATIONS)
    bases.extend(tiny_mlp(activation, "softmax", [0.0, 1.0, 0.0]) for activation in ACTIVATIONS)
    for family, data, v, base in bases:
        inner, outer = (gain * base + half for gain, half in GAIN.values())
        yield pytest.param(family, data, v, inner, outer, id=family.name)
    # −((1·2·3 + 0 + 2·1·1) + (−1·2·3 + 1·5·1 + 0)) / 2 = −(8 − 1) / 2
    yield pytest.param(
        families.bilinear(),
        {"x": [[[1.0, 0.0, 2.0], [-1.0, 1.0, 0.0]]]},
        {"latent": [[2.0, 5.0, 1.0]], "weight": [[3.0, 1.0, 1.0]]},
        -3.5,
        -3.5,
        id="bilinear",
    )
    # r = v − c with c = 1 everywhere; A = 2 I, and 2 more between the first two of the laid out variables:
    # inner (inner_only 3, vector 2 1 1, matrix all 1): r = (2, 1, 0, …): ½ (2·4 + 2·1 + 2·2·2·1) = 9
    # outer (vector, matrix, outer_only 4): r = (1, 0, …, 0, 3): ½ (2·1 + 2·9 + 0) = 10
    matrix = 2 * np.eye(10)
    matrix[0, 1] = matrix[1, 0] = 2
    yield pytest.param(
        families.quadratic(),
        {"matrix": [matrix], "centre": np.ones((1, 10))},
        {"inner_only": [[3.0]], "vector": [[2.0, 1.0, 1.0]], "matrix": np.ones((1, 2, 3)), "outer_only": [4.0]},
        9.0,
        10.0,
        id="quadratic",
    )


@pytest.mark.parametrize(("family", "data", "v", "inner", "outer"), list(tiny()))
@pytest.mark.parametrize("namespace", ["numpy", "autograd.numpy", TORCH])
def test_costs_by_hand(namespace, family, data, v, inner, outer):
    """On one row of tiny numbers each cost is what its formula gives by hand, in every namespace."""
    xp = importlib.import_module(namespace)
    make = (lambda value: xp.tensor(np.asarray(value))) if namespace == "torch" else np.asarray
    data, v = map_leaves(make, _arrays(data)), map_leaves(make, _arrays(v))
    assert [float(cost) for cost in family.inner_costs(xp, data, v)] == pytest.approx([inner], rel=16 * U)
    assert [float(cost) for cost in family.outer_costs(xp, data, v)] == pytest.approx([outer], rel=16 * U)


def _arrays(named):
    return {name: np.asarray(value, np.float64) for name, value in named.items()}


@pytest.mark.parametrize("name", suite.NAMES)
@pytest.mark.parametrize("framework", ["numpy", TORCH])
def test_frameworks_agree(framework, name):
    """On every problem the costs of a task are the same numbers in every framework, to the rounding of their sums."""
    one, other = verification.problem(name), verification.problem(name, framework=framework)
    rows = [one.variables, other.variables]
    if one.options.batched:
        rows = [map_leaves(lambda leaf: leaf[:1], row) for row in rows]
    for (inner, outer), (its_inner, its_outer) in zip(one.tasks(), other.tasks(), strict=True):
        cost, its_cost = one.inner_cost(inner, rows[0]), other.inner_cost(its_inner, rows[1])
        assert float(its_cost) == pytest.approx(float(cost), rel=64 * U)
        cost, its_cost = one.outer_cost(outer, rows[0]), other.outer_cost(its_outer, rows[1])
        assert float(its_cost) == pytest.approx(float(cost), rel=64 * U)


# Gradients


@pytest.mark.parametrize("name", suite.NAMES)
def test_gradients_by_complex_step(name):
    """`inner_gradient` and `outer_gradient` are nested like the variables, and are what a complex step finds."""
    problem = verification.problem(name, framework="numpy")
    variables = problem.variables
    if problem.options.batched:
        variables = map_leaves(lambda leaf: leaf[0], variables)
    view = problem.views(np)[0]
    inner, outer = next(problem.tasks())
    for costs, gradient in (
        (view.inner_costs, problem.inner_gradient(inner, variables)),
        (view.outer_costs, problem.outer_gradient(outer, variables)),
    ):
        expected = problem.split(complex_step_gradients(costs, view.theta[None])[0])
        assert map_leaves(lambda leaf: None, gradient) == map_leaves(lambda leaf: None, variables)
        for chain, leaf in leaves(gradient).items():
            assert leaf.shape == problem.shape(chain)
            assert np.linalg.norm(leaf - expected[chain]) <= 256 * U * (1 + np.linalg.norm(expected[chain]))


def test_gradients_keep_the_precision():
    """In float32 the gradients are float32, leaf by leaf."""
    problem = verification.problem("mlp-softplus-mse", framework="numpy", dtype="float32")
    inner, outer = next(problem.tasks())
    for gradient in (
        problem.inner_gradient(inner, problem.variables),
        problem.outer_gradient(outer, problem.variables),
    ):
        assert {leaf.dtype for leaf in leaves(gradient).values()} == {np.dtype("float32")}


# Spellings of the same problem


@pytest.mark.parametrize("name", [name for name in suite.NAMES if name.startswith("batched")])
def test_batched_costs_are_the_means_of_the_loops(name):
    """In batched mode a cost sees every row at once, and is the mean of the costs of the rows alone."""
    problem = verification.problem(name)
    rows = [map_leaves(lambda leaf, t=t: leaf[t], problem.variables) for t in range(3)]
    for part, cost in (("support", problem.inner_cost), ("query", problem.outer_cost)):
        batch = problem.batch[part]
        alone = [cost(map_leaves(lambda leaf, t=t: leaf[t : t + 1], batch), row) for t, row in enumerate(rows)]
        assert cost(batch, problem.variables) == pytest.approx(np.mean(alone), rel=16 * U)


def test_three_parameter_costs_are_two_parameter_costs():
    """Called with the same values for I and O, a three-parameter cost is the two-parameter one, to rounding."""
    problem = verification.problem("three-parameters")
    (_, inner, outer, variables, *_), keywords = problem.arguments()
    inner_v = {chain: variables[chain] for chain in keywords["inner_v"]}
    outer_v = {chain: leaf for chain, leaf in variables.items() if chain != keywords["outer_v"]}
    assert not keywords["keep_outer_v"]
    support, query = next(problem.tasks())
    assert inner(support, inner_v, outer_v) == pytest.approx(problem.inner_cost(support, variables), rel=16 * U)
    assert outer(query, inner_v, outer_v) == pytest.approx(problem.outer_cost(query, variables), rel=16 * U)


def test_three_parameter_costs_weigh_a_leaf_that_is_in_both():
    """Of a leaf in I and O a quarter is taken from I and three quarters from O, so that both paths count."""
    problem = verification.problem("three-parameters")
    (_, inner, *_), _ = problem.arguments()
    support, _ = next(problem.tasks())
    variables = problem.variables
    outer_v = {chain: leaf for chain, leaf in variables.items() if chain != "w1"}
    inner_v = {"w1": variables["w1"], "b1": variables["b1"] + 4.0, "inner_gain": variables["inner_gain"]}
    expected = problem.inner_cost(support, {**variables, "b1": variables["b1"] + 1.0})
    assert inner(support, inner_v, outer_v) == pytest.approx(expected, rel=16 * U)


def test_tasks_are_cut_with_their_axis():
    """`tasks()` yields each used task's support and query data with a leading axis of length 1."""
    problem = verification.problem("two-of-three-tasks", framework="numpy")
    found = list(problem.tasks())
    assert len(found) == problem.num_tasks == 2
    for t, (inner, outer) in enumerate(found):
        np.testing.assert_array_equal(inner["x"], problem.batch["support"]["x"][t : t + 1])
        np.testing.assert_array_equal(outer["y"], problem.batch["query"]["y"][t : t + 1])


@pytest.mark.parametrize("framework", ["autograd", "numpy", TORCH])
@pytest.mark.parametrize("dtype", DTYPES)
def test_native_arrays(framework, dtype):
    """In every framework and precision a problem has the same numbers, freshly made, learning rates included."""
    original = verification.problem("leaf-rates")
    problem = original.native(framework, dtype)
    assert problem.dtype == np.dtype(dtype)
    for part in ("batch", "variables", "inner_learning_rate"):
        pairs = zip(leaves(getattr(original, part)).values(), leaves(getattr(problem, part)).values(), strict=True)
        for mine, native in pairs:
            array = problem.framework.to_numpy(native)
            assert array.dtype == np.dtype(dtype)
            assert not np.shares_memory(mine, array)
            np.testing.assert_array_equal(mine, array)
    assert verification.problem("quadratic", framework=framework, dtype=dtype).inner_learning_rate == 0.125


def test_two_problems_share_no_memory():
    """A subject that writes into a problem spoils no other."""
    one, other = verification.problem("mlp-tanh-mse"), verification.problem("mlp-tanh-mse")
    one.variables["w1"][:] = 7.0
    one.batch["support"]["x"][:] = 7.0
    assert not np.any(other.variables["w1"] == 7.0)
    assert not np.any(verification.problem("mlp-tanh-mse").batch["support"]["x"] == 7.0)


def test_distances_from_kinks():
    """A cost without kinks is infinitely far from one; relu's are as far as its nearest hidden unit from zero."""
    smooth, kinked = verification.problem("mlp-tanh-mse"), verification.problem("mlp-relu-mse")
    theta = kinked.views(np)[1].theta
    assert np.all(np.isinf(smooth.kink_distances(1, np.stack([theta, theta]))))
    v = kinked.variables
    hidden = [np.abs(data["x"][1] @ v["w1"] + v["b1"]).min() for data in kinked.batch.values()]
    assert kinked.kink_distances(1, theta[None]) == pytest.approx([min(hidden)], rel=16 * U)


# Asking for a problem


def test_what_a_plain_implementation_may_lack():
    """A plain problem needs nothing; the others say which of batched, averaging, selections and leaf-rates they ask."""
    assert verification.problem("five-steps").needs == set()
    assert verification.problem("two-of-three-tasks").needs == set()
    assert verification.problem("batched-average-first").needs == {"batched", "averaging"}
    assert verification.problem("per-task").needs == {"selections"}
    assert verification.problem("batched-leaf-rates").needs == {"batched", "leaf-rates", "selections"}


def test_names_by_order():
    """Reptile is asked what has no outer loop in it; plain problems are the first of all."""
    every, plain = (list(suite.names(1, plain=is_plain)) for is_plain in (False, True))
    assert every == list(suite.NAMES)
    assert plain == every[: len(plain)] != every
    reptile = set(suite.names("reptile", plain=False))
    assert {"batched", "leaf-rates", "two-of-three-tasks"} <= reptile
    assert not reptile & {"average", "same-cost-average", "inner-chain", "outer-list", "per-task", "three-parameters"}


def test_selections_by_task():
    """A selection means the same leaves for every task, or its own for each; None is every leaf."""
    everything = ("a", "b")
    assert Selection().of_task(1, everything) == everything
    assert Selection("a", meant=("a",)).of_task(1, everything) == ("a",)
    assert Selection([["a"], None], meant_by_task=(("a",), None)).of_task(0, everything) == ("a",)
    assert Selection([["a"], None], meant_by_task=(("a",), None)).of_task(1, everything) == everything
    assert Selection().selects_all
    assert not Options(inner_v=Selection("a", meant=("a",))).inner_v.selects_all


@pytest.mark.parametrize(
    ("option", "error", "says"),
    [
        ({"name": "cubic"}, KeyError, "name: expected one of quadratic, .*batched-leaf-rates, .* but got 'cubic'"),
        ({"order": 3}, ValueError, "order: expected one of 1, 2, 'reptile', but got 3"),
        ({"order": "2"}, ValueError, "order: expected one of 1, 2, 'reptile', but got '2'"),
        (
            {"framework": "mlx"},
            ValueError,
            "framework: expected one of autograd, numpy, torch, jax, tensorflow, but got 'mlx'",
        ),
        ({"dtype": "float16"}, ValueError, "dtype: expected one of 'float64', 'float32', but got 'float16'"),
    ],
)
def test_a_problem_that_there_is_not(option, error, says):
    """A name, order, framework or precision that does not exist is told with those that do."""
    with pytest.raises(error, match=says):
        verification.problem(**{"name": "quadratic", **option})


@pytest.mark.parametrize("name", suite.NAMES)
def test_seed_zero_makes_other_numbers(name: str) -> None:
    """`name@0` has other variables than the problem itself: 0 is a seed like any other."""
    order = next(order for order in ORDERS if suite.is_asked(name, order))
    own, other = (leaves(verification.problem(title, order=order).variables) for title in (name, f"{name}@0"))
    assert not any(np.array_equal(own[chain], other[chain]) for chain in own)


def test_other_seeds_keep_their_numbers() -> None:
    """Reports that were made with a seed can be made again."""
    first = {name: verification.problem(name).variables["vector"][0] for name in ("quadratic@1", "quadratic@7")}
    assert first == {"quadratic@1": -0.4062981903553009, "quadratic@7": -0.5934768915176392}
