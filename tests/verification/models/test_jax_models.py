"""The judge on models in JAX: forms that models have, what cannot be decided, what is left as it was."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import verification
from verification.subjects import SubjectError

jax = pytest.importorskip("jax", reason="the models are JAX code")

import jax.numpy as jnp  # noqa: E402  # after the skip
from jax.tree_util import tree_map  # noqa: E402

pytestmark = [pytest.mark.once, pytest.mark.framework("jax"), pytest.mark.usefixtures("compiled_once")]

STEPS, RATE = 2, 0.3


def array(source, *shape):
    """Return random numbers in float32."""
    return jnp.asarray(0.6 * source.standard_normal(shape), jnp.float32)


def make_tasks():
    """Return three pairs of batches: inputs [4, 3] and targets [4, 2]."""
    source = np.random.default_rng(3)
    return [tuple((array(source, 4, 3), array(source, 4, 2)) for _ in range(2)) for _ in range(3)]


def make_model():
    """Return the parameters of two layers, in a dict."""
    source = np.random.default_rng(7)
    return {
        "one": {"w": array(source, 3, 4), "b": array(source, 4)},
        "two": {"w": array(source, 4, 2), "b": array(source, 2)},
    }


def predict(params, x):
    """Return outputs [N, 2] of inputs [N, 3]."""
    hidden = jnp.tanh(x @ params["one"]["w"] + params["one"]["b"])
    return hidden @ params["two"]["w"] + params["two"]["b"]


def loss(params, batch):
    """Return the mean squared error."""
    return ((predict(params, batch[0]) - batch[1]) ** 2).mean()


TASKS, MODEL = make_tasks(), make_model()
ABOUT = {"model": MODEL, "inner_loss": loss, "tasks": TASKS, "inner_steps": STEPS, "inner_learning_rate": RATE}


def mean(parts):
    """Return the mean of gradients of the same form."""
    return tree_map(lambda *leaves: sum(leaves) / len(leaves), *parts)


def fomaml(params, tasks, *, gradient, moves=lambda path: True):
    """Return the gradients of first-order MAML by a gradient function; `moves` says by its path what adapts."""
    parts = []
    for support, query in tasks:
        phi = params
        for _ in range(STEPS):
            slopes = gradient(phi, support)
            phi = jax.tree_util.tree_map_with_path(lambda path, p, g: p - RATE * g if moves(path) else p, phi, slopes)
        parts.append(gradient(phi, query))
    return mean(parts)


slope = jax.jit(jax.grad(loss))
right = partial(fomaml, gradient=slope)


def check(step, **options):
    """Judge a step."""
    return verification.check(step, **{**ABOUT, **options})


# Forms of models


@jax.tree_util.register_pytree_with_keys_class
class Module:
    """A model as equinox has it: an object whose attributes are leaves, a function and a number among them."""

    def __init__(self, params, activation, depth):
        self.params, self.activation, self.depth = params, activation, depth

    def tree_flatten_with_keys(self):
        """Return the leaves by name."""
        return [(jax.tree_util.GetAttrKey(name), leaf) for name, leaf in vars(self).items()], None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        """Return a module of leaves."""
        return cls(*leaves)

    def __call__(self, x):
        """Return outputs of inputs."""
        hidden = self.activation(x @ self.params["one"]["w"] + self.params["one"]["b"])
        return hidden @ self.params["two"]["w"] + self.params["two"]["b"]


def is_parameter(leaf):
    """Return whether a leaf is an array of JAX."""
    return isinstance(leaf, jax.Array)


def filtered(function):
    """Return a function's gradient by the arrays of a module, with None for all else, as equinox has it."""

    def gradient(module, batch):
        leaves, form = jax.tree_util.tree_flatten(module)
        spots = [spot for spot, leaf in enumerate(leaves) if is_parameter(leaf)]

        def of_arrays(arrays):
            known = dict(zip(spots, arrays, strict=True))
            return function(form.unflatten([known.get(spot, leaf) for spot, leaf in enumerate(leaves)]), batch)

        slopes = dict(zip(spots, jax.grad(of_arrays)([leaves[spot] for spot in spots]), strict=True))
        return form.unflatten([slopes.get(spot) for spot in range(len(leaves))])

    return gradient


