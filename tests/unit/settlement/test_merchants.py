"""Merchants: what may be agreed on, by whom, and how soon payments follow."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from actors.settlement import merchants
from actors.settlement.merchants import LOOK_EVERY_S, MerchantBook
from actors.settlement.statements import clearing_page
from kernel.memory_store import MemoryStore
from kernel.store import Query
from schemas.settlement import Clearing
from tests.simulation.world import Caller, World
from tests.unit.settlement.settlement_lab import Till, at, check_settled, open_merchant, play, run

_NOON = at(4, 12)


async def _account(caller: Caller, name: str) -> str:
    opened = await caller.call("account.open", request_id=f"open-{name}", holder=name)
    return str(opened["account_id"])


def _share(account_id: str, ppm: int = 1) -> dict[str, Any]:
    return {"type": "ppm", "account_id": account_id, "ppm": ppm}


def test_terms_that_cannot_hold_are_refused() -> None:
    """Each mistake in the terms is refused with its field, and nothing of the merchant stands."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        gym = Caller(world, "gym")
        await gym.open()
        collect, own = [await _account(caller, name) for name in ("collect", "own")]
        theirs = await _account(gym, "theirs")
        good = {"cycle": "D+1", "settle_to": {"type": "account", "account_id": own}}
        partner = {"partner_id": "sp", "account_id": theirs, "ppm": 600_000}
        ten = [_share(own, 600_000)]
        cases: list[tuple[dict[str, Any], str, str]] = [
            ({"settle_to": {"type": "account", "account_id": collect}}, "invalid_field", "settle"),
            ({"settle_to": {"type": "account", "account_id": theirs}}, "not_found", "exist"),
            ({"settle_to": {"type": "account", "account_id": "external:cash"}}, "not_found", ""),
            ({"settle_to": {"type": "bank", "reference": "6222020200112230"}}, "invalid_field", ""),
            ({"method_fees": {"cash": {"ppm": 5_000}}}, "invalid_field", "'cash' is no method"),
            ({"splits": {"a b": {}}}, "invalid_field", "cannot name"),
            ({"splits": {"a": {"shares": [_share("nobody")]}}}, "not_found", "nobody"),
            ({"splits": {"a": {"shares": [_share("income:merchant_fee")]}}}, "not_found", ""),
            ({"splits": {"a": {"shares": [_share(collect)]}}}, "invalid_field", "no share of its"),
            ({"splits": {"a": {"shares": ten}}, "partner": partner}, "invalid_field", "sum to"),
            ({"default_split": "b"}, "invalid_field", "no split rule 'b'"),
            ({"partner": {**partner, "account_id": collect}}, "invalid_field", "own partner"),
            ({"settle_now_from_minor": 5}, "invalid_field", "only T+0"),
            ({"fee": {"ppm": 1_999}}, "ineligible", "below 2000"),
            ({"fee": {"ppm": 2_000, "max_minor": 1}}, "ineligible", "for the bank"),
            ({"method_fees": {"quick": {"ppm": 0}}}, "ineligible", "below 2000"),
        ]
        for number, (change, code, words) in enumerate(cases):
            answer = await caller.ask(
                "merchant.create", request_id=f"bad{number}", account_id=collect, name="Stall",
                terms={**good, **change},
            )  # fmt: skip
            assert not answer["ok"], change
            assert answer["error"]["code"] == code, (change, answer)
            assert words in answer["error"]["message"]
        assert world.rows("merchant") == world.rows("settlement_standing") == []
        answer = await gym.ask(
            "merchant.create", request_id="theirs", account_id=collect, name="Stall", terms=good
        )
        assert answer["error"]["code"] == "not_found"

    play(story, start=_NOON)


