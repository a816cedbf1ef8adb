"""A model of one's own: the judge on the training step that somebody really has."""

from verification.models.isolated import check_isolated
from verification.models.making import problem_of
from verification.models.observation import observe
from verification.models.request import Request
from verification.models.run import check, judge, request_of

__all__ = ["Request", "check", "check_isolated", "judge", "observe", "problem_of", "request_of"]
