"""The bills of a student: given by a batch, paid in parts, forgiven, split, reminded of.

A payment goes from the payer straight to the school's supervised account, together with the new
state of the bill. What a family paid for several children comes by way of the clearing account,
see ``family_desk``.
"""

from datetime import timedelta
from typing import Literal

from schemas.effects import Cancel, Effect, Pay, Schedule, Send
from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Plan,
    operation,
)

from .bill import Bill
from .bill_messages import (
    AgreeInstalments,
    BillDue,
    BillIssued,
    BillPaid,
    BillWaived,
    InstalmentsAgreed,
    IssueBill,
    NoteBill,
    PayBill,
    WaiveBill,
)
from .fields import SENT
from .lookups import (
    active_student,
    check_officer,
    guardian_account,
    known_student,
    read_school,
    wallet_of,
)
from .student import Student

__all__ = (
    "BILLS_MAX",
    "agree_instalments",
    "closing_effects",
    "issue_bill",
    "pay_bill",
    "waive_bill",
)

# Open bills of one student: two years of never paying anything. It bounds the document, half of
# which they may be, as each may have twelve instalments.
BILLS_MAX = 20

_Standing = Literal["issued", "had_already", "has_left", "too_many", "other_school"]


@operation(
    "issue_bill",
    collection="student",
    key="student_id",
    state=Student,
    result=BillIssued,
    errors=("not_found",),
    events=("campus.bill_issued",),
    internal=True,
)
async def issue_bill(
    pack: Pack, context: Context, message: IssueBill, student: Student | None
) -> Plan:
    """Give a student a bill; sent by its batch only."""
    known = known_student(student, message.student_id)
    bill = message.bill
    result = BillIssued(
        student_id=known.student_id,
        bill_id=bill.bill_id,
        kind=bill.kind,
        amount_minor=bill.amount_minor,
        due_at=bill.due_at,
        status=_standing(known, bill),
    )
    if result.status != "issued":
        note = NoteBill(request_id=SENT, batch_id=bill.bill_id, refused=True)
        notice = Notice(type="campus.bill_issued", subject=known.student_id, data=result)
        return Plan(effects=(Send(verb="note_bill", body=note),), result=result, notices=(notice,))
    note = NoteBill(request_id=SENT, batch_id=bill.bill_id, issued_minor=bill.amount_minor)
    return Plan(
        state=known.with_bill(bill),
        effects=(_reminder(bill), Send(verb="note_bill", body=note)),
        result=result,
        notices=(Notice(type="campus.bill_issued", subject=known.student_id, data=result),),
    )


def _standing(student: Student, bill: Bill) -> _Standing:
    if student.school_id != bill.school_id:
        return "other_school"
    if student.status == "left":
        return "has_left"
    if student.bill(bill.bill_id) is not None or bill.bill_id in student.bills_ended:
        return "had_already"
    return "too_many" if len(student.bills) >= BILLS_MAX else "issued"


def _reminder(bill: Bill) -> Schedule:
    due_at = min((part.due_at for part in bill.instalments), default=bill.due_at)
    return Schedule(name=bill.timer, due_at=due_at, body=BillDue(bill_id=bill.bill_id))


@operation(
    "pay_bill",
    collection="student",
    key="student_id",
    state=Student,
    result=BillPaid,
    errors=("not_found", "invalid_state", "insufficient_funds", "limit_exceeded"),
    events=("campus.bill_paid",),
)
async def pay_bill(pack: Pack, context: Context, message: PayBill, student: Student | None) -> Plan:
    """Pay a bill or a part of it."""
    known = active_student(student, message.student_id)
    bill = _open_bill(known, message.bill_id)
    amount = _amount(bill, message.amount_minor)
    if message.guardian_id is None:
        payer = wallet_of(known)
    else:
        payer = await guardian_account(context, known, message.guardian_id)
    after = bill.paid(amount)
    result = BillPaid(
        student_id=known.student_id,
        bill_id=bill.bill_id,
        kind=bill.kind,
        payer=payer,
        paid_minor=amount,
        open_minor=after.open_minor,
        status="partly_paid" if after.open_minor else "settled",
    )
    payment = Pay(
        payer=payer,
        payee=bill.payee,
        amount_minor=amount,
        reference=f"campus {bill.kind} {known.student_id} {bill.bill_id}",
    )
    return Plan(
        state=known.with_bill(after),
        effects=(payment, *closing_effects(after, paid_minor=amount)),
        result=result,
        notices=(Notice(type="campus.bill_paid", subject=known.student_id, data=result),),
    )


