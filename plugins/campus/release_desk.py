"""Money leaves the school's supervised account in two steps, by two officers (双人复核).

The first step holds the money for one payee; the second captures the hold or voids it. So what is
approved is there, is exactly what was asked for, and goes nowhere else.
"""

from datetime import timedelta

from msgspec.structs import replace

from schemas.effects import Cancel, CaptureHold, Effect, PlaceHold, Schedule, VoidHold
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

from .lookups import check_officer, read_school
from .release import Release
from .release_messages import (
    ApproveRelease,
    GetRelease,
    RefuseRelease,
    ReleaseLapses,
    ReleaseView,
    RequestRelease,
)

__all__ = (
    "LAPSES_AFTER",
    "approve_release",
    "get_release",
    "lapse_release",
    "refuse_release",
    "request_release",
)

# A week: an approver on leave is found within it, and money is not kept from its use for longer.
LAPSES_AFTER = timedelta(days=7)

# The names of a release's one hold and one timer.
_HOLD = "release"
_TIMER = "lapse"


@operation(
    "request_release",
    collection="release",
    key="release_id",
    state=Release,
    result=ReleaseView,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("campus.release_requested",),
)
async def request_release(
    pack: Pack, context: Context, message: RequestRelease, release: Release | None
) -> Plan:
    """Ask for money of the supervised account."""
    if release is not None:
        raise InvalidState(
            f"release {message.release_id!r} exists and is {release.status}", field="release_id"
        )
    school = await read_school(context, message.school_id)
    check_officer(school, message.officer_id, "request")
    if message.payee == school.accounts.supervised:
        raise InvalidField("the payee is the supervised account itself", field="payee")
    asked = Release(
        release_id=message.release_id,
        school_id=message.school_id,
        payee=message.payee,
        amount_minor=message.amount_minor,
        purpose=message.purpose,
        reason=message.reason,
        requested_by=message.officer_id,
        lapses_at=context.clock.now() + LAPSES_AFTER,
    )
    placed = PlaceHold(
        name=_HOLD,
        account_id=school.accounts.supervised,
        amount_minor=asked.amount_minor,
        payee=asked.payee,
        reference=f"campus release {asked.release_id} {asked.purpose}",
    )
    body = ReleaseLapses(release_id=asked.release_id)
    timer = Schedule(name=_TIMER, due_at=asked.lapses_at, body=body)
    return _plan(asked, "campus.release_requested", placed, timer)


@operation(
    "approve_release",
    collection="release",
    key="release_id",
    state=Release,
    result=ReleaseView,
    errors=("not_found", "invalid_state", "balance_limit", "limit_exceeded"),
    events=("campus.release_decided",),
)
async def approve_release(
    pack: Pack, context: Context, message: ApproveRelease, release: Release | None
) -> Plan:
    """Release the money; by another officer than the one who asked for it."""
    asked = _undecided(release, message.release_id)
    school = await read_school(context, asked.school_id)
    check_officer(school, message.officer_id, "approve")
    if message.officer_id == asked.requested_by:
        raise InvalidState(
            f"{message.officer_id!r} asked for release {asked.release_id!r}; another officer "
            "approves it",
            field="officer_id",
        )
    if asked.lapses_at <= context.clock.now():
        # Its timer has not come yet, but its time is over.
        raise InvalidState(f"release {asked.release_id!r} has lapsed", field="release_id")
    released = replace(asked, status="released", decided_by=message.officer_id)
    capture = CaptureHold(name=_HOLD, payee=asked.payee, final=True)
    return _plan(released, "campus.release_decided", capture, Cancel(name=_TIMER))


@operation(
    "refuse_release",
    collection="release",
    key="release_id",
    state=Release,
    result=ReleaseView,
    errors=("not_found", "invalid_state"),
    events=("campus.release_decided",),
)
async def refuse_release(
    pack: Pack, context: Context, message: RefuseRelease, release: Release | None
) -> Plan:
    """Refuse the money, or take one's own request back."""
    asked = _undecided(release, message.release_id)
    if message.officer_id != asked.requested_by:
        school = await read_school(context, asked.school_id)
        check_officer(school, message.officer_id, "approve")
    refused = replace(
        asked, status="refused", decided_by=message.officer_id, decision=message.reason
    )
    void = VoidHold(name=_HOLD)
    return _plan(refused, "campus.release_decided", void, Cancel(name=_TIMER))


@on_timer(
    "lapse_release",
    collection="release",
    state=Release,
    body=ReleaseLapses,
    events=("campus.release_decided",),
)
async def lapse_release(
    pack: Pack, context: Context, body: ReleaseLapses, release: Release | None
) -> tuple[Plan, ...]:
    """Give the money free again when nobody has decided."""
    if release is None or release.status != "requested":
        return (Plan(result=body),)
    if release.lapses_at > context.clock.now():
        early = Schedule(name=_TIMER, due_at=release.lapses_at, body=body)
        return (Plan(effects=(early,), result=body),)
    lapsed = replace(release, status="lapsed", decision="nobody decided in time")
    ended = _plan(lapsed, "campus.release_decided", VoidHold(name=_HOLD))
    # If somebody else has ended the hold, there is nothing left to give free.
    return ended, replace(ended, effects=())


@operation(
    "get_release",
    collection="release",
    key="release_id",
    state=Release,
    result=ReleaseView,
    mutates=False,
    errors=("not_found",),
)
async def get_release(
    pack: Pack, context: Context, message: GetRelease, release: Release | None
) -> ReleaseView:
    """Read a release: who asked, for whom, what for, and who decided."""
    return _view(_known(release, message.release_id))


def _known(release: Release | None, release_id: str) -> Release:
    if release is None:
        raise NotFound(f"no release {release_id!r}; request it first", field="release_id")
    return release


def _undecided(release: Release | None, release_id: str) -> Release:
    known = _known(release, release_id)
    if known.status != "requested":
        raise InvalidState(f"release {release_id!r} is {known.status} already", field="release_id")
    return known


def _plan(release: Release, event: str, *effects: Effect) -> Plan:
    result = _view(release)
    return Plan(
        state=release,
        effects=effects,
        result=result,
        notices=(Notice(type=event, subject=release.release_id, data=result),),
    )


def _view(release: Release) -> ReleaseView:
    return ReleaseView(
        release_id=release.release_id,
        school_id=release.school_id,
        payee=release.payee,
        amount_minor=release.amount_minor,
        purpose=release.purpose,
        reason=release.reason,
        requested_by=release.requested_by,
        lapses_at=release.lapses_at,
        decided_by=release.decided_by,
        decision=release.decision,
        status=release.status,
    )
