"""A world with a merchant: payments made straight at the journal, and what must come of them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import anyio
import msgspec

from actors.regulation.calendar import SHANGHAI
from actors.settlement.division import Division
from actors.settlement.legs import LegOf, settle_capture, settle_refund
from actors.settlement.merchants import MerchantBook
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.memory_store import MemoryStore
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.change import Alternative, Change
from schemas.errors import Unavailable
from schemas.ledger import Moves, Posting, encode_moves
from tests.simulation.world import Caller, World

__all__ = ("Till", "at", "check_settled", "open_merchant", "play", "run")

_CASH = "external:cash"
_STORY_S_MAX = 500_000


def at(day: int, hour: int = 0, minute: int = 0, *, month: int = 3) -> datetime:
    """Return a moment of 2026 in Shanghai."""
    return datetime(2026, month, day, hour, minute, tzinfo=SHANGHAI)


def play(
    story: Callable[[World, Caller], Awaitable[Any]], *, start: datetime, seed: int = 1
) -> Any:
    """Play a story in a world of its own that begins at ``start``."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> Any:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            caller = Caller(world)
            await caller.open()
            with anyio.fail_after(_STORY_S_MAX):
                result = await story(world, caller)
            tasks.cancel_scope.cancel()
        return result

    return run_virtual(main, seed=seed, start=start)


async def open_merchant(
    caller: Caller, *, request: str = "m", splits: bool = False, **terms: Any
) -> tuple[str, str]:
    """Return the ids of a new merchant and of the account that it settles to."""
    accounts = []
    for name in ("collect", "own", "share"):
        opened = await caller.call("account.open", request_id=f"{request}-{name}", holder="Wang")
        accounts.append(opened["account_id"])
    collect, own, share = accounts
    terms = {
        "cycle": "D+1",
        "settle_to": {"type": "account", "account_id": own},
        "fee": {"ppm": 3_800},
        **terms,
    }
    if splits:
        shares = [{"type": "ppm", "account_id": share, "ppm": 100_000}]
        terms |= {"splits": {"tenth": {"shares": shares}}, "default_split": "tenth"}
    merchant = await caller.call(
        "merchant.create", request_id=request, account_id=collect, name="Stall 7", terms=terms
    )
    return merchant["merchant_id"], own


async def run(caller: Caller, merchant_id: str, request_id: str) -> Any:
    """Ask for a settlement; return it, or None when there is nothing to settle."""
    while True:
        try:
            answer = await caller.ask(
                "settlement.run", request_id=request_id, merchant_id=merchant_id
            )
        except TimeoutError:
            continue
        if answer["ok"]:
            return answer["result"]
        if answer["error"]["code"] == "invalid_state":
            return None
        assert answer["error"]["retryable"], answer
        await anyio.sleep(0.1)


