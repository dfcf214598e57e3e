"""An account in another asset that belongs to a customer's account: of fund units, of points."""

from datetime import datetime

import msgspec

from actors.entity import Part
from schemas.accounts import AccountOpened
from schemas.change import Event, Fact
from schemas.ledger import Moves, NewAccount

__all__ = ("account_fact", "asset_account")

_json = msgspec.json.Encoder()


def account_fact(
    new: NewAccount, holder: str, type_: str, opened_at: datetime, customer_id: str = ""
) -> Fact:
    """Return the row of a new account."""
    row = (
        new.account_id, new.app, holder, type_, new.asset, new.floor_minor, new.ceiling_minor,
        "open", opened_at, customer_id, "",
    )  # fmt: skip
    return Fact("account", row)


def asset_account(
    account_id: str, app: str, asset: str, *, holder: str, type_: str, customer_id: str,
    opened_at: datetime,
) -> Part:  # fmt: skip
    """Return the opening of an account that may not be overdrawn, and the event that tells it."""
    new = NewAccount(account_id, app, asset, 0, None)
    told = AccountOpened(
        account_id=account_id,
        holder=holder,
        type=type_,
        currency=asset,
        status="open",
        opened_at=opened_at,
    )
    return Part(
        moves=Moves(open=(new,)),
        facts=(account_fact(new, holder, type_, opened_at, customer_id),),
        events=(Event("account.opened", account_id, _json.encode(told).decode(), app),),
    )
