"""The credit service on a journal and a store in memory, without a bus, on a clock moved by hand.

Its actors are the real ones; a payment is as small as it can be: the sources' part, and one move.
"""

import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import msgspec

from actors import bank
from actors.credit.debt_actor import DebtActor
from actors.credit.funding import CreditFunding
from actors.credit.line_actor import LineActor
from actors.credit.plan_actor import PlanActor
from actors.customers.records import CUSTOMER_TABLE, CustomerState
from actors.entity import Part, merge
from actors.ledger import LedgerBook
from actors.parts import Parts
from actors.payments.funding import LegRequest, PaidLeg
from actors.regulation.calendar import day_of, start_of_day
from actors.rules import RuleSets
from actors.tables import BANK_TABLES, first_rows
from kernel.actor import ActorContext, Delivery
from kernel.clock import ManualClock
from kernel.journal import Journal
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.ownership import Ownership
from kernel.randomness import IdFactory, SeededRandomness
from schemas.catalogue import BANK_OPERATIONS
from schemas.change import Alternative, Change, TimerFired
from schemas.envelope import Envelope, Reply
from schemas.errors import ErrorBody, error_from_body
from schemas.funding import CreditSource
from schemas.ledger import Moves, Step, TransferStep, encode_moves
from tests.changes import Answers, change, deposit, journal_delivery, open_account

__all__ = ("APP", "FAR_MS", "START", "CreditDesk", "move")

APP = "shop"
START = datetime(2026, 1, 30, 16, 30, tzinfo=UTC)
FAR_MS = 4_102_444_800_000

_ACTORS = {"credit_line": LineActor, "credit_debt": DebtActor, "credit_plan": PlanActor}
_OPERATIONS = {one.name: one for one in BANK_OPERATIONS}
_encode = msgspec.msgpack.encode


class _Context:
    """What an actor gets from the kernel; it asks nobody but the journal."""

    log = logging.getLogger("credit_desk")
    partition = -1
    epoch = 0

    def __init__(self, desk: "CreditDesk", key: str) -> None:
        self._desk = desk
        self.clock = desk.clock
        self.ids = desk.ids
        self.key = key

    def is_current(self) -> bool:
        return True

    async def ask(
        self, kind: str, key: str, type_: str, message: Any, *, app: str, deadline_ms: int
    ) -> Reply:
        assert (kind, type_) == ("journal", "change")
        answers = await self._desk.commit(message)
        reply = answers.replies[0]
        if not reply.ok:
            raise error_from_body(answers.error(0))
        return reply

    def tell(self, *message: Any, **how: Any) -> None:
        raise AssertionError(message)


