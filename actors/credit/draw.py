"""From a quote to a plan: what has to hold when the customer's consent is used."""

from datetime import datetime

import msgspec

from actors.credit.plan import open_plan
from actors.credit.plan_change import new_plan
from actors.credit.rates import annual_rate
from actors.credit.records import (
    LINE_TABLE,
    PLAN_TABLE,
    QUOTE_TABLE,
    LineState,
    PlanState,
    QuoteState,
    quote_tally,
)
from actors.entity import Part, Record, RecordChange, merge
from actors.regulation.calendar import day_of
from kernel.store import Store, Where
from schemas.errors import Ineligible, InvalidState, NotFound
from schemas.ledger import Moves, TallyStep

__all__ = ("check_drawable", "drawn", "drawn_of_reserved", "load_line", "load_quote", "reserved")


async def load_line(store: Store, line_id: str, app: str) -> Record[LineState]:
    """Return a line of the app; that of another one is answered like one that does not exist."""
    line = await LINE_TABLE.load(store, line_id)
    if line is None or line.app != app:
        raise NotFound(f"credit line {line_id!r} does not exist", field="line_id")
    return line


async def load_quote(
    store: Store, quote_id: str, line_id: str, now: datetime, *, reserved_for: str = ""
) -> Record[QuoteState]:
    """Return a quote of the line that may still be used.

    The terms that were shown are those of the quote's day, so it does not outlive that day. One
    that is ``reserved_for`` a payment does, for that payment alone.
    """
    quote = await QUOTE_TABLE.load(store, quote_id)
    if quote is None or quote.state.line_id != line_id:
        raise NotFound(f"quote {quote_id!r} does not exist", field="quote_id")
    if reserved_for and quote.state.payment_id == reserved_for:
        return quote
    if quote.state.is_used:
        raise InvalidState(f"quote {quote_id!r} was used already", field="quote_id")
    if now >= quote.state.expires_at:
        raise InvalidState(
            f"quote {quote_id!r} expired at {quote.state.expires_at.isoformat()}; ask for another",
            field="quote_id",
        )
    return quote


async def check_drawable(store: Store, line: Record[LineState]) -> None:
    """Raise unless the line may be drawn on: it is active, and nothing of it is overdue."""
    if line.state.status != "active":
        raise InvalidState(f"credit line {line.key!r} is {line.state.status}", field="line_id")
    overdue = await PLAN_TABLE.search(
        store, Where("line_id", "=", line.key), Where("status", "=", "overdue"), limit=1
    )
    if overdue:
        raise Ineligible(
            f"plan {overdue[0].key!r} of the line is overdue; repay it first", field="line_id"
        )


def drawn(
    line: Record[LineState],
    quote: Record[QuoteState],
    plan_id: str,
    now: datetime,
    payment_id: str = "",
) -> tuple[PlanState, Part]:
    """Return the plan of a quote, and the part that uses the quote and begins the plan.

    The money itself is moved by whoever draws.
    """
    state = _planned(line, quote, payment_id, quote.state.amount_minor, now)
    used = _used(line, quote, msgspec.structs.replace(quote.state, plan_id=plan_id))
    return state, merge(used, new_plan(plan_id, state, line.app))


def reserved(line: Record[LineState], quote: Record[QuoteState], payment_id: str) -> Part:
    """Return the part that keeps a quote for the captures of an authorised payment.

    The consent is given with the authorisation; the captures follow later, in parts perhaps, and
    together they are no more than the amount that is held of the line.
    """
    return _used(line, quote, msgspec.structs.replace(quote.state, payment_id=payment_id))


def drawn_of_reserved(
    line: Record[LineState],
    quote: Record[QuoteState],
    plan_id: str,
    now: datetime,
    amount_minor: int,
) -> tuple[PlanState, Part]:
    """Return the plan of one capture, under the conditions of the quote that was kept for it."""
    state = _planned(line, quote, quote.state.payment_id, amount_minor, now)
    return state, new_plan(plan_id, state, line.app)


def _planned(
    line: Record[LineState],
    quote: Record[QuoteState],
    payment_id: str,
    amount_minor: int,
    now: datetime,
) -> PlanState:
    plan = open_plan(quote.state.conditions, amount_minor, day_of(now))
    payments = tuple(term.principal_minor + term.charge_minor for term in plan.terms)
    return PlanState(
        line_id=line.key,
        customer_id=line.state.customer_id,
        quote_id=quote.key,
        payment_id=payment_id,
        nominal_ppm=annual_rate(amount_minor, payments).nominal_ppm,
        plan=plan,
    )


def _used(line: Record[LineState], quote: Record[QuoteState], after: QuoteState) -> Part:
    """Use a quote up: the tally lets one of two racing uses pass, whatever both of them read."""
    once = TallyStep(
        quote_tally(quote.key), 1, count_max=1, code="invalid_state", field="quote_id",
        message=f"quote {quote.key!r} was used already",
    )  # fmt: skip
    change = RecordChange(QUOTE_TABLE, quote.key, quote.version, line.app, after)
    return Part(moves=Moves(steps=(once,)), also=(change,))
