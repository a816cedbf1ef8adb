"""Training steps on a model of NumPy arrays that do harm: each is right, but for what the name of its problem says."""

import atexit
import contextlib
import ctypes
import fcntl
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np

import verification

RATE, STEPS, FOREVER = 0.125, 2, 1000
random_numbers = np.random.default_rng(0)
TASKS = [tuple((random_numbers.normal(size=(4, 2)), random_numbers.normal(size=4)) for _ in range(2)) for _ in range(3)]


def loss(weights, batch):
    """Return the mean square error."""
    x, y = batch
    return ((x @ weights["w"] - y) ** 2).mean()


def gradient(weights, batch):
    """Return the gradient of the loss."""
    x, y = batch
    return {"w": 2 * x.T @ (x @ weights["w"] - y) / y.size}


def right(weights, tasks):
    """Return the right first-order meta-gradient."""
    total = 0
    for support, query in tasks:
        fast = weights
        for _ in range(STEPS):
            fast = {"w": fast["w"] - RATE * gradient(fast, support)["w"]}
        total = total + gradient(fast, query)["w"] / len(tasks)
    return {"w": total}


def problem_of(step, **others):
    """Return the problem of a step."""
    return verification.problem_of(
        step,
        **{
            "model": {"w": np.array([0.5, -0.25])}, "inner_loss": loss, "inner_gradient": gradient, "tasks": TASKS,
            "inner_steps": STEPS, "inner_learning_rate": RATE, "order": 1, "name": step.__name__, **others,
        },
    )  # fmt: skip


def harm(function, **others):
    """Return the problem of a step that does something before it answers."""

    def step(weights, tasks):
        function()
        return right(weights, tasks)

    step.__name__ = function.__name__
    return problem_of(step, **others)


def held():
    """Hold the lock that tells the clock of the tests to let time pass."""
    descriptor = os.open(os.environ["PROTOCOL_HANGS"], os.O_WRONLY | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)


CALLS = []


def later(function):
    """Return the problem of a step that answers both calls in float64, and does something in float32."""

    def maybe():
        CALLS.append(1)
        if len(CALLS) > 2:
            function()

    maybe.__name__ = function.__name__
    return harm(maybe, model={"w": np.array([0.5, -0.25], np.float32)})


class OwnError(BaseException):
    """An exception that is not derived from Exception."""


class UnprintableError(Exception):
    """An exception that cannot be shown."""

    def __str__(self):
        raise ValueError("no")


def raising(error):
    """Return a function that raises."""

    def raises():
        raise error

    return raises


def loops():
    held()
    while True:
        pass


def sleeps():
    held()
    time.sleep(FOREVER)


def eats():
    eaten = []
    while True:
        eaten.append(np.ones(2**20))


def chatters():
    for _ in range(2**14):
        print("chatter " * 16)


def spoils_numpy():
    np.linalg.norm = lambda *_, **__: 0.0


def spoils_what_is_built_in():
    import builtins

    builtins.all = lambda *_: True


def spoils_the_judge():
    from verification.models import run

    run.compare = lambda *_, **__: ([], 0.0)


def spoils_a_method_of_the_judge():
    from verification.cases import Case

    Case.is_late = property(lambda _: True)


def closes():
    with contextlib.suppress(OSError, ValueError):  # in a second call it is closed
        os.close(1)
        sys.stdout.close()


def writes_everywhere(line):
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, line.encode() + b"\n")


def forks():
    if not os.fork():
        held()
        time.sleep(FOREVER)


