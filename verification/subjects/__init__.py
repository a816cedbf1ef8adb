"""How a subject is found, called, and understood."""

from verification.subjects.calling import Kind, Source, Subject, ask, kind_of, source_below
from verification.subjects.exceptions import ProgramError, SkippedError, described
from verification.subjects.inference import framework_of
from verification.subjects.loading import SubjectError, load, load_object, search
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
    "described",
    "framework_of",
    "kind_of",
    "load",
    "load_object",
    "search",
    "source_below",
]