def of_module(module, batch):
    """Return the loss of a module."""
    return ((module(batch[0]) - batch[1]) ** 2).mean()


def on_module(module, tasks):
    """Return first-order MAML of one task and one step, whose gradients have None where there is no array."""
    ((support, query),) = tasks
    slopes = filtered(of_module)(module, support)
    phi = tree_map(lambda p, g: p if g is None else p - RATE * g, module, slopes, is_leaf=lambda x: x is None)
    return filtered(of_module)(phi, query)


def test_a_module_whose_leaves_are_not_all_arrays():
    """What is no array of floating point is no parameter; gradients have None there."""
    model = Module(MODEL, jnp.tanh, 2)
    report = check(on_module, model=model, inner_loss=of_module, tasks=TASKS[:1], inner_steps=1)
    assert report.verdict == "pass"


def of_flax(variables, batch):
    """Return the loss of variables as flax has them, with statistics that a forward pass reads."""
    inputs = (batch[0] - variables["batch_stats"]["mean"]) / 1.5
    return loss(variables["params"], (inputs, batch[1]))


def test_variables_that_are_not_trained():
    """Statistics beside the parameters are no parameters: `trains` says so, and no gradient is expected of them."""
    variables = {"params": MODEL, "batch_stats": {"mean": jnp.full(3, 0.2, jnp.float32)}}

    def step(variables, tasks):
        stats = variables["batch_stats"]
        return {"params": fomaml(variables["params"], tasks, gradient=jax.grad(
            lambda params, batch: of_flax({"params": params, "batch_stats": stats}, batch)))}  # fmt: skip

    assert check(step, model=variables, inner_loss=of_flax, trains="params").verdict == "pass"
    for gradients in (lambda found: found["params"], lambda found: (jnp.zeros(()), found["params"])):
        report = check(lambda *given, of=gradients: of(step(*given)), model=variables, inner_loss=of_flax,
                       trains="params")  # fmt: skip
        assert report.verdict == "pass"


def of_names(params, batch):
    """Return the loss of parameters whose names have dots and slashes, in a tuple beside an array."""
    layers, shift = params
    hidden = jnp.tanh(batch[0] @ layers["mlp/~/linear.w"] + layers["mlp/~/linear"]["w"] + shift)
    return ((hidden[:, :2] - batch[1]) ** 2).mean()


def test_names_that_collide_and_a_tuple():
    """Where a key has a dot, names are paths; a tuple of two is a model's form, and no (loss, gradients)."""
    source = np.random.default_rng(2)
    layers = {"mlp/~/linear.w": array(source, 3, 4), "mlp/~/linear": {"w": array(source, 4)}}
    model = (layers, array(source, 4))
    request = verification.problem_of(right, **{**ABOUT, "model": model, "inner_loss": of_names})
    assert list(request.trained) == ["[0]['mlp/~/linear']['w']", "[0]['mlp/~/linear.w']", "[1]"]
    gradient = jax.grad(of_names)
    assert check(partial(fomaml, gradient=gradient), model=model, inner_loss=of_names).verdict == "pass"
    head = partial(fomaml, gradient=gradient, moves=lambda path: path[0].idx == 1)
    assert check(head, model=model, inner_loss=of_names, adapts="[1]").verdict == "pass"
    report = check(head, model=model, inner_loss=of_names)
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "F03")


