"""A model of one's own: the judge on the training step that somebody really has."""

from verification.models.making import problem_of
from verification.models.observation import observe
from verification.models.request import Request
from verification.models.run import check, judge

__all__ = ["Request", "check", "judge", "observe", "problem_of"]
