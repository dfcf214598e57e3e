"""Mandates (授权): by which an app pays from a customer's account without asking each time.

What a payment uses of a mandate is counted in the same change as its money, in tallies that carry
the mandate's id. Revoking closes the tally, so no payment that is decided after it passes, whatever
it has read before.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from actors.entity import Part, Record, RecordTable
from actors.payments.records import ReservedTally
from actors.regulation.calendar import day_of
from kernel.store import Query, Store, Where
from schemas.errors import Ineligible, InvalidState, LimitExceeded, NotFound
from schemas.ledger import Moves, TallyStep
from schemas.mandates import MandateToken

__all__ = (
    "MANDATE_TABLE",
    "MandateState",
    "MandateUse",
    "find_mandate",
    "mandate_tally",
    "token_tally",
    "use_mandate",
    "used_of",
)


class MandateState(msgspec.Struct, frozen=True, kw_only=True):
    """A mandate as it is kept; see :class:`~schemas.mandates.Mandate`."""

    status: Literal["active", "revoked", "expired"]
    account_id: str
    payee: str | None
    per_payment_minor: int
    per_day_minor: int | None
    per_day_count: int | None
    total_minor: int | None
    token: MandateToken | None
    description: str
    created_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None = None
    reason: str = ""


def _token_text(token: MandateToken | None) -> str:
    return "" if token is None else f"{token.type}:{token.value}"


def _columns(state: MandateState) -> tuple[Any, ...]:
    return (_token_text(state.token), state.status)


MANDATE_TABLE: RecordTable[MandateState] = RecordTable(
    name="mandate",
    key="mandate_id",
    state=MandateState,
    columns=("token text", "status text"),
    values=_columns,
)


def mandate_tally(mandate_id: str) -> str:
    """Return the tally of all payments by a mandate; it is closed with the mandate."""
    return f"mandate:{mandate_id}"


def _day_tally(mandate_id: str, at: datetime) -> str:
    return f"mandate:{mandate_id}:{day_of(at).isoformat()}"


def token_tally(app: str, token: MandateToken) -> str:
    """Return the tally of the mandates that an app has for a token."""
    return f"mandate_token:{app}:{_token_text(token)}"


async def used_of(store: Store, mandate_id: str, now: datetime) -> dict[str, int]:
    """Return what was used of a mandate, in all and today, by the fields of the answer."""
    names = (mandate_tally(mandate_id), _day_tally(mandate_id, now))
    rows = await store.fetch(
        Query(
            table="tally",
            columns=("tally_id", "count", "amount_minor"),
            where=(Where("tally_id", "in", list(names)),),
        )
    )
    found = {name: (count, amount) for name, count, amount in rows}
    count, amount = found.get(names[0], (0, 0))
    count_today, amount_today = found.get(names[1], (0, 0))
    return {
        "used_count": count,
        "used_minor": amount,
        "used_today_count": count_today,
        "used_today_minor": amount_today,
    }


class MandateUse(msgspec.Struct, frozen=True, kw_only=True):
    """One payment by a mandate: whose account pays, and what is counted with it."""

    mandate_id: str
    account_id: str
    part: Part
    reserved: tuple[ReservedTally, ...]


async def find_mandate(
    store: Store, app: str, mandate_id: str | None, token: MandateToken | None
) -> Record[MandateState]:
    """Return the mandate that a payment names, by its id or by what the payer is recognised by."""
    if mandate_id is not None:
        record = await MANDATE_TABLE.load(store, mandate_id)
        if record is None or record.app != app:
            raise NotFound(f"mandate {mandate_id!r} does not exist", field="mandate_id")
        if token is not None and record.state.token != token:
            raise Ineligible(
                f"mandate {mandate_id!r} is not for this {token.type}", field="mandate_token"
            )
        return record
    assert token is not None
    found = await MANDATE_TABLE.search(
        store,
        Where("token", "=", _token_text(token)),
        Where("app", "=", app),
        Where("status", "=", "active"),
    )
    if not found:
        raise NotFound(f"there is no mandate for this {token.type}", field="mandate_token")
    return found[0]


def use_mandate(
    record: Record[MandateState], payee: str, amount_minor: int, now: datetime
) -> MandateUse:
    """Return what a payment of this amount uses of a mandate.

    What the mandate says is checked here; what was used of it and whether it still stands is
    decided with the money.
    """
    mandate_id, state = record.key, record.state
    if state.status != "active" or (state.expires_at is not None and now >= state.expires_at):
        status = "expired" if state.status == "active" else state.status
        raise InvalidState(f"mandate {mandate_id!r} is {status}", field="mandate_id")
    if state.payee is not None and state.payee != payee:
        raise Ineligible(f"mandate {mandate_id!r} is for another payee", field="payee")
    if amount_minor > state.per_payment_minor:
        raise LimitExceeded(
            f"mandate {mandate_id!r} allows {state.per_payment_minor} minor units a payment",
            field="amount_minor",
        )
    day = _day_tally(mandate_id, now)
    stands = TallyStep(
        mandate_tally(mandate_id), count=0, code="invalid_state", field="mandate_id", name="",
        message=f"mandate {mandate_id!r} was ended",
    )  # fmt: skip
    in_all = TallyStep(
        mandate_tally(mandate_id), 1, amount_minor, amount_max=state.total_minor, name="",
        message=f"mandate {mandate_id!r} allows {state.total_minor} minor units in all",
        field="amount_minor",
    )  # fmt: skip
    today = TallyStep(
        day, 1, amount_minor, count_max=state.per_day_count, amount_max=state.per_day_minor,
        message=(
            f"mandate {mandate_id!r} allows {_or_any(state.per_day_minor)} minor units"
            f" and {_or_any(state.per_day_count)} payments a day"
        ),
        field="amount_minor", name="",
    )  # fmt: skip
    return MandateUse(
        mandate_id=mandate_id,
        account_id=state.account_id,
        part=Part(moves=Moves(steps=(stands, in_all, today))),
        reserved=tuple(
            ReservedTally(tally_id=name, count=1, amount_minor=amount_minor)
            for name in (mandate_tally(mandate_id), day)
        ),
    )


def _or_any(limit: int | None) -> str:
    return "any" if limit is None else str(limit)
