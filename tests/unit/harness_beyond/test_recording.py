"""Recordings: what is written is read, and what is sent again is what should be."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.replay import (
    Header,
    RecordingProblem,
    RecordingWriter,
    read_header,
    read_recording,
)
from loadtest.harness.replay.moments import write_moments
from loadtest.harness.replay.requests import requests_of, the_app

_HEADER = Header(started_at="2025-01-01T00:00:00.000+00:00")
_PAY = "zh.v1.city.payment.create"


def _write(path: Path, *requests: tuple[float, str, object]) -> None:
    with RecordingWriter(path, _HEADER) as writer:
        for at_s, subject, body in requests:
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            writer.add(round(at_s * 1e9), subject, text)


@given(
    gaps=st.lists(st.integers(0, 5_000_000_000), max_size=20),
    texts=st.lists(st.text(max_size=20), min_size=20, max_size=20),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], texts: list[str]
) -> None:
    """Moments come back to the microsecond however many there are, subjects and bodies exactly."""
    path = tmp_path_factory.mktemp("recording") / "r.gz"
    moments, now_ns = [], 7_000_000_123
    with RecordingWriter(path, _HEADER) as writer:
        for gap, text in zip(gaps, texts, strict=False):
            now_ns += gap
            moments.append(now_ns)
            writer.add(now_ns, f"zh.v1.a.b.{len(text) % 3}", text.encode())
    found = list(read_recording(path))
    assert [one.body for one in found] == texts[: len(gaps)]
    assert [one.subject for one in found] == [
        f"zh.v1.a.b.{len(text) % 3}" for text in texts[: len(gaps)]
    ]
    for one, moment in zip(found, moments, strict=True):
        assert one.at_s * 1e9 == pytest.approx(moment - moments[0], abs=1_001)
    assert read_header(path) == _HEADER


def test_a_request_gets_a_new_id_and_keeps_all_else(tmp_path: Path) -> None:
    """The body is as it was but for the request id, wherever it stood and whatever else it held."""
    body = {
        "payer": "a",
        "request_id": "old",
        "amount_minor": 250,
        "reference": "request_id \\u0000 \x00 纸",
    }
    _write(tmp_path / "r.gz", (0.0, _PAY, body))
    (one,) = requests_of(tmp_path / "r.gz", "city")
    assert json.loads(one.body("load-1-2")) == {**body, "request_id": "load-1-2"}
    assert (one.service, one.verb, one.amount_minor) == ("payment", "create", 250)


def test_a_read_is_sent_as_it_was(tmp_path: Path) -> None:
    """What has no request id has no place for one, and pays nothing."""
    _write(tmp_path / "r.gz", (0.0, "zh.v1.city.account.get", {"account_id": "a"}))
    (one,) = requests_of(tmp_path / "r.gz", "city")
    assert one.tail is None
    assert json.loads(one.body("load-1-2")) == {"account_id": "a"}


def test_retries_and_others_are_left_out(tmp_path: Path) -> None:
    """An id is sent once; other apps, other subjects and what is no JSON object are not sent."""
    path = tmp_path / "r.gz"
    _write(
        path,
        (0.0, _PAY, {"request_id": "1"}),
        (0.1, _PAY, {"request_id": "1"}),
        (0.2, "zh.v1.campus.payment.create", {"request_id": "2"}),
        (0.3, "zh.v1.city", {}),
        (0.4, _PAY, b"[1]"),
        (0.5, _PAY, b"{"),
        (0.6, _PAY, {"request_id": "3"}),
    )
    assert [one.at_s for one in requests_of(path, "city")] == pytest.approx([0.0, 0.6])


@pytest.mark.parametrize(("speed", "moments"), [(1.0, [0.0, 0.5, 2.0]), (4.0, [0.0, 0.125, 0.5])])
def test_the_speed_scales_bursts_and_pauses(
    tmp_path: Path, speed: float, moments: list[float]
) -> None:
    """Moments count from the first request that is sent, and are divided by the speed."""
    path = tmp_path / "r.gz"
    _write(
        path,
        (3.0, "zh.v1.campus.x.y", {"request_id": "0"}),
        *((at, _PAY, {"request_id": str(at)}) for at in (4.0, 4.5, 6.0)),
    )
    count, last_s = write_moments(requests_of(path, "city"), tmp_path / "m.txt", speed=speed)
    assert count == 3
    assert last_s == pytest.approx(moments[-1])
    lines = (tmp_path / "m.txt").read_text().split()
    assert [float(line) for line in lines] == pytest.approx(moments)


def test_a_speed_that_is_none_is_refused(tmp_path: Path) -> None:
    """Zero, and more than a thousandfold, raise."""
    for speed in (0.0, -1.0, 1_001.0):
        with pytest.raises(ValueError, match="a speed is more than 0"):
            write_moments([], tmp_path / "m.txt", speed=speed)


def test_the_app_is_named_or_clear(tmp_path: Path) -> None:
    """A recording of one app needs no name; of several, or without it, it says what it has."""
    path = tmp_path / "r.gz"
    _write(path, (0.0, _PAY, {}))
    assert the_app(path, "") == "city"
    with pytest.raises(RecordingProblem, match=r"no request of 'x'; it has: city \(1 requests\)"):
        the_app(path, "x")
    _write(path, (0.0, _PAY, {}), (0.1, "zh.v1.campus.x.y", {}))
    assert the_app(path, "campus") == "campus"
    with pytest.raises(RecordingProblem, match="several apps, name one: campus"):
        the_app(path, "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not gzip", "is no recording"),
        (gzip.compress(b"{}\n"), "is no recording"),
        (gzip.compress(b'{"recording":2,"started_at":""}\n'), "is of version 2"),
        (
            gzip.compress(b'{"recording":1,"started_at":""}\n[1,0,"{}"]\n'),
            "line 2 or what follows is damaged",
        ),
    ],
)
def test_what_is_no_recording_is_said_to_be_none(tmp_path: Path, content: bytes, said: str) -> None:
    """A file of something else, of a newer program, or with a subject missing, is refused."""
    (tmp_path / "r.gz").write_bytes(content)
    with pytest.raises(RecordingProblem, match=said):
        list(read_recording(tmp_path / "r.gz"))


def test_a_recording_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    """A file whose end is missing raises instead of being a shorter recording."""
    path = tmp_path / "r.gz"
    _write(path, *((n, _PAY, {"request_id": str(n), "x": n * n}) for n in range(200)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RecordingProblem, match="damaged"):
        list(read_recording(path))


def test_what_is_no_text_is_counted(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are left out, and the count says so."""
    with RecordingWriter(tmp_path / "r.gz", _HEADER) as writer:
        writer.add(0, _PAY, b"\xff")
        assert (writer.requests, writer.left_out) == (0, 1)


def test_a_payment_takes_few_bytes(tmp_path: Path) -> None:
    """Ten thousand payments with ids of their own take less than 80 bytes each."""
    path = tmp_path / "r.gz"
    bodies = (
        {"request_id": f"load-5f2c-{n}", "payer": f"acct_payer{n * 7919 % 99991:015d}",
         "payee": f"acct_payee{n % 200:015d}", "amount_minor": n % 500}
        for n in range(10_000)
    )  # fmt: skip
    _write(path, *((n / 1000, _PAY, body) for n, body in enumerate(bodies)))
    assert path.stat().st_size < 800_000
