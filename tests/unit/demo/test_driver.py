"""The demo's driver against a client of its own kind: order, retries, giving up."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import anyio.lowlevel
import msgspec
import pytest

from kernel.clock import ManualClock
from schemas.errors import Busy, DeadlineExceeded, NotFound, NotReady, ZhihuiError
from schemas.reply import encode_error, encode_result
from zhihui.demo.day import DayLine
from zhihui.demo.driver import DayDriver

pytestmark = pytest.mark.anyio


class SleeplessClock(ManualClock):
    """Time passes by sleeping, at once."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await anyio.lowlevel.checkpoint()


class FakeClient:
    """Answers ``entered``; fails first as told by the body's ``fails``."""

    def __init__(self, clock: ManualClock, failure: ZhihuiError) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.under_way: Counter[str] = Counter()
        self.most_in_a_lane = 0
        self._clock = clock
        self._failure = failure
        self._failures: Counter[bytes] = Counter()

    async def request_raw(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        self.sent.append((subject, payload))
        body = json.loads(payload)
        self.under_way[body["plate"]] += 1
        self.most_in_a_lane = max(self.most_in_a_lane, self.under_way[body["plate"]])
        for _ in range(body["number"] % 5):
            await anyio.lowlevel.checkpoint()
        self.under_way[body["plate"]] -= 1
        if self._failures[payload] < body.get("fails", 0):
            self._failures[payload] += 1
            if isinstance(self._failure, (DeadlineExceeded, NotReady)):
                self._clock.advance(timeout_s)
                raise self._failure
            return encode_error(self._failure)
        return encode_result(b'{"status":"entered","arrears_minor":0}')


def make_line(plate: str, number: int, **more: Any) -> DayLine:
    body = {"plate": plate, "number": number, **more}
    return DayLine(
        at=number,
        lane=plate,
        subject_tail="parking.enter",
        expect="entered",
        expect_result={"arrears_minor": 0},
        body=msgspec.Raw(json.dumps(body).encode()),
    )


def make_driver(failure: ZhihuiError) -> tuple[DayDriver, FakeClient]:
    clock = SleeplessClock(datetime(2026, 6, 15, tzinfo=UTC))
    client = FakeClient(clock, failure)
    return DayDriver(client, app="citypark", give_up_s=20.0, clock=clock), client


async def test_lanes_run_side_by_side_and_each_in_order() -> None:
    """A lane has one message under way at a time, in order; lanes do not wait for each other."""
    lines = [make_line(f"plate-{number % 7}", number) for number in range(300)]
    driver, client = make_driver(Busy("full"))
    counts: list[int] = []
    tally = await driver.run_lines(lines, counts.append)
    assert client.most_in_a_lane == 1
    order: defaultdict[str, list[int]] = defaultdict(list)
    for subject, payload in client.sent:
        assert subject == "zh.v1.citypark.parking.enter"
        body = json.loads(payload)
        order[body["plate"]].append(body["number"])
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert counts == list(range(1, 301))
    assert (tally.outcomes["parking.enter"]["entered"], tally.mismatched) == (300, 0)


@pytest.mark.parametrize("failure", [Busy("full"), DeadlineExceeded("late"), NotReady("down")])
async def test_what_may_be_retried_is_sent_again_with_the_same_bytes(failure: ZhihuiError) -> None:
    """A retryable error, answered or raised, is tried again until an answer stands."""
    driver, client = make_driver(failure)
    tally = await driver.run_lines([make_line("plate", 1, fails=2)])
    assert len(client.sent) == 3
    assert len(set(client.sent)) == 1
    assert (tally.sent_again, tally.mismatched) == (2, 0)


async def test_driver_gives_up_in_the_end() -> None:
    """A service that never answers is a mismatch, not a hang."""
    driver, _ = make_driver(DeadlineExceeded("late"))
    tally = await driver.run_lines([make_line("plate", 1, fails=10**6)])
    assert tally.outcomes["parking.enter"] == {"deadline_exceeded": 1}
    assert tally.mismatched == 1


async def test_rejection_is_final_and_a_wrong_outcome_is_kept() -> None:
    """A rejection is not sent again; one that was not expected is counted and shown."""
    driver, client = make_driver(NotFound("no lot"))
    tally = await driver.run_lines([make_line("plate", 1, fails=1)])
    assert len(client.sent) == 1
    assert tally.mismatches[0].outcome == "not_found"


async def test_right_outcome_with_a_wrong_amount_is_a_mismatch() -> None:
    """The numbers of a result are compared as well as its status."""
    line = msgspec.structs.replace(make_line("plate", 1), expect_result={"arrears_minor": 600})
    driver, _ = make_driver(Busy("full"))
    tally = await driver.run_lines([line])
    assert (tally.outcomes["parking.enter"]["entered"], tally.mismatched) == (1, 1)


def test_names_of_accounts_become_ids_and_nothing_else_changes() -> None:
    """A body without names is sent byte for byte; bytes that are not JSON as they are."""
    line = make_line("沪A12345", 1)
    assert line.payload({}) == bytes(line.body)
    named = msgspec.structs.replace(line, body=msgspec.Raw(b'{"a": "@acct:x", "n": 1}'))
    assert json.loads(named.payload({"@acct:x": "acct_1"})) == {"a": "acct_1", "n": 1}
    assert msgspec.structs.replace(line, raw_hex="00ff").payload({}) == b"\x00\xff"
