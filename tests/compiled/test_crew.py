"""Helpers: they are woken for what was measured to be long, do what is offered, and never keep the caller waiting."""

import ctypes
import threading
import time

import pytest
from problems import batch, variables
from test_steps import cost

import refmaml.compiled as engine
from refmaml.compiled.calls import plans, shortcut
from refmaml.compiled.machine import runtime
from refmaml.compiled.running import execution
from refmaml.compiled.running.crew import Crew
from refmaml.compiled.running.native import AWAKE, IDLE, RUNNING, WITHDRAWN
from refmaml.compiled.running.posts import Post, share

_LONG = 60.0  # seconds for what never takes long
_KIND = ctypes.CFUNCTYPE(None, ctypes.c_int64)


class Work:
    """A function that waits as it is told, by its argument, and notes that argument."""

    def __init__(self, wait=lambda argument: None):
        def run(argument):
            wait(argument)
            self.arguments.append(argument)

        self.arguments = []
        self._function = _KIND(run)  # it must outlive the threads that call it
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value


def together(parties=2):
    """Return work that nobody ends before all have begun it."""
    barrier = threading.Barrier(parties)
    return Work(lambda _: barrier.wait(_LONG))


def test_a_helper_does_its_part_again_and_again():
    """Two calls, one after the other, are both shared with the one helper that there is."""
    crew, work = Crew(), together()
    for number in (3, 5):
        assert crew.share(work.address, number, [number + 1], None, _LONG)
    assert sorted(work.arguments) == [3, 4, 5, 6]
    assert len(crew._free) == 1


def test_every_helper_of_a_call_gets_its_own_part():
    """Three helpers and the caller each do theirs."""
    crew, work = Crew(), together(4)
    assert crew.share(work.address, 0, [1, 2, 3], None, _LONG)
    assert sorted(work.arguments) == [0, 1, 2, 3]


def test_what_no_helper_has_begun_is_taken_back_and_can_be_offered_again():
    """A helper that does not get to run has nothing to do in the end, and does what is offered to it next."""
    post, work, last = Post(), Work(), together()  # nobody serves yet: as where another process keeps a helper from it
    for number in range(3):
        assert share(work.address, number, post.prepare(work.address, 10 + number, 0), 0.0) == 0
        assert post.state == WITHDRAWN
    assert work.arguments == [0, 1, 2]
    threading.Thread(target=post.serve, daemon=True).start()
    assert share(last.address, 7, post.prepare(last.address, 8, 0), _LONG) == 0
    assert sorted(last.arguments) == [7, 8]
    assert work.arguments == [0, 1, 2]


def test_a_helper_sleeps_a_moment_after_its_work():
    """It looks for more, and then sleeps; what comes later wakes it again."""
    post, work = Post(), together()
    threading.Thread(target=post.serve, daemon=True).start()
    for _ in range(2):
        assert share(work.address, 1, post.prepare(work.address, 2, 0), _LONG) == 0
        while post.state != IDLE:
            assert post.state == AWAKE
            time.sleep(0.001)


def test_a_helper_that_does_not_finish_is_left_behind_and_gets_no_other_work():
    """The caller learns that work is unfinished; the helper is engaged again once it has finished, and not before."""
    begun, may_end = threading.Event(), threading.Event()

    def wait(part):
        if part:
            begun.set()
            may_end.wait(_LONG)
        begun.wait(_LONG)

    crew, slow, quick, last = Crew(), Work(wait), Work(), together()
    assert not crew.share(slow.address, 0, [1], "kept", 0.0)
    (helper,) = crew._left
    assert (helper.post.state, helper.keeps) == (RUNNING, "kept")
    assert crew.share(quick.address, 2, [3], None, _LONG)
    assert quick.arguments == [2]  # the one that is busy is all there is: the caller works alone
    may_end.set()
    crew.rest()
    assert crew.share(last.address, 4, [5], None, _LONG)
    assert sorted(last.arguments) == [4, 5]
    assert list(crew._free) == [helper]


class Watched:
    """A crew without helpers that counts for how many it was called."""

    def __init__(self):
        self.wanted = []

    def share(self, function, mine, theirs, keeps, seconds):
        """Have the caller do everything."""
        self.wanted.append(len(theirs))
        _KIND(function)(mine)
        return True


@pytest.mark.skipif(runtime._setting("DISABLE_JIT"), reason="helpers run machine code only")
def test_helpers_are_woken_for_as_many_milliseconds_as_were_measured(monkeypatch):
    """Nobody is woken before a call was measured, nor for less than a millisecond; then one for each, and no more."""
    crew = Watched()
    monkeypatch.setattr(execution, "CREW", crew)
    plans.clear()
    shortcut.forget()
    args = (batch(tasks=400), cost, None, variables(), 1, 0.05)

    def step(threads):
        engine.fomaml_step(*args, batched=False, num_threads=threads)
        return crew.wanted.pop() if crew.wanted else 0

    assert step(9) == 0
    ((_, known, _),) = plans._known.values()

    def wanted(seconds, gap, threads=9):
        known._pace = seconds / 800  # of 400 tasks that are evaluated twice
        known._ended = time.perf_counter() - gap
        return step(threads)

    for seconds, count in ((0.9e-3, 0), (2.5e-3, 2), (1.0, 8)):
        assert wanted(seconds, gap=1.0) == count
    # In a loop of calls helpers are awake. (Here the last call ends a minute from now, however slow the machine is.)
    for seconds, count in ((3e-5, 0), (9e-5, 2), (1.0, 8)):
        assert wanted(seconds, gap=-60.0) == count
    assert wanted(1.0, gap=1.0, threads=1) == 0
    assert known._pace < 1.0 / 800  # measured again
