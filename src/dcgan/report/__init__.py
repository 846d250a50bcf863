"""report.html: what a run was, how it went and how good it is, in one file that can be sent to anyone."""

from dcgan.report.page import write_report

__all__ = ["write_report"]
