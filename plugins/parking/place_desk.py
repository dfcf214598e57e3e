"""How plates and passes talk: what a plate is told of a pass, and who has a shared place."""

from msgspec.structs import replace

from zhihui.plugin import Context, Notice, Pack, Plan, Send, operation

from .collection import count_car
from .entry_desk import cover_for
from .pass_messages import (
    GrantPass,
    GrantTaken,
    LeavePlace,
    PassRefused,
    PlaceAnswered,
    PlaceGiven,
    TakePlace,
)
from .state import PASSES_MAX, PassRef, Place, SeasonPass, Vehicle

__all__ = ("give_place", "grant_pass", "leave_place", "take_place")

# Exits heard of before their entries; more than can be under way at a time.
_GONE_MAX = 32


@operation(
    "grant_pass",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=GrantTaken,
    events=("parking.pass_refused",),
    internal=True,
)
async def grant_pass(
    pack: Pack, context: Context, message: GrantPass, vehicle: Vehicle | None
) -> Plan:
    """Let a plate know what a pass is to it."""
    known = vehicle or Vehicle(plate=message.plate)
    taken = GrantTaken(plate=message.plate, pass_id=message.pass_id)
    before = next((ref for ref in known.passes if ref.pass_id == message.pass_id), None)
    if before is not None and before.revision >= message.revision:
        return Plan(result=taken)
    ref = PassRef(
        pass_id=message.pass_id,
        lot_id=message.lot_id,
        shared=message.shared,
        valid_from=message.valid_from,
        valid_until=message.valid_until,
        revision=message.revision,
    )
    others = [one for one in known.passes if one is not before]
    if len(others) >= PASSES_MAX:
        ended = [one for one in others if one.valid_until <= max(context.now, one.valid_from)]
        if not ended:
            refused = PassRefused(plate=message.plate, pass_id=message.pass_id)
            notice = Notice(type="parking.pass_refused", subject=message.plate, data=refused)
            return Plan(result=taken, notices=(notice,))
        others.remove(min(ended, key=lambda one: one.valid_until))
    after = replace(known, passes=(*others, ref))
    return _with_cover(context, after, ref, taken)


@operation(
    "give_place",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=GrantTaken,
    internal=True,
)
async def give_place(
    pack: Pack, context: Context, message: PlaceGiven, vehicle: Vehicle | None
) -> Plan:
    """Let a stay know whether it has a place."""
    taken = GrantTaken(plate=message.plate, pass_id=message.pass_id)
    session = None if vehicle is None else vehicle.session
    if vehicle is None or session is None or session.entered_at != message.entered_at:
        # It has left, and the pass has been told so.
        return Plan(result=taken)
    cover = session.cover
    if cover is None or cover.pass_id != message.pass_id or cover.state == "placed":
        # The news that it queues may come after the one that it has a place.
        return Plan(result=taken)
    cover = replace(cover, state=message.state, since=max(message.since, cover.since))
    return Plan(state=replace(vehicle, session=replace(session, cover=cover)), result=taken)


@operation(
    "take_place",
    collection="pass",
    key="pass_id",
    state=SeasonPass,
    result=PlaceAnswered,
    internal=True,
)
async def take_place(
    pack: Pack, context: Context, message: TakePlace, held: SeasonPass | None
) -> Plan:
    """Give a stay one of a pass's places, or let it wait for one."""
    assert held is not None, "a plate knows of a pass that was never sold"
    stay = Place(plate=message.plate, entered_at=message.entered_at)
    if stay in held.gone:
        after = replace(held, gone=tuple(one for one in held.gone if one != stay))
        return Plan(state=after, result=_answer(after))
    if stay in held.inside or stay in held.queue:
        return Plan(result=_answer(held))
    if len(held.inside) >= held.plan.places:
        after = replace(held, queue=(*held.queue, stay))
        answer = _given(held, stay, stay)
        queued = replace(answer, body=replace(answer.body, state="queued"))
        return Plan(state=after, effects=(queued,), result=_answer(after))
    after = replace(held, inside=(*held.inside, stay))
    return Plan(state=after, effects=(_given(held, stay, stay),), result=_answer(after))


@operation(
    "leave_place",
    collection="pass",
    key="pass_id",
    state=SeasonPass,
    result=PlaceAnswered,
    internal=True,
)
async def leave_place(
    pack: Pack, context: Context, message: LeavePlace, held: SeasonPass | None
) -> Plan:
    """Take a place back, and give it to the first that waits."""
    assert held is not None, "a plate knows of a pass that was never sold"
    stay = Place(plate=message.plate, entered_at=message.entered_at)
    if stay in held.queue:
        after = replace(held, queue=tuple(one for one in held.queue if one != stay))
        return Plan(state=after, result=_answer(after))
    if stay not in held.inside:
        after = replace(held, gone=(*held.gone, stay)[-_GONE_MAX:])
        return Plan(state=after, result=_answer(after))
    inside = tuple(one for one in held.inside if one != stay)
    if not held.queue or len(inside) >= held.plan.places:
        after = replace(held, inside=inside)
        return Plan(state=after, result=_answer(after))
    first, *rest = held.queue
    after = replace(held, inside=(*inside, first), queue=tuple(rest))
    freed = Place(plate=message.plate, entered_at=message.left_at)
    return Plan(state=after, effects=(_given(held, first, freed),), result=_answer(after))


def _with_cover(context: Context, vehicle: Vehicle, ref: PassRef, taken: GrantTaken) -> Plan:
    """Let a pass cover the stay that is open: bought or renewed while the car is inside."""
    session = vehicle.session
    cover = None if session is None else cover_for(ref, session)
    if session is None or cover is None:
        # One that was taken away keeps what it has; that ends with the stay.
        return Plan(state=vehicle, result=taken)
    old = session.cover
    if old is not None:
        if old.pass_id == ref.pass_id and old.until < cover.until and cover.since <= old.until:
            longer = replace(old, until=cover.until)
            vehicle = replace(vehicle, session=replace(session, cover=longer))
        return Plan(state=vehicle, result=taken)
    effects: tuple[Send, ...] = ()
    if cover.shared:
        take = TakePlace(
            request_id="sent",
            pass_id=ref.pass_id,
            plate=vehicle.plate,
            entered_at=session.entered_at,
        )
        effects = (Send(verb="take_place", body=take),)
    covered = replace(session, cover=cover)
    if not cover.shared:
        # It came in as a casual car and leaves as one with a pass.
        effects = (*count_car(session, -1, context.now), *count_car(covered, 1, context.now))
    return Plan(state=replace(vehicle, session=covered), effects=effects, result=taken)


def _given(held: SeasonPass, stay: Place, since: Place) -> Send:
    given = PlaceGiven(
        request_id="sent",
        plate=stay.plate,
        pass_id=held.pass_id,
        entered_at=stay.entered_at,
        state="placed",
        since=max(since.entered_at, stay.entered_at),
    )
    return Send(verb="give_place", body=given)


def _answer(held: SeasonPass) -> PlaceAnswered:
    return PlaceAnswered(pass_id=held.pass_id, inside=len(held.inside))
