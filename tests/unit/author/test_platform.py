"""The simulated platform: money, time, trouble, and what it says when something is wrong."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.unit.author.broken_packs import sound, sound_changed
from zhihui.author.history import SHOWN_MAX, History
from zhihui.author.packing import code_of
from zhihui.author.platform import NODE, PackBroken, Platform, Refused, on_platform
from zhihui.simulation.books import check_books


def _play(story: Callable[[Platform], Awaitable[None]], seed: int = 1) -> str:
    history = History()
    on_platform(code_of(sound()), story, seed=seed, history=history)
    return history.text()


async def _lent(platform: Platform, money_minor: int = 1_000) -> tuple[str, str]:
    rider, owner = await platform.open_account(money_minor), await platform.open_account()
    await platform.call("set_tariff", tariff_id="day", hour_minor=300)
    await _lend(platform, rider, owner)
    return rider, owner


async def _lend(platform: Platform, rider: str, owner: str) -> None:
    await platform.call("lend", thing_id="a", tariff_id="day", payer=rider, owner=owner)


def test_what_came_of_a_call_can_be_read() -> None:
    """Balances, documents and events are those of the commit, and a read needs no request id."""

    async def story(platform: Platform) -> None:
        rider, owner = await _lent(platform)
        assert (platform.balance(rider), platform.balance(owner)) == (700, 300)
        assert platform.held(rider) == 0
        document = platform.document("thing", "a")
        assert document is not None
        assert document["lent"] == 1
        assert platform.document("thing", "b") is None
        (event,) = platform.events("lent")
        assert (event.subject, event.data["paid_minor"], event.app) == ("a", 300, "shop")
        assert (await platform.call("get", thing_id="a"))["out"] is True
        assert platform.events("nothing") == []

    _play(story)


def test_apps_do_not_see_each_other() -> None:
    """A document belongs to the backend that made it."""

    async def story(platform: Platform) -> None:
        await _lent(platform)
        assert platform.document("thing", "a", app="other") is None
        assert (await platform.call("get", thing_id="a", app="other"))["lent"] == 0

    _play(story)


def test_time_passes_only_where_a_story_waits() -> None:
    """Calls take none; a year passes at once, and a timer within it comes at its moment."""

    async def story(platform: Platform) -> None:
        before = platform.now
        await _lent(platform)
        assert platform.now == before
        await platform.advance(minutes=59)
        assert (platform.document("thing", "a") or {})["out"] is True
        await platform.advance(minutes=1)
        assert (platform.document("thing", "a") or {})["out"] is False
        await platform.advance(days=365)
        assert (
            timedelta()
            <= platform.now - before - timedelta(days=365, hours=1)
            < timedelta(seconds=1)
        )

    _play(story)


def test_a_refusal_has_its_code() -> None:
    """``call`` raises it, ``refused`` returns it, and complains about what is not refused."""

    async def story(platform: Platform) -> None:
        rider, owner = await _lent(platform, 300)
        with pytest.raises(Refused, match="it is lent") as told:
            await _lend(platform, rider, owner)
        assert told.value.code == "invalid_state"
        assert await platform.refused("get", thing_id="") == "invalid_field"
        with pytest.raises(AssertionError, match="was to be refused"):
            await platform.refused("get", thing_id="a")

    _play(story)


def test_a_crash_and_a_hostile_world_lose_nothing() -> None:
    """The node dies and messages are lost: calls are answered all the same, once."""

    async def story(platform: Platform) -> None:
        platform.set_hostile()
        rider, owner = await _lent(platform, 10_000)
        for _ in range(10):
            await platform.advance(hours=1, seconds=30)
            await _lend(platform, rider, owner)
            await platform.crash()
        platform.set_hostile(hostile=False)
        await platform.advance(minutes=1)
        assert platform.balance(owner) == 3_300
        assert (platform.document("tally", owner) or {})["lent"] == 11

    _play(story)


def test_the_same_seed_gives_the_same_history() -> None:
    """A hostile story repeats to the letter with its seed, and is another one with another."""

    async def story(platform: Platform) -> None:
        platform.set_hostile()
        rider, owner = await _lent(platform, 10_000)
        for _ in range(5):
            await platform.advance(hours=2)
            await _lend(platform, rider, owner)

    assert _play(story, seed=3) == _play(story, seed=3)
    assert _play(story, seed=3) != _play(story, seed=4)


def test_a_message_that_fails_ends_the_story() -> None:
    """A dead letter that nobody looked at fails the test that left it."""
    crashing = code_of(
        sound_changed(("pack.py", "price_minor = tariff", "price_minor = 1 // 0 + tariff"))
    )

    async def careless(platform: Platform) -> None:
        with pytest.raises(Refused, match="internal"):
            await _lent(platform)
        await platform.advance(seconds=5)

    async def careful(platform: Platform) -> None:
        await careless(platform)
        assert "ZeroDivisionError" in platform.dead_letters()[0]

    with pytest.raises(PackBroken, match="dead letters"):
        on_platform(crashing, careless)
    on_platform(crashing, careful)


def test_a_pack_that_does_not_load_says_why() -> None:
    """The error of the loader reaches the author."""
    archive = code_of(sound_changed(("pack.py", "import msgspec\n", "import kernel.journal\n")))

    async def story(platform: Platform) -> None:
        raise AssertionError("it does not get here")

    with pytest.raises(PackBroken, match="may not import kernel"):
        on_platform(archive, story)


def test_books_that_do_not_agree_are_seen() -> None:
    """Money from nowhere, and a hold that no balance knows, are told."""

    async def story(platform: Platform) -> None:
        rider, _ = await _lent(platform)
        database = platform.world.database
        assert check_books(platform.world) == []
        database.put("balance", (rider,), {"posted_minor": 701})
        assert len(check_books(platform.world)) == 2
        database.put("balance", (rider,), {"posted_minor": 700, "held_minor": 5})
        assert "its balance says 5" in check_books(platform.world)[0]
        database.put("balance", (rider,), {"held_minor": 0})
        assert platform.world.names() == (NODE,)

    _play(story)


def test_the_history_is_short() -> None:
    """Only the last lines are kept, and it says how many went before."""
    history = History()

    async def story(platform: Platform) -> None:
        for number in range(SHOWN_MAX):
            await platform.call("get", thing_id=f"t{number}")

    on_platform(code_of(sound()), story, history=history)
    lines = history.text().splitlines()
    assert lines[0] == f"… {SHOWN_MAX} lines before these"
    assert len(lines) == SHOWN_MAX + 1
