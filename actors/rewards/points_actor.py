"""Points accounts: grants in batches, each with its end.

What points are worth is put aside when they are granted::

    sponsor ──money──▶ points:reserve              points:issued ──points──▶ points account

leaves the reserve when they pay, and goes back to the sponsor when they end. So at any moment the
reserve holds what all points that are out are worth, and no payment waits for a sponsor.
"""

from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import msgspec

from actors.entity import Case, EntityActor, Plan, Record, RecordChange, decides, reads
from actors.regulation.calendar import day_of, start_of_day
from actors.rewards.batches import Batch, first_to_end
from actors.rewards.program import (
    EXPENSE,
    EXPIRED,
    ISSUED,
    RESERVE,
    RULES,
    PointsProgram,
    points_account_of,
    points_move,
)
from actors.rewards.records import POINTS_TABLE, PointsState
from actors.rewards.sponsors import Known, fetch_known, sponsor_of
from actors.wealth.asset_account import asset_account
from schemas.change import Event, Timer, TimerFired
from schemas.errors import InvalidField, LimitExceeded, NotFound
from schemas.ledger import Moves
from schemas.money import CNY
from schemas.rewards import (
    POINTS,
    GetPoints,
    GrantPoints,
    Points,
    PointsBatch,
    PointsExpired,
    PointsGranted,
)

__all__ = ("PointsActor", "end_of", "end_timer", "ends_on")

_END = "points.end"
_ONE_DAY = timedelta(days=1)

_json = msgspec.json.Encoder()
_pack = msgspec.msgpack.Encoder().encode


class _Ending(msgspec.Struct, frozen=True):
    """Which batch a timer ends."""

    batch_id: str


class PointsActor(EntityActor):
    """One points account; payments move it as well."""

    kind = "points"
    table: ClassVar = POINTS_TABLE

    @decides("points.grant", GrantPoints)
    async def grant(self, request: GrantPoints, case: Case) -> tuple[Plan, ...]:
        """Add a batch, or add to the one with the same end and sponsor."""
        program: PointsProgram = self.parts.rules.current(RULES)
        if request.points % program.points_per_fen:
            raise InvalidField(
                f"points come in multiples of {program.points_per_fen}, which make a fen",
                field="points",
            )
        if request.ends_on is not None and request.ends_on < day_of(case.now):
            raise InvalidField(f"{request.ends_on} is over", field="ends_on")
        account = (await fetch_known(case.store, (request.account_id,))).get(request.account_id)
        if account is None or account.asset != CNY or not case.sees(account.app):
            raise NotFound(f"account {request.account_id!r} does not exist", field="account_id")
        sponsor = await sponsor_of(case.store, request.sponsor_account, case.app)
        found = await POINTS_TABLE.load(case.store, points_account_of(request.account_id))
        batch, added = _with_grant(request, found, sponsor, program, case)
        plan = _granted(request, account, found, batch, added, case)
        if found is not None:
            return (plan,)
        # The second way is for an account that another node has opened a moment ago: its record is
        # at another version then, and all is decided anew.
        return (_opening(plan, account, points_account_of(request.account_id), case), plan)

    @reads("points.get", GetPoints)
    async def get(self, request: GetPoints, case: Case) -> Points:
        """Return what can be spent, in the order in which it is spent."""
        state = case.state(PointsState, "points account", "points_account")
        living = sorted((one for one in state.batches if one.lives(case.now_ms)), key=first_to_end)
        return Points(
            points_account=case.key,
            account_id=state.account_id,
            points=sum(one.points for one in living),
            worth_minor=sum(one.worth_minor for one in living),
            batches=tuple(
                PointsBatch(
                    batch_id=one.batch_id,
                    points=one.points,
                    worth_minor=one.worth_minor,
                    ends_on=ends_on(one),
                )
                for one in living
            ),
        )

    @decides(_END, TimerFired)
    async def end(self, fired: TimerFired, case: Case) -> tuple[Plan, ...]:
        """Take what is left of a batch, and give its worth back to the sponsor."""
        state = case.state(PointsState, "points account", "points_account")
        batch_id = msgspec.msgpack.decode(fired.body, type=_Ending).batch_id
        batch = next((one for one in state.batches if one.batch_id == batch_id), None)
        if batch is None:
            return (Plan(answer=_Ending(batch_id)),)
        # When the sponsor's account is closed, the bank keeps it. When the points account is
        # frozen, the batch ends in the ledger once it is not; it cannot be spent meanwhile.
        sponsors = dict.fromkeys((batch.sponsor, EXPENSE))
        later = case.timer(
            fired.timer_id, case.now + _ONE_DAY, self.kind, case.key, _END, _Ending(batch_id)
        )
        return (
            *(_ended(state, batch, sponsor, case) for sponsor in sponsors),
            Plan(answer=_Ending(batch_id), cancels=(fired.timer_id,), timers=(later,)),
        )


