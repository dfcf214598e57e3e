"""The account that units are bought from, and whose it is."""

import msgspec

from actors.customers.parties import fetch_parties
from kernel.store import Query, Store, Where
from schemas.errors import Ineligible, NotFound
from schemas.money import CNY

__all__ = ("CashAccount", "cash_account_of", "investor_of")

_COLUMNS = ("account_id", "app", "holder", "asset", "customer_id", "class")

# Source: PBoC 银发〔2015〕392: class I and II may buy investment products, class III may only pay.
_MAY_NOT_INVEST = "III"


class CashAccount(msgspec.Struct, frozen=True):
    """What never changes of an account in money."""

    account_id: str
    app: str
    holder: str
    asset: str
    customer_id: str
    account_class: str


async def investor_of(store: Store, account: CashAccount) -> str:
    """Return whom a rule for each investor counts for.

    It is the person in the whole bank, whichever app knows him as a customer. An account without a
    customer is its holder's, as far as the app knows him.
    """
    parties = await fetch_parties(store, (account.customer_id,))
    known = parties.get(account.customer_id) or account.customer_id
    return known or f"{account.app}/{account.holder}"


async def cash_account_of(store: Store, account_id: str, app: str) -> CashAccount:
    """Return the account if the app's customer may buy from it.

    Raise :class:`NotFound` when it is not the app's, and :class:`Ineligible` when its class may not
    buy investment products.
    """
    rows = await store.fetch(
        Query(table="account", columns=_COLUMNS, where=(Where("account_id", "=", account_id),))
    )
    account = CashAccount(*rows[0]) if rows else None
    if account is None or account.asset != CNY or account.app != app:
        raise NotFound(f"account {account_id!r} does not exist", field="cash_account")
    if account.account_class == _MAY_NOT_INVEST:
        raise Ineligible(
            f"account {account_id!r} is of class III, which may not buy investment products",
            field="cash_account",
        )
    return account
