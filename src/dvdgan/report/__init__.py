"""HTML pages that need nothing else: one of a training run, one of an evaluation."""

from dvdgan.report.html import ReportError
from dvdgan.report.run.page import write_run_page

__all__ = ["ReportError", "write_run_page"]
