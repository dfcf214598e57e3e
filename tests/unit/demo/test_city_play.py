"""How the city's story is played, phase after phase, and how its balances are compared."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from rich.console import Console

from tests.unit.demo.test_driver import MANIFEST, SleeplessClock
from tests.unit.demo.test_driver_names import ScriptedClient
from zhihui.demo.city.play import play_city
from zhihui.demo.city.script import Script
from zhihui.demo.day import Day
from zhihui.demo.driver import DayDriver
from zhihui.demo.report import print_balances

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
        Day(setup=[], lines=script.lines, manifest=MANIFEST),
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


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"anna": 5, "mall": -7}, "2 of 2 balances are the manifest's"),
        ({"anna": 6, "mall": -7}, "anna has ¥0.06; by the manifest ¥0.05"),
        ({"anna": 5, "mall": None}, "mall has no such account; by the manifest -¥0.07"),
    ],
)
def test_a_balance_that_differs_is_named(found: dict[str, int | None], said: str) -> None:
    """Balances agree only when every one is the model's to the fen; another is told with both."""
    console = Console(file=io.StringIO(), width=120)
    agree = print_balances(console, {"anna": 5, "mall": -7}, found)
    assert agree == (found == {"anna": 5, "mall": -7})
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
