"""Subsidies: held in the fund's account, spent before the student's own money, gone at the end.

The document knows to the fen what is left of each, for nobody else can take from the holds. Hold
and document change in one change, so a subsidy is never spent twice, and what was given back is
never spent at all.
"""

from msgspec.structs import replace

from schemas.effects import Cancel, PlaceHold, Schedule, VoidHold
from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Plan,
    on_timer,
    operation,
)

from .lookups import active_student, check_officer, read_school
from .student import GRANTS_MAX, Grant, Student
from .subsidy_messages import (
    GrantSubsidy,
    RevokeSubsidy,
    SubsidyEnded,
    SubsidyExpires,
    SubsidyGranted,
)

__all__ = ("expire_subsidy", "grant_subsidy", "revoke_subsidy")


@operation(
    "grant_subsidy",
    collection="student",
    key="student_id",
    state=Student,
    result=SubsidyGranted,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("campus.subsidy_granted",),
)
async def grant_subsidy(
    pack: Pack, context: Context, message: GrantSubsidy, student: Student | None
) -> Plan:
    """Give a student a subsidy."""
    known = active_student(student, message.student_id)
    if message.expires_at <= context.clock.now():
        raise InvalidField(
            f"expires_at is {message.expires_at.isoformat()}, which is over", field="expires_at"
        )
    present = {grant.grant_id for grant in known.grants}
    if message.grant_id in present or message.grant_id in known.grants_ended:
        raise InvalidState(
            f"{known.student_id!r} had a subsidy {message.grant_id!r} already", field="grant_id"
        )
    if len(known.grants) >= GRANTS_MAX:
        raise InvalidState(
            f"{known.student_id!r} has {len(known.grants)} subsidies, which is the most at a time",
            field="student_id",
        )
    school = await read_school(context, known.school_id)
    # Numbered, for the name of a hold can be used only once.
    hold = f"grant-{known.grants_given + 1}"
    grant = Grant(
        grant_id=message.grant_id,
        hold=hold,
        left_minor=message.amount_minor,
        purpose=message.purpose,
        expires_at=message.expires_at,
    )
    grants = sorted((*known.grants, grant), key=lambda one: (one.expires_at, one.grant_id))
    after = replace(known, grants=tuple(grants), grants_given=known.grants_given + 1)
    result = SubsidyGranted(
        student_id=known.student_id,
        grant_id=grant.grant_id,
        amount_minor=grant.left_minor,
        grants_minor=after.grants_minor,
        expires_at=grant.expires_at,
    )
    placed = PlaceHold(
        name=hold,
        account_id=school.accounts.subsidy_fund,
        amount_minor=grant.left_minor,
        reference=f"campus subsidy {known.student_id} {grant.grant_id}",
    )
    timer = Schedule(name=hold, due_at=grant.expires_at, body=SubsidyExpires(hold=hold))
    return Plan(
        state=after,
        effects=(placed, timer),
        result=result,
        notices=(Notice(type="campus.subsidy_granted", subject=known.student_id, data=result),),
    )


@operation(
    "revoke_subsidy",
    collection="student",
    key="student_id",
    state=Student,
    result=SubsidyEnded,
    errors=("not_found", "invalid_state"),
    events=("campus.subsidy_ended",),
)
async def revoke_subsidy(
    pack: Pack, context: Context, message: RevokeSubsidy, student: Student | None
) -> Plan:
    """Take back what is left of a subsidy."""
    known = active_student(student, message.student_id)
    grant = next((one for one in known.grants if one.grant_id == message.grant_id), None)
    if grant is None and message.grant_id in known.grants_ended:
        raise InvalidState(f"subsidy {message.grant_id!r} is over", field="grant_id")
    if grant is None:
        raise NotFound(
            f"{known.student_id!r} has no subsidy {message.grant_id!r}", field="grant_id"
        )
    school = await read_school(context, known.school_id)
    check_officer(school, message.officer_id, "approve")
    result = SubsidyEnded(
        student_id=known.student_id,
        grant_id=grant.grant_id,
        returned_minor=grant.left_minor,
        reason=message.reason,
        status="revoked",
    )
    return Plan(
        state=known.without_grant(grant.hold),
        effects=(VoidHold(name=grant.hold), Cancel(name=grant.hold)),
        result=result,
        notices=(Notice(type="campus.subsidy_ended", subject=known.student_id, data=result),),
    )


@on_timer(
    "expire_subsidy",
    collection="student",
    state=Student,
    body=SubsidyExpires,
    events=("campus.subsidy_ended",),
)
async def expire_subsidy(
    pack: Pack, context: Context, body: SubsidyExpires, student: Student | None
) -> tuple[Plan, ...]:
    """Give back what is left of a subsidy whose time is over."""
    grants = () if student is None else student.grants
    grant = next((one for one in grants if one.hold == body.hold), None)
    if student is None or grant is None:
        # Spent, revoked or given up in the moment in which the timer came.
        return (Plan(result=body),)
    if grant.expires_at > context.clock.now():
        early = Schedule(name=grant.hold, due_at=grant.expires_at, body=body)
        return (Plan(effects=(early,), result=body),)
    result = SubsidyEnded(
        student_id=student.student_id,
        grant_id=grant.grant_id,
        returned_minor=grant.left_minor,
        reason="expired",
        status="expired",
    )
    ended = Plan(
        state=student.without_grant(grant.hold),
        effects=(VoidHold(name=grant.hold),),
        result=result,
        notices=(Notice(type="campus.subsidy_ended", subject=student.student_id, data=result),),
    )
    # If somebody else has ended the hold, there is nothing left to give back.
    return ended, replace(ended, effects=())
