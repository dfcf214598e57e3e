"""Risk actors before a journal, on any store: what the tests of the whole path share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from actors import bank
from actors.ledger import LedgerBook
from actors.payments import PAYMENT_TABLE, compose_payment
from actors.payments.records import ORDER_STATUS
from actors.risk.risk_actor import RiskActor, RiskStatus
from actors.risk.risk_query_actor import RiskQueryActor
from actors.risk.rule_document import rules_from
from kernel.actor import Delivery
from kernel.clock import ManualClock
from kernel.journal import Journal
from kernel.store import Query, Store, Where
from schemas.change import Alternative, Change, Fact
from schemas.envelope import Envelope, Reply
from schemas.ledger import Moves, encode_moves
from schemas.pay import Pay
from schemas.risk import RISK_CHECK_TYPE, RISK_KIND, RiskCheck, RiskFacts
from tests.changes import (
    Answers,
    OwnsAll,
    change,
    deposit,
    journal_delivery,
    open_account,
)
from tests.memory_store import MemoryStore
from tests.unit.risk.facts import MORNING_MS, document

__all__ = ("OPENING", "RiskLab", "check_of", "memory_lab")

OPENING = 1_000_000_000
_FAR_MS = 4_102_444_800_000
_encode = msgspec.msgpack.encode


class _Hop:
    """What risk hands on, in order; nothing is answered on the way."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def send(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    def send_reply(self, node: str, reply: Reply) -> None:
        raise AssertionError((node, reply))


class RiskLab:
    """One journal, and as many risk actors as the test wants nodes."""

    def __init__(
        self, store: Store, *rules: dict[str, Any], epoch: int = 1, **defaults: Any
    ) -> None:
        self.store = store
        self.clock = ManualClock(datetime.fromtimestamp(MORNING_MS / 1000, UTC))
        self.journal = Journal(
            store, LedgerBook(store), OwnsAll(epoch), self.clock, bank.FACT_TABLES
        )
        self.status = RiskStatus()
        self.put(1, *rules, **defaults)
        self.actor = self.new_actor()

    def put(self, version: int, *rules: dict[str, Any], **defaults: Any) -> None:
        """Decide by other rules from now on."""
        self.status.rules.take(rules_from(document(*rules, **defaults)), version)

    def new_actor(self) -> RiskActor:
        """Return an actor that remembers nothing, as after a restart or on another node."""
        self.actor = RiskActor(self.store, self.clock, self.status)
        return self.actor

    async def open(self, *names: str) -> None:
        """Open accounts, each with :data:`OPENING` in it."""
        wanted = [change(f"open-{name}", open_account(name)) for name in names]
        wanted += [
            change(f"fill-{name}", deposit(name, OPENING, deposit_id=f"dep-{name}"))
            for name in names
        ]
        answers = Answers()
        await self.journal.receive_batch(
            [journal_delivery(number, one, answers) for number, one in enumerate(wanted)]
        )
        assert all(reply.ok for reply in answers.replies.values())

    async def decide(
        self, checks: Sequence[RiskCheck], actor: RiskActor | None = None
    ) -> list[Envelope]:
        """Return what the actor hands to the journal for a batch."""
        hop = _Hop()
        await (actor or self.actor).receive_batch(
            [
                Delivery(
                    Envelope(RISK_KIND, one.facts.customer, RISK_CHECK_TYPE, one.facts.app,
                             _FAR_MS, "test", number, msgspec.Raw(_encode(one))),
                    hop,
                )
                for number, one in enumerate(checks)
            ]
        )  # fmt: skip
        return hop.envelopes

    async def commit(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Return ``ok`` or the error's code for each of what was handed on, as one batch."""
        answers = Answers()
        numbered = [
            msgspec.structs.replace(one, reply_id=number) for number, one in enumerate(envelopes)
        ]
        await self.journal.receive_batch([Delivery(one, answers) for one in numbered])
        return [
            "ok" if answers.replies[number].ok else answers.error(number).code
            for number in range(len(numbered))
        ]

    async def pay(self, *checks: RiskCheck) -> list[str]:
        """Take movements the whole way, as one batch."""
        return await self.commit(await self.decide(checks))

    async def message(self, check: RiskCheck) -> str:
        """Return what the caller of a movement that is refused is told."""
        answers = Answers()
        (envelope,) = await self.decide([check])
        await self.journal.receive_batch(
            [Delivery(msgspec.structs.replace(envelope, reply_id=0), answers)]
        )
        return answers.error(0).message

    async def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return all rows of a table, in order."""
        everything = Where(columns[0], "in", await self._all(table, columns[0]))
        return sorted(
            await self.store.fetch(Query(table=table, columns=columns, where=(everything,)))
        )

    async def _all(self, table: str, column: str) -> list[Any]:
        return [row[0] for row in await self.store.fetch(Query(table=table, columns=(column,)))]

    async def ask(self, request: msgspec.Struct) -> Any:
        """Return the answer of a read, or its error."""
        actor = RiskQueryActor(self.store, self.status)
        type_ = next(name for name, kind in actor.accepts.items() if kind is type(request))
        answers = Answers()
        body = msgspec.Raw(_encode(request))
        await actor.receive_batch(
            [Delivery(Envelope("risk_query", "", type_, "ops", _FAR_MS, "test", 0, body), answers)]
        )
        reply = answers.replies[0]
        return msgspec.msgpack.decode(reply.body) if reply.ok else answers.error(0)


def memory_lab(*rules: dict[str, Any], **defaults: Any) -> RiskLab:
    """Return a lab on a store in memory."""
    return RiskLab(MemoryStore(dict.fromkeys(range(64), 1)), *rules, **defaults)


def check_of(
    facts: RiskFacts, request_id: str = "r1", *, reviewable: bool = False, status: str = "in_review"
) -> RiskCheck:
    """Return a payment of these facts, on its way to the journal."""
    one = _way(facts, request_id, "succeeded")
    reviewed = (_way(facts, request_id, status),) if reviewable else ()
    digest = request_id.encode().ljust(16)[:16]
    wanted = Change(facts.app, request_id, "payment.create", digest, (one,))
    return RiskCheck(wanted, facts, reviewed)


def _way(facts: RiskFacts, request_id: str, status: str) -> Alternative:
    composed = compose_payment(
        Pay(payer=facts.payer, payee=facts.payee, amount_minor=facts.amount_minor),
        app=facts.app, request_id=request_id, payment_id=facts.subject, method=facts.method,
        created_at=datetime.fromtimestamp(facts.at_ms / 1000, UTC),
    )  # fmt: skip
    moves, facts_ = Moves(postings=(composed.posting,)), [composed.fact]
    if status != "succeeded":
        # As payments keeps one that was not made at once.
        row = dict(zip(PAYMENT_TABLE.columns, composed.fact.row, strict=True))
        row["status"] = ORDER_STATUS
        order = (facts.subject, 1, facts.app, facts.payer, facts.payee, status, False, "{}")
        moves = Moves()
        facts_ = [Fact("payment", tuple(row.values())), Fact("payment_order", order)]
    return Alternative(
        encode_moves(moves), tuple(facts_), (composed.event,), composed.answer.decode()
    )