exits = harm(lambda: os._exit(0))
exits_later = later(lambda: os._exit(0))
exits_with_seven = harm(lambda: os._exit(7))
becomes_another_program = harm(lambda: os.execv("/bin/true", ["true"]))
follows_a_null_pointer = harm(lambda: ctypes.string_at(0))
aborts = harm(os.abort)
kills_itself = harm(lambda: os.kill(os.getpid(), signal.SIGKILL))
loops_for_ever = harm(loops)
loops_later = later(loops)
sleeps_for_ever = harm(sleeps)
stops_itself = harm(lambda: (held(), os.kill(os.getpid(), signal.SIGSTOP)))
waits_for_input = harm(lambda: sys.stdin.read() or os.read(0, 1))
eats_memory = harm(eats)
exits_at_the_end = harm(lambda: atexit.register(os._exit, 0))
hangs_at_the_end = harm(lambda: atexit.register(time.sleep, FOREVER))
raises_from_the_base = harm(raising(OwnError("of its own")))
raises_keyboard_interrupt = harm(raising(KeyboardInterrupt()))
raises_generator_exit = harm(raising(GeneratorExit()))
raises_system_exit = harm(raising(SystemExit(0)))
raises_what_cannot_be_shown = harm(raising(UnprintableError()))
raises_escapes = harm(raising(ValueError("\x1b[2J\x1b[31mred\x07 \u202etxt")))
raises_a_long_message = harm(raising(ValueError("x" * 10**7)))
closes_standard_output = harm(closes)
closes_every_descriptor = harm(lambda: os.closerange(0, 256))
speaks_for_the_judge = harm(lambda: writes_everywhere('{"id": 3, "alive": "{\\"case\\": 3}"}'))
forges_half_a_report = harm(
    lambda: writes_everywhere('{"id": 3, "result": {"exchanged": [], "report": {"verdict": "pass"}}}')
)
writes_to_standard_output = harm(lambda: os.write(1, b'{"id": 2, "result": {"report": {}}}\n'))
prints_escapes = harm(lambda: print("\x1b[2J\x1b]0;title\x07"))
prints_without_end = harm(chatters)
exchanges_numpy = harm(spoils_numpy)
exchanges_what_is_built_in = harm(spoils_what_is_built_in)
exchanges_the_judge = harm(spoils_the_judge)
exchanges_a_method = harm(spoils_a_method_of_the_judge)
takes_modules_away = harm(lambda: sys.modules.update(json=None, numpy=None))
lowers_the_recursion_limit = harm(lambda: sys.setrecursionlimit(40))
turns_errors_of_numpy_on = harm(lambda: np.seterr(all="raise"))
turns_warnings_into_errors = harm(lambda: warnings.simplefilter("error"))
changes_the_folder = harm(lambda: os.chdir("/"))
seeds_random_numbers = harm(lambda: (random.seed(1), np.random.seed(1)))
leaves_a_thread = harm(lambda: threading.Thread(target=time.sleep, args=(FOREVER,)).start())
leaves_a_child = harm(lambda: subprocess.Popen(["sleep", str(FOREVER)], start_new_session=True))
leaves_a_worker = harm(lambda: multiprocessing.get_context("fork").Process(target=time.sleep, args=(FOREVER,)).start())
forks_a_child_that_stays = harm(forks)


def returns(value):
    """Return the problem of a step that returns a value."""

    def returning(weights, tasks):
        return value

    return problem_of(returning)


def returns_changed(change):
    """Return the problem of a step that returns the right gradient, changed."""

    def changing(weights, tasks):
        return {"w": change(right(weights, tasks)["w"])}

    return problem_of(changing)


class Odd:
    """An object whose every attribute raises."""

    def __getattr__(self, name):
        raise OwnError(name)


returns_nothing = returns(None)
returns_itself = []
returns_itself.append(returns_itself)
returns_itself = returns(returns_itself)
returns_an_odd_object = returns(Odd())
returns_a_huge_array = returns({"w": np.broadcast_to(0.0, (2**20, 2**20))})
returns_text = returns({"w": "\x1b[31m"})
returns_complex_numbers = returns_changed(lambda leaf: leaf + 1j)
returns_numbers_as_texts = returns_changed(lambda leaf: leaf.astype(str))


def bad_loss(weights, batch):
    """End the process."""
    os._exit(0)


def interrupted(weights, batch):
    """Raise what ends programs."""
    raise KeyboardInterrupt


def hanging(weights, batch):
    """Hang."""
    loops()


COUNT = []


def fickle(weights, batch):
    """Raise after some calls."""
    COUNT.append(1)
    if len(COUNT) > 12:
        raise RuntimeError("enough")
    return gradient(weights, batch)


waits_for_nothing = harm(lambda: None)
doubled = returns_changed(lambda leaf: 2 * leaf)
loss_exits = problem_of(right, inner_loss=bad_loss)
loss_raises_an_interrupt = problem_of(right, inner_loss=interrupted)
gradient_hangs = problem_of(right, inner_gradient=hanging)
gradient_raises_later = problem_of(right, inner_gradient=fickle)
named_by_escapes = problem_of(right, name="\x1b[31mred")
