"""What other services ask about customers: the person behind an account, and its bound card.

A party is a person or a company in the whole bank, whichever apps know it as a customer. What is
limited for a person is counted by it.
"""

from collections.abc import Iterable

from actors.customers.records import CUSTOMER_TABLE
from actors.regulation.account_classes import AccountClasses, class_of
from kernel.store import Query, Store, Where
from schemas.ledger import TallyStep

__all__ = ("CARD_PREFIX", "bound_source", "closing_steps", "fetch_parties", "parties_of_accounts")

# The mirror of the card that an account is bound to: an account of the platform without a floor, as
# all that is outside of the bank. It is named after the account and not after the card, so it stays
# when another card is bound, and who may name it as a source needs no look-up.
CARD_PREFIX = "external:card:"


def bound_source(account_id: str) -> str:
    """Return the mirror of the card that an account is bound to."""
    return f"{CARD_PREFIX}{account_id}"


async def fetch_parties(store: Store, customer_ids: Iterable[str]) -> dict[str, str]:
    """Return the party of each customer that exists."""
    found = await CUSTOMER_TABLE.load_many(store, {one for one in customer_ids if one})
    return {key: record.state.party_id for key, record in found.items()}


async def parties_of_accounts(store: Store, account_ids: Iterable[str]) -> dict[str, str]:
    """Return the party of each account that belongs to a known customer."""
    owners = await _owners(store, account_ids)
    parties = await fetch_parties(store, {customer_id for customer_id, _ in owners.values()})
    return {
        account_id: parties[customer_id]
        for account_id, (customer_id, _) in owners.items()
        if customer_id in parties
    }


async def closing_steps(
    store: Store, account_ids: Iterable[str]
) -> dict[str, tuple[TallyStep, ...]]:
    """Return what the closing of each account gives back: one of a person's few of its class."""
    owners = await _owners(store, account_ids)
    classed = {name: owner for name, owner in owners.items() if owner[1] in ("II", "III")}
    parties = await fetch_parties(store, {customer_id for customer_id, _ in classed.values()})
    return {
        name: (AccountClasses.closing(class_of(account_class), parties[customer_id]),)
        for name, (customer_id, account_class) in classed.items()
        if customer_id in parties
    }


async def _owners(store: Store, account_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return customer and class of each account that has a customer."""
    wanted = list(account_ids)
    if not wanted:
        return {}
    rows = await store.fetch(
        Query(
            table="account",
            columns=("account_id", "customer_id", "class"),
            where=(Where("account_id", "in", wanted),),
        )
    )
    return {name: (customer_id, class_) for name, customer_id, class_ in rows if customer_id}
