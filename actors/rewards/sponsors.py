"""Accounts as rewards need to know them: whose they are, and whether they still take money."""

from collections.abc import Iterable

import msgspec

from actors.rewards.program import EXPENSE
from kernel.store import Query, Store, Where
from schemas.errors import InvalidField, NotFound
from schemas.money import CNY
from schemas.subjects import OPERATOR_APP

__all__ = ("Known", "fetch_known", "sponsor_of")


class Known(msgspec.Struct, frozen=True):
    """An account as committed."""

    app: str
    holder: str
    asset: str
    status: str
    customer_id: str


async def fetch_known(store: Store, account_ids: Iterable[str]) -> dict[str, Known]:
    """Return those of the accounts that exist."""
    rows = await store.fetch(
        Query(
            table="account",
            columns=("account_id", "app", "holder", "asset", "status", "customer_id"),
            where=(Where("account_id", "in", list(account_ids)),),
        )
    )
    return {name: Known(*rest) for name, *rest in rows}


async def sponsor_of(store: Store, named: str | None, app: str) -> str:
    """Return the account that pays for what ``app`` gives away.

    An app pays from an account of its own. The bank's marketing pays when the back office names
    none.
    """
    if named is None:
        if app != OPERATOR_APP:
            raise InvalidField("name the account that pays for it", field="sponsor_account")
        return EXPENSE
    known = (await fetch_known(store, (named,))).get(named)
    if known is None or known.asset != CNY or app not in (known.app, OPERATOR_APP):
        raise NotFound(f"account {named!r} does not exist", field="sponsor_account")
    return named
