"""Steps that are wrong on purpose, one for each fault of the catalogue. None imports `refmaml`."""

from verification.faults.algorithm_catalogue import ALGORITHM_CATALOGUE
from verification.faults.catalogue import CATALOGUE, NOT_SHOWN, Fault
from verification.faults.model_catalogue import MODEL_CATALOGUE
from verification.faults.question import AnswerFunction, Outcome, Question, pose, pose_roughly

#: All faults that a report can name, by their ids.
ENTRIES = {**CATALOGUE, **MODEL_CATALOGUE, **ALGORITHM_CATALOGUE}

__all__ = [
    "ALGORITHM_CATALOGUE",
    "CATALOGUE",
    "ENTRIES",
    "MODEL_CATALOGUE",
    "NOT_SHOWN",
    "AnswerFunction",
    "Fault",
    "Outcome",
    "Question",
    "pose",
    "pose_roughly",
]
