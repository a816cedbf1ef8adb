"""The same with one inner step too few, a mistake that the tests name."""

import maml


def adapt(gradient, theta, steps, rate):
    """Return the parameters one step too early."""
    return maml.adapt(gradient, theta, max(steps - 1, 0), rate)


def subject(problem):
    """Answer a problem of the judge."""
    return maml.subject(problem, adapt)
