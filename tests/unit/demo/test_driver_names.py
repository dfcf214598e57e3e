"""What the driver learns from answers, asks again until it fits, and does not send at all."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from schemas.errors import NotFound
from schemas.reply import encode_error, encode_result
from tests.unit.demo.test_driver import SleeplessClock
from zhihui.demo.day import DayLine
from zhihui.demo.driver import DayDriver
from zhihui.demo.tally import NOT_SENT, Tally

pytestmark = pytest.mark.anyio

_GIVE_UP_S = 20.0


class ScriptedClient:
    """Answers each operation with its replies in order, the last one for ever."""

    def __init__(self, replies: dict[str, list[dict[str, Any] | None]]) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self._replies = defaultdict(list, {name: list(them) for name, them in replies.items()})

    async def request_raw(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        del timeout_s
        self.sent.append((subject, json.loads(payload)))
        replies = self._replies[".".join(subject.split(".")[3:])]
        result = replies.pop(0) if len(replies) > 1 else replies[0]
        if result is None:
            return encode_error(NotFound("not yet"))
        return encode_result(json.dumps(result).encode())


def _line(operation: str, body: dict[str, Any], **more: Any) -> DayLine:
    line = DayLine(
        at=0,
        lane="one",
        subject_tail=operation,
        expect="ok",
        body=msgspec.Raw(msgspec.json.encode(body)),
        app="city",
    )
    return msgspec.structs.replace(line, **more)


async def _run(client: ScriptedClient, *lines: DayLine) -> tuple[Tally, SleeplessClock]:
    clock = SleeplessClock(datetime(2026, 11, 25, tzinfo=UTC))
    driver = DayDriver(client, app="city", give_up_s=_GIVE_UP_S, clock=clock)
    return await driver.run_lines(list(lines)), clock


async def test_what_a_line_keeps_is_named_by_those_after_it() -> None:
    """A field of a kept result stands in for its name, alone or within a text, at any depth."""
    client = ScriptedClient({"account.open": [{"account_id": "acct-7"}], "account.deposit": [{}]})
    body = {"to": ["@anna.account_id", {"from": "card:{@anna.account_id}:x"}], "note": "a@b"}
    tally, _ = await _run(
        client, _line("account.open", {}, keeps="anna"), _line("account.deposit", body)
    )
    filled = {"to": ["acct-7", {"from": "card:acct-7:x"}], "note": "a@b"}
    assert client.sent[1] == ("zh.v1.city.account.deposit", filled)
    assert (tally.done, tally.mismatched) == (2, 0)


async def test_a_read_is_repeated_until_it_fits() -> None:
    """A read is sent again while it is refused or says something else, and its last answer kept."""
    opened = {"status": "opened", "account_id": "acct-7"}
    client = ScriptedClient(
        {"case.get": [None, {"status": "verifying"}, opened], "account.get": [{}]}
    )
    tally, clock = await _run(
        client,
        _line("case.get", {}, until=True, expect_result={"status": "opened"}, keeps="anna"),
        _line("account.get", {"account_id": "@anna.account_id"}),
    )
    assert [subject.rpartition(".")[0] for subject, _ in client.sent] == [
        *["zh.v1.city.case"] * 3,
        "zh.v1.city.account",
    ]
    assert client.sent[3][1] == {"account_id": "acct-7"}
    assert (tally.done, tally.mismatched) == (2, 0)
    assert tally.outcomes["case.get"] == {"ok": 1}
    assert 0 < clock.monotonic_s() < _GIVE_UP_S


async def test_a_read_that_never_fits_is_a_mismatch() -> None:
    """Repeating ends after the time that is given, with the last answer as what was found."""
    client = ScriptedClient({"case.get": [{"status": "verifying"}]})
    line = _line("case.get", {}, until=True, expect_result={"status": "opened"})
    tally, _ = await _run(client, line)
    assert len(client.sent) > 2
    (mismatch,) = tally.mismatches
    assert "verifying" in mismatch.reply
    assert tally.latencies_s[0] >= _GIVE_UP_S


async def test_when_much_is_wrong_no_read_is_waited_for_long() -> None:
    """A day that has failed ends soon: later reads get two seconds instead of their full time."""
    client = ScriptedClient({"case.get": [{"status": "verifying"}]})
    line = _line("case.get", {}, until=True, expect_result={"status": "opened"})
    tally, _ = await _run(client, *[line] * 12)
    assert tally.mismatched == 12
    assert min(tally.latencies_s[:10]) >= _GIVE_UP_S
    assert 2.0 <= max(tally.latencies_s[10:]) < 3.0


async def test_a_line_that_names_what_did_not_come_about_is_not_sent() -> None:
    """After a failure what depends on it is counted as not sent, and the rest goes on."""
    client = ScriptedClient({"account.open": [None], "account.get": [{}], "qr.get": [{}]})
    tally, _ = await _run(
        client,
        _line("account.open", {}, keeps="anna"),
        _line("account.get", {"account_id": "@anna.account_id"}),
        _line("account.get", {"account_id": "card:{@anna.account_id}"}),
        _line("qr.get", {"code_id": "qr-1"}),
    )
    assert [subject for subject, _ in client.sent] == [
        "zh.v1.city.account.open",
        "zh.v1.city.qr.get",
    ]
    assert tally.outcomes["account.get"] == {NOT_SENT: 2}
    assert (tally.done, tally.mismatched) == (4, 3)


async def test_a_line_is_sent_as_its_own_app() -> None:
    """The subject is of the line's app; another name for the story's app holds in bodies too."""
    client = ScriptedClient({"coupon.issue": [{}]})
    office = _line("coupon.issue", {"for_app": "city"}, app="ops")
    people = _line("coupon.issue", {}).renamed("city", "city-2")
    await _run(client, office, office.renamed("city", "city-2"), people)
    assert client.sent == [
        ("zh.v1.ops.coupon.issue", {"for_app": "city"}),
        ("zh.v1.ops.coupon.issue", {"for_app": "city-2"}),
        ("zh.v1.city-2.coupon.issue", {}),
    ]
