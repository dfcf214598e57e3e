"""Reads of accounts, statements and payments: as committed, and never on the journal's path."""

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from actors.holds import fetch_holds, public_hold
from actors.payments.history import find_payment
from actors.payments.lists import list_payments
from kernel.actor import BatchActor, Delivery
from kernel.store import Query, Store, Where
from schemas.accounts import Account, GetAccount, GetStatement, Statement, StatementEntry
from schemas.errors import NotFound, ZhihuiError
from schemas.holds import GetHold, Hold
from schemas.payments import GetPayment, ListPayments

__all__ = ("QueryActor",)

_ACCOUNT = ("account_id", "app", "holder", "type", "asset", "status", "opened_at")
_BALANCE = ("account_id", "posted_minor", "held_minor")
_ENTRY = ("number", "amount_minor", "balance_after_minor", "change_seq")
_CHANGE = ("seq", "app", "request_id", "operation", "at")

_Row = tuple[Any, ...]


class QueryActor(BatchActor):
    """Answer reads from the read pool; all accounts of a batch come together."""

    kind = "query"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {
        "account.get": GetAccount,
        "account.statement": GetStatement,
        "payment.get": GetPayment,
        "payment.list": ListPayments,
        "hold.get": GetHold,
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
        accounts = await self._accounts(
            {one.account_id for _, one in wanted if isinstance(one, GetAccount | GetStatement)}
        )
        holds = await fetch_holds(
            self._store, {one.hold_id for _, one in wanted if isinstance(one, GetHold)}
        )
        for delivery, request in wanted:
            app = delivery.envelope.app
            try:
                if isinstance(request, GetPayment):
                    delivery.reply(await find_payment(self._store, app, request))
                elif isinstance(request, ListPayments):
                    delivery.reply(await list_payments(self._store, app, request))
                elif isinstance(request, GetHold):
                    delivery.reply(_hold(app, request, holds))
                else:
                    row = accounts.get(request.account_id)
                    if row is None or row[1] != app:
                        raise NotFound(
                            f"account {request.account_id!r} does not exist", field="account_id"
                        )
                    if isinstance(request, GetStatement):
                        delivery.reply(await self._statement(app, request, row[4]))
                    else:
                        delivery.reply(_account(row))
            except ZhihuiError as error:
                delivery.fail(error)

    async def _accounts(self, ids: set[str]) -> dict[str, _Row]:
        """Return the accounts that exist, each with what its balance says at the end."""
        if not ids:
            return {}
        balances = {row[0]: row[1:] for row in await self._by_key("balance", _BALANCE, ids)}
        return {
            row[0]: row + balances[row[0]]
            for row in await self._by_key("account", _ACCOUNT, ids)
            if row[0] in balances
        }

    async def _by_key(
        self, table: str, columns: tuple[str, ...], keys: Iterable[Any]
    ) -> list[_Row]:
        where = (Where(columns[0], "in", list(keys)),)
        return await self._store.fetch(Query(table=table, columns=columns, where=where))

    async def _statement(self, app: str, request: GetStatement, currency: str) -> Statement:
        rows = await self._store.fetch(
            Query(
                table="entry",
                columns=_ENTRY,
                where=(
                    Where("account_id", "=", request.account_id),
                    Where("number", ">", request.after),
                ),
                order_by=("number",),
                limit=request.limit + 1,
            )
        )
        page = rows[: request.limit]
        changes = {
            row[0]: row[1:] for row in await self._by_key("change", _CHANGE, {e[3] for e in page})
        }
        entries = [
            StatementEntry(
                number=number,
                amount_minor=amount,
                balance_after_minor=after,
                operation=changes[seq][2],
                # The id of another app's request is that app's business.
                request_id=changes[seq][1] if changes[seq][0] == app else "",
                at=changes[seq][3],
            )
            for number, amount, after, seq in page
        ]
        return Statement(
            account_id=request.account_id,
            currency=currency,
            entries=entries,
            next_after=entries[-1].number if len(rows) > request.limit else None,
        )


def _account(row: _Row) -> Account:
    account_id, _, holder, type_, currency, status, opened_at, posted_minor, held_minor = row
    return Account(
        account_id=account_id,
        holder=holder,
        type=type_,
        currency=currency,
        status=status,
        posted_minor=posted_minor,
        available_minor=posted_minor - held_minor,
        held_minor=held_minor,
        opened_at=opened_at,
    )


def _hold(app: str, request: GetHold, holds: dict[str, Any]) -> Hold:
    row = holds.get(request.hold_id)
    if row is None or row.app != app:
        raise NotFound(f"hold {request.hold_id!r} does not exist", field="hold_id")
    return public_hold(row)
