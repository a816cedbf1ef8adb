"""Independent ways to what a meta-learning step computes. None imports `refmaml`; each has the one verb `solve`.

An oracle gets a `TaskView`, one task as functions of a flat vector, and returns a `Solution` with an estimate of its
own error. `closed_form` works on quadratic costs, `finite_differences` and `second_order` on any,
and `unrolled` on any with any inner update.
"""

from verification.oracles import closed_form, finite_differences, second_order, unrolled
from verification.oracles.view import Quadratic, Solution, TaskView

__all__ = ["Quadratic", "Solution", "TaskView", "closed_form", "finite_differences", "second_order", "unrolled"]
