"""HdrHistogram's log format, which its own viewers and tools read.

A line is one second of one time of all requests: ``Tag=response``, start and length in seconds,
the maximum in milliseconds, and the histogram in the V2 format, compressed and in base64. Values
are nanoseconds with three significant digits. Each of HdrHistogram's buckets is exactly one or two
of ours (:mod:`loadtest.histogram`), so what is read back is off by 0.1 % at most.
"""

import base64
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from loadtest.harness.control import Observer, RunControl
from loadtest.harness.model import Sample, merge_name_samples
from loadtest.harness.result import RunResult
from loadtest.histogram import HistogramSnapshot, middle_ns

__all__ = ("HdrLogWriter", "encode_histogram", "log_header", "log_line")

_DIGITS = 3
# What three digits need: 2,048 values of one nanosecond, then 1,024 for each doubling.
_HALF_BITS = 10
_NS_MAX = (1 << 42) - 1

# Version 2; the 0x10 says that counts have no fixed width.
_COOKIE = 0x1C849303 | 0x10
_COOKIE_COMPRESSED = 0x1C849304 | 0x10
# Cookie, length of the payload, index offset, digits, lowest and highest value, ratio to doubles.
_HEADER = struct.Struct(">iiiiqqd")


def encode_histogram(histogram: HistogramSnapshot) -> str:
    """Return the histogram in the compressed V2 format, in base64."""
    counts: dict[int, int] = {}
    for bucket, count in histogram.counts.items():
        index = _index(int(middle_ns(bucket)))
        counts[index] = counts.get(index, 0) + count
    payload = bytearray()
    next_index = 0
    for index, count in sorted(counts.items()):
        # A negative number stands for so many buckets in a row that are empty.
        if index > next_index:
            payload += _zigzag(next_index - index)
        payload += _zigzag(count)
        next_index = index + 1
    header = _HEADER.pack(_COOKIE, len(payload), 0, _DIGITS, 1, _NS_MAX, 1.0)
    compressed = zlib.compress(header + bytes(payload))
    framed = struct.pack(">ii", _COOKIE_COMPRESSED, len(compressed)) + compressed
    return base64.b64encode(framed).decode("ascii")


def _index(ns: int) -> int:
    """Return the position of a value in HdrHistogram's array of counts."""
    shift = max(ns.bit_length() - _HALF_BITS - 1, 0)
    return (shift << _HALF_BITS) + (ns >> shift)


def _zigzag(number: int) -> bytes:
    """Return a signed number of 64 bits in ZigZag LEB128, as the V2 format has it."""
    rest = ((number << 1) ^ (number >> 63)) & 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    # The ninth byte, if there is one, has eight bits of the number and says nothing of more.
    for _ in range(8):
        if rest < 0x80:
            out.append(rest)
            return bytes(out)
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def log_header(started_at: datetime) -> str:
    """Return the lines that begin a log; times in it count from ``started_at``."""
    epoch_s = started_at.timestamp()
    return (
        "#[Histogram log format version 1.3]\n"
        f"#[StartTime: {epoch_s:.3f} (seconds since epoch), {started_at.isoformat()}]\n"
        f"#[BaseTime: {epoch_s:.3f} (seconds since epoch)]\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


def log_line(tag: str, start_s: float, seconds: float, histogram: HistogramSnapshot) -> str:
    """Return one line of a log. A tag may hold neither commas nor spaces."""
    return (
        f"Tag={tag},{start_s:.3f},{seconds:.3f},{histogram.max_ms:.3f},"
        f"{encode_histogram(histogram)}\n"
    )


class HdrLogWriter(Observer):
    """Writes the log of a run, second by second.

    Seconds of warm-up and drain have tags of their own, so that a tool that adds up a tag has the
    measured part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    async def on_start(self, control: RunControl) -> None:
        """Begin the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w", encoding="ascii")
        self._file.write(log_header(datetime.now(UTC)))

    async def on_interval(self, sample: Sample) -> None:
        """Write the three times of one second."""
        if self._file is None:
            return
        for measured, prefix in ((True, ""), (False, "unmeasured-")):
            names = [one for one in sample.names if one.measured == measured]
            if not names:
                continue
            total = merge_name_samples(names, name="", phase=sample.phase, measured=measured)
            for tag, times in (
                ("response", total.response),
                ("service", total.service),
                ("lag", total.lag),
            ):
                if times.count:
                    self._file.write(
                        log_line(f"{prefix}{tag}", sample.start_s, sample.seconds, times)
                    )

    async def on_end(self, result: RunResult) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