def test_other_containers_of_gradients():
    """Gradients may come with a loss or something else, by name, or in order."""
    names = ["one.b", "one.w", "two.b", "two.w"]

    def in_order(params, tasks):
        return jax.tree_util.tree_leaves(right(params, tasks))

    for step in (
        lambda params, tasks: (loss(params, tasks[0][1]), right(params, tasks)),
        lambda params, tasks: (right(params, tasks), {"loss": loss(params, tasks[0][1])}),
        lambda params, tasks: dict(zip(names, in_order(params, tasks), strict=True)),
        in_order,
    ):
        assert check(step).verdict == "pass"
    report = check(lambda params, tasks: {"one": right(params, tasks)["one"]})
    assert report.verdict == "fail"
    assert "two.b, two.w is missing" in report.cases[0].findings[0].message


def test_two_parts_of_a_tuple_in_the_form_of_the_model():
    """Adapted parameters beside the gradients are not taken for these: which of two is meant, the author has to say."""
    with pytest.raises(SubjectError, match="2 parts of the tuple that it returned have the form of the model"):
        check(lambda params, tasks: (right(params, tasks), params))


class Task(NamedTuple):
    """A pair of batches whose names a step uses."""

    support: Any
    query: Any


#: How many examples a step got: of the module, since what a function holds is put back.
SEEN = set()


def test_tasks_with_names():
    """A step that reads its tasks by name is asked about few examples, too."""

    def step(params, tasks):
        SEEN.update(len(task.support[0]) for task in tasks)
        return right(params, [(task.query, task.query) for task in tasks])

    report = check(step, tasks=[Task(*task) for task in TASKS])
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "C04")
    assert sorted(SEEN) == [2, 4]


def test_arrays_of_numpy_in_losses_of_jax():
    """A model of NumPy arrays is NumPy's, unless its framework is named, and the message says so."""
    model = tree_map(np.asarray, MODEL)
    with pytest.raises(SubjectError, match='framework="jax"'):
        check(right, model=model)
    assert check(right, model=model, framework="jax").verdict == "pass"


# What cannot be decided, or in float32 alone


def test_a_key_that_changes_is_reported_with_its_place():
    """Where a call draws other numbers than the one before, no gradient is right; where it draws the same, one is."""
    key = jax.random.key(5)

    def noisy(params, tasks):
        nonlocal key
        key, drawn = jax.random.split(key)
        return tree_map(lambda leaf: leaf * (1 + 0.1 * jax.random.normal(drawn)), right(params, tasks))

    before = key
    report = check(noisy)
    assert (report.verdict, report.diagnosis) == ("inconclusive", [])
    assert "normal in test_jax_models.py" in report.reason
    assert key is before

    def unused(params, tasks):
        return tree_map(lambda leaf: leaf + 0 * jax.random.normal(jax.random.key(1)), right(params, tasks))

    assert check(unused).verdict == "pass"


def keyed_loss(params, batch):
    """Return a loss with dropout, whose key is part of the batch."""
    x, y, key = batch
    return loss(params, (x * jax.random.bernoulli(key, 0.7, x.shape), y))


KEYED = [tuple((*batch, jax.random.PRNGKey(7 * spot)) for batch in task) for spot, task in enumerate(TASKS)]


def test_losses_that_draw_from_a_fixed_key():
    """A key gives other numbers in float32 than in float64, where the definition is: a right step is not accused."""
    step = partial(fomaml, gradient=jax.grad(keyed_loss))
    report = check(step, inner_loss=keyed_loss, tasks=KEYED)
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float64"])
    assert "the same key gives others in float32" in report.why_left_out["float32"]
    report = check(lambda tasks: step(MODEL, tasks), inner_loss=keyed_loss, tasks=KEYED)
    assert (report.verdict, report.diagnosis) == ("inconclusive", [])
    assert "the same key gives others in float32" in report.reason
    report = check(lambda params, tasks: step(params, [(query, query) for _, query in tasks]), inner_loss=keyed_loss,
                   tasks=KEYED)  # fmt: skip
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "C04")


