"""How the city's story is played, phase after phase, and how its balances are compared."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.unit.demo.test_driver import SleeplessClock
from tests.unit.demo.test_driver_names import ScriptedClient
from zhihui.demo.city.play import play_city
from zhihui.demo.city.script import Script
from zhihui.demo.driver import DayDriver

pytestmark = pytest.mark.anyio


def _story() -> Script:
    script = Script(1)
    script.begin("Accounts")
    for name in ("anna", "mall"):
        script.open_account(name)
    script.act("outage", channel="wechat", kind="silent")
    script.begin("Reads")
    script.ask("account.get", "anna", account_id="@acct:anna")
    return script


async def test_phases_and_what_happens_between_them_come_in_order() -> None:
    """A phase begins when the one before it is answered; an act gets its body in its place."""
    script = _story()
    client = ScriptedClient({"account.open": [{"account_id": "acct-7"}], "account.get": [{}]})
    happened: list[Any] = []

    async def outage(body: dict[str, Any]) -> None:
        happened.append((body, len(client.sent)))

    driver = DayDriver(
        client,
        app="city",
        clock=SleeplessClock(datetime(2026, 11, 25, tzinfo=UTC)),
    )
    phases: list[tuple[str, int]] = []
    tallies = await play_city(
        driver,
        script.phases,
        script.lines,
        {"outage": outage},
        lambda phase, count: phases.append((phase, count)),
    )
    assert phases == [("Accounts", 2), ("@outage", 1), ("Reads", 1)]
    assert happened == [({"channel": "wechat", "kind": "silent"}, 2)]
    assert [tally.done for tally in tallies] == [2, 1]
    assert client.sent[-1] == ("zh.v1.city.account.get", {"account_id": "acct-7"})


def test_the_script_numbers_requests_and_repeats_the_same_bytes() -> None:
    """What changes something gets a request id of its own, a read none; a repetition the same."""
    script = _story()
    first, second, act, read = script.lines
    assert (
        json.loads(bytes(first.body))["request_id"] != json.loads(bytes(second.body))["request_id"]
    )
    assert "request_id" not in json.loads(bytes(read.body))
    assert act.subject_tail == "@outage"
    script.again(first)
    assert script.lines[-1] == msgspec.structs.replace(first, at=2)
    assert script.outcomes() == {"account.get": {"ok": 1}, "account.open": {"ok": 3}}