class Till:
    """Makes payments and refunds at a merchant: what a payment commits, without what precedes it.

    It asks again until it is answered, under the same id, and keeps what it was told stands.
    """

    def __init__(self, world: World, merchant_id: str) -> None:
        self._world = world
        self._merchant_id = merchant_id
        self._book = MerchantBook(MemoryStore(world.database), world.clock)
        self._number = 0
        self.divisions: dict[str, Division] = {}
        # Leg → (gross, fee, shared), refunds negative.
        self.legs: dict[str, tuple[int, int, int]] = {}

    async def pay(self, amount_minor: int, *, node: str = "") -> str:
        """Pay from outside, and return the id of the payment."""
        self._number += 1
        payment_id = f"pay{self._number}"
        merchants = await self._book.by_account((self._merchant_id,))
        merchant = merchants[self._merchant_id]
        leg = self._leg(payment_id, payment_id)
        division, part = settle_capture(amount_minor, merchant, merchants, leg)
        money = Posting(_CASH, self._merchant_id, amount_minor, "CNY", purpose="test.payment")
        await self._commit(payment_id, (money, *part.moves.postings), part, node)
        self.divisions[payment_id] = division
        self.legs[payment_id] = (amount_minor, division.fee_minor, division.shared_minor)
        return payment_id

    async def refund(self, payment_id: str, amount_minor: int, *, node: str = "") -> None:
        """Refund a part of a payment to the outside."""
        self._number += 1
        refund_id = f"ref{self._number}"
        merchants = await self._book.by_account((self._merchant_id,))
        merchant, division = merchants[self._merchant_id], self.divisions[payment_id]
        leg = self._leg(refund_id, payment_id)
        after, part = settle_refund(division, amount_minor, merchant, merchants, leg)
        money = Posting(self._merchant_id, _CASH, amount_minor, "CNY", purpose="test.refund")
        await self._commit(refund_id, (*part.moves.postings, money), part, node)
        self.divisions[payment_id] = after
        fee = after.fee_returned_minor - division.fee_returned_minor
        shared = sum(
            now.returned_minor - before.returned_minor
            for now, before in zip(after.shares, division.shares, strict=True)
        )
        self.legs[refund_id] = (-amount_minor, -fee, -shared)

    @property
    def net_minor(self) -> int:
        """What the merchant is owed for all that stands."""
        return sum(gross - fee - shared for gross, fee, shared in self.legs.values())

    def _leg(self, leg_id: str, payment_id: str) -> LegOf:
        now = self._world.clock.now()
        return LegOf(leg_id=leg_id, payment_id=payment_id, app="shop", method="quick", at=now)

    async def _commit(
        self, request_id: str, postings: tuple[Posting, ...], part: Any, node: str
    ) -> None:
        moves = encode_moves(Moves(postings=postings))
        way = Alternative(moves, part.facts, (), "{}", part.timers)
        change = Change("shop", request_id, "test.pay", request_id.encode().ljust(16), (way,))
        while True:
            try:
                living = self._world.node(node or min(self._world._lives)).node
                with anyio.fail_after(2):
                    await living.ask(
                        JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change, app="shop",
                        deadline_ms=self._world.clock.now_ms() + 1_000,
                    )  # fmt: skip
            except (Unavailable, TimeoutError):
                await self._world.clock.sleep(0.1)
            else:
                return


def check_settled(world: World, till: Till, merchant_id: str, own: str) -> list[dict[str, Any]]:
    """Check that every leg is in one settlement and every settlement adds up; return them.

    What was paid out and what is still carried are together what the merchant is owed.
    """
    legs = {row["leg_id"]: row for row in world.rows("settlement_leg")}
    assert {
        leg_id: (row["gross_minor"], row["fee_minor"], row["shared_minor"])
        for leg_id, row in legs.items()
    } == till.legs
    settlements = sorted(world.rows("settlement"), key=lambda row: row["number"])
    assert [row["number"] for row in settlements] == list(range(1, len(settlements) + 1))
    carried, after_seq, seen = 0, 0, []
    for row in settlements:
        assert row["state"] in ("settled", "failed"), row
        assert row["after_seq"] == after_seq
        assert row["carried_in_minor"] == carried
        inside = [leg for leg in legs.values() if after_seq < leg["change_seq"] <= row["to_seq"]]
        assert sum(leg["net_minor"] for leg in inside) == row["net_minor"]
        paid = row["payout_minor"] + row["carried_out_minor"]
        assert row["net_minor"] + row["carried_in_minor"] == paid
        seen += inside
        after_seq, carried = row["to_seq"], row["carried_out_minor"]
        cleared = [
            one for one in world.rows("clearing") if one["settlement_id"] == row["settlement_id"]
        ]
        assert sum(one["amount_minor"] for one in cleared) == sum(
            leg["gross_minor"] for leg in inside
        )
    assert sorted(leg["leg_id"] for leg in seen) == sorted(legs)
    payouts = sum(row["payout_minor"] for row in settlements)
    assert payouts + carried == till.net_minor
    balances = {row["account_id"]: row["posted_minor"] for row in world.rows("balance")}
    assert balances[own] == payouts
    assert balances[merchant_id] == carried
    _check_resting(world, merchant_id)
    return settlements


def _check_resting(world: World, merchant_id: str) -> None:
    """Nothing is under way, and only the daily timer is set."""
    (standing,) = (
        row for row in world.rows("settlement_standing") if row["merchant_id"] == merchant_id
    )
    assert msgspec.json.decode(standing["body"])["open_id"] == ""
    timers = [row["timer_id"] for row in world.rows("timer") if row["kind"] == "settlement"]
    assert timers == [f"settlement.{merchant_id}"]