def test_a_key_of_a_step_that_was_compiled_before():
    """What is compiled calls none of the functions that draw, and is known by its operations."""

    class Trainer:
        def __init__(self):
            self.key = jax.random.key(3)

        @partial(jax.jit, static_argnums=0)
        def dropped(self, key, phi, batch):
            kept = jax.random.bernoulli(key, 0.7, batch[0].shape)
            return jax.grad(loss)(phi, (batch[0] * kept, batch[1]))

        def step(self, tasks):
            self.key, drawn = jax.random.split(self.key)
            return fomaml(MODEL, tasks, gradient=partial(self.dropped, drawn))

    trainer = Trainer()
    trainer.step(TASKS)
    report = check(trainer.step)
    assert (report.verdict, report.diagnosis) == ("inconclusive", [])
    assert "random_bits in what was compiled before" in report.reason


def test_random_numbers_of_numpy_are_reported():
    """A step that draws from NumPy's global random numbers is no function of its arguments either."""
    report = check(lambda params, tasks: tree_map(lambda leaf: leaf * np.random.rand(), right(params, tasks)))
    assert report.verdict == "inconclusive"
    assert "numpy.random" in report.reason


def test_a_step_with_a_model_of_its_own():
    """A step that takes no model has it in float32, and is judged there."""
    report = check(lambda tasks: right(MODEL, tasks))
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float32"])
    assert "takes no model" in report.why_left_out["float64"]


def with_constants(rate=RATE, weight=1 / 3, decay=0.0):
    """Return first-order MAML with the numbers that are in it."""

    def step(params, tasks):
        total = tree_map(jnp.zeros_like, params)
        for support, query in tasks:
            phi = params
            for _ in range(STEPS):
                phi = tree_map(lambda p, g: p - rate * (g + decay * p), phi, slope(phi, support))
            total = tree_map(lambda t, g: t + weight * g, total, slope(phi, query))
        return total

    return step


def test_constants_in_float32():
    """A constant that is an array in float32 is off by its rounding in float64, where right code is not accused."""
    report = check(with_constants(weight=jnp.float32(1 / 3)))
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float32"])
    assert "roundings of float32" in report.why_left_out["float64"]
    report = check(with_constants(rate=jnp.float32(RATE)))
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float64", "float32"])


def test_a_decay_as_small_as_roundings():
    """A weight decay that float32 does not show is no rounding in float64."""
    report = check(with_constants(decay=3e-6))
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "G06")
    assert "a weight decay of 3e-06" in report.diagnosis[0].evidence


def test_losses_in_other_precisions():
    """A loss in float32 alone is judged there; in a lower precision than the model's nothing can be told."""

    def single(params, batch):
        return loss(tree_map(lambda leaf: leaf.astype(jnp.float32), params), batch).astype(jnp.float32)

    report = check(partial(fomaml, gradient=jax.grad(single)), inner_loss=single)
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float32"])
    with pytest.raises(SubjectError, match="come in bfloat16 where float32 is given"):
        check(right, inner_loss=lambda params, batch: loss(params, batch).astype(jnp.bfloat16))


def test_gradients_that_come_in_float32():
    """A step that returns float32 whatever it is given is judged in float32."""
    report = check(lambda params, tasks: tree_map(lambda leaf: leaf.astype(jnp.float32), right(params, tasks)))
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float32"])
    assert report.why_left_out["float64"] == "in float64 it returned float32"


def test_a_lower_precision_inside_is_named():
    """A gradient of parameters and data in bfloat16 is what it is called."""

    def rounded(tree):
        return tree_map(lambda leaf: leaf.astype(jnp.bfloat16), tree)

    def low(params, batch):
        return loss(rounded(params), rounded(batch)).astype(jnp.float32)

    report = check(partial(fomaml, gradient=jax.jit(jax.grad(low))))
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "G11")


# Losses


@jax.custom_jvp
def square(x):
    """Return a square, whose gradient is right and whose second derivative is silently zero."""
    return x**2


