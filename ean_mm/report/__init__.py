"""The page by which a search is judged: ``report.html``, from the files of a work directory alone; needs no torch."""

from .page import REPORT_FILE, build_report

__all__ = ['REPORT_FILE', 'build_report']
