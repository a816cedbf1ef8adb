"""Reports: what a run found, for the terminal and as JSON."""

from verification.report import Case, Report
from verification.reports.json_schema import schema
from verification.reports.terminal import show
from verification.verdicts import Verdict

__all__ = ["Case", "Report", "Verdict", "schema", "show"]
