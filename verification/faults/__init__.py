"""Steps that are wrong on purpose, one for each fault of the catalogue. None imports `refmaml`."""

from verification.faults.catalogue import CATALOGUE, NOT_SHOWN, Fault
from verification.faults.question import AnswerFunction, Outcome, Question, pose, pose_roughly

__all__ = ["CATALOGUE", "NOT_SHOWN", "AnswerFunction", "Fault", "Outcome", "Question", "pose", "pose_roughly"]
