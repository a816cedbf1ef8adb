"""Processes of others, and the conversation with them: every wait has an end, every buffer a bound."""

from verification.processes.lines import MalformedError, envelope, request
from verification.processes.partner import LateError, Partner, ProgramError
from verification.processes.process import BreakdownError, Child, HangError, NoProgramError

__all__ = [
    "BreakdownError",
    "Child",
    "HangError",
    "LateError",
    "MalformedError",
    "NoProgramError",
    "Partner",
    "ProgramError",
    "envelope",
    "request",
]
