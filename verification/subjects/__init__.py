"""How a subject is found, called, and understood."""

from verification.subjects.calling import Kind, Source, Subject, ask, kind_of, source_below
from verification.subjects.exceptions import ProgramError, SkippedError
from verification.subjects.loading import SubjectError, load
from verification.subjects.reply import Finding, Reply

__all__ = [
    "Finding",
    "Kind",
    "ProgramError",
    "Reply",
    "SkippedError",
    "Source",
    "Subject",
    "SubjectError",
    "ask",
    "kind_of",
    "load",
    "source_below",
]
