"""One HTML page that shows a training run: its health, clips, curves and settings."""

from dvdgan.report.record import ReportError
from dvdgan.report.run_page import write_run_page

__all__ = ["ReportError", "write_run_page"]
