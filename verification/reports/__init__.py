"""Reports: what a run found, for the terminal and as JSON."""

from verification.cases import Case
from verification.report import Report
from verification.reports.json_schema import schema
from verification.reports.terminal import show
from verification.verdicts import Verdict

__all__ = ["Case", "Report", "Verdict", "schema", "show"]
