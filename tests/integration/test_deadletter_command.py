"""`zhihui deadletter` and `zhihui events`, as an operator types them, beside a running node."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import msgspec
import nats
import pytest
from typer.testing import CliRunner

from kernel.clock import SystemClock
from kernel.jetstream import JetStreams
from kernel.nats_bus import NatsBus
from kernel.partition import partition_of
from kernel.randomness import IdFactory, SystemRandomness
from schemas.accounts import OpenAccount
from schemas.event_list import EventList
from schemas.events import CloudEvent, event_number
from schemas.subjects import DEAD_LETTER_STREAM, INTAKE_STREAM
from tests.eventually import eventually
from zhihui.client import Client
from zhihui.commands.events import events
from zhihui.event_tail import EventTail, events_of
from zhihui.node import NodeConfig, running_node

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_WITHIN_S = 30.0
_COMMAND_S = 60.0


class _Desk:
    """An operator's terminal beside a node."""

    def __init__(self, url: str, dsn: str, client: Client) -> None:
        self.url = url
        self.dsn = dsn
        self.client = client
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ZHIHUI_")
        } | {
            "ZHIHUI_NATS_URL": url, "ZHIHUI_POSTGRES_DSN": dsn, "COLUMNS": "160", "NO_COLOR": "1",
        }  # fmt: skip

    async def type(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[bytes]":
        """Run a command to its end."""
        with anyio.fail_after(_COMMAND_S):
            return await anyio.run_process(
                [sys.executable, "-m", "zhihui", *arguments],
                env=self.environment,
                input=stdin.encode(),
                check=False,
            )

    async def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what `deadletter list` says."""
        done = await self.type("deadletter", "list", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    async def publish(self, subject: str, *bodies: bytes) -> None:
        """Publish to the intake as a backend would, and wait until none is left there."""
        connection = await nats.connect(self.url)
        stream = connection.jetstream()
        try:
            for body in bodies:
                await stream.publish(subject, body)

            async def empty() -> bool:
                return (await stream.stream_info(INTAKE_STREAM)).state.messages == 0

            await eventually(empty, "the intake is empty", within_s=_WITHIN_S)
        finally:
            await connection.close()

    async def execute(self, query: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def keep_actor_letter(self, letter_id: str, type_: str, holder: str) -> None:
        """Put a letter of the account actor into the table, as a node would."""
        body = msgspec.msgpack.encode(OpenAccount(request_id=letter_id, holder=holder))
        await self.execute(
            "INSERT INTO zhihui.dead_letter VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
            *(letter_id, datetime(2026, 11, 23, tzinfo=UTC), "n1", "account", "k", type_, "shop"),
            *("Traceback ...\nLookupError: broken", 2, body),
        )


@asynccontextmanager
async def _desk(url: str, dsn: str) -> AsyncIterator[_Desk]:
    config = NodeConfig(name="n1", nats_url=url, postgres_dsn=dsn)
    # Without packs, whose own events would stand between those that a test counts.
    async with running_node(config, bundled=()) as running, Client(app="shop", url=url) as client:
        await eventually(
            lambda: running.intake.statistics().open, "the intake is open", within_s=_WITHIN_S
        )
        yield _Desk(url, dsn, client)


_SUBJECT = "zh.in.v1.shop.account.open"


async def test_letters_of_both_kinds_are_listed_and_shown(nats_url: str, postgres_dsn: str) -> None:
    """One list has published requests and actors' messages; each is shown with its bytes."""
    async with _desk(nats_url, postgres_dsn) as desk:
        assert b"No dead letters" in (await desk.type("deadletter", "list")).stdout
        await desk.keep_actor_letter("dead_1", "account.fly", "Li Lei")
        await desk.publish(_SUBJECT, b'{"request_id":"o-1","holder":7}')
        await desk.publish("zh.in.v1.gym.account.open", b"\xff\xc1")
        letters = await desk.listed()
        assert [one["id"] for one in letters] == ["dead_1", "in-1", "in-2"]
        assert [one["app"] for one in letters] == ["shop", "shop", "gym"]
        assert [one["code"] for one in letters] == [
            "internal",
            "invalid_field",
            "malformed_message",
        ]
        assert [one["id"] for one in await desk.listed("--app", "gym")] == ["in-2"]
        assert [one["id"] for one in await desk.listed("--limit", "1")] == ["dead_1"]
        table = (await desk.type("deadletter", "list", "--limit", "2")).stdout.decode()
        assert "LookupError: broken" in table
        assert "invalid_field" in table
        assert "oldest 2" in table
        shown = (await desk.type("deadletter", "show", "dead_1")).stdout.decode()
        assert "as msgpack" in shown
        assert "Li Lei" in shown
        assert '"holder": 7' in (await desk.type("deadletter", "show", "in-1")).stdout.decode()
        assert "ff c1" in (await desk.type("deadletter", "show", "in-2")).stdout.decode()
        as_json = json.loads((await desk.type("deadletter", "show", "in-1", "--json")).stdout)
        assert (as_json["body_form"], as_json["subject"]) == ("JSON", _SUBJECT)


@pytest.mark.parametrize(("command", "letter_id"), [("show", "in-9"), ("retry", "dead_9")])
async def test_unknown_letter_is_told(
    nats_url: str, postgres_dsn: str, command: str, letter_id: str
) -> None:
    """An id that is not there is named, with where to look; also before any node ever ran."""
    async with Client(app="shop", url=nats_url) as client:
        desk = _Desk(nats_url, postgres_dsn, client)
        done = await desk.type("deadletter", command, letter_id)
        assert done.returncode == 1
        assert letter_id.encode() in done.stderr
        assert b"deadletter list" in done.stderr


async def test_retry_sends_again_and_removes_the_letter(nats_url: str, postgres_dsn: str) -> None:
    """Once the reason is gone, a retry does what was asked, and the letters are gone with it."""
    async with _desk(nats_url, postgres_dsn) as desk:
        await desk.keep_actor_letter("dead_1", "account.open", "Li Lei")
        await desk.keep_actor_letter("dead_2", "account.fly", "Li Lei")
        await desk.publish(_SUBJECT, b'{"request_id":"o-1","holder":7}')
        # The letter as it would stand if only the service had been at fault.
        connection = await nats.connect(desk.url)
        stream = connection.jetstream()
        letter = await stream.get_msg(DEAD_LETTER_STREAM, 1)
        headers = {name: value for name, value in (letter.headers or {}).items() if "Zh-" in name}
        body = b'{"request_id":"o-1","holder":"Han Mei"}'
        await stream.publish(letter.subject or "", body, headers=headers)
        await connection.close()
        again = await desk.type("deadletter", "retry", "--all")
        assert again.returncode == 1
        lines = dict(line.split("  ", 1) for line in again.stdout.decode().splitlines())
        assert lines["dead_1"] == "done"
        assert lines["dead_2"].startswith("internal")
        assert lines["in-1"] == lines["in-2"] == "published again"

        async def opened() -> bool:
            rows = await desk.execute("SELECT holder FROM zhihui.account WHERE app = 'shop'")
            return {row[0] for row in rows} == {"Li Lei", "Han Mei"}

        await eventually(opened, "both accounts are open", within_s=_WITHIN_S)

        async def left() -> bool:
            found = [(one["source"], one["operation"]) for one in await desk.listed()]
            return sorted(found) == [("actor", "account.fly"), ("intake", "account.open")]

        # What cannot succeed is a dead letter again, once.
        await eventually(left, "two letters are there", within_s=_WITHIN_S)
        told = await desk.execute(
            "SELECT type FROM zhihui.event WHERE subject = 'o-1' ORDER BY seq"
        )
        assert sorted(row[0] for row in told) == [
            "request.rejected", "request.rejected", "request.succeeded",
        ]  # fmt: skip


async def test_retry_without_a_node_keeps_the_letter(nats_url: str, postgres_dsn: str) -> None:
    """A message whose actor nobody serves stays a dead letter."""
    async with Client(app="shop", url=nats_url) as client:
        desk = _Desk(nats_url, postgres_dsn, client)
        await desk.keep_actor_letter("dead_1", "account.open", "Li Lei")
        rows = await desk.execute(
            "SELECT owner FROM zhihui.partition WHERE partition = $1", partition_of("account", "k")
        )
        assert rows[0][0] == ""
        done = await desk.type("deadletter", "retry", "dead_1")
        assert done.returncode == 1
        assert b"not_ready" in done.stdout
        assert [one["id"] for one in await desk.listed()] == ["dead_1"]


async def test_drop_asks_and_deletes(nats_url: str, postgres_dsn: str) -> None:
    """Dropping asks first, takes ids or all of an app, and leaves nothing of what was chosen."""
    async with _desk(nats_url, postgres_dsn) as desk:
        await desk.keep_actor_letter("dead_1", "account.fly", "Li Lei")
        await desk.publish(_SUBJECT, b"1", b"2")
        await desk.publish("zh.in.v1.gym.account.open", b"3")
        assert (await desk.type("deadletter", "drop")).returncode == 2
        assert (await desk.type("deadletter", "drop", "in-1", "--all")).returncode == 2
        refused = await desk.type("deadletter", "drop", "in-1", stdin="n\n")
        assert refused.returncode == 1
        assert len(await desk.listed()) == 4
        assert (await desk.type("deadletter", "drop", "in-1", stdin="y\n")).returncode == 0
        done = await desk.type("deadletter", "drop", "--all", "--app", "shop", "--yes")
        assert b"Dropped 2" in done.stdout
        assert [one["app"] for one in await desk.listed()] == ["gym"]
        assert (await desk.type("deadletter", "drop", "--all", "--yes")).returncode == 0
        assert b"nothing to do" in (await desk.type("deadletter", "drop", "--all")).stdout


async def _opened(desk: _Desk, count: int) -> None:
    for number in range(count):
        await desk.client.accounts.open(holder=f"Holder {number}")


async def test_events_are_tailed(nats_url: str, postgres_dsn: str) -> None:
    """Events of an app or a type are printed from where one says, as text or as JSON."""
    async with _desk(nats_url, postgres_dsn) as desk:
        await _opened(desk, 12)
        async with Client(app="gym", url=desk.url) as gym:
            account = (await gym.accounts.open(holder="Gym Ltd")).account_id
            await gym.accounts.deposit(account, 5, source="external:cash")
        clock = SystemClock()
        async with NatsBus(nats_url, name="tail", clock=clock) as bus:
            streams = JetStreams("tail", bus, IdFactory(clock, SystemRandomness()))

            async def numbers(begin: str, value: int, app: str = "", type_: str = "") -> list[int]:
                tail = EventTail(streams, clock, events_of(app, type_))
                await (tail.since(value) if begin == "since" else tail.last(value))
                seen = [one async for one in tail.events(follow=False)]
                return [event_number(one.headers["Nats-Msg-Id"]) or 0 for one in seen]

            async def relayed() -> bool:
                return len(await numbers("since", 0)) == 14

            await eventually(relayed, "all events are in the stream", within_s=_WITHIN_S)
            assert await numbers("since", 11) == [12, 13, 14]
            assert await numbers("since", 14) == []
            assert await numbers("last", 3) == [12, 13, 14]
            assert await numbers("last", 100) == list(range(1, 15))
            assert await numbers("last", 0) == []
            assert await numbers("since", 0, app="gym") == [13, 14]
            assert await numbers("since", 0, type_="account.opened") == list(range(1, 14))
            assert await numbers("since", 0, type_="deposit") == [14]
            assert await numbers("last", 2, app="shop", type_="account") == [11, 12]
            # Where a part of the stream is gone, the place is still found.
            for seq in (3, 7, 11, 12):
                await streams.delete("ZHIHUI_EVENTS", seq)
            assert await numbers("since", 6) == [8, 9, 10, 13, 14]
        done = await desk.type("events", "tail", "--no-follow")
        lines = done.stdout.decode().splitlines()
        assert len(lines) == 10
        assert "gym  deposit.succeeded  dep_" in lines[-1]
        done = await desk.type("events", "tail", "--no-follow", "--since", "13", "--json")
        assert event_number(json.loads(done.stdout)["id"]) == 14


@pytest.mark.parametrize(
    "bad", [("--app", "No App"), ("--type", "a.b.c"), ("--all", "--last", "1")]
)
def test_tail_refuses_what_makes_no_sense(bad: tuple[str, ...]) -> None:
    """Options that name no app, no type or two places are told, and nothing is connected to."""
    done = CliRunner().invoke(events, ["tail", *bad])
    assert done.exit_code == 2


async def test_tail_follows_until_it_is_interrupted(nats_url: str, postgres_dsn: str) -> None:
    """A tail that follows prints what comes later, and ends quietly at Ctrl-C."""
    async with _desk(nats_url, postgres_dsn) as desk:
        await _opened(desk, 1)
        command = [sys.executable, "-m", "zhihui", "events", "tail", "--app", "shop"]
        process = await anyio.open_process(command, env=desk.environment)
        assert process.stdout is not None
        assert process.stderr is not None
        with anyio.fail_after(_COMMAND_S):
            assert b"Holder 0" in await process.stdout.receive()
            await desk.client.accounts.open(holder="Later")
            assert b"Later" in await process.stdout.receive()
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            with pytest.raises(anyio.EndOfStream):
                await process.stderr.receive()
        await process.aclose()


async def test_events_are_listed_page_by_page(nats_url: str, postgres_dsn: str) -> None:
    """`event.list` gives an app its own events, all of them and in order, and says where it is."""
    async with _desk(nats_url, postgres_dsn) as desk, Client(app="gym", url=desk.url) as gym:
        for number in range(7):
            await gym.accounts.open(holder=f"Guest {number}")
            await _opened(desk, 1)
        pages: list[EventList] = []
        after = 0
        while not pages or pages[-1].more:
            answer = await gym.call("event", "list", {"after": after, "limit": 3})
            pages.append(msgspec.json.decode(json.dumps(answer), type=EventList))
            after = pages[-1].next_after
        found: list[CloudEvent] = [event for page in pages for event in page.events]
        assert [event.subject for event in found] == [
            row[0]
            for row in await desk.execute(
                "SELECT subject FROM zhihui.event WHERE app = 'gym' ORDER BY seq"
            )
        ]
        assert len(found) == 7
        assert {event.source for event in found} == {"/zhihui/gym"}
        assert after == 14
        nothing = await gym.call("event", "list", {"after": after})
        assert nothing == {"events": [], "next_after": 14, "more": False}
        later = await gym.call("event", "list", {"after": 1_000_000})
        assert later == {"events": [], "next_after": 1_000_000, "more": False}
