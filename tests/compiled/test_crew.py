"""Helpers: they are woken for what was measured to be long, do what is offered, and never keep the caller waiting."""

import ctypes
import threading

import pytest
from problems import batch, variables
from test_steps import cost

import refmaml.compiled as engine
from refmaml.compiled.calls import plans, shortcut
from refmaml.compiled.machine import runtime
from refmaml.compiled.running import execution
from refmaml.compiled.running.crew import Crew
from refmaml.compiled.running.native import IDLE, OFFERED, RUNNING, WITHDRAWN
from refmaml.compiled.running.posts import Post

_LONG = 60.0  # seconds for what never takes long
_KIND = ctypes.CFUNCTYPE(None, ctypes.c_int64)


class Work:
    """A function for helpers that notes its arguments, and waits for leave to end."""

    def __init__(self):
        self.begun, self.may_end, self.arguments = threading.Semaphore(0), threading.Event(), []
        self._function = _KIND(self._run)  # it must outlive the threads that call it
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value

    def _run(self, argument):
        self.arguments.append(argument)
        self.begun.release()
        self.may_end.wait(_LONG)


def test_a_helper_does_what_is_offered_again_and_again():
    """Two offers, one after the other, are both done by the one helper that there is."""
    crew, work = Crew(), Work()
    work.may_end.set()
    for number in (3, 4):
        engaged = crew.engage(work.address, [number], None)
        assert work.begun.acquire(timeout=_LONG)
        assert crew.dismiss(engaged, _LONG)
    assert work.arguments == [3, 4]
    assert len(crew._free) == 1


def test_what_no_helper_has_begun_is_taken_back_and_can_be_offered_again():
    """A helper that does not get to run has nothing to do in the end, and does what is offered to it next."""
    post, work = Post(), Work()  # nobody serves yet: as a helper that another process keeps from running
    work.may_end.set()
    for number in range(3):
        post.offer(work.address, number)
        assert post.state == OFFERED
        assert post.withdraw(0.0)
        assert post.state == WITHDRAWN
    post.offer(work.address, 7)
    threading.Thread(target=post.serve, daemon=True).start()
    assert work.begun.acquire(timeout=_LONG)
    assert post.withdraw(_LONG)
    assert (work.arguments, post.state) == ([7], IDLE)


def test_a_helper_that_does_not_finish_is_left_behind_and_gets_no_other_work():
    """The caller learns that work is unfinished; the helper is engaged again once it has finished, and not before."""
    crew, slow, quick = Crew(), Work(), Work()
    quick.may_end.set()
    engaged = crew.engage(slow.address, [1], None)
    assert slow.begun.acquire(timeout=_LONG)
    assert not crew.dismiss(engaged, 0.0)
    assert engaged[0].post.state == RUNNING
    others = crew.engage(quick.address, [2], None)
    assert others == []  # the one that is busy is all there is: the caller does the work itself
    slow.may_end.set()
    crew.rest()
    assert engaged[0].post.state == IDLE
    assert crew.engage(quick.address, [2], None) == engaged
    assert quick.begun.acquire(timeout=_LONG)


class Watched:
    """A crew without helpers that counts for how many it was called."""

    def __init__(self):
        self.wanted = []

    def engage(self, function, arguments, keeps):
        """Engage nobody."""
        self.wanted.append(len(arguments))
        return []

    def dismiss(self, helpers, seconds):
        """Tell that nothing is unfinished."""
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
    for pace, wanted in ((0.9e-3, 0), (2.5e-3, 2), (1.0, 8)):
        known._pace = pace / 800  # of 400 tasks that are evaluated twice
        assert step(9) == wanted
    known._pace = 1.0
    assert step(1) == 0
    assert known._pace < 1.0  # measured again
