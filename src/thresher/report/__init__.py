"""What a finished run was and what can be trusted about it: one HTML page, and tables for the terminal."""

from thresher.report.page import write_report
from thresher.report.terminal import layer_table, result_table

__all__ = ["layer_table", "result_table", "write_report"]
