"""Reads of accounts, statements and payments: as committed, and never on the journal's path."""

from typing import Any, ClassVar

import msgspec

from kernel.actor import BatchActor, Delivery
from kernel.store import Store
from schemas.accounts import Account, GetAccount, GetStatement, Statement, StatementEntry
from schemas.errors import InvalidField, NotFound, ZhihuiError
from schemas.payments import GetPayment, Payment

__all__ = ("QueryActor",)

_ACCOUNTS = """
SELECT account_id, app, holder, type, asset, status, posted_minor, opened_at
  FROM zhihui.account JOIN zhihui.balance USING (account_id) WHERE account_id = ANY($1)
"""
_ENTRIES = """
SELECT e.number, e.amount_minor, e.balance_after_minor, c.operation,
       CASE WHEN c.app = $4 THEN c.request_id ELSE '' END, c.at
  FROM zhihui.entry AS e JOIN zhihui.change AS c ON c.seq = e.change_seq
 WHERE e.account_id = $1 AND e.number > $2 ORDER BY e.number LIMIT $3
"""
_PAYMENTS = """
SELECT payment_id, request_id, method, status, payer, payee, amount_minor, currency, reference,
       created_at
  FROM zhihui.payment WHERE payment_id = $1 AND app = $2
"""
_BY_REQUEST = """
SELECT p.payment_id, p.request_id, p.method, p.status, p.payer, p.payee, p.amount_minor,
       p.currency, p.reference, p.created_at
  FROM zhihui.change AS c
  JOIN zhihui.event AS e ON e.change_seq = c.seq AND e.type = 'payment.succeeded'
  JOIN zhihui.payment AS p ON p.payment_id = e.subject
 WHERE c.app = $2 AND c.request_id = $1 ORDER BY p.payment_id LIMIT 1
"""


class QueryActor(BatchActor):
    """Answer reads from the read pool; all accounts of a batch come in one query."""

    kind = "query"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {
        "account.get": GetAccount,
        "account.statement": GetStatement,
        "payment.get": GetPayment,
    }

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
            type_: msgspec.msgpack.Decoder(message) for type_, message in self.accepts.items()
        }

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Answer each read."""
        wanted = [(one, self._decoders[one.envelope.type].decode(one.envelope.body))
                  for one in deliveries]  # fmt: skip
        ids = {request.account_id for _, request in wanted if not isinstance(request, GetPayment)}
        accounts = await self._accounts(ids) if ids else {}
        for delivery, request in wanted:
            try:
                delivery.reply(await self._answer(delivery, request, accounts))
            except ZhihuiError as error:
                delivery.fail(error)

    async def _accounts(self, ids: set[str]) -> dict[str, Any]:
        return {row[0]: row for row in await self._store.read_rows(_ACCOUNTS, list(ids))}

    async def _answer(
        self, delivery: Delivery, request: Any, accounts: dict[str, Any]
    ) -> msgspec.Struct:
        app = delivery.envelope.app
        if isinstance(request, GetPayment):
            return await self._payment(app, request)
        row = accounts.get(request.account_id)
        if row is None or row[1] != app:
            raise NotFound(f"account {request.account_id!r} does not exist", field="account_id")
        if isinstance(request, GetStatement):
            return await self._statement(app, request, row[4])
        return Account(
            account_id=row[0],
            holder=row[2],
            type=row[3],
            currency=row[4],
            status=row[5],
            posted_minor=row[6],
            available_minor=row[6],
            opened_at=row[7],
        )

    async def _statement(self, app: str, request: GetStatement, currency: str) -> Statement:
        rows = await self._store.read_rows(
            _ENTRIES, request.account_id, request.after, request.limit + 1, app
        )
        entries = [
            StatementEntry(
                number=row[0],
                amount_minor=row[1],
                balance_after_minor=row[2],
                operation=row[3],
                request_id=row[4],
                at=row[5],
            )
            for row in rows[: request.limit]
        ]
        return Statement(
            account_id=request.account_id,
            currency=currency,
            entries=entries,
            next_after=entries[-1].number if len(rows) > request.limit else None,
        )

    async def _payment(self, app: str, request: GetPayment) -> Payment:
        if (request.payment_id is None) == (request.request_id is None):
            raise InvalidField("give either payment_id or request_id, not both", field="payment_id")
        query, wanted = (
            (_PAYMENTS, request.payment_id)
            if request.payment_id is not None
            else (_BY_REQUEST, request.request_id)
        )
        rows = await self._store.read_rows(query, wanted, app)
        if not rows:
            field = "payment_id" if request.payment_id is not None else "request_id"
            raise NotFound(f"no payment with {field} {wanted!r}", field=field)
        row = rows[0]
        return Payment(
            payment_id=row[0],
            request_id=row[1],
            method=row[2],
            status=row[3],
            payer=row[4],
            payee=row[5],
            amount_minor=row[6],
            currency=row[7],
            reference=row[8],
            created_at=row[9],
        )
