"""Durable timers on a real node: set and cancelled by commits, fired once each."""

import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.alarms import APP, Bell, alarm_node, rings, set_timers, timer, timers_left
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _id(name: str, due_at: datetime) -> str:
    return f"~timer.{name}.{int(due_at.timestamp() * 1000)}"


async def _account(url: str) -> str:
    async with Client(app=APP, url=url) as client:
        return (await client.accounts.open(holder="Li")).account_id


async def test_timers_fire_once_each_and_cancelled_ones_never(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """Each timer has its effect once; one that is cancelled has none."""
    bell = Bell()
    async with alarm_node("n1", nats_server.url, postgres_dsn, bell) as running:
        account = await _account(nats_server.url)
        due = _in(1.0)
        early = [timer(f"t{number}", due, account) for number in range(50)]
        await set_timers(running, "set", early)
        await set_timers(running, "cancel", cancels=[f"t{number}" for number in range(10)])
        await set_timers(running, "more", [timer("t-more", due, account)])
        await set_timers(running, "less", cancels=["t-more", "t-unknown"])
        later = timer("t-later", _in(3600), account)
        await set_timers(running, "later", [later])
        await eventually(lambda: running.timers.statistics().fired == 40, "40 rings", within_s=20)

        async def ended() -> bool:
            return await timers_left(postgres_dsn) == 1

        await eventually(ended, "only the later one stands")
        expected = {_id(f"t{number}", due): 1 for number in range(10, 50)}
        assert await rings(postgres_dsn) == expected
        assert sorted(bell.attempts) == sorted(expected)
        statistics = running.statistics().timers
        assert (statistics.rejected, statistics.failed, statistics.in_flight) == (0, 0, 0)
    assert (await run_audit(postgres_dsn)).ok


async def test_a_recurring_timer_comes_again_and_makes_up_for_an_outage(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """Times missed while no node ran are one ring that counts them; then the grid goes on."""
    bell = Bell()
    async with alarm_node("n1", nats_server.url, postgres_dsn, bell) as running:
        account = await _account(nats_server.url)
        due = _in(-60.0)
        await set_timers(running, "set", [timer("t1", due, account, every_s=1)])
        await eventually(lambda: len(bell.attempts) >= 3, "three rings", within_s=20)
    found = await rings(postgres_dsn)
    assert len(found) == len(set(bell.attempts))
    assert found[_id("t1", due)] >= 60
    numbers = sorted(int(name.rpartition(".")[2]) for name in found)
    # Each ring stands for itself and for those after it up to the next ring: nothing is left out.
    covered = (
        sum(found.values()) - found[_id("t1", datetime.fromtimestamp(numbers[-1] / 1000, UTC))]
    )
    assert (numbers[-1] - numbers[0]) / 1000 == covered
    assert (await run_audit(postgres_dsn)).ok


async def test_timers_survive_a_restart(nats_server: EmbeddedNats, postgres_dsn: str) -> None:
    """What comes due while no node runs fires when one does."""
    bell = Bell()
    async with alarm_node("n1", nats_server.url, postgres_dsn, bell) as running:
        account = await _account(nats_server.url)
        due = _in(1.0)
        await set_timers(running, "set", [timer(f"t{n}", due, account) for n in range(20)])
    assert bell.attempts == []
    await eventually(lambda: datetime.now(UTC) > due, "they are due")
    async with alarm_node("n1", nats_server.url, postgres_dsn, bell) as running:
        await eventually(lambda: running.timers.statistics().fired == 20, "all rings", within_s=20)
    assert await rings(postgres_dsn) == {_id(f"t{n}", due): 1 for n in range(20)}
    assert await timers_left(postgres_dsn) == 0


async def test_an_actor_that_is_away_is_asked_again(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """While the actor refuses the timer stands, and it fires when the actor is back."""
    bell = Bell()
    bell.away = True
    async with alarm_node("n1", nats_server.url, postgres_dsn, bell) as running:
        account = await _account(nats_server.url)
        due = _in(0.2)
        await set_timers(running, "set", [timer("t1", due, account)])
        await eventually(lambda: len(bell.attempts) >= 3, "three attempts", within_s=20)
        assert await timers_left(postgres_dsn) == 1
        assert running.timers.statistics().lag_s > 0
        bell.away = False
        await eventually(lambda: running.timers.statistics().fired == 1, "a ring", within_s=20)
    assert set(bell.attempts) == {_id("t1", due)}
    assert await rings(postgres_dsn) == {_id("t1", due): 1}
    assert await timers_left(postgres_dsn) == 0


async def test_a_crash_of_the_actor_ends_the_timer(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """A timer whose message crashes its actor is a dead letter, and does not come for ever."""
    bell = Bell()
    async with alarm_node("n1", nats_server.url, postgres_dsn, bell) as running:
        account = await _account(nats_server.url)
        # A number is no account, and the actor does not expect it.
        poison = timer("t1", _in(0.1), account)
        poison = msgspec.structs.replace(poison, body=msgspec.Raw(msgspec.msgpack.encode(7)))
        await set_timers(running, "set", [poison, timer("t2", _in(0.1), account)])
        await eventually(lambda: running.timers.statistics().fired == 1, "t2 rings", within_s=20)
        await eventually(lambda: running.timers.statistics().failed == 1, "t1 fails", within_s=20)
        await eventually(lambda: running.dead_letters.statistics().waiting == 0, "it is kept")
        assert running.dead_letters.statistics().recorded == 1

        async def ended() -> bool:
            return await timers_left(postgres_dsn) == 0

        await eventually(ended, "both are ended")


async def test_a_timer_is_never_early(nats_server: EmbeddedNats, postgres_dsn: str) -> None:
    """No timer rings before its time; how late they are depends on the machine, and is printed."""
    bell = Bell()
    async with alarm_node("n1", nats_server.url, postgres_dsn, bell) as running:
        account = await _account(nats_server.url)
        began = datetime.now(UTC)
        dues = [began + timedelta(seconds=0.8 + n * 0.05) for n in range(20)]
        await set_timers(running, "set", [timer(f"t{n}", at, account) for n, at in enumerate(dues)])
        await eventually(lambda: len(bell.attempts) == 20, "all rings", within_s=20)
    due_at = {_id(f"t{n}", at): at for n, at in enumerate(dues)}
    late = sorted((bell.first_at[name] - at).total_seconds() for name, at in due_at.items())
    # The due times are kept in milliseconds.
    assert late[0] > -0.001
    sys.stdout.write(
        f"late by {late[10] * 1000:.0f} ms in the middle, {late[-1] * 1000:.0f} most\n"
    )
