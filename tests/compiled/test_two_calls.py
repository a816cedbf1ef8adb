"""What tells one call from another, and what a call may be given besides plain arrays: never the other's answer."""

import dataclasses
import os
import signal
import threading
import typing
import warnings

import autograd.numpy as anp
import numpy as np
import pytest
from problems import assert_same_answer

import refmaml
import refmaml.compiled as engine
from refmaml.compiled import CompilationRefused, UnsupportedPrimitive, ValueDependence

DATA = {"x": np.array([[1.0, 2.0], [3.0, 5.0]])}
THETA = {"w": np.array(1.0)}


def squares(b, v):
    return anp.mean((b["x"] * v["w"] - 1.0) ** 2)


def both(cost, *, kind="fomaml", data=DATA, theta=THETA, steps=1, rate=0.01, **options):
    mine, theirs = (getattr(module, f"{kind}_step") for module in (engine, refmaml))
    return assert_same_answer(mine, theirs, data, cost, None, theta, steps, rate, batched=False, **options)


def test_averaging_outlives_a_call_without_inner_steps():
    """Calls with and without inner steps in turn keep their averages apart."""
    for steps in (0, 3, 0, 2):
        both(squares, steps=steps, average_across_steps=True)


@dataclasses.dataclass(frozen=True)
class Named:
    """A cost that is equal to another of its name."""

    name: str
    scale: float = dataclasses.field(compare=False)

    def __call__(self, b, v):
        """Return the scaled cost."""
        return self.scale * squares(b, v)


@dataclasses.dataclass
class Unhashable:
    """A cost that is the key of no dict."""

    scale: float

    def __call__(self, b, v):
        """Return the scaled cost."""
        return self.scale * squares(b, v)


@pytest.mark.parametrize("make", [lambda scale: Named("a", scale), Unhashable], ids=["equal", "unhashable"])
def test_callables_are_told_apart_by_identity(make):
    """Two costs that are equal, or that have no hash, are traced each for itself."""
    answers = [both(make(scale))[0] for scale in (1.0, 2.0)]
    assert answers[0] != answers[1]


def test_a_method_is_the_same_each_time_that_it_is_looked_up(caplog):
    """A bound method, a new object at each look, is traced for the first call alone."""
    model = Named("a", 2.0)
    with caplog.at_level("INFO", "refmaml.compiled"):
        for _ in range(3):
            both(model.__call__)
    assert sum("tracing" in record.message for record in caplog.records) == 2


def _parameters(factor):
    class Parameters(typing.NamedTuple):
        w: object

        def predict(self, x):
            return factor * x * self.w

    return Parameters(np.array(1.0))


def test_named_tuples_of_one_name_are_told_apart():
    """Two classes of one name with another method each have their own program."""

    def cost(b, v):
        return anp.mean((v.predict(b["x"]) - 1.0) ** 2)

    answers = [both(cost, theta=_parameters(factor))[0] for factor in (1.0, 2.0)]
    assert answers[0] != answers[1]


def with_both(function):
    return {"inner_batch_fn": function, "outer_batch_fn": function}


def test_none_in_a_batch_keeps_its_place():
    """None among the leaves of a batch does not move those after it."""
    both(squares, **with_both(lambda b: {"mask": None, "noise": b["x"] * 0 + 7, "x": b["x"]}))


@dataclasses.dataclass
class Anything:
    """An object of the user's."""

    scale: object = 2.0


@pytest.mark.parametrize(
    "leaf",
    [lambda x: np.ma.masked_array(x, x > 4), lambda x: x.view(np.recarray), lambda x: Anything(), lambda x: np.sum],
    ids=["a masked array", "another subclass", "an object", "a function"],
)
def test_a_batch_function_may_return_nothing_that_hides_something(leaf):
    """Masked arrays, subclasses, objects and functions in a batch are refused with their place."""

    def add(b):
        return {**b, "more": leaf(b["x"])}

    with pytest.raises(UnsupportedPrimitive, match=r"task 0: it returned a .* at 'more'"):
        engine.fomaml_step(DATA, squares, None, THETA, 1, 0.01, batched=False, **with_both(add))


def test_numbers_and_text_in_a_batch_are_part_of_what_a_program_is_for():
    """Other text, another number or another type of number in a batch is another program."""

    def cost(b, v):
        return (3.0 if b["kind"] == "a" else 1.0) * b["scale"] * squares(b, v)

    for kind, scale in (("a", 2.0), ("b", 2.0), ("b", 1), ("b", True)):
        both(cost, **with_both(lambda b, more=(kind, scale): {**b, "kind": more[0], "scale": more[1]}))


