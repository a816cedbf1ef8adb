"""Reports: what a run found, for the terminal and as JSON."""

from verification.report import Case, Report, Verdict
from verification.reports.json_schema import schema
from verification.reports.terminal import show

__all__ = ["Case", "Report", "Verdict", "schema", "show"]
