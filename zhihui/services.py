"""The bank's services as typed calls, one class for each."""

from typing import Protocol, TypeVar

import msgspec

from schemas.accounts import (
    Account,
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    CloseAccount,
    Deposit,
    DepositFunds,
    FreezeAccount,
    GetAccount,
    GetStatement,
    OpenAccount,
    Statement,
    UnfreezeAccount,
)
from schemas.holds import CaptureHold, GetHold, Hold, HoldCapture, PlaceHold, VoidHold
from schemas.payments import CreatePayment, GetPayment, Payment

__all__ = ("Accounts", "Holds", "Payments")

_T = TypeVar("_T")


class _Caller(Protocol):
    async def typed_call(
        self, service: str, verb: str, request: msgspec.Struct, result: type[_T]
    ) -> _T: ...

    def new_request_id(self) -> str: ...


class Accounts:
    """The account service, typed."""

    def __init__(self, client: _Caller) -> None:
        self._client = client

    async def open(
        self, *, holder: str, type: str = "customer", request_id: str | None = None  # noqa: A002 - the field's name on the wire
    ) -> AccountOpened:  # fmt: skip
        """Open an account with a balance of zero."""
        request = msgspec.convert(
            {
                "request_id": request_id or self._client.new_request_id(),
                "holder": holder,
                "type": type,
            },
            OpenAccount,
        )
        return await self._client.typed_call("account", "open", request, AccountOpened)

    async def get(self, account_id: str) -> Account:
        """Read an account and its balance."""
        request = GetAccount(account_id=account_id)
        return await self._client.typed_call("account", "get", request, Account)

    async def deposit(
        self, account_id: str, amount_minor: int, *, source: str, request_id: str | None = None
    ) -> Deposit:
        """Credit an account from a named external source; ``amount_minor`` in fen."""
        request = DepositFunds(
            request_id=request_id or self._client.new_request_id(),
            account_id=account_id,
            amount_minor=amount_minor,
            source=source,
        )
        return await self._client.typed_call("account", "deposit", request, Deposit)

    async def statement(self, account_id: str, *, after: int = 0, limit: int = 100) -> Statement:
        """Read a page of entries, those numbered above ``after``."""
        request = GetStatement(account_id=account_id, after=after, limit=limit)
        return await self._client.typed_call("account", "statement", request, Statement)

    async def freeze(
        self,
        account_id: str,
        *,
        reason: str,
        amount_minor: int | None = None,
        request_id: str | None = None,
    ) -> AccountFrozen:
        """Freeze an account, which then takes credits only, or ``amount_minor`` of it in fen."""
        request = FreezeAccount(
            request_id=request_id or self._client.new_request_id(),
            account_id=account_id,
            reason=reason,
            amount_minor=amount_minor,
        )
        return await self._client.typed_call("account", "freeze", request, AccountFrozen)

    async def unfreeze(
        self,
        account_id: str | None = None,
        *,
        hold_id: str | None = None,
        request_id: str | None = None,
    ) -> AccountUnfrozen:
        """End the freeze of an account, or of the amount that ``hold_id`` names."""
        request = UnfreezeAccount(
            request_id=request_id or self._client.new_request_id(),
            account_id=account_id,
            hold_id=hold_id,
        )
        return await self._client.typed_call("account", "unfreeze", request, AccountUnfrozen)

    async def close(
        self, account_id: str, *, transfer_to: str | None = None, request_id: str | None = None
    ) -> AccountClosed:
        """Close an empty account for good, or move its balance to another and close it."""
        request = CloseAccount(
            request_id=request_id or self._client.new_request_id(),
            account_id=account_id,
            transfer_to=transfer_to,
        )
        return await self._client.typed_call("account", "close", request, AccountClosed)


class Holds:
    """The hold service, typed; amounts in fen."""

    def __init__(self, client: _Caller) -> None:
        self._client = client

    async def place(
        self,
        account_id: str,
        amount_minor: int,
        *,
        payee: str | None = None,
        expires_in_s: int | None = None,
        reference: str = "",
        request_id: str | None = None,
    ) -> Hold:
        """Hold an amount of an account, until it is resolved or ``expires_in_s`` have passed."""
        request = PlaceHold(
            request_id=request_id or self._client.new_request_id(),
            account_id=account_id,
            amount_minor=amount_minor,
            payee=payee,
            expires_in_s=expires_in_s,
            reference=reference,
        )
        return await self._client.typed_call("hold", "place", request, Hold)

    async def capture(
        self,
        hold_id: str,
        amount_minor: int | None = None,
        *,
        payee: str | None = None,
        final: bool = False,
        request_id: str | None = None,
    ) -> HoldCapture:
        """Move held money to the payee: all that is left, or a part; ``final`` frees the rest."""
        request = CaptureHold(
            request_id=request_id or self._client.new_request_id(),
            hold_id=hold_id,
            amount_minor=amount_minor,
            payee=payee,
            final=final,
        )
        return await self._client.typed_call("hold", "capture", request, HoldCapture)

    async def void(self, hold_id: str, *, request_id: str | None = None) -> Hold:
        """Give back all that is left of a hold."""
        request = VoidHold(request_id=request_id or self._client.new_request_id(), hold_id=hold_id)
        return await self._client.typed_call("hold", "void", request, Hold)

    async def get(self, hold_id: str) -> Hold:
        """Read a hold."""
        return await self._client.typed_call("hold", "get", GetHold(hold_id=hold_id), Hold)


class Payments:
    """The payment service, typed."""

    def __init__(self, client: _Caller) -> None:
        self._client = client

    async def create(
        self,
        *,
        payer: str,
        payee: str,
        amount_minor: int,
        reference: str = "",
        request_id: str | None = None,
    ) -> Payment:
        """Pay from one account to another at once; ``amount_minor`` in fen."""
        request = CreatePayment(
            request_id=request_id or self._client.new_request_id(),
            payer=payer,
            payee=payee,
            amount_minor=amount_minor,
            reference=reference,
        )
        return await self._client.typed_call("payment", "create", request, Payment)

    async def get(self, payment_id: str | None = None, *, request_id: str | None = None) -> Payment:
        """Read a payment by its id, or find it by the id of the request that made it."""
        request = GetPayment(payment_id=payment_id, request_id=request_id)
        return await self._client.typed_call("payment", "get", request, Payment)
