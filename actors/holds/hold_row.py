"""A hold as it stands in the store, and as callers see it."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from kernel.store import Query, Store, Where
from schemas.holds import Hold

__all__ = ("HOLD_COLUMNS", "HoldRow", "fetch_holds", "public_hold")

HOLD_COLUMNS = (
    "hold_id", "app", "account_id", "payee", "asset", "purpose", "reference", "amount_minor",
    "captured_minor", "released_minor", "status", "placed_at", "expires_at",
)  # fmt: skip


class HoldRow(msgspec.Struct, frozen=True):
    """The columns of :data:`HOLD_COLUMNS`; ``payee`` is empty when each capture names its own."""

    hold_id: str
    app: str
    account_id: str
    payee: str
    asset: str
    purpose: str
    reference: str
    amount_minor: int
    captured_minor: int
    released_minor: int
    status: str
    placed_at: datetime
    expires_at: datetime | None


async def fetch_holds(store: Store, hold_ids: Iterable[str]) -> dict[str, HoldRow]:
    """Return those of the holds that exist, as committed."""
    wanted = list(hold_ids)
    if not wanted:
        return {}
    rows = await store.fetch(
        Query(table="hold", columns=HOLD_COLUMNS, where=(Where("hold_id", "in", wanted),))
    )
    return {row[0]: HoldRow(*row) for row in rows}


def public_hold(row: HoldRow) -> Hold:
    """Return a hold as `hold.get` answers it."""
    return Hold(
        hold_id=row.hold_id,
        account_id=row.account_id,
        payee=row.payee or None,
        status=row.status,
        purpose=row.purpose,
        amount_minor=row.amount_minor,
        captured_minor=row.captured_minor,
        released_minor=row.released_minor,
        remaining_minor=row.amount_minor - row.captured_minor - row.released_minor,
        currency=row.asset,
        reference=row.reference,
        created_at=row.placed_at,
        expires_at=row.expires_at,
    )
