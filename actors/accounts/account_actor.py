"""Opening and closing accounts, and crediting them from outside."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, cast

import msgspec

from actors.customers.parties import CARD_PREFIX, bound_source, closing_steps
from actors.digest import request_digest
from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE, FactTable
from kernel.randomness import IdFactory
from kernel.store import Store
from schemas.accounts import (
    AccountClosed,
    AccountOpened,
    CloseAccount,
    Deposit,
    DepositFunds,
    OpenAccount,
)
from schemas.change import Alternative, Change, Event, Fact, unknown
from schemas.errors import NotFound, SelfPayment, ZhihuiError
from schemas.ledger import (
    BALANCE_MAX_MINOR,
    Moves,
    NewAccount,
    Posting,
    StatusStep,
    Step,
    TallyStep,
    TransferStep,
    encode_moves,
)
from schemas.money import CNY, check_currency

__all__ = ("ACCOUNT_TABLE", "EXTERNAL_PREFIX", "AccountActor")

ACCOUNT_TABLE = FactTable(
    "account",
    (
        "account_id", "app", "holder", "type", "asset", "floor_minor", "ceiling_minor", "status",
        "opened_at", "customer_id", "class",
    ),
    ("text", "text", "text", "text", "text", "bigint", "bigint", "text", "timestamptz", "text",
     "text"),
)  # fmt: skip

EXTERNAL_PREFIX = "external:"

_json = msgspec.json.Encoder()


class AccountActor(BatchActor):
    """Turn account requests into changes and hand them to the journal, which answers."""

    kind = "account"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {
        "account.open": OpenAccount,
        "account.deposit": DepositFunds,
        "account.close": CloseAccount,
    }

    def __init__(self, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._open_decoder = msgspec.msgpack.Decoder(OpenAccount)
        self._deposit_decoder = msgspec.msgpack.Decoder(DepositFunds)
        self._close_decoder = msgspec.msgpack.Decoder(CloseAccount)

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Forward each request to the journal, or refuse it."""
        now = self._clock.now()
        # What closing gives back; nothing is read when no account is closed.
        closing = await closing_steps(
            self._store,
            {
                self._close_decoder.decode(one.envelope.body).account_id
                for one in deliveries
                if one.envelope.type == "account.close"
            },
        )
        for delivery in deliveries:
            envelope = delivery.envelope
            try:
                if envelope.type == "account.open":
                    request_id, alternative = self._open(delivery, now)
                elif envelope.type == "account.deposit":
                    request_id, alternative = self._deposit(delivery, now)
                elif envelope.type == "account.close":
                    request_id, alternative = self._close(delivery, now, closing)
                else:
                    raise LookupError(f"account has no handler for {envelope.type!r}")
            except ZhihuiError as error:
                delivery.fail(error)
                continue
            change = Change(
                envelope.app,
                request_id,
                envelope.type,
                request_digest(envelope.type, envelope.body),
                (alternative,),
            )
            delivery.forward(JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change)

    def _open(self, delivery: Delivery, now: datetime) -> tuple[str, Alternative]:
        app = delivery.envelope.app
        request = self._open_decoder.decode(delivery.envelope.body)
        check_currency(request.currency)
        account_id = self._ids.new("acct")
        answer = _json.encode(
            AccountOpened(
                account_id=account_id,
                holder=request.holder,
                type=request.type,
                currency=request.currency,
                status="open",
                opened_at=now,
            )
        ).decode()
        # A customer's account may not be overdrawn: floor 0, no ceiling.
        new = NewAccount(account_id, app, request.currency, 0, None)
        row = (
            account_id, app, request.holder, request.type, request.currency, 0, None, "open", now,
            "", "",
        )  # fmt: skip
        return request.request_id, Alternative(
            encode_moves(Moves(open=(new,))),
            (Fact("account", row),),
            (Event("account.opened", account_id, answer),),
            answer,
        )

    def _deposit(self, delivery: Delivery, now: datetime) -> tuple[str, Alternative]:
        app = delivery.envelope.app
        request = self._deposit_decoder.decode(delivery.envelope.body)
        check_currency(request.currency)
        if not request.source.startswith(EXTERNAL_PREFIX):
            raise NotFound(
                f"{request.source!r} is not an external source, such as 'external:unionpay'",
                field="source",
            )
        if request.source.startswith(CARD_PREFIX) and (
            request.source != bound_source(request.account_id)
        ):
            raise NotFound(
                f"{request.source!r} is the bound card of another account", field="source"
            )
        deposit_id = self._ids.new("dep")
        answer = _json.encode(
            Deposit(
                deposit_id=deposit_id,
                account_id=request.account_id,
                source=request.source,
                amount_minor=request.amount_minor,
                currency=request.currency,
                created_at=now,
            )
        ).decode()
        posting = Posting(
            request.source,
            request.account_id,
            request.amount_minor,
            request.currency,
            credit_owner=app,
            fields=("source", "account_id"),
        )
        row = (
            deposit_id, app, request.account_id, request.source, request.amount_minor,
            request.currency, now,
        )  # fmt: skip
        return request.request_id, Alternative(
            encode_moves(Moves(postings=(posting,))),
            (Fact("deposit", row),),
            (Event("deposit.succeeded", deposit_id, answer),),
            answer,
        )

    def _close(
        self, delivery: Delivery, now: datetime, closing: Mapping[str, tuple[TallyStep, ...]]
    ) -> tuple[str, Alternative]:
        app = delivery.envelope.app
        request = self._close_decoder.decode(delivery.envelope.body)
        account_id, target = request.account_id, request.transfer_to
        if target == account_id:
            raise SelfPayment(f"account {target!r} cannot pay itself", field="transfer_to")
        steps: tuple[Step, ...] = (
            StatusStep(account_id, "closed", app),
            *closing.get(account_id, ()),
        )
        transferred = 0
        if target is not None:
            # All that is there, whatever that is when the ledger comes to it.
            sweep = TransferStep(
                account_id, target, BALANCE_MAX_MINOR, CNY, keep_minor=0, owner=app,
                name="sweep", fields=("account_id", "transfer_to"),
            )  # fmt: skip
            steps = (sweep, *steps)
            transferred = cast("int", unknown("sweep.amount"))
        answer = _json.encode(
            AccountClosed(
                account_id=account_id,
                status="closed",
                transfer_to=target,
                transferred_minor=transferred,
                closed_at=now,
            )
        ).decode()
        return request.request_id, Alternative(
            encode_moves(Moves(steps=steps)),
            (),
            (Event("account.closed", account_id, answer),),
            answer,
        )
