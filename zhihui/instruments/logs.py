"""The log of a process: one line of JSON for each event, or of text.

Modules log with the standard library's loggers; structlog gives the lines their form. What is
logged at `info` are events of the service, never a single request. Values of customers are masked
where a line is made (:mod:`actors.customers.masking`); passwords in addresses are taken out here
once more, whoever wrote them.
"""

import logging
import re
import sys
import time
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from zhihui.errors import SetupError

__all__ = ("LOG_VARIABLE", "LogForm", "begin_log", "log_form")

LogForm = Literal["json", "text"]
LOG_VARIABLE = "ZHIHUI_LOG"
_FORMS: dict[str, LogForm] = {"json": "json", "text": "text"}

_PASSWORD = re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@")
_TEXT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


def log_form(text: str) -> LogForm:
    """Return the form that a setting names; raise :class:`~zhihui.errors.SetupError` else."""
    form = _FORMS.get(text)
    if form is None:
        raise SetupError(f"{LOG_VARIABLE} is {text!r}; it may be json or text.")
    return form


def begin_log(form: LogForm = "text", *, node: str = "", stream: TextIO | None = None) -> None:
    """Write the log to the error output from now on, in UTC; ``node`` stands in each JSON line."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_json_formatter(node) if form == "json" else _text_formatter())
    root = logging.getLogger()
    for before in list(root.handlers):
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(logging.INFO)


class _TextFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return _without_passwords(super().format(record))


def _text_formatter() -> logging.Formatter:
    return _TextFormatter(_TEXT, datefmt="%Y-%m-%dT%H:%M:%S")


def _without_passwords(text: str) -> str:
    """Return a text without the passwords of the addresses in it."""
    return _PASSWORD.sub(r"\1@", text) if "://" in text else text


def _json_formatter(node: str) -> logging.Formatter:
    def note_node(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        if node:
            event["node"] = node
        return event

    processors: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        note_node,
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _take_out_passwords,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def _take_out_passwords(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {
        name: _without_passwords(value) if isinstance(value, str) else value
        for name, value in event.items()
    }