@square.defjvp
def _(primals, tangents):
    (x,), (moved,) = primals, tangents
    return x**2, 2 * jax.lax.stop_gradient(x) * moved


def square_loss(params, batch):
    """Return the mean squared error by the square above."""
    return square(predict(params, batch[0]) - batch[1]).mean()


def second_order(params, tasks, *, loss):
    """Return the gradients of second-order MAML."""

    def outer(values, support, query):
        for _ in range(STEPS):
            values = tree_map(lambda p, g: p - RATE * g, values, jax.grad(loss)(values, support))
        return loss(values, query)

    return mean([jax.jit(jax.grad(outer))(params, *task) for task in tasks])


def test_a_silently_wrong_second_derivative_is_found():
    """Differences of the objective show what the judge's own derivatives have wrong as much as the step's."""
    report = check(partial(second_order, loss=square_loss), inner_loss=square_loss, order=2)
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "A09")


def root_loss(params, batch):
    """Return a loss with a square root at 0."""
    return jnp.sqrt((predict(params, batch[0]) ** 2).sum(1)).mean()


def test_a_loss_without_finite_derivatives_is_named():
    """Where the definition itself is NaN, that is what is wrong."""
    still = {**MODEL, "two": tree_map(jnp.zeros_like, MODEL["two"])}
    report = check(partial(fomaml, gradient=jax.grad(root_loss)), model=still, inner_loss=root_loss)
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "A13")


@jax.custom_vjp
def backwards(x):
    """Return a tanh whose derivative is for the way back alone."""
    return jnp.tanh(x)


backwards.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: ((1 - jnp.tanh(x) ** 2) * g,))


def loop_loss(params, batch):
    """Return a loss with a loop, a derivative of its own, and numbers of the batch that must be known."""
    rows = int(np.sum(np.asarray(batch[0]) < 9)) // 3
    hidden, _ = jax.lax.scan(lambda h, w: (backwards(h * w), None), batch[0] @ params["one"]["w"], params["one"]["b"])
    return ((hidden @ params["two"]["w"] * rows + params["two"]["b"] - batch[1]) ** 2).mean()


def test_a_loss_that_needs_the_numbers_of_its_batch():
    """A loss that cannot be traced without its batch, with a loop and an own derivative in it, is judged."""

    def step(params, tasks):
        support, query = tasks[0]

        def outer(values):
            slopes = jax.grad(loop_loss)(values, support)
            return loop_loss(tree_map(lambda p, g: p - RATE * g, values, slopes), query)

        return jax.jit(jax.grad(outer))(params)

    assert check(step, inner_loss=loop_loss, order=2, inner_steps=1, tasks=TASKS[:1]).verdict == "pass"


def test_a_parameter_that_no_loss_uses():
    """A spare layer has a gradient of 0; None for it is right, and None for another is not."""
    model = {**MODEL, "spare": jnp.ones(2)}

    def step(params, tasks, lost="spare"):
        used = {name: layer for name, layer in params.items() if name != "spare"}
        return {**right(used, tasks), "spare": None, lost: None}

    assert check(step, model=model).verdict == "pass"
    report = check(partial(step, lost="one"), model=model)
    assert report.verdict == "fail"


# Disturbances


def disturbed(function, *arguments, delta=1e-3, seed=0):
    """Return how far a function's results move, as parts of them, when each operation's does by ±δ."""
    from verification.models.jax_tracing import Disturbance, Walk

    disturbance = Disturbance(delta, np.random.default_rng(seed))
    walk = Walk.of(function, *arguments)
    row = disturbance.row(walk.length).astype(np.float32)
    (found,) = jax.jit(walk)(row, disturbance.offset(), *arguments)
    return np.asarray(found / function(*arguments) - 1, np.float64) / delta


