"""The steps of a settlement, each one change; see the actor for how they follow each other."""

from datetime import datetime

import msgspec

from actors.entity import Case, Plan, Record, RecordChange, Tell
from actors.settlement.collecting import first_leg, legs_after, with_legs
from actors.settlement.cycles import as_time, day_closed_by, next_cut_off
from actors.settlement.records import (
    CLEARING_TABLE,
    RANGE_TABLE,
    SETTLEMENT_TABLE,
    Batch,
    Standing,
    public_settlement,
)
from kernel.store import Query, Store, Where
from schemas.change import Event, Fact
from schemas.ledger import Moves, Posting
from schemas.merchants import Cycle, SettleTo, SettleToAccount
from schemas.money import CNY
from schemas.settlement import Settlement

__all__ = (
    "ADVANCE_TYPE",
    "KIND",
    "PAGES_PER_TURN",
    "PAYOUT_OUTSIDE",
    "PURPOSE_PAYOUT",
    "RESUME_EVERY_S",
    "RESUME_TYPE",
    "Advance",
    "Took",
    "begin",
    "collect",
    "fix",
    "nothing_more",
    "pay_out",
)

KIND = "settlement"
ADVANCE_TYPE = "settlement.advance"
RESUME_TYPE = "settlement.resume"

PURPOSE_PAYOUT = "merchant.payout"
# Where payouts to other banks leave this one.
PAYOUT_OUTSIDE = "external:netsunion"

# Twenty thousand legs, some hundred milliseconds: a turn stays far below the ten seconds that its
# timer waits for an answer, and a crash costs no more than this to read again.
PAGES_PER_TURN = 20
# A settlement that was cut off goes on after this long at the latest.
RESUME_EVERY_S = 30


class Advance(msgspec.Struct, frozen=True):
    """Take the next step; ``request_id`` names the one that comes next."""

    request_id: str


class Took(msgspec.Struct, frozen=True):
    """What a step answers, as nobody but a timer waits for it."""

    settlement_id: str = ""
    state: str = ""


async def begin(case: Case, standing: Standing, cycle: Cycle) -> Plan | None:
    """Open the next settlement; None when there is nothing to settle before what is wanted."""
    cut_off = await _upcoming(case, standing, cycle)
    if cut_off is None:
        return None
    settlement_id = case.ids.new("stl")
    batch = Batch(
        merchant_id=case.key,
        number=standing.number + 1,
        day=day_closed_by(cut_off).isoformat(),
        cycle=cycle,
        state="open",
        cut_off_at=cut_off,
        opened_at=case.now,
        after_seq=standing.after_seq,
        to_seq=standing.after_seq,
        carried_in_minor=standing.carried_minor,
    )
    after = msgspec.structs.replace(standing, number=batch.number, open_id=settlement_id)
    resume_id = _resume_id(case.key)
    resume = case.timer(
        resume_id, as_time(case.now_ms + RESUME_EVERY_S * 1000), KIND, case.key, RESUME_TYPE,
        every_s=RESUME_EVERY_S,
    )  # fmt: skip
    return Plan(
        answer=public_settlement(settlement_id, batch),
        state=after,
        also=(RecordChange(SETTLEMENT_TABLE, settlement_id, 0, case.owner, batch),),
        events=(_told(case, settlement_id, batch),),
        cancels=(resume_id,),
        timers=(resume,),
        tells=(_advance(case),),
    )


async def collect(case: Case, standing: Standing, record: Record[Batch]) -> Plan:
    """Read the next legs, and sum up when there are no more before the cut-off."""
    batch, complete = record.state, False
    for _ in range(PAGES_PER_TURN):
        rows, more = await legs_after(case.store, batch.merchant_id, batch.to_seq)
        batch, met = with_legs(batch, rows, batch.cut_off_at)
        complete = met or not more
        if complete:
            break
    if not complete:
        return _moved_on(case, standing, record, batch, told=False)
    facts = [
        Fact(
            CLEARING_TABLE.name,
            (batch.day, one.app, one.account_id, one.role, record.key, one.legs, one.amount_minor),
        )
        for one in batch.clearing
    ]
    if batch.to_seq > batch.after_seq:
        row = (batch.merchant_id, batch.after_seq, batch.to_seq, record.key)
        facts.append(Fact(RANGE_TABLE.name, row))
    batch = msgspec.structs.replace(batch, state="computed", clearing=())
    plan = _moved_on(case, standing, record, batch)
    return msgspec.structs.replace(plan, facts=tuple(facts))


async def fix(
    case: Case, standing: Standing, record: Record[Batch], settle_to: SettleTo, cycle: Cycle
) -> Plan:
    """Fix what is paid and where to; with nothing to pay the settlement is at its end."""
    batch = record.state
    if batch.due_minor > 0:
        paying = msgspec.structs.replace(
            batch, state="paying", settle_to=settle_to, payout_minor=batch.due_minor
        )
        return _moved_on(case, standing, record, paying)
    settled = msgspec.structs.replace(
        batch, state="settled", carried_out_minor=batch.due_minor, ended_at=case.now
    )
    return await _ended(case, standing, record, settled, cycle)


