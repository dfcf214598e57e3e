"""Guardians: the accounts from which they pay, and what their children owe."""

from zhihui.plugin import Context, NotFound, Notice, Pack, Plan, operation

from .roster_messages import BindGuardian, Child, FamilyView, GetFamily, GuardianBound
from .school import Guardian
from .student import Student

__all__ = ("bind_guardian", "get_family")


@operation(
    "bind_guardian",
    collection="guardian",
    key="guardian_id",
    state=Guardian,
    result=GuardianBound,
    events=("campus.guardian_bound",),
)
async def bind_guardian(
    pack: Pack, context: Context, message: BindGuardian, guardian: Guardian | None
) -> Plan:
    """Name the account from which a guardian pays."""
    bound = Guardian(guardian_id=message.guardian_id, account_id=message.account_id)
    result = GuardianBound(
        guardian_id=bound.guardian_id,
        account_id=bound.account_id,
        status="unchanged" if guardian == bound else "bound",
    )
    notice = Notice(type="campus.guardian_bound", subject=bound.guardian_id, data=result)
    return Plan(
        state=bound, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


@operation(
    "get_family",
    collection="guardian",
    key="guardian_id",
    state=Guardian,
    result=FamilyView,
    mutates=False,
    errors=("not_found",),
)
async def get_family(
    pack: Pack, context: Context, message: GetFamily, guardian: Guardian | None
) -> FamilyView:
    """Read what the children of a guardian owe, as it was a second ago at most."""
    if guardian is None:
        raise NotFound(
            f"guardian {message.guardian_id!r} has no account; bind one first", field="guardian_id"
        )
    children = []
    for number, student_id in enumerate(message.student_ids):
        student = await context.read("student", student_id, Student)
        if student is None or not student.has_guardian(message.guardian_id):
            raise NotFound(
                f"{message.guardian_id!r} is no guardian of a student {student_id!r}",
                field=f"student_ids[{number}]",
            )
        children.append(
            Child(
                student_id=student_id,
                bills=student.bills,
                bills_minor=student.bills_minor,
                debts_minor=student.debts_minor,
            )
        )
    return FamilyView(
        guardian_id=guardian.guardian_id,
        account_id=guardian.account_id,
        children=tuple(children),
        bills_minor=sum(child.bills_minor for child in children),
        debts_minor=sum(child.debts_minor for child in children),
    )