def test_every_operation_is_disturbed_and_none_twice():
    """A result moves by ±δ for each operation that rounds, those of functions, branches and derivatives inside too."""
    x = jnp.asarray([0.5, 1.5, -2.0, 3.0])
    once = {
        "an operation": lambda x: x * 3,
        "jit": jax.jit(lambda x: x * 3),
        "custom_jvp": square,
        "custom_vjp": backwards,
        "checkpoint": jax.checkpoint(lambda x: x * 3),
        "cond": lambda x: jax.lax.cond(x[0] > 0, lambda y: y * 3, lambda y: y, x),
    }
    for what, function in once.items():
        np.testing.assert_allclose(np.abs(disturbed(function, x)), 1, rtol=1e-2, err_msg=what)
    assert not np.any(disturbed(lambda x: jnp.concatenate([-x[::-1], jnp.maximum(x, 1)]).reshape(2, 4), x))


def test_turns_of_a_loop_are_disturbed_each_in_its_own_way():
    """Ten products in a loop move by a sum of ten signs, which differs between entries and seeds."""
    x = jnp.linspace(1.0, 2.0, 50)

    def loop(x):
        return jax.lax.scan(lambda h, _: (h * 1.5, None), x, length=10)[0]

    moved = disturbed(loop, x, delta=1e-4)
    assert len(set(np.rint(moved).tolist())) > 4
    assert np.all(np.abs(moved) < 10.1)
    assert 2 < np.mean(moved**2) < 30  # 10 in the mean
    assert np.any(np.rint(moved) != np.rint(disturbed(loop, x, delta=1e-4, seed=1)))


# What is left as it was, and what is refused


def test_what_a_step_keeps_is_put_back():
    """A trainer that counts its calls and replaces its parameters has them as before."""

    class Trainer:
        def __init__(self):
            self.calls, self.seen, self.params = 0, [], MODEL

        def step(self, params, tasks):
            self.calls, self.params = self.calls + 1, params
            self.seen.append(self.calls)
            return right(params, tasks)

    trainer = Trainer()
    settings = (jax.config.jax_enable_x64, jax.config.read("jax_disable_most_optimizations"))
    assert check(trainer.step).verdict == "pass"
    assert (trainer.calls, trainer.seen, trainer.params) == (0, [], MODEL)
    assert (jax.config.jax_enable_x64, jax.config.read("jax_disable_most_optimizations")) == settings
    assert (jnp.ones(1) + np.ones(1)).dtype == jnp.float32


def test_a_step_that_writes_into_what_it_is_given():
    """A step gets copies: a dict that it changes is its own."""

    def step(params, tasks):
        gradients = right(copy.deepcopy(params), tasks)
        params["one"] = None
        tasks.clear()
        return gradients

    assert check(step).verdict == "pass"
    assert MODEL["one"] is not None


def test_a_block_that_is_watched():
    """What a block says that its gradients are is judged in its own precision."""
    about = {key: value for key, value in ABOUT.items() if key != "model"}
    for factor, verdict in ((1, "pass"), (3, "fail")):
        with verification.observe(model=MODEL, **about) as observed:
            observed.gradients = tree_map(lambda leaf: factor * leaf, right(MODEL, TASKS))  # noqa: B023  # used at once
        assert (observed.report.verdict, [case.dtype for case in observed.report.cases]) == (verdict, ["float32"])
    assert observed.report.diagnosis[0].name == "D01"
    with (
        pytest.raises(ValueError, match=r"^gradients: expected them to be set"),
        verification.observe(model=MODEL, **about),
    ):
        pass


