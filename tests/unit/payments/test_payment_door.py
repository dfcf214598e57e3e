"""The door of payments hands on what it knows, and reads the rest meanwhile."""

from typing import Any

import anyio
import msgspec
import pytest

from actors.ledger import LedgerBook
from actors.payments.desk import PaymentDesk
from actors.payments.payment_actor import PaymentActor
from actors.payments.profiles import Profiles
from actors.settlement.merchants import MerchantBook
from kernel.actor import Delivery
from kernel.clock import ManualClock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, Journal
from kernel.partition import partition_of
from kernel.randomness import IdFactory, SeededRandomness
from schemas.envelope import Envelope, Reply
from schemas.errors import NotReady
from schemas.payments import CreatePayment
from schemas.risk import RiskCheck
from tests.changes import FACT_TABLES, Answers, OwnsAll, change, journal_delivery, open_account
from tests.eventually import eventually
from tests.memory_store import MemoryStore
from tests.unit.kernel.harness import START

pytestmark = pytest.mark.anyio

_FAR_MS = 4_102_444_800_000


class _Sent:
    """A sender that keeps what is handed on, and what is answered."""

    def __init__(self) -> None:
        self.checks: list[RiskCheck] = []
        self.answered: list[int] = []

    def send(self, envelope: Envelope) -> None:
        """Keep the check."""
        self.checks.append(msgspec.msgpack.decode(envelope.body, type=RiskCheck))

    def send_reply(self, node: str, reply: Reply) -> None:
        """Keep the number."""
        del node
        self.answered.append(reply.reply_id)

    def payers(self) -> list[str]:
        return [one.facts.payer for one in self.checks]


class _Door:
    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = MemoryStore({partition_of(JOURNAL_KIND, JOURNAL_KEY): 1})
        ids = IdFactory(self.clock, SeededRandomness(1))
        nothing: Any = None
        desk = PaymentDesk(
            store=self.store, ids=ids, rules=nothing, profiles=Profiles(self.store),
            merchants=MerchantBook(self.store, self.clock), sharing=nothing, sources=nothing,
        )  # fmt: skip
        self.actor = PaymentActor(desk, self.clock, ids, checked=True)
        self.sent = _Sent()

    async def opened(self, *names: str) -> "_Door":
        """Open accounts, and let the door meet the first of them as payers."""
        one: Any = OwnsAll(1)
        journal = Journal(self.store, LedgerBook(self.store), one, self.clock, FACT_TABLES)
        await journal.receive_batch(
            [
                journal_delivery(number, change(name, open_account(name)), Answers())
                for number, name in enumerate(names)
            ]
        )
        return self

    def payments(self, *payers: str) -> list[Delivery]:
        """Return payments of these accounts to the account ``shop``."""
        return [
            Delivery(
                Envelope(
                    "payment", payer, "payment.create", "shop", _FAR_MS, "n1", number,
                    msgspec.Raw(
                        msgspec.msgpack.encode(
                            CreatePayment(request_id=f"r{number}-{payer}", payer=payer,
                                          payee="shop", amount_minor=5)
                        )
                    ),
                ),
                self.sent,
            )
            for number, payer in enumerate(payers)
        ]  # fmt: skip


async def test_a_payment_of_a_known_payer_waits_for_nobody() -> None:
    """What has to be read for another one is read after it has gone, in one query."""
    door = await _Door().opened("shop", "anna", "bert", "carl")
    await door.actor.receive_batch(door.payments("anna"))
    held, reads = anyio.Event(), []

    async def disturb(moment: str) -> None:
        reads.append(moment)
        await held.wait()

    door.store.disturb = disturb
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            door.actor.receive_batch, door.payments("bert", "anna", "carl", "anna", "nobody")
        )
        await eventually(lambda: bool(reads), "the read")
        assert door.sent.payers() == ["anna", "anna", "anna"]
        held.set()
    assert door.sent.payers() == ["anna"] * 3 + ["bert", "carl", "nobody"]
    assert reads == ["fetch"]
    assert [one.facts.payee_type for one in door.sent.checks] == ["customer"] * 6


async def test_a_store_that_is_away_fails_only_what_had_to_be_read() -> None:
    """Who was handed on already is not told that nothing was begun."""
    door = await _Door().opened("shop", "anna", "bert")
    await door.actor.receive_batch(door.payments("anna"))

    async def away(moment: str) -> None:
        raise NotReady(f"no {moment}")

    door.store.disturb = away
    batch = door.payments("bert", "anna")
    with pytest.raises(NotReady) as caught:
        await door.actor.receive_batch(batch)
    for delivery in batch:
        # As its host does.
        delivery.fail(caught.value)
    assert door.sent.payers() == ["anna", "anna"]
    assert door.sent.answered == [0]