@operation(
    "waive_bill",
    collection="student",
    key="student_id",
    state=Student,
    result=BillWaived,
    errors=("not_found", "invalid_state"),
    events=("campus.bill_waived",),
)
async def waive_bill(
    pack: Pack, context: Context, message: WaiveBill, student: Student | None
) -> Plan:
    """Forgive a bill or a part of it."""
    known = active_student(student, message.student_id)
    bill = _open_bill(known, message.bill_id)
    school = await read_school(context, bill.school_id)
    check_officer(school, message.officer_id, "approve")
    amount = _amount(bill, message.amount_minor)
    after = bill.waived(amount)
    result = BillWaived(
        student_id=known.student_id,
        bill_id=bill.bill_id,
        officer_id=message.officer_id,
        reason=message.reason,
        waived_minor=amount,
        open_minor=after.open_minor,
        status="partly_waived" if after.open_minor else "waived",
    )
    return Plan(
        state=known.with_bill(after),
        effects=closing_effects(after, waived_minor=amount),
        result=result,
        notices=(Notice(type="campus.bill_waived", subject=known.student_id, data=result),),
    )


@operation(
    "agree_instalments",
    collection="student",
    key="student_id",
    state=Student,
    result=InstalmentsAgreed,
    errors=("not_found", "invalid_state"),
    events=("campus.instalments_agreed",),
)
async def agree_instalments(
    pack: Pack, context: Context, message: AgreeInstalments, student: Student | None
) -> Plan:
    """Let what is open of a bill be paid in parts."""
    known = active_student(student, message.student_id)
    bill = _open_bill(known, message.bill_id)
    school = await read_school(context, bill.school_id)
    check_officer(school, message.officer_id, "approve")
    every = timedelta(days=message.every_days)
    after = bill.by_instalments(message.weights, message.first_due_at, every)
    if min(part.amount_minor for part in after.instalments) == 0:
        raise InvalidField(
            f"{bill.open_minor} minor units are open, too few for {len(message.weights)} parts",
            field="weights",
        )
    result = InstalmentsAgreed(
        student_id=known.student_id,
        bill_id=bill.bill_id,
        officer_id=message.officer_id,
        open_minor=after.open_minor,
        instalments=after.instalments,
    )
    return Plan(
        state=known.with_bill(after),
        effects=(_reminder(after),),
        result=result,
        notices=(Notice(type="campus.instalments_agreed", subject=known.student_id, data=result),),
    )


def closing_effects(
    bill: Bill, *, paid_minor: int = 0, waived_minor: int = 0
) -> tuple[Effect, ...]:
    """Return what goes with a bill that got smaller: its batch is told, reminders may end."""
    settled = bill.open_minor == 0
    note = NoteBill(
        request_id=SENT,
        batch_id=bill.bill_id,
        paid_minor=paid_minor,
        waived_minor=waived_minor,
        settled=settled,
    )
    told = Send(verb="note_bill", body=note)
    return (Cancel(name=bill.timer), told) if settled else (told,)


def _open_bill(student: Student, bill_id: str) -> Bill:
    bill = student.bill(bill_id)
    if bill is not None:
        return bill
    if bill_id in student.bills_ended:
        raise InvalidState(f"bill {bill_id!r} is settled", field="bill_id")
    raise NotFound(f"student {student.student_id!r} has no bill {bill_id!r}", field="bill_id")


def _amount(bill: Bill, wanted_minor: int | None) -> int:
    if wanted_minor is None:
        return bill.open_minor
    if wanted_minor > bill.open_minor:
        raise InvalidField(
            f"amount_minor is {wanted_minor}; {bill.open_minor} is open of bill {bill.bill_id!r}",
            field="amount_minor",
        )
    return wanted_minor