async def pay_out(
    case: Case, standing: Standing, record: Record[Batch], cycle: Cycle
) -> tuple[Plan, ...]:
    """Pay; if the ledger refuses, end the settlement as failed and carry what is owed."""
    batch = record.state
    assert batch.settle_to is not None, "what is paid has a destination"
    target = batch.settle_to
    credit = target.account_id if isinstance(target, SettleToAccount) else PAYOUT_OUTSIDE
    posting = Posting(
        batch.merchant_id, credit, batch.payout_minor, CNY, fields=("merchant_id", "settle_to"),
        purpose=PURPOSE_PAYOUT,
    )  # fmt: skip
    settled = msgspec.structs.replace(batch, state="settled", ended_at=case.now)
    failed = msgspec.structs.replace(
        batch,
        state="failed",
        payout_minor=0,
        carried_out_minor=batch.due_minor,
        reason=await _refusal(case.store, batch),
        ended_at=case.now,
    )
    paid = await _ended(case, standing, record, settled, cycle)
    return (
        msgspec.structs.replace(paid, moves=Moves(postings=(posting,))),
        await _ended(case, standing, record, failed, cycle),
    )


def nothing_more(case: Case, standing: Standing) -> Plan:
    """End the search for more to settle: all that is wanted is done."""
    return Plan(answer=Took(), state=_all_done(standing), cancels=(_resume_id(case.key),))


async def _upcoming(case: Case, standing: Standing, cycle: Cycle) -> datetime | None:
    """Return the cut-off of the next settlement, or None."""
    if standing.wanted_until_ms <= standing.done_until_ms:
        return None
    wanted_until = as_time(standing.wanted_until_ms)
    leg = await first_leg(case.store, case.key, standing.after_seq)
    cut_off = next_cut_off(
        cycle, None if leg is None else leg.at, as_time(standing.done_until_ms), wanted_until
    )
    if cut_off is None and standing.carried_minor > 0:
        # What could not be paid out is tried again, with or without new payments.
        return wanted_until
    return cut_off


async def _ended(
    case: Case, standing: Standing, record: Record[Batch], batch: Batch, cycle: Cycle
) -> Plan:
    """Close the settlement, and say whether the next one follows at once."""
    cut_off_ms = int(batch.cut_off_at.timestamp() * 1000)
    after = msgspec.structs.replace(
        standing,
        after_seq=batch.to_seq,
        done_until_ms=max(standing.done_until_ms, cut_off_ms),
        carried_minor=batch.carried_out_minor,
        open_id="",
    )
    if await _upcoming(case, after, cycle) is not None:
        return _moved_on(case, after, record, batch)
    plan = _moved_on(case, _all_done(after), record, batch)
    return msgspec.structs.replace(plan, tells=(), cancels=(_resume_id(case.key),))


def _all_done(standing: Standing) -> Standing:
    return msgspec.structs.replace(
        standing, done_until_ms=max(standing.done_until_ms, standing.wanted_until_ms)
    )


def _moved_on(
    case: Case, standing: Standing, record: Record[Batch], batch: Batch, *, told: bool = True
) -> Plan:
    # The standing gets a new version each time, which is what names the next step.
    return Plan(
        answer=Took(settlement_id=record.key, state=batch.state),
        state=standing,
        also=(RecordChange(SETTLEMENT_TABLE, record.key, record.version, record.app, batch),),
        events=(_told(case, record.key, batch),) if told else (),
        tells=(_advance(case),),
    )


def _advance(case: Case) -> Tell:
    # No caller from outside can choose such an id.
    step = f"~settle.{case.key}.{case.version + 1}"
    return Tell(KIND, case.key, ADVANCE_TYPE, Advance(step))


def _resume_id(merchant_id: str) -> str:
    return f"settlement.resume.{merchant_id}"


_EVENTS = {
    "open": "settlement.opened",
    "computed": "settlement.computed",
    "paying": "settlement.paying",
    "settled": "settlement.settled",
    "failed": "settlement.failed",
}


def _told(case: Case, settlement_id: str, batch: Batch) -> Event:
    settlement: Settlement = public_settlement(settlement_id, batch)
    return case.tell(_EVENTS[batch.state], settlement_id, settlement)


async def _refusal(store: Store, batch: Batch) -> str:
    """Return why the ledger refuses the payout, if it does, as far as it can be seen from here."""
    rows = await store.fetch(
        Query(
            table="balance",
            columns=("posted_minor", "held_minor"),
            where=(Where("account_id", "=", batch.merchant_id),),
        )
    )
    available = rows[0][0] - rows[0][1]
    if available < batch.payout_minor:
        return (
            f"insufficient_funds: {available} of {batch.payout_minor} are available on the "
            "merchant's account"
        )
    return "refused: an account is frozen, closed or at a limit"