def test_an_account_is_one_merchants() -> None:
    """The second merchant on an account is refused; the first request again has its answer."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, own = await open_merchant(caller)
        merchant = await caller.call("merchant.get", merchant_id=merchant_id)
        assert (merchant["version"], merchant["terms"]["fee"]["ppm"]) == (1, 3_800)
        body: dict[str, Any] = {
            "account_id": merchant_id, "name": "Stall 7",
            "terms": {
                "cycle": "D+1", "settle_to": {"type": "account", "account_id": own},
                "fee": {"ppm": 3_800},
            },
        }  # fmt: skip
        assert await caller.call("merchant.create", request_id="m", **body) == merchant
        answer = await caller.ask("merchant.create", request_id="m2", **body)
        assert answer["error"]["code"] == "invalid_state"
        other = Caller(world, "gym")
        await other.open()
        for operation in ("merchant.get", "settlement.list"):
            answer = await other.ask(operation, merchant_id=merchant_id)
            assert answer["error"]["code"] == "not_found"

    play(story, start=_NOON)


def test_the_back_office_agrees_on_what_an_app_may_not() -> None:
    """The bank sets a rate of zero for an app's account, and the merchant stays the app's."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        office = Caller(world, "ops")
        await office.open()
        collect, own = [await _account(caller, name) for name in ("collect", "own")]
        terms = {
            "cycle": "T+1", "settle_to": {"type": "account", "account_id": own}, "fee": {"ppm": 0},
        }  # fmt: skip
        made = await office.call(
            "merchant.create", request_id="m", account_id=collect, name="Clinic", terms=terms
        )
        assert made["app"] == "shop"
        assert await caller.call("merchant.get", merchant_id=collect) == made
        (event,) = (row for row in world.rows("event") if row["type"] == "merchant.created")
        assert event["app"] == "shop"
        for name in ("external:cash", "income:merchant_fee"):
            answer = await office.ask(
                "merchant.create", request_id=f"m-{name}", account_id=name, name="Bank",
                terms=terms,
            )  # fmt: skip
            assert answer["error"]["code"] == "not_found"
        # Of its T+1 the app runs nothing by hand, and the bank does.
        answer = await caller.ask("settlement.run", request_id="r1", merchant_id=collect)
        assert answer["error"]["code"] == "forbidden"
        assert await run(office, collect, "r2") is None

    play(story, start=_NOON)


def test_an_update_stands_on_the_version_that_was_read() -> None:
    """Of two updates of one version the second is refused, and says at which version it is."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, own = await open_merchant(caller)
        terms = {"cycle": "T+0", "settle_to": {"type": "account", "account_id": own}}
        after = await caller.call(
            "merchant.update", request_id="u1", merchant_id=merchant_id, terms=terms, version=1
        )
        assert (after["version"], after["name"], after["terms"]["cycle"]) == (2, "Stall 7", "T+0")
        # Without a rate of its own it has the bank's.
        assert after["terms"]["fee"]["ppm"] == 3_800
        answer = await caller.ask(
            "merchant.update", request_id="u2", merchant_id=merchant_id, name="B", version=1
        )
        assert answer["error"]["code"] == "invalid_state"
        assert "is at version 2, not 1" in answer["error"]["message"]
        renamed = await caller.call(
            "merchant.update", request_id="u3", merchant_id=merchant_id, name="B"
        )
        assert (renamed["name"], renamed["terms"]) == ("B", after["terms"])

    play(story, start=_NOON)


def test_payments_follow_an_update_within_a_second() -> None:
    """What was read of a merchant, or of an account that was none, is renewed in time."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        book = MerchantBook(MemoryStore(world.database), world.clock)
        collect = await _account(caller, "c")
        own = await _account(caller, "o")
        assert await book.by_account((collect, own)) == {}
        terms = {"cycle": "D+1", "settle_to": {"type": "account", "account_id": own}}
        await caller.call(
            "merchant.create", request_id="m", account_id=collect, name="A", terms=terms
        )
        await world.clock.sleep(LOOK_EVERY_S)
        found = await book.by_account((collect, own))
        assert (found[collect].version, found[collect].app) == (1, "shop")
        await caller.call("merchant.update", request_id="u", merchant_id=collect, name="B")
        await world.clock.sleep(LOOK_EVERY_S)
        assert (await book.by_account((collect,)))[collect].version == 2
        before = book.statistics()
        for _ in range(100):
            assert (await book.by_account((collect, own))).keys() == {collect}
        # Nothing is read while nothing changes.
        assert book.statistics() == before

    play(story, start=_NOON)


def test_the_book_finds_merchants_among_the_participants() -> None:
    """Participants that are merchants come along, so that they can settle what they get."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        stall, _ = await open_merchant(caller, request="stall")
        own = await _account(caller, "o")
        shares = [_share(stall, 100_000), _share(own, 100_000)]
        market = await _market(caller, shares)
        book = MerchantBook(MemoryStore(world.database), world.clock)
        assert (await book.by_account((market,))).keys() == {market, stall}
        till = Till(world, market)
        await till.pay(10_000)
        legs = {row["merchant_id"]: row for row in world.rows("settlement_leg")}
        assert legs[stall]["kind"] == "share"
        assert legs[stall]["net_minor"] == legs[stall]["gross_minor"] == 996
        assert legs[market]["shared_minor"] == 996 + 996

    play(story, start=_NOON)


async def _market(caller: Caller, shares: list[dict[str, Any]]) -> str:
    collect, own = [await _account(caller, name) for name in ("market", "market-own")]
    terms = {
        "cycle": "D+1", "settle_to": {"type": "account", "account_id": own},
        "splits": {"a": {"shares": shares}}, "default_split": "a",
    }  # fmt: skip
    await caller.call(
        "merchant.create", request_id="market", account_id=collect, name="Market", terms=terms
    )
    return collect


def test_the_book_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It forgets those it has known for longest, and when many change it forgets them all."""
    monkeypatch.setattr(merchants, "CACHED_MAX", 4)
    monkeypatch.setattr(merchants, "CHANGED_MAX", 3)

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        made = [(await open_merchant(caller, request=f"m{n}"))[0] for n in range(6)]
        book = MerchantBook(MemoryStore(world.database), world.clock)
        for one in made:
            assert (await book.by_account((one,))).keys() == {one}
        statistics = book.statistics()
        assert (statistics.cached, statistics.forgotten) == (4, 2)
        assert (await book.by_account(made)).keys() == set(made)
        for number, one in enumerate(made):
            await caller.call(
                "merchant.update", request_id=f"u{number}", merchant_id=one, name="New"
            )
        await world.clock.sleep(LOOK_EVERY_S)
        found = await book.by_account(made)
        assert [found[one].version for one in made] == [2] * 6

    play(story, start=_NOON)


