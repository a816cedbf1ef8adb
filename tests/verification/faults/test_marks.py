"""What tells points apart, and what is remembered of them."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
import pytest

from verification.faults import work
from verification.faults.work import Work, by_complex_step, descend, mark
from verification.models.recent import Recent
from verification.oracles import TaskView

pytestmark = pytest.mark.once  # arithmetic

SIZE = 200  # more bytes than a point that is its own mark


def task(rate=0.1, mask=1.0):
    """Return a task of quadratic costs in so many variables, with one rate and one mask for all."""
    return Work(
        TaskView(
            theta=np.linspace(1.0, 2.0, SIZE), inner_costs=costs, outer_costs=costs,
            inner_mask=np.broadcast_to(1.0, SIZE), outer_mask=np.broadcast_to(mask, SIZE),
            rate=np.broadcast_to(rate, SIZE), steps=3,
        ),
        by_complex_step, None,
    )  # fmt: skip


def costs(points):
    """Return the costs of points."""
    return anp.sum(points**2, axis=1) / 2


def test_a_point_is_marked_by_what_it_was_made_of(monkeypatch):
    """The same steps lead to the same mark, other ones to another; no point but the first is read for it."""
    read = []
    monkeypatch.setattr(work.np, "ascontiguousarray", lambda phi: read.append(phi) or phi)
    one, again, other = descend(task()), descend(task()), descend(task(rate=0.2))
    marks = [[mark(phi) for phi in points] for points in (one, again, other)]
    assert marks[0] == marks[1]
    assert len({*marks[0], *marks[2]}) == 7  # θ is the same
    assert all(any(phi is theta for theta in (one[0], again[0], other[0])) for phi in read)


def test_costs_that_are_gone_leave_no_number():
    """Other costs at the same place in memory are other costs."""
    first = work._number_of(lambda points: costs(points))  # noqa: PLW0108  # a function that is gone afterwards
    assert first != work._number_of(lambda points: costs(points))  # noqa: PLW0108


def test_a_point_that_has_a_mark_cannot_be_changed():
    """Its mark would be wrong."""
    points = descend(task())
    with pytest.raises(ValueError, match="read-only"):
        points[-1][0] = 3.0


@pytest.mark.parametrize("mask", [0.0, 1.0, 0.5])
def test_one_number_for_all_coordinates_masks_like_a_vector(mask):
    """A mask without memory is the same mask, also where it is no 0 or 1, as in a scaled cost."""
    short, long = task(mask=mask), task(mask=mask)
    long = long.changed(outer_mask=np.full(SIZE, mask), rate=np.full(SIZE, 0.1))
    np.testing.assert_array_equal(short.outer_gradient(short.theta), long.outer_gradient(long.theta))
    np.testing.assert_array_equal(descend(short)[-1], descend(long)[-1])


def test_numbers_are_kept_when_arrays_go():
    """A cost takes no memory, and a pass through the model to work it out again."""
    memory = Recent(3 * 8)
    memory["cost"] = 1.0
    for key in "abc":
        memory[key] = np.zeros(2)
    assert list(memory) == ["cost", "c"]
    memory["c"] = 2.0
    memory["d"] = np.zeros(2)
    assert memory == {"cost": 1.0, "c": 2.0, "d": memory["d"]}


def test_what_was_asked_for_last_goes_last():
    """Of three arrays, where two have room."""
    memory = Recent(4 * 8)
    memory["a"] = memory["b"] = np.zeros(2)
    assert memory["a"] is memory["b"]
    _ = memory["a"]
    memory["c"] = np.zeros(2)
    assert list(memory) == ["a", "c"]
