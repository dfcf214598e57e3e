"""A guardian pays bills of several children at once, all or nothing.

A request changes the document of one identity, and the bills of three children are in three. So the
money is taken first, in one change: one payment for each bill, into the clearing account of the
child's school. Each child then gets a message, and decides what its bill still needs: that goes on
to the supervised account, and the rest back to the payer, in one change again.

Whoever pays looks at the bills as they were a second ago. That catches mistakes. It does not have
to catch the other parent paying in the same second, because the children do.

At any time the clearing account holds exactly what is on its way to a child, and what waits because
an account was closed meanwhile.
"""

from schemas.effects import Effect, Pay, Send
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

from .bill_desk import closing_effects
from .bill_messages import CreditBill, CreditTaken, FamilyItem, FamilyPaid, PayFamily
from .fields import SENT
from .lookups import known_student, read_school
from .school import Guardian
from .student import Student

__all__ = ("credit_bill", "pay_family")


@operation(
    "pay_family",
    collection="guardian",
    key="guardian_id",
    state=Guardian,
    result=FamilyPaid,
    errors=("not_found", "invalid_state", "insufficient_funds", "limit_exceeded"),
    events=("campus.family_paid",),
)
async def pay_family(
    pack: Pack, context: Context, message: PayFamily, guardian: Guardian | None
) -> Plan:
    """Pay bills of several children at once, all or nothing."""
    if guardian is None:
        raise NotFound(
            f"guardian {message.guardian_id!r} has no account; bind one first", field="guardian_id"
        )
    _check_once(message.items)
    effects: list[Effect] = []
    for number, item in enumerate(message.items):
        child = await _child(context, message.guardian_id, item, f"items[{number}]")
        school = await read_school(context, child.school_id)
        clearing = school.accounts.clearing
        body = CreditBill(
            request_id=SENT,
            student_id=item.student_id,
            bill_id=item.bill_id,
            amount_minor=item.amount_minor,
            clearing=clearing,
            payer=guardian.account_id,
        )
        payment = Pay(
            payer=guardian.account_id,
            payee=clearing,
            amount_minor=item.amount_minor,
            reference=f"campus family {item.student_id} {item.bill_id}",
        )
        effects += [payment, Send(verb="credit_bill", body=body)]
    result = FamilyPaid(
        guardian_id=guardian.guardian_id,
        items=message.items,
        paid_minor=sum(item.amount_minor for item in message.items),
    )
    return Plan(
        effects=tuple(effects),
        result=result,
        notices=(Notice(type="campus.family_paid", subject=guardian.guardian_id, data=result),),
    )


def _check_once(items: tuple[FamilyItem, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for number, item in enumerate(items):
        if (item.student_id, item.bill_id) in seen:
            raise InvalidField(
                f"bill {item.bill_id!r} of student {item.student_id!r} stands there twice",
                field=f"items[{number}]",
            )
        seen.add((item.student_id, item.bill_id))


async def _child(context: Context, guardian_id: str, item: FamilyItem, field: str) -> Student:
    """Return the child, if its bill looked a moment ago as if it could take the payment."""
    child = await context.read("student", item.student_id, Student)
    if child is None or not child.has_guardian(guardian_id):
        raise NotFound(
            f"{guardian_id!r} is no guardian of a student {item.student_id!r}",
            field=f"{field}.student_id",
        )
    bill = child.bill(item.bill_id)
    if bill is None and item.bill_id in child.bills_ended:
        raise InvalidState(f"bill {item.bill_id!r} is settled", field=f"{field}.bill_id")
    if bill is None:
        raise NotFound(
            f"student {item.student_id!r} has no bill {item.bill_id!r}", field=f"{field}.bill_id"
        )
    if item.amount_minor > bill.open_minor:
        raise InvalidField(
            f"amount_minor is {item.amount_minor}; {bill.open_minor} is open of bill "
            f"{item.bill_id!r} of student {item.student_id!r}",
            field=f"{field}.amount_minor",
        )
    return child


@operation(
    "credit_bill",
    collection="student",
    key="student_id",
    state=Student,
    result=CreditTaken,
    errors=("not_found",),
    events=("campus.family_credited",),
    internal=True,
)
async def credit_bill(
    pack: Pack, context: Context, message: CreditBill, student: Student | None
) -> tuple[Plan, ...]:
    """Take what a bill needs of a family's payment and give the rest back; sent by a guardian."""
    known = known_student(student, message.student_id)
    bill = known.bill(message.bill_id)
    taken = 0 if bill is None else min(message.amount_minor, bill.open_minor)
    rest = message.amount_minor - taken
    # An account of the two may be closed meanwhile. What cannot move waits, and is told.
    ways = [(taken, rest), (taken, 0), (0, rest), (0, 0)]
    return tuple(_credit_plan(known, message, *way) for way in dict.fromkeys(ways))


def _credit_plan(student: Student, message: CreditBill, taken: int, returned: int) -> Plan:
    bill = student.bill(message.bill_id)
    after = bill.paid(taken) if bill is not None and taken else bill
    waiting = message.amount_minor - taken - returned
    result = CreditTaken(
        student_id=student.student_id,
        bill_id=message.bill_id,
        payer=message.payer,
        taken_minor=taken,
        returned_minor=returned,
        waiting_minor=waiting,
        open_minor=0 if after is None else after.open_minor,
        status="waiting" if waiting
        else "taken" if not returned
        else "partly_returned" if taken
        else "returned",
    )  # fmt: skip
    effects: list[Effect] = []
    if after is not None and taken:
        reference = f"campus {after.kind} {student.student_id} {after.bill_id}"
        effects.append(_from_clearing(message, after.payee, taken, reference))
        effects += closing_effects(after, paid_minor=taken)
    if returned:
        reference = f"campus return {student.student_id} {message.bill_id}"
        effects.append(_from_clearing(message, message.payer, returned, reference))
    notice = Notice(type="campus.family_credited", subject=student.student_id, data=result)
    return Plan(
        state=student.with_bill(after) if after is not None and taken else None,
        effects=tuple(effects),
        result=result,
        notices=(notice,),
    )


def _from_clearing(message: CreditBill, payee: str, amount_minor: int, reference: str) -> Pay:
    return Pay(payer=message.clearing, payee=payee, amount_minor=amount_minor, reference=reference)