@pytest.mark.parametrize(
    ("about", "error", "words"),
    [
        ({"gives": "grad"}, ValueError, "gives: expected one of 'gradients', 'parameters', but got 'grad'"),
        ({"model": {"count": jnp.arange(3)}}, ValueError, "model: expected parameters of floating point"),
        ({"framework": "torch"}, TypeError, "model: expected a torch.nn.Module, but got dict"),
        ({"framework": "mxnet"}, ValueError, "framework: expected one of 'torch', 'jax', 'numpy'"),
        ({"trains": "tail"}, ValueError, "trains: expected names of parameters or of modules, but got 'tail'"),
        ({"inner_loss": lambda params, batch: predict(params, batch[0])}, SubjectError, "expected a scalar array"),
    ],
)
def test_what_a_problem_must_be(about, error, words):
    """A problem that cannot be judged is refused in a sentence that says what was expected."""
    with pytest.raises(error, match=words):
        check(right, **about)


def normalised(params, x, *, by_batch):
    """Return outputs of inputs that are normalised by statistics of the batch, or by those that the model holds."""
    mean, spread = (x.mean(0), x.std(0)) if by_batch else (params["stats"]["mean"], params["stats"]["spread"])
    return predict(params, (x - mean) / (spread + 0.1))


def in_training(params, batch, train=True):
    """Return the loss in training, or in evaluation as flax code has it: by an argument."""
    return ((normalised(params, batch[0], by_batch=train) - batch[1]) ** 2).mean()


WITH_STATISTICS = {**MODEL, "stats": {"mean": 0.2 * jnp.ones(3), "spread": 1.5 * jnp.ones(3)}}


@pytest.mark.parametrize(
    ("inner", "outer", "detail"),
    [
        (True, True, None),
        (True, False, "in the outer loss"),
        (False, True, "in the inner loop"),
        (False, False, "in both"),
    ],
)
def test_evaluation_where_training_is_meant(inner, outer, detail):
    """M01 is named where the loss takes its mode as an argument."""

    def step(params, tasks):
        parts = []
        for support, query in tasks:
            phi = params
            for _ in range(STEPS):
                phi = descend_with(jax.grad(in_training)(phi, support, train=inner), phi)
            parts.append(jax.grad(in_training)(phi, query, train=outer))
        return mean(parts)

    about = {**ABOUT, "model": WITH_STATISTICS, "inner_loss": in_training, "trains": ["one", "two"]}
    report = verification.check(step, **about)
    if detail is None:
        assert report.verdict == "pass"
    else:
        assert (report.verdict, report.diagnosis[0].name) == ("fail", "M01")
        assert detail in str(report.diagnosis[0])


def descend_with(slopes, params):
    """Return parameters after a step, the statistics as they were."""
    return {**tree_map(lambda p, g: p - RATE * g, params, slopes), "stats": params["stats"]}


@jax.tree_util.register_pytree_with_keys_class
class Flagged:
    """A model as equinox has it: a layer's flag `inference` is one of its leaves."""

    def __init__(self, params, inference):
        self.params, self.inference = params, inference

    def tree_flatten_with_keys(self):
        """Return the leaves by attribute."""
        key = jax.tree_util.GetAttrKey
        return [(key("params"), self.params), (key("inference"), self.inference)], None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        """Return the model of its leaves."""
        return cls(*leaves)


def flagged_loss(model, batch):
    """Return the loss in the mode that the model is in."""
    return in_training(model.params, batch, train=not model.inference)


@pytest.mark.parametrize("inference", [False, True])
def test_a_flag_of_the_model_that_is_turned_over(inference):
    """M01 is named where the model has its mode as a leaf, whichever of the two it is in."""

    def step(model, tasks):
        def slopes(params, batch, flag):
            return jax.grad(lambda params: flagged_loss(Flagged(params, flag), batch))(params)

        parts = []
        for support, query in tasks:
            phi = model.params
            for _ in range(STEPS):
                phi = descend_with(slopes(phi, support, model.inference), phi)
            parts.append(slopes(phi, query, not model.inference))
        return Flagged(mean(parts), model.inference)

    about = {**ABOUT, "model": Flagged(WITH_STATISTICS, inference), "inner_loss": flagged_loss}
    report = verification.check(step, **about, trains=["params.one", "params.two"])
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "M01")