def test_a_number_of_numpy_that_is_asked_what_it_is_is_refused():
    """`isinstance` of a NumPy number in a batch would answer otherwise on plain arrays, and is refused."""

    def cost(b, v):
        return squares(b, v) * (2.0 if isinstance(b["t"], float) else 1.0)

    with pytest.raises(ValueDependence, match="another answer on plain arrays"):
        engine.fomaml_step(
            DATA, cost, None, THETA, 0, 0.01, batched=False, **with_both(lambda b: {**b, "t": b["x"].sum()})
        )


@pytest.mark.parametrize(
    ("inner", "outer"),
    [((), []), (True, 1), ({}, None)],
    ids=["tuple and list", "number and truth", "nothing and None"],
)
def test_loops_whose_data_are_nested_otherwise_share_no_program(inner, outer):
    """An inner and an outer batch that differ in their containers alone are traced each for itself."""

    def cost(b, v):
        return (3.0 if type(b["more"]) is type(outer) else 1.0) * squares(b, v)

    both(cost, inner_batch_fn=lambda b: {**b, "more": inner}, outer_batch_fn=lambda b: {**b, "more": outer})


def test_the_cost_has_the_widest_dtype_of_all_tasks():
    """One task in float64 among tasks in float32 makes the mean cost float64, as in the reference."""

    def narrow(b):
        return {"x": b["x"].astype(np.float32) if b["x"][0, 0] < 2 else b["x"]}

    both(squares, theta={"w": np.array(1.0, np.float32)}, steps=0, outer_batch_fn=narrow)


def scaled_by(factor):
    def step(w, g, lr, /, *, stop_gradients):
        return {key: w[key] - factor(w[key], lr, stop_gradients) * lr * g[key] for key in w}

    return step


STEPS = {
    "stop_gradients": (scaled_by(lambda w, lr, stop: 1.0 if stop else 0.5), "fomaml", 0.01),
    "the box": (scaled_by(lambda w, lr, stop: 1.0 if isinstance(w, np.ndarray) else 3.0), "maml", 0.01),
    "the exact type": (scaled_by(lambda w, lr, stop: 1.0 if type(w) is np.ndarray else 3.0), "fomaml", 0.01),
    "the rate's type": (scaled_by(lambda w, lr, stop: 0.01 if isinstance(lr, int) else 0.03), "fomaml", 1),
}


@pytest.mark.parametrize(("step", "kind", "rate"), STEPS.values(), ids=STEPS)
def test_an_inner_step_that_looks_at_what_its_arguments_are_is_refused(step, kind, rate):
    """An inner step that leads elsewhere on plain arrays than on traced ones is refused."""
    with pytest.raises(ValueDependence, match="this inner step leads elsewhere"):
        getattr(engine, f"{kind}_step")(
            DATA, squares, None, THETA, 1, rate, batched=False, inner_optimization_step=step
        )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_forked_while_another_thread_traces_can_trace_too(monkeypatch):
    """A fork waits until nothing is traced, so that the child neither hangs nor answers wrongly."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    tracing, forking = threading.Event(), threading.Event()
    os.register_at_fork(before=forking.set)  # what was registered last runs first: the engine's own waits after this

    def slow(b, v):
        tracing.set()
        forking.wait()
        return squares(b, v)

    args = (None, THETA, 1, 0.01)
    thread = threading.Thread(target=lambda: engine.fomaml_step(DATA, slow, *args, batched=False))
    thread.start()
    tracing.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(120)  # ends a process that waits for the other's lock, on a machine however busy
        mine = engine.fomaml_step(DATA, lambda b, v: 2.0 * squares(b, v), *args, batched=False)
        theirs = refmaml.fomaml_step(DATA, lambda b, v: 2.0 * squares(b, v), *args, batched=False)
        os._exit(0 if np.allclose(mine[0], theirs[0]) else 1)
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_the_reference_answers_beside_a_thread_that_compiles():
    """Fallbacks in two threads are right, and none is refused, while a third one traces new costs."""

    def partitioned(b, v):
        return anp.mean(anp.partition(b["x"][0] * v["w"], 0) ** 2)

    expected = refmaml.fomaml_step(DATA, partitioned, None, THETA, 2, 0.01, batched=False)
    found, errors = [], []

    def fall_back():
        try:
            for _ in range(30):
                found.append(  # noqa: PERF401  # those before an error count too
                    engine.fomaml_step(
                        DATA, partitioned, None, THETA, 2, 0.01, batched=False, on_unsupported="reference"
                    )
                )
        except CompilationRefused as error:
            errors.append(error)

    def compile_new():
        for number in range(6):
            engine.fomaml_step(DATA, lambda b, v, n=number: n * squares(b, v), None, THETA, 2, 0.01, batched=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=work) for work in (fall_back, fall_back, compile_new)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert {float(cost) for cost, _ in found} == {float(expected[0])}
