"""The state of the whole service at one moment: read from its servers, judged and shown."""

from zhihui.status.gather import Gatherer
from zhihui.status.report import Report
from zhihui.status.view import render

__all__ = ("Gatherer", "Report", "render")
