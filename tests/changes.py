"""Durable changes as the bank's actors make them, for tests that talk to the journal itself."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec

from actors.accounts import ACCOUNT_TABLE
from actors.payments import DEPOSIT_TABLE, PAYMENT_TABLE, compose_payment
from actors.scenario import DOCUMENT_TABLE
from kernel.actor import Delivery
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_LINKED_TYPE, JOURNAL_TYPE
from kernel.ownership import Ownership
from schemas.change import Alternative, Change, Event, Fact, LinkedChanges
from schemas.envelope import Envelope, Reply
from schemas.errors import ErrorBody
from schemas.ledger import Moves, NewAccount, Posting, encode_moves
from schemas.pay import Pay

__all__ = (
    "AT",
    "FACT_TABLES",
    "Answers",
    "OwnsAll",
    "change",
    "deposit",
    "document",
    "journal_delivery",
    "open_account",
    "pay",
    "payments",
)

FACT_TABLES = (PAYMENT_TABLE, DEPOSIT_TABLE, ACCOUNT_TABLE, DOCUMENT_TABLE)

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
_FAR_MS = 4_102_444_800_000

_encode = msgspec.msgpack.encode


def change(
    request_id: str,
    *alternatives: Alternative,
    app: str = "shop",
    body: str = "",
    rejection: ErrorBody | None = None,
    partition: int = -1,
    epoch: int = 0,
) -> Change:
    """Return a change; two with the same ``body`` count as the same request."""
    digest = blake2b(body.encode(), digest_size=16).digest()
    return Change(app, request_id, "test.change", digest, alternatives, rejection, partition, epoch)


def open_account(
    account_id: str, *, app: str = "shop", floor: int | None = 0, ceiling: int | None = None,
    asset: str = "CNY", holder: str = "holder",
) -> Alternative:  # fmt: skip
    """Return the opening of an account, with its row and its event."""
    row = (account_id, app, holder, "customer", asset, floor, ceiling, "open", AT, "", "")
    return Alternative(
        encode_moves(Moves(open=(NewAccount(account_id, app, asset, floor, ceiling),))),
        (Fact("account", row),),
        (Event("account.opened", account_id, "{}"),),
        f'{{"opened":"{account_id}"}}',
    )


def deposit(
    account_id: str, amount: int, *, deposit_id: str, app: str = "shop",
    source: str = "external:cash",
) -> Alternative:  # fmt: skip
    """Return a deposit, with its row and its event."""
    row = (deposit_id, app, account_id, source, amount, "CNY", AT)
    return Alternative(
        encode_moves(Moves(postings=(Posting(source, account_id, amount, "CNY"),))),
        (Fact("deposit", row),),
        (Event("deposit.succeeded", deposit_id, "{}"),),
        f'{{"deposit":"{deposit_id}"}}',
    )


def payments(
    request_id: str, moves: Sequence[tuple[str, str, int]], *, app: str = "shop", tag: str = "",
    reference: str = "",
) -> Alternative:  # fmt: skip
    """Return payments ``(payer, payee, amount)`` that stand or fall together."""
    composed = [
        compose_payment(
            Pay(payer=payer, payee=payee, amount_minor=amount, reference=reference),
            app=app,
            request_id=request_id,
            payment_id=f"pay-{app}-{request_id}{tag}-{number}",
            method="quick",
            created_at=AT,
        )
        for number, (payer, payee, amount) in enumerate(moves)
    ]
    return Alternative(
        encode_moves(Moves(postings=tuple(one.posting for one in composed))),
        tuple(one.fact for one in composed),
        tuple(one.event for one in composed),
        f'{{"paid":"{request_id}{tag}"}}',
    )


def pay(
    request_id: str, payer: str, payee: str, amount: int, *, reference: str = "", **how: Any
) -> Change:
    """Return one payment as a change of its own."""
    alternative = payments(request_id, [(payer, payee, amount)], reference=reference)
    return change(request_id, alternative, body=f"{payer} {payee} {amount} {reference}", **how)


def document(key: str, version: int, body: str = "{}") -> Alternative:
    """Return a new version of a pack's document, without any payment."""
    fact = Fact("document", ("parking", "vehicle", key, version, 1, body))
    return Alternative(encode_moves(Moves()), (fact,), (), f'{{"version":{version}}}')


class Answers:
    """A sender that keeps the answers, by the number of their question."""

    def __init__(self) -> None:
        self.replies: dict[int, Reply] = {}

    def send_reply(self, node: str, reply: Reply) -> None:
        """Keep the one answer to a question."""
        assert reply.reply_id not in self.replies, f"{reply.reply_id} was answered twice"
        self.replies[reply.reply_id] = reply

    def send(self, envelope: Envelope) -> None:
        """Refuse: the journal hands nothing on."""
        raise AssertionError(envelope)

    def __getitem__(self, number: int) -> str:
        """Return the finished JSON of an answer, or the code of its error; '' for no answer."""
        reply = self.replies.get(number)
        if reply is None:
            return ""
        if reply.ok:
            return msgspec.msgpack.decode(reply.body, type=bytes).decode()
        return self.error(number).code

    def error(self, number: int) -> ErrorBody:
        """Return the error of an answer."""
        return msgspec.msgpack.decode(self.replies[number].body, type=ErrorBody)

    def notes(self) -> list[int]:
        """Return the notes of all answers, in the order of their questions."""
        return [reply.note for _, reply in sorted(self.replies.items())]


def journal_delivery(
    number: int, one: Change | LinkedChanges, answers: Answers, *, deadline_ms: int = _FAR_MS
) -> Delivery:
    """Return a change, or a chain of changes, on its way to the journal."""
    body = msgspec.Raw(_encode(one))
    if isinstance(one, Change):
        type_, app = JOURNAL_TYPE, one.app
    else:
        type_, app = JOURNAL_LINKED_TYPE, one.changes[0].app
    return Delivery(
        Envelope(JOURNAL_KIND, JOURNAL_KEY, type_, app, deadline_ms, "test", number, body), answers
    )


class OwnsAll(Ownership):
    """Owns every partition under one epoch, for tests in which ownership never moves."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def epoch(self, partition: int) -> int | None:
        """Return the one epoch."""
        return self._epoch
