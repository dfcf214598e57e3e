"""The accounts of a line in the ledger, and the customer's account beside it."""

from collections.abc import Iterable
from datetime import datetime

from actors.credit.records import LineState, charges_account
from actors.customers.records import CUSTOMER_TABLE
from actors.entity import Part
from kernel.store import Query, Store, Where
from schemas.change import Fact
from schemas.errors import Ineligible, InvalidState, NotFound
from schemas.ledger import Moves, NewAccount
from schemas.money import CNY
from schemas.subjects import PLATFORM_APP

__all__ = ("check_account", "opened_accounts", "party_of_customer", "posted_minor")

_ACCOUNT = ("account_id", "app", "asset", "status", "customer_id")


async def party_of_customer(store: Store, customer_id: str, app: str) -> str:
    """Return who a customer of the app is in the whole bank; a line is a person's (个人贷款)."""
    customer = await CUSTOMER_TABLE.load(store, customer_id)
    if customer is None or customer.app != app:
        raise NotFound(f"customer {customer_id!r} does not exist", field="customer_id")
    if customer.state.kind != "person":
        raise Ineligible(
            f"customer {customer_id!r} is a {customer.state.kind}; lines are for persons",
            field="customer_id",
        )
    return customer.state.party_id


async def check_account(store: Store, account_id: str, app: str, customer_id: str) -> None:
    """Raise unless it is an account of the app's in money, and of that customer where it says."""
    rows = await store.fetch(
        Query(table="account", columns=_ACCOUNT, where=(Where("account_id", "in", [account_id]),))
    )
    found = [row for row in rows if row[1] == app and row[4] in ("", customer_id)]
    if not found:
        raise NotFound(f"account {account_id!r} does not exist", field="account_id")
    _, _, asset, status, _ = found[0]
    if asset != CNY or status == "closed":
        raise InvalidState(
            f"account {account_id!r} is {status} and holds {asset}; a line needs an open one in"
            f" {CNY}",
            field="account_id",
        )


def opened_accounts(line_id: str, state: LineState, now: datetime) -> Part:
    """Return the part that opens the accounts of a line that was granted."""
    new = (
        NewAccount(line_id, PLATFORM_APP, CNY, -state.limit_minor, None),
        NewAccount(charges_account(line_id), PLATFORM_APP, CNY, None, 0),
    )
    types = ("credit_line", "credit_charges")
    facts = tuple(
        Fact(
            "account",
            (one.account_id, one.app, state.customer_id, type_, one.asset, one.floor_minor,
             one.ceiling_minor, "open", now, state.customer_id, ""),
        )
        for one, type_ in zip(new, types, strict=True)
    )  # fmt: skip
    return Part(moves=Moves(open=new), facts=facts)


async def posted_minor(store: Store, account_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return what is posted and held of each account that exists, in minor units."""
    rows = await store.fetch(
        Query(
            table="balance",
            columns=("account_id", "posted_minor", "held_minor"),
            where=(Where("account_id", "in", list(account_ids)),),
        )
    )
    return {name: (posted, held) for name, posted, held in rows}