def end_timer(points_account: str, app: str, batch: Batch) -> Timer:
    """Return the timer that ends a batch, even when nothing is left of it by then."""
    assert batch.ends_at_ms is not None
    return Timer(
        f"{_END}.{batch.batch_id}", batch.ends_at_ms, PointsActor.kind, points_account, _END, app,
        msgspec.Raw(_pack(_Ending(batch.batch_id))),
    )  # fmt: skip


def ends_on(batch: Batch) -> date | None:
    """Return the last day on which a batch can be spent."""
    if batch.ends_at_ms is None:
        return None
    return day_of(datetime.fromtimestamp(batch.ends_at_ms / 1000, UTC)) - _ONE_DAY


def end_of(last_day: date) -> int:
    """Return when what can be spent through ``last_day`` ends, in Unix milliseconds."""
    return int(start_of_day(last_day + _ONE_DAY).timestamp() * 1000)


def _with_grant(
    request: GrantPoints,
    found: Record[PointsState] | None,
    sponsor: str,
    program: PointsProgram,
    case: Case,
) -> tuple[Batch, bool]:
    """Return the batch that the points go to as it is after it, and whether it is a new one."""
    ends_at_ms = None if request.ends_on is None else end_of(request.ends_on)
    batches = () if found is None else found.state.batches
    terms = (sponsor, program.points_per_fen, ends_at_ms)
    for one in batches:
        if (one.sponsor, one.points_per_fen, one.ends_at_ms) == terms:
            return msgspec.structs.replace(one, points=one.points + request.points), False
    if len(batches) >= program.batches_max:
        raise LimitExceeded(
            f"a points account has at most {program.batches_max} batches; let grants end on the"
            " same days",
            field="ends_on",
        )
    batch = Batch(
        batch_id=case.ids.new("pts"),
        points=request.points,
        points_per_fen=program.points_per_fen,
        sponsor=sponsor,
        ends_at_ms=ends_at_ms,
    )
    return batch, True


def _granted(
    request: GrantPoints,
    account: Known,
    found: Record[PointsState] | None,
    batch: Batch,
    is_new: bool,
    case: Case,
) -> Plan:
    points_account = points_account_of(request.account_id)
    batches = () if found is None else found.state.batches
    kept = tuple(one for one in batches if one.batch_id != batch.batch_id)
    granted = PointsGranted(
        points_account=points_account,
        account_id=request.account_id,
        batch_id=batch.batch_id,
        points=request.points,
        worth_minor=request.points // batch.points_per_fen,
        sponsor_account=batch.sponsor,
        ends_on=request.ends_on,
        reason=request.reason,
        granted_at=case.now,
    )
    fields = ("sponsor_account", "account_id")
    has_timer = is_new and batch.ends_at_ms is not None
    return Plan(
        answer=granted,
        moves=Moves(
            postings=(
                points_move(batch.sponsor, RESERVE, granted.worth_minor, CNY, "reserve", fields),
                points_move(ISSUED, points_account, request.points, POINTS, "grant", fields),
            )
        ),
        events=(
            Event(
                "points.granted", points_account, _json.encode(granted).decode(), account.app
            ),
        ),
        timers=(end_timer(points_account, account.app, batch),) if has_timer else (),
        also=(
            RecordChange(
                POINTS_TABLE, points_account, 0 if found is None else found.version, account.app,
                PointsState(account_id=request.account_id, batches=(*kept, batch)),
            ),
        ),
    )  # fmt: skip


def _opening(plan: Plan, account: Known, points_account: str, case: Case) -> Plan:
    """Return the plan with the points account, which is opened first."""
    opening = asset_account(
        points_account, account.app, POINTS, holder=account.holder, type_="points",
        customer_id=account.customer_id, opened_at=case.now,
    )  # fmt: skip
    return plan.plus(opening)


def _ended(state: PointsState, batch: Batch, sponsor: str, case: Case) -> Plan:
    told = PointsExpired(
        points_account=case.key,
        batch_id=batch.batch_id,
        points=batch.points,
        worth_minor=batch.worth_minor,
        sponsor_account=sponsor,
    )
    return Plan(
        answer=told,
        state=msgspec.structs.replace(
            state, batches=tuple(one for one in state.batches if one is not batch)
        ),
        moves=Moves(
            postings=(
                points_move(case.key, EXPIRED, batch.points, POINTS, "end"),
                points_move(RESERVE, sponsor, batch.worth_minor, CNY, "release"),
            )
        ),
        events=(case.tell("points.expired", case.key, told),),
    )
