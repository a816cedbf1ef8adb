"""How a subject is found, called, and understood."""

from verification.processes import ProgramError
from verification.subjects.calling import Kind, Source, Subject, ask, attempt, kind_of, raised, source_below
from verification.subjects.exceptions import SkippedError, described
from verification.subjects.inference import framework_of
from verification.subjects.loading import SubjectError, load, load_object, search
from verification.subjects.making import found_at, name_of, subject_from
from verification.subjects.reply import TIME, Finding, Reply, unanswered

__all__ = [
    "TIME",
    "Finding",
    "Kind",
    "ProgramError",
    "Reply",
    "SkippedError",
    "Source",
    "Subject",
    "SubjectError",
    "ask",
    "attempt",
    "described",
    "found_at",
    "framework_of",
    "kind_of",
    "load",
    "load_object",
    "name_of",
    "raised",
    "search",
    "source_below",
    "subject_from",
    "unanswered",
]