class _SlowStore(MemoryStore):
    """A store whose next answer is under way for as long as ``after_read`` takes."""

    after_read: Callable[[], Awaitable[None]] | None = None

    async def fetch(self, query: Query) -> list[tuple[Any, ...]]:
        rows = await super().fetch(query)
        if self.after_read is not None:
            await self.after_read()
        return rows


def test_a_change_during_a_read_is_not_missed() -> None:
    """A merchant that changes between its read and its keeping is read again."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, _ = await open_merchant(caller)
        slow = _SlowStore(world.database)
        book = MerchantBook(slow, world.clock)
        await book.by_account(("other",))

        async def meanwhile() -> None:
            # The update, and a look at what changed, come after the read and before its use.
            slow.after_read = None
            await caller.call(
                "merchant.update", request_id="u", merchant_id=merchant_id, name="New"
            )
            await world.clock.sleep(LOOK_EVERY_S)
            assert (await book.by_account(("third",))) == {}

        slow.after_read = meanwhile
        found = await book.by_account((merchant_id,))
        assert found[merchant_id].version == 2
        assert book.statistics().loads == 4

    play(story, start=_NOON)


def test_clearing_pages_hold_whole_accounts() -> None:
    """However small the pages, every account's total is on one of them, and all add up."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, _ = await open_merchant(caller, cycle="T+0", splits=True)
        till = Till(world, merchant_id)
        for number in range(5):
            await till.pay(1_000)
            await run(caller, merchant_id, f"r{number}")
            await world.clock.sleep(1)
        store = MemoryStore(world.database)
        for limit, rows_max in ((1, 2), (1, 7), (2, 100), (100, 100), (1, 5), (100, 7), (2, 8)):
            pages: list[Clearing] = []
            after: str | None = ""
            while after is not None:
                page = await clearing_page(
                    store, "2026-03-04", "shop", after, limit, rows_max=rows_max
                )
                pages.append(page)
                after = page.next_after
            lines = [line for page in pages for line in page.lines]
            assert [(line.legs, line.amount_minor) for line in lines] == [
                (5, 5 * amount) for amount in [line.amount_minor // 5 for line in lines]
            ]
            assert len(lines) == len({line.account_id for line in lines}) == 3
            assert sum(line.amount_minor for line in lines) == 5_000

    play(story, start=_NOON)


def test_another_apps_clearing_is_not_shown() -> None:
    """An app sees the clearing of its own payments, and the back office that of any."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        answer = await caller.ask("settlement.clearing", day="2026-03-04", app="gym")
        assert answer["error"]["code"] == "forbidden"
        office = Caller(world, "ops")
        await office.open()
        page = await office.call("settlement.clearing", day="2026-03-04", app="gym")
        assert page == {"day": "2026-03-04", "app": "gym", "lines": [], "next_after": None}

    play(story, start=_NOON)


def test_settling_goes_on_beside_payments() -> None:
    """While eight tills take payments and refund, a settlement begins each second: all add up."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, own = await open_merchant(caller, cycle="T+0", splits=True)
        till = Till(world, merchant_id)

        async def sell() -> None:
            for number in range(25):
                payment_id = await till.pay(1_000 + number)
                if number % 3 == 0:
                    await till.refund(payment_id, 400)
                await world.clock.sleep(0.1)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(sell)
            for number in range(8):
                await run(caller, merchant_id, f"r{number}")
                await world.clock.sleep(0.5)
        await world.clock.sleep(1)
        await run(caller, merchant_id, "last")
        await world.clock.sleep(2)
        assert len(check_settled(world, till, merchant_id, own)) > 4

    play(story, start=_NOON)
