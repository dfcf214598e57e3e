"""The HdrHistogram log is what HdrHistogram's own tools write and read."""

import base64
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.reports.hdr_log import (
    HdrLogWriter,
    encode_histogram,
    log_header,
    log_line,
)
from loadtest.histogram import Histogram, HistogramSnapshot
from tests.unit.harness_reports.sample_run import result_of, samples
from tests.unit.harness_reports.steered import Steered

# What the PyPI package hdrhistogram 0.10.8 encodes for the same values, in nanoseconds, in a
# HdrHistogram(1, 2**42 - 1, 3).
_VALUES = {
    0: 1, 1: 2, 2_047: 1, 2_048: 300, 4_095: 1, 5_000: 2, 1_500_000: 70_000, 1_505_000_000: 1,
    1 << 41: 1,
}  # fmt: skip
_THEIRS = (
    "HISTFAAAADt4nJNpmSzMwMAgzQABzFCaEcj8DwL2HyACTCw/5ZlusPzmZzrMzLKymfHBUY7D8xmZjq9kZAIAw2MRFw=="
)


def _histogram(values: dict[int, int]) -> HistogramSnapshot:
    histogram = Histogram()
    for ns, count in values.items():
        for _ in range(count):
            histogram.record_ns(ns)
    return histogram.take()


def _inflated(text: str) -> bytes:
    cookie, length = struct.unpack(">ii", base64.b64decode(text)[:8])
    assert cookie == 0x1C849314
    compressed = base64.b64decode(text)[8:]
    assert len(compressed) == length
    return zlib.decompress(compressed)


def _decoded(text: str) -> dict[int, int]:
    """Return lowest value of a bucket → count, read as the format is published."""
    content = _inflated(text)
    cookie, length, offset, digits, lowest, _, ratio = struct.unpack(">iiiiqqd", content[:40])
    assert (cookie, length, offset, digits, lowest, ratio) == (
        0x1C849313,
        len(content) - 40,
        0,
        3,
        1,
        1.0,
    )
    found, index, at, value = {}, 0, 40, 1
    while at < len(content):
        number = shift = 0
        for byte_number in range(9):
            byte = content[at]
            at += 1
            number |= (byte if byte_number == 8 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        value = (number >> 1) ^ -(number & 1)
        if value < 0:
            index -= value
            continue
        bucket = max((index >> 10) - 1, 0)
        found[(index - (bucket << 10)) << bucket] = value
        index += 1
    assert value > 0, "empty buckets at the end"
    return found


def test_the_encoding_is_that_of_another_implementation() -> None:
    """The bytes before compression are those that the package hdrhistogram makes."""
    assert _inflated(encode_histogram(_histogram(_VALUES))) == _inflated(_THEIRS)


@given(st.dictionaries(st.integers(0, (1 << 42) - 1), st.integers(1, 3), max_size=30))
def test_every_value_is_read_back_within_a_thousandth(values: dict[int, int]) -> None:
    """What is read back has all samples, each off by 0.1 % at most."""
    read = _decoded(encode_histogram(_histogram(values)))
    assert sum(read.values()) == sum(values.values())
    lows = sorted(low for low, count in read.items() for _ in range(count))
    given_ = sorted(ns for ns, count in values.items() for _ in range(count))
    for low, ns in zip(lows, given_, strict=True):
        assert low <= ns <= low * 1.001 + 1


@pytest.mark.parametrize("count", [1, 63, 64, 8_191, 8_192, (1 << 62) + 5])
def test_counts_of_any_size_are_encoded(count: int) -> None:
    """A count takes as many bytes as it needs, up to nine."""
    assert _decoded(encode_histogram(HistogramSnapshot(counts={7: count}))) == {7: count}


def test_an_empty_histogram_can_be_encoded() -> None:
    """A second without samples is a histogram without counts."""
    assert _decoded(encode_histogram(HistogramSnapshot())) == {}


def test_the_header_says_when_times_count_from() -> None:
    """A log names its version and the start, which times in it are relative to."""
    lines = log_header(datetime(2026, 3, 2, 9, 15, tzinfo=UTC)).splitlines()
    assert lines == [
        "#[Histogram log format version 1.3]",
        "#[StartTime: 1772442900.000 (seconds since epoch), 2026-03-02T09:15:00+00:00]",
        "#[BaseTime: 1772442900.000 (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]


def test_a_line_has_tag_start_length_and_maximum() -> None:
    """A line begins with its tag, seconds, and the maximum in milliseconds."""
    line = log_line("response", 3.0, 1.0, _histogram({2_000_000: 5}))
    assert line.startswith("Tag=response,3.000,1.000,2.000,HISTFAAAA")
    assert line.endswith("\n")


@pytest.mark.anyio
async def test_a_run_is_logged_by_the_second(tmp_path: Path) -> None:
    """Each second has a line a time; those of the warm-up have tags of their own."""
    path = tmp_path / "new" / "run.hlog"
    writer = HdrLogWriter(path)
    run = samples(12, 40)
    await writer.on_start(Steered())
    for sample in run:
        await writer.on_interval(sample)
    await writer.on_end(result_of(run))
    lines = [line for line in path.read_text("ascii").splitlines() if line.startswith("Tag=")]
    tags = [line.partition(",")[0].removeprefix("Tag=") for line in lines]
    assert len(tags) == 12 * 3
    assert {tag: tags.count(tag) for tag in set(tags)} == {
        "response": 2, "service": 2, "lag": 2,
        "unmeasured-response": 10, "unmeasured-service": 10, "unmeasured-lag": 10,
    }  # fmt: skip
    last = lines[-3].split(",")
    assert last[:3] == ["Tag=response", "11.000", "1.000"]
    response = sum(one.response.count for one in run[11].names)
    assert sum(_decoded(last[4]).values()) == response
