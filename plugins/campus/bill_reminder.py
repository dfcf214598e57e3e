"""Reminders of bills that are late (催缴), by a timer of each bill.

The timer comes when something of the bill falls due. If it was paid by then nothing is told, and
the timer waits for the next part; if not, a reminder goes out, and again after the school's number
of days, until it is paid or :data:`REMINDERS_MAX` were sent: then it is for people to call.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from schemas.effects import Schedule
from zhihui.plugin import Context, Notice, Pack, Plan, on_timer

from .bill_messages import BillDue, BillLate
from .student import Student

__all__ = ("REMINDERS_MAX", "remind_of_bill")

# A school reminds weekly by default: three months of reminders.
REMINDERS_MAX = 12


@on_timer(
    "remind_of_bill",
    collection="student",
    state=Student,
    body=BillDue,
    events=("campus.bill_late",),
)
async def remind_of_bill(
    pack: Pack, context: Context, body: BillDue, student: Student | None
) -> Plan:
    """Remind of a bill of which something is overdue."""
    bill = None if student is None else student.bill(body.bill_id)
    if student is None or bill is None:
        # Paid in the moment in which the timer came.
        return Plan(result=body)
    now = context.clock.now()
    overdue = bill.overdue_minor(now)
    next_due_at = bill.next_due_at(now)
    if not overdue:
        again = () if next_due_at is None else (_timer(bill.timer, next_due_at, body),)
        return Plan(effects=again, result=body)
    reminded = replace(bill, reminders=bill.reminders + 1)
    late = BillLate(
        student_id=student.student_id,
        bill_id=bill.bill_id,
        kind=bill.kind,
        title=bill.title,
        overdue_minor=overdue,
        open_minor=bill.open_minor,
        reminder=reminded.reminders,
    )
    next_at = now + timedelta(days=bill.remind_every_days)
    effects = (_timer(bill.timer, next_at, body),) if reminded.reminders < REMINDERS_MAX else ()
    return Plan(
        state=student.with_bill(reminded),
        effects=effects,
        result=late,
        notices=(Notice(type="campus.bill_late", subject=student.student_id, data=late),),
    )


def _timer(name: str, due_at: datetime, body: BillDue) -> Schedule:
    return Schedule(name=name, due_at=due_at, body=body)
