"""What happened on a simulated platform, as its author reads it when something is wrong."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson

__all__ = ("LOG_MARK", "SHOWN_MAX", "History", "listening", "shortened")

# Enough to see how it came about; the whole is seen again with the same seed.
SHOWN_MAX = 30
_WIDTH = 150
# What a line of a log begins with; a line that names an error has another one.
LOG_MARK = "log,"


class History:
    """The last lines of what happened, each with the time of the platform."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=SHOWN_MAX)
        self._count = 0

    def note(self, at: datetime, what: str) -> None:
        """Add a line."""
        self._count += 1
        self._lines.append(f"{at:%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}  {what}")

    def asked(self, at: datetime, app: str, operation: str, body: Any) -> None:
        """Note a request."""
        self.note(at, f"{app} → {operation} {shortened(body)}")

    def answered(self, at: datetime, answer: Any) -> None:
        """Note an answer."""
        if answer["ok"]:
            self.note(at, f"    ok {shortened(answer['result'])}")
        else:
            error = answer["error"]
            self.note(at, f"    refused: {error['code']}: {error['message']}")

    def text(self) -> str:
        """Return the lines, the oldest first."""
        left_out = self._count - len(self._lines)
        first = [f"… {left_out} lines before these"] if left_out else []
        return "\n".join([*first, *self._lines])


def shortened(value: Any) -> str:
    """Return a value as JSON, cut off where it gets long."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


class _Listener(logging.Handler):
    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard(f"    {LOG_MARK} {record.levelname.lower()}: {record.getMessage()}")
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            self._heard(f"    {type(error).__name__}: {error}")


def _forget(line: str) -> None:
    del line


@contextmanager
def listening(heard: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hand what is logged to ``heard``, so that it does not stand between the lines of a report."""
    root = logging.getLogger()
    listener = _Listener(heard or _forget)
    # Without a handler Python prints warnings by itself.
    root.addHandler(listener)
    try:
        yield
    finally:
        root.removeHandler(listener)
