"""A recording: requests with the moments at which they came, in one compressed file.

It is gzip of JSON lines. The first line tells of the recording, each further one is either
``{"subject": …}``, which gives the next number to a subject, or ``[microseconds since the last
request, number of the subject, body as text]``. So it can be read with ``zcat`` and made by hand.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from loadtest.harness.problems import LoadError

__all__ = (
    "VERSION",
    "Arrival",
    "Header",
    "RecordingProblem",
    "RecordingWriter",
    "read_header",
    "read_recording",
)

VERSION = 1

# Fast: the writer sits beside what is recorded. A payment takes about 60 bytes even so.
_LEVEL = 1

# A day at 10,000 a second is a mistake; and each request is in memory when it is replayed.
_REQUESTS_MAX = 20_000_000


class RecordingProblem(LoadError):
    """A file is no recording, or a newer program's; the message says which."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording says of itself."""

    recording: int = VERSION
    started_at: str


class Arrival(msgspec.Struct, frozen=True):
    """One request: seconds from the first one, its subject and its JSON body."""

    at_s: float
    subject: str
    body: str


class _Subject(msgspec.Struct, frozen=True):
    subject: str


_header = msgspec.json.Decoder(Header)
_subject = msgspec.json.Decoder(_Subject)
_request = msgspec.json.Decoder(tuple[int, int, str])
_encode = msgspec.json.encode


class RecordingWriter:
    """Writes a recording; use as a context manager. Moments are given in nanoseconds, rising."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._header = header
        self._numbers: dict[str, int] = {}
        self._last_us: int | None = None
        self._file: gzip.GzipFile
        self.requests = 0
        self.left_out = 0

    def __enter__(self) -> Self:
        self._file = gzip.GzipFile(self._path, "wb", compresslevel=_LEVEL)
        self._line(self._header)
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def add(self, at_ns: int, subject: str, body: bytes) -> None:
        """Add a request. What is no text, or one too many, is left out and counted."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = None
        if text is None or self.requests >= _REQUESTS_MAX:
            self.left_out += 1
            return
        number = self._numbers.get(subject)
        if number is None:
            number = self._numbers[subject] = len(self._numbers)
            self._line(_Subject(subject))
        at_us = at_ns // 1_000
        since_us = 0 if self._last_us is None else max(at_us - self._last_us, 0)
        # From the moment that was written, so that what is rounded off does not add up.
        self._last_us = at_us if self._last_us is None else self._last_us + since_us
        self._line((since_us, number, text))
        self.requests += 1

    def _line(self, one: object) -> None:
        self._file.write(_encode(one) + b"\n")


def read_header(path: Path) -> Header:
    """Return what a recording says of itself; raise :class:`RecordingProblem`."""
    with _opened(path) as file:
        return _read_header(path, file)


def read_recording(path: Path) -> Iterator[Arrival]:
    """Yield the requests in order; raise :class:`RecordingProblem` where it is damaged."""
    subjects: list[str] = []
    at_us = 0
    number = 1
    with _opened(path) as file:
        _read_header(path, file)
        try:
            for number, line in enumerate(file, 2):  # noqa: B007 - for the message
                if line.startswith(b"{"):
                    subjects.append(_subject.decode(line).subject)
                    continue
                since_us, which, body = _request.decode(line)
                at_us += since_us
                yield Arrival(at_us / 1e6, subjects[which], body)
        except (msgspec.MsgspecError, IndexError, EOFError, OSError, zlib.error) as error:
            raise RecordingProblem(
                f"{path}: line {number} or what follows is damaged ({type(error).__name__})"
            ) from error


def _opened(path: Path) -> gzip.GzipFile:
    try:
        return gzip.GzipFile(path, "rb")
    except OSError as error:
        raise RecordingProblem(f"{path} cannot be read: {error.strerror}") from error


def _read_header(path: Path, file: gzip.GzipFile) -> Header:
    try:
        header = _header.decode(file.readline())
    except (msgspec.MsgspecError, OSError, EOFError, zlib.error) as error:
        raise RecordingProblem(f"{path} is no recording of `zhihui load record`") from error
    if header.recording > VERSION:
        raise RecordingProblem(
            f"{path} is of version {header.recording}; this program reads up to {VERSION}"
        )
    return header
