"""Sales as the student is charged with them: online at once, offline when they come."""

from msgspec.structs import replace

from schemas.effects import Send
from schemas.errors import LimitExceeded
from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Pack,
    Plan,
    operation,
)

from .charging import EVENTS, charge_plans, known_sale
from .fields import SENT
from .lookups import active_student, known_student, read_school, wallet_of
from .moments import check_past, day_in
from .sale_messages import BuyOnline, ChargeSale, NoteSale, Sale, SaleCharged
from .signature import is_signed, signed_text
from .student import Student
from .terminal import Terminal, print_of

__all__ = ("buy_online", "charge_sale")


@operation(
    "buy_online",
    collection="student",
    key="student_id",
    state=Student,
    result=SaleCharged,
    errors=("not_found", "invalid_state", "insufficient_funds", "limit_exceeded"),
    events=EVENTS,
)
async def buy_online(
    pack: Pack, context: Context, message: BuyOnline, student: Student | None
) -> tuple[Plan, ...]:
    """Pay at a till that is online: now, or not at all."""
    known = active_student(student, message.student_id)
    wallet_of(known)
    terminal = await context.read("terminal", message.terminal_id, Terminal)
    if terminal is None or terminal.school_id != known.school_id:
        raise NotFound(
            f"school {known.school_id!r} has no terminal {message.terminal_id!r}",
            field="terminal_id",
        )
    check_past(context, "purchased_at", message.purchased_at)
    signed = signed_text(
        message.terminal_id, message.sequence, message.student_id, message.amount_minor,
        message.purchased_at,
    )  # fmt: skip
    if not is_signed(terminal.keys, signed, message.signature):
        raise InvalidField(
            f"not signed by terminal {message.terminal_id!r}; it signs the sale as it stands",
            field="signature",
        )
    sale = Sale(
        terminal_id=message.terminal_id,
        sequence=message.sequence,
        payee=terminal.payee,
        category=terminal.category,
        amount_minor=message.amount_minor,
        purchased_at=message.purchased_at,
    )
    before = known.sale(sale.ref)
    if before is not None:
        if (before.amount_minor, before.purchased_at) != (sale.amount_minor, sale.purchased_at):
            raise InvalidState(
                f"number {sale.sequence} of terminal {sale.terminal_id!r} is another sale, of "
                f"{before.amount_minor} minor units at {before.purchased_at.isoformat()}",
                field="sequence",
            )
        return (Plan(result=known_sale(known, sale)),)
    school = await read_school(context, known.school_id)
    _check_cap(known, sale, school.zone)
    note = NoteSale(
        request_id=SENT,
        terminal_id=sale.terminal_id,
        sequence=sale.sequence,
        digest=print_of(signed),
        amount_minor=sale.amount_minor,
    )
    told = Send(verb="note_sale", body=note)
    plans = charge_plans(known, sale, school.zone, context.clock.now(), online=True)
    return tuple(replace(plan, effects=(*plan.effects, told)) for plan in plans)


def _check_cap(student: Student, sale: Sale, zone: str) -> None:
    cap = student.day_cap_minor
    day = day_in(zone, sale.purchased_at)
    spent = student.spent_minor(day)
    if cap is not None and spent + sale.amount_minor > cap:
        raise LimitExceeded(
            f"{spent} of the {cap} minor units that the parents allow for {day.isoformat()} are "
            f"spent; {sale.amount_minor} more are too many",
            field="amount_minor",
        )


@operation(
    "charge_sale",
    collection="student",
    key="student_id",
    state=Student,
    result=SaleCharged,
    errors=("not_found",),
    events=EVENTS,
    internal=True,
)
async def charge_sale(
    pack: Pack, context: Context, message: ChargeSale, student: Student | None
) -> tuple[Plan, ...]:
    """Charge a student with a sale that was made offline; sent by its terminal only."""
    known = known_student(student, message.student_id)
    if known.sale(message.sale.ref) is not None:
        return (Plan(result=known_sale(known, message.sale)),)
    return charge_plans(known, message.sale, message.zone, context.clock.now(), online=False)
