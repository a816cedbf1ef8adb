"""A model of one's own: the judge on the training step that somebody really has."""

from verification.models.check import check, judge
from verification.models.request import Request, problem_of

__all__ = ["Request", "check", "judge", "problem_of"]
