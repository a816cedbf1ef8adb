"""Reports: what a run found, for the terminal and as JSON."""

from verification.report.model import Case, Report, Verdict
from verification.report.schema import schema
from verification.report.terminal import show

__all__ = ["Case", "Report", "Verdict", "schema", "show"]
