"""How a subject is found, called, and understood."""

from verification.subjects.calling import Kind, Subject, ask, kind_of
from verification.subjects.exceptions import ProgramError, SkippedError
from verification.subjects.loading import SubjectError, load, load_object
from verification.subjects.reply import Finding, Reply

__all__ = [
    "Finding",
    "Kind",
    "ProgramError",
    "Reply",
    "SkippedError",
    "Subject",
    "SubjectError",
    "ask",
    "kind_of",
    "load",
    "load_object",
]
