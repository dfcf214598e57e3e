"""Actors of wealth and rewards over a journal and a store in memory, on a clock moved by hand.

No bus and no node: a request goes to its actor's turn, what it decides to the journal, and timers
fire when the clock is moved past them. Payments are composed as the payments service does it: what
the source contributes first, then the move to the payee.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from actors import bank
from actors.entity import Part, merge
from actors.ledger import LedgerBook
from actors.parts import Parts
from actors.payments.funding import Funding, Leg, LegRequest, PaidLeg
from actors.rewards import CouponFunding, PointsFunding
from actors.rewards.coupon_actor import CouponActor
from actors.rewards.points_actor import PointsActor
from actors.rules import RuleSets
from actors.tables import BANK_TABLES, first_rows
from actors.wealth import WealthFunding
from actors.wealth.fund_actor import FundActor
from actors.wealth.holding_actor import WealthHoldingActor
from actors.wealth.order_actor import WealthOrderActor
from kernel.actor import Delivery
from kernel.clock import ManualClock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, Journal
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.partition import partition_of
from kernel.randomness import IdFactory, SeededRandomness
from schemas.change import Alternative, Change, TimerFired
from schemas.envelope import Envelope, Reply
from schemas.errors import ErrorBody, InsufficientFunds, Rejected, StaleOwner, error_from_body
from schemas.funding import CouponSource, FundingSource, PointsSource, WealthSource
from schemas.ledger import Moves, TransferStep, encode_moves
from schemas.money import CNY
from schemas.operation import Operation
from schemas.operations import rewards, wealth
from tests.changes import Answers, OwnsAll, deposit, journal_delivery, open_account

__all__ = ("DAY", "START", "Bank", "Paid")

# Wednesday, 25 November 2026, 10:00 in Shanghai.
START = datetime(2026, 11, 25, 2, tzinfo=UTC)
DAY = timedelta(days=1)

_ACTORS = (FundActor, WealthOrderActor, WealthHoldingActor, PointsActor, CouponActor)
_OPERATIONS: dict[type[msgspec.Struct], Operation] = {
    one.request: one for one in (*wealth.OPERATIONS, *rewards.OPERATIONS)
}
_FAR_MS = 4_102_444_800_000

R = TypeVar("R", bound=msgspec.Struct)


class _Context:
    """What an actor gets, with the journal as the only other actor."""

    def __init__(self, lab: "Bank", key: str) -> None:
        self.clock = lab.clock
        self.ids = lab.ids
        self.log = logging.getLogger("test")
        self.key = key
        self.partition = -1
        self.epoch = 0
        self.lab = lab

    def is_current(self) -> bool:
        """Nothing ever moves."""
        return True

    async def ask(
        self, kind: str, key: str, type_: str, message: msgspec.Struct, *, app: str,
        deadline_ms: int,
    ) -> Reply:  # fmt: skip
        """Ask the journal."""
        assert isinstance(message, Change)
        return await self.lab.commit(message)

    def tell(self, *_: Any, **__: Any) -> None:
        """Lose it, as any message may be lost: what must happen has a timer as well."""


class Paid(msgspec.Struct, frozen=True):
    """A payment that stands, with its legs."""

    payment_id: str
    payee: str
    legs: tuple[PaidLeg, ...]


class Bank:
    """The whole of it."""

    def __init__(self, *, start: datetime = START, seed: int = 1) -> None:
        self.clock = ManualClock(start)
        self.database = MemoryDatabase(self.clock, BANK_TABLES, first_rows())
        partition = partition_of(JOURNAL_KIND, JOURNAL_KEY)
        self.database.put("partition", (partition,), {"epoch": 1, "owner": "test"})
        self.store = MemoryStore(self.database)
        self.ids = IdFactory(self.clock, SeededRandomness(seed))
        self.rules = RuleSets(self.store, self.clock, bank.RULE_SETS)
        # The ports that these actors use; the others are a node's.
        nothing: Any = None
        self.parts = Parts(
            store=self.store, clock=self.clock, ids=self.ids, randomness=SeededRandomness(seed),
            node=nothing, ownership=nothing, dead_letters=nothing, rules=self.rules, settings={},
        )  # fmt: skip
        self.sources: dict[type[Any], Funding] = {
            WealthSource: WealthFunding(self.parts),
            PointsSource: PointsFunding(self.parts),
            CouponSource: CouponFunding(self.parts),
        }
        self._waiting: list[tuple[Change, asyncio.Future[Reply]]] = []
        self._pumping = False
        self._number = 0
        self.restart()

    def restart(self) -> None:
        """Forget all that is in memory, as a process does that dies."""
        self.journal = Journal(
            self.store, LedgerBook(self.store), OwnsAll(1), self.clock, bank.FACT_TABLES
        )

    def number(self, prefix: str) -> str:
        """Return a name that was not used before."""
        self._number += 1
        return f"{prefix}{self._number}"

    # The journal.

    async def commit(self, change: Change) -> Reply:
        """Commit a change together with all that are asked for at the same time."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, future))
        if not self._pumping:
            self._pumping = True
            try:
                await asyncio.sleep(0)
                while self._waiting:
                    await self._pump()
            finally:
                self._pumping = False
        reply = await future
        if not reply.ok:
            raise error_from_body(msgspec.msgpack.decode(reply.body, type=ErrorBody))
        return reply

    async def _pump(self) -> None:
        batch, self._waiting = self._waiting, []
        answers = Answers()
        try:
            await self.journal.receive_batch(
                [journal_delivery(n, change, answers) for n, (change, _) in enumerate(batch)]
            )
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            raise
        for n, (_, future) in enumerate(batch):
            future.set_result(answers.replies[n])

    async def change(self, app: str, *alternatives: Alternative) -> Reply:
        """Commit a change of the test's own."""
        name = self.number("own")
        return await self.commit(Change(app, name, "test", name.encode().ljust(16), alternatives))

    # Requests and timers.

    async def ask(self, app: str, request: msgspec.Struct, result: type[R]) -> R:
        """Ask the actor behind a request; raise what it refuses."""
        operation = _OPERATIONS[type(request)]
        key = str(getattr(request, operation.key))
        answer = await self._turn(operation.kind, key, operation.name, app, request)
        if isinstance(answer, bytes):
            return msgspec.json.decode(answer, type=result)
        assert isinstance(answer, result)
        return answer

    async def _turn(
        self, kind: str, key: str, type_: str, app: str, message: msgspec.Struct
    ) -> Any:
        (actor,) = [one for one in _ACTORS if one.kind == kind]
        handler = actor(_Context(self, key), parts=self.parts).handler(type_)  # type: ignore[arg-type]
        assert handler is not None, f"{kind} does not take {type_}"
        decode, handle = handler
        body = msgspec.Raw(msgspec.msgpack.encode(message))
        envelope = Envelope(kind, key, type_, app, _FAR_MS, "", 0, body)
        return await handle(decode(body), Delivery(envelope, Answers()))

    async def move_to(self, at: datetime) -> None:
        """Let the time pass until ``at``, and fire each timer when it is due."""
        while (due := self._due(at)) is not None:
            await self.fire(due)
        self.clock.advance((at - self.clock.now()).total_seconds())

    def _due(self, at: datetime) -> dict[str, Any] | None:
        rows = [row for row in self.rows("timer") if row["due_at"] <= at]
        return min(rows, key=lambda row: (row["due_at"], row["timer_id"]), default=None)

    async def fire(self, row: dict[str, Any]) -> None:
        """Fire a timer once, and end it as the timer service does."""
        self.clock.advance(max(0.0, (row["due_at"] - self.clock.now()).total_seconds()))
        due_at_ms = int(row["due_at"].timestamp() * 1000)
        fired = TimerFired(row["timer_id"], due_at_ms, 0, msgspec.Raw(row["body"]))
        with contextlib.suppress(Rejected):
            await self._turn(row["kind"], row["key"], row["type"], row["app"], fired)
        next_at = row["due_at"] + timedelta(seconds=row["every_s"]) if row["every_s"] else None
        await self.store.end_timers([(row["timer_id"], row["due_at"], next_at)])

    # Accounts and payments.

    async def account(self, funds: int = 0, *, app: str = "shop", holder: str = "") -> str:
        """Open an account with money in it."""
        account_id = self.number("acct")
        opening = open_account(account_id, app=app, holder=holder or account_id)
        await self.change(app, opening)
        if funds:
            await self.change(app, deposit(account_id, funds, deposit_id=self.number("d"), app=app))
        return account_id

    async def pay(
        self, app: str, payee: str, total: int, *sources: FundingSource, strict: bool = True
    ) -> Paid:
        """Pay from the sources; each gives what it can, and together they give all."""
        payment_id = self.number("pay")
        for attempt in range(5):
            legs = await self._legs(app, payment_id, payee, total, sources, strict)
            steps = tuple(
                TransferStep(
                    one.pay_from, payee, one.amount_minor, CNY, at_least_minor=one.amount_minor,
                    owner=one.owner, name=f"leg{number}",
                )
                for number, one in enumerate(legs)
            )  # fmt: skip
            part = merge(*(one.before for one in legs), Part(moves=Moves(steps=steps)))
            request_id = f"{payment_id}.{attempt}"
            try:
                await self.commit(_change(app, request_id, part))
            except StaleOwner:
                continue
            return Paid(payment_id, payee, tuple(map(_paid, range(len(legs)), sources, legs)))
        raise AssertionError("the payment was decided anew too often")

    async def _legs(
        self, app: str, payment_id: str, payee: str, total: int,
        sources: Iterable[FundingSource], strict: bool,
    ) -> list[Leg]:  # fmt: skip
        legs: list[Leg] = []
        left = total
        for number, source in enumerate(sources):
            leg = await self.sources[type(source)].pay(
                LegRequest(
                    app=app, request_id=payment_id, payment_id=payment_id, number=number,
                    payee=payee, method="quick", source=source,
                    amount_minor=source.amount_minor or left, total_minor=total,
                    now=self.clock.now(), ids=self.ids, strict=strict,
                )
            )  # fmt: skip
            legs.append(leg)
            left -= leg.amount_minor
        if left:
            raise InsufficientFunds("the sources do not give enough", field="funding")
        return legs

    async def refund(self, app: str, paid: Paid, amounts: list[int], *, whole: bool) -> Paid:
        """Give back so much of each leg."""
        for _ in range(5):
            parts, legs = [], []
            refund_id = self.number("ref")
            for leg, amount in zip(paid.legs, amounts, strict=True):
                if not amount and not whole:
                    legs.append(leg)
                    continue
                source = next(one for kind, one in self.sources.items() if _tag(kind) == leg.type)
                back = await source.refund(
                    leg, amount, app=app, payment_id=paid.payment_id, refund_id=refund_id,
                    whole=whole, now=self.clock.now(), ids=self.ids,
                )  # fmt: skip
                steps = () if not amount else (
                    TransferStep(
                        paid.payee, back.credit_to, amount, CNY, at_least_minor=amount,
                        name=f"back{leg.number}",
                    ),
                )  # fmt: skip
                parts += [Part(moves=Moves(steps=steps)), back.after]
                legs.append(
                    msgspec.structs.replace(
                        leg,
                        refunded_minor=leg.refunded_minor + amount,
                        returned_minor=leg.returned_minor + back.returned_minor,
                        record=back.record or leg.record,
                    )
                )
            try:
                await self.commit(_change(app, refund_id, merge(*parts)))
            except StaleOwner:
                continue
            return msgspec.structs.replace(paid, legs=tuple(legs))
        raise AssertionError("the refund was decided anew too often")

    # What stands.

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table."""
        return list(self.database.rows(table).values())

    def posted(self, account_id: str) -> int:
        """Return a balance."""
        row = self.database.rows("balance").get((account_id,))
        return 0 if row is None else int(row["posted_minor"])

    def state(self, table: str, key: str, shape: type[R]) -> R:
        """Return the state of a record."""
        return msgspec.json.decode(self.database.rows(table)[key,]["body"], type=shape)

    def events(self, type_: str) -> list[dict[str, Any]]:
        """Return the data of the events of a type, in order."""
        rows = sorted(self.rows("event"), key=lambda row: int(row["seq"]))
        return [msgspec.json.decode(row["data"]) for row in rows if row["type"] == type_]

    def tally(self, tally_id: str) -> int:
        """Return the amount of a tally."""
        row = self.database.rows("tally").get((tally_id,))
        return 0 if row is None else int(row["amount_minor"])


def _tag(kind: type[Any]) -> str:
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def _paid(number: int, source: FundingSource, leg: Leg) -> PaidLeg:
    return PaidLeg(
        number=number,
        type=_tag(type(source)),
        account_id=leg.pay_from,
        amount_minor=leg.amount_minor,
        record=leg.record,
        charged_minor=leg.charged_minor,
    )


def _change(app: str, request_id: str, part: Part) -> Change:
    records = tuple(one.table.fact(one.key, one.version + 1, one.app, one.state)
                    for one in part.also)  # fmt: skip
    return Change(
        app, request_id, "payment", request_id.encode().ljust(16)[:16],
        (
            Alternative(
                encode_moves(part.moves), (*part.facts, *records), part.events, "{}", part.timers,
                part.cancels,
            ),
        ),
    )  # fmt: skip