class CreditDesk:
    """One customer ``cust`` of the app, with the account ``own``, and a shop's account ``till``."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.database = MemoryDatabase(self.clock, BANK_TABLES, first_rows())
        self.store = MemoryStore(self.database)
        self.ids = IdFactory(self.clock, SeededRandomness(1))
        ownership = Ownership("n1", "n1-1", self.store, self.clock)
        self._ownership = ownership
        self.journal = Journal(
            self.store, LedgerBook(self.store), ownership, self.clock, bank.FACT_TABLES
        )
        self.rules = RuleSets(self.store, self.clock, bank.RULE_SETS)
        self.parts = Parts(
            store=self.store, clock=self.clock, ids=self.ids, randomness=SeededRandomness(2),
            node=cast("Any", None), ownership=ownership, dead_letters=cast("Any", None),
            rules=self.rules, settings={},
        )  # fmt: skip
        self.funding = CreditFunding(self.store)
        self._next = 0

    async def open(self, money_minor: int = 10**9) -> "CreditDesk":
        """Start with the customer, its account with money in it, and the shop; return itself."""
        await self._ownership.join(0.0)
        await self.journal.start()
        state = CustomerState(
            kind="person", party_id="party-1", name="L**", id_number="1***", phone="1***",
            sealed_owner="", name_lookup="", phone_lookup="", phone_version=1,
            registered_at=START,
        )  # fmt: skip
        customer = Alternative(
            encode_moves(Moves()), (CUSTOMER_TABLE.fact("cust", 1, APP, state),), (), "{}"
        )
        for name, one in (
            ("customer", customer),
            ("own", open_account("own", app=APP)),
            ("till", open_account("till", app=APP)),
            ("money", deposit("own", money_minor, deposit_id="d-1", app=APP)),
        ):
            answers = await self.commit(change(f"first-{name}", one, app=APP))
            assert answers.replies[0].ok, answers[0]
        return self

    # Time.

    @property
    def today(self) -> date:
        """Return the day in Shanghai."""
        return day_of(self.clock.now())

    def let_pass(self, days: int) -> None:
        """Move the clock, without any timer."""
        self.clock.advance(days * 86_400.0)

    async def run_days(self, days: int) -> None:
        """Let days pass, firing each timer when it is due."""
        until = self.clock.now() + timedelta(days=days)
        while (due := self._next_timer(until)) is not None:
            self._move_to(due["due_at"])
            await self.fire(due)
        self._move_to(until)

    async def run_until(self, day: date) -> None:
        """Let the days pass until an hour after the beginning of a day."""
        until = start_of_day(day) + timedelta(hours=1)
        await self.run_days(0)
        while self.clock.now() < until:
            left = (until - self.clock.now()).total_seconds()
            due = self._next_timer(until)
            if due is None:
                self.clock.advance(left)
                return
            self._move_to(due["due_at"])
            await self.fire(due)

    async def catch_up(self) -> None:
        """Fire what is due by now."""
        await self.run_days(0)

    def _next_timer(self, until: datetime) -> dict[str, Any] | None:
        rows = [row for row in self.database.rows("timer").values() if row["due_at"] <= until]
        return min(rows, key=lambda row: (row["due_at"], row["timer_id"]), default=None)

    def _move_to(self, at: datetime) -> None:
        self.clock.advance(max(0.0, (at - self.clock.now()).total_seconds()))

    async def fire(self, timer: dict[str, Any]) -> None:
        """Fire a timer and end it, as the service of the timers does."""
        due_at = timer["due_at"]
        body = msgspec.Raw(bytes(timer["body"]))
        fired = TimerFired(timer["timer_id"], round(due_at.timestamp() * 1000), 0, body)
        await self._turn(timer["kind"], timer["key"], timer["type"], timer["app"], fired)
        await self.store.end_timers([(timer["timer_id"], due_at, None)])

    # Requests.

    async def commit(self, *changes: Change) -> Answers:
        """Give changes to the journal as one batch."""
        answers = Answers()
        await self.journal.receive_batch(
            [journal_delivery(number, one, answers) for number, one in enumerate(changes)]
        )
        return answers

    async def ask(self, operation: str, *, app: str = APP, **body: Any) -> Any:
        """Return the answer to a request; raise the error that it is answered with."""
        known = _OPERATIONS[operation]
        if known.mutates and "request_id" not in body:
            self._next += 1
            body["request_id"] = f"r-{self._next}"
        request = msgspec.convert(body, known.request)
        key = getattr(request, known.key)
        return await self._turn(known.kind, key, operation, app, request)

    async def _turn(self, kind: str, key: str, type_: str, app: str, message: Any) -> Any:
        context = cast("ActorContext", _Context(self, key))
        handler = _ACTORS[kind](context, parts=self.parts).handler(type_)
        assert handler is not None
        decode, handle = handler
        body = msgspec.Raw(_encode(message))
        envelope = Envelope(kind, key, type_, app, FAR_MS, "", 0, body)
        result = await handle(decode(body), Delivery(envelope, Answers()))
        if isinstance(result, bytes):
            return msgspec.json.decode(result)
        return msgspec.to_builtins(result)

    # What the tests begin with.

    async def line(self, kind: str = "instalment", limit_minor: int = 10_000_000) -> str:
        """Return an active line of the customer."""
        found = await self.ask(
            "credit.apply", customer_id="cust", kind=kind, account_id="own",
            limit_minor=limit_minor,
        )  # fmt: skip
        await self.ask(
            "credit.grant", app="ops", line_id=found["line_id"], limit_minor=limit_minor,
            decided_by="clerk",
        )  # fmt: skip
        return str(found["line_id"])

    async def quote(
        self, line_id: str, amount_minor: int, terms: int = 3, **how: Any
    ) -> dict[str, Any]:
        """Return a quote."""
        found: dict[str, Any] = await self.ask(
            "credit.quote", line_id=line_id, amount_minor=amount_minor, terms=terms, **how
        )
        return found

    async def payment(
        self, line_id: str, quote_id: str, amount_minor: int, *, method: str = "quick",
        payment_id: str = "",
    ) -> tuple[Change, str]:  # fmt: skip
        """Return the change that pays the shop from the line, and the leg's record."""
        self._next += 1
        payment_id = payment_id or f"pay-{self._next}"
        leg = await self.funding.pay(
            self.leg_request(line_id, quote_id, amount_minor, payment_id, method)
        )
        moved = Part(moves=Moves(steps=(move(leg.pay_from, "till", leg.amount_minor),)))
        return self.change_of(f"c-{self._next}", merge(leg.before, moved)), leg.record

    def leg_request(
        self, line_id: str, quote_id: str, amount_minor: int, payment_id: str,
        method: str = "quick", *, strict: bool = True,
    ) -> LegRequest:  # fmt: skip
        """Return what a payment asks of the line."""
        return LegRequest(
            app=APP, request_id="r", payment_id=payment_id, number=1, payee="till", method=method,
            source=CreditSource(line_id=line_id, quote_id=quote_id), amount_minor=amount_minor,
            total_minor=amount_minor, now=self.clock.now(), ids=self.ids, strict=strict,
        )  # fmt: skip

    async def pay(
        self, line_id: str, amount_minor: int, terms: int = 3, **how: Any
    ) -> tuple[str, PaidLeg]:
        """Pay the shop in instalments; return the plan and the leg."""
        quote = await self.quote(line_id, amount_minor, terms, **how)
        one, record = await self.payment(line_id, quote["quote_id"], amount_minor)
        answers = await self.commit(one)
        assert answers.replies[0].ok, answers[0]
        plan_id = await self.newest_plan(line_id)
        return plan_id, self.paid_leg(line_id, amount_minor, record)

    def paid_leg(self, line_id: str, amount_minor: int, record: str) -> PaidLeg:
        """Return a leg as the payment keeps it."""
        return PaidLeg(
            number=1, type="credit", account_id=line_id, amount_minor=amount_minor, record=record
        )

    async def newest_plan(self, line_id: str) -> str:
        """Return the plan of the line that began last."""
        found = await self.ask("credit.plans", line_id=line_id, limit=100)
        return str(found["plans"][-1]["plan_id"])

    async def refund(self, plan_id: str, leg: PaidLeg, amount_minor: int) -> ErrorBody | None:
        """Refund a payment out of the shop's account; return the error, if that is the answer."""
        self._next += 1
        plan = await self.ask("credit.plan", plan_id=plan_id)
        back = await self.funding.refund(
            leg, amount_minor, app=APP, payment_id=plan["payment_id"],
            refund_id=f"refund-{self._next}", whole=False, now=self.clock.now(), ids=self.ids,
        )  # fmt: skip
        moved = Part(moves=Moves(steps=(move("till", back.credit_to, amount_minor),)))
        answers = await self.commit(self.change_of(f"c-{self._next}", merge(moved, back.after)))
        return None if answers.replies[0].ok else answers.error(0)

    def change_of(self, request_id: str, part: Part) -> Change:
        """Return a part as a change of the app."""
        also = [one.table.fact(one.key, one.version + 1, one.app, one.state) for one in part.also]
        alternative = Alternative(
            encode_moves(part.moves), (*part.facts, *also), part.events, "{}", part.timers,
            part.cancels,
        )  # fmt: skip
        return change(request_id, alternative, app=APP)

    # What the tests look at.

    def posted(self, account_id: str) -> int:
        """Return a balance."""
        row = self.database.rows("balance").get((account_id,))
        return 0 if row is None else int(row["posted_minor"])

    def event_types(self, subject: str) -> list[str]:
        """Return the types of the events about a subject, in order."""
        rows = [row for row in self.database.rows("event").values() if row["subject"] == subject]
        return [row["type"] for row in sorted(rows, key=lambda row: int(row["seq"]))]

    def timers(self, plan_id: str) -> list[datetime]:
        """Return when the plan's timers are due."""
        rows = self.database.rows("timer").values()
        return [row["due_at"] for row in rows if row["key"] == plan_id]

    def check_books(self, line_id: str) -> None:
        """Fail unless the line's accounts owe exactly what its plans say."""
        plans = [
            row for row in self.database.rows("credit_plan").values() if row["line_id"] == line_id
        ]
        assert self.posted(line_id) == -sum(row["principal_minor"] for row in plans)
        charged = sum(row["charges_minor"] for row in plans)
        assert self.posted(f"{line_id}:charges") == -charged
        total = sum(row["posted_minor"] for row in self.database.rows("balance").values())
        assert total == 0


def move(debit: str, credit: str, amount_minor: int) -> Step:
    """Return the exact move of a payment."""
    return TransferStep(
        debit, credit, amount_minor, "CNY", at_least_minor=amount_minor, name="", purpose="test"
    )
