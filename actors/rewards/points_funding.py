"""Points (积分) as a source of a payment.

The points that end first pay first, and their worth comes out of the reserve in which it was put
when they were granted. A refund gives back points in proportion, batch by batch, by largest
remainder. A batch that has ended meanwhile comes back as a new one with a short life of its own.
When the points account was closed, the money goes to the account that it belonged to.
"""

from datetime import datetime, timedelta

import msgspec

from actors.entity import Part, Record, RecordChange
from actors.parts import Parts
from actors.payments.funding import Leg, LegRequest, PaidLeg, RefundLeg
from actors.regulation.calendar import day_of
from actors.rewards.batches import Batch, give_back, spend, worth
from actors.rewards.batches import Part as SpentPart
from actors.rewards.points_actor import end_of, end_timer
from actors.rewards.program import REDEEMED, RESERVE, RULES, PointsProgram, points_move
from actors.rewards.records import POINTS_TABLE, USE_TABLE, PointsState, PointsUse
from actors.rewards.sponsors import fetch_known
from kernel.randomness import IdFactory
from schemas.change import Event, Timer
from schemas.errors import InsufficientFunds, NotFound
from schemas.funding import PointsSource
from schemas.ledger import Moves
from schemas.rewards import POINTS, PointsMoved

__all__ = ("PointsFunding",)

_FIELD = "funding"

_json = msgspec.json.Encoder()


class _Leg(msgspec.Struct, frozen=True):
    """What a refund finds the use by."""

    use_id: str


class PointsFunding:
    """See :class:`actors.payments.funding.Funding`.

    Two payments at once from one points account meet at its record: the later one is decided again.
    """

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._rules = parts.rules

    async def pay(self, wanted: LegRequest) -> Leg:
        """Spend points up to what is wanted."""
        source = wanted.source
        assert isinstance(source, PointsSource)
        found = await POINTS_TABLE.load(self._store, source.account_id)
        if found is None or found.app != wanted.app:
            raise NotFound(f"points account {source.account_id!r} does not exist", field=_FIELD)
        now_ms = int(wanted.now.timestamp() * 1000)
        there = worth(found.state.batches, now_ms)
        if wanted.strict and there < wanted.amount_minor:
            raise InsufficientFunds(
                f"the points are worth {there} of {wanted.amount_minor} minor units", field=_FIELD
            )
        left, parts = spend(found.state.batches, wanted.amount_minor, now_ms)
        amount = sum(part.amount_minor for part in parts)
        if not amount:
            return Leg(amount_minor=0, pay_from=RESERVE, owner="", payer=found.key)
        use_id = f"{wanted.payment_id}.{wanted.number}"
        points = sum(part.points for part in parts)
        use = PointsUse(points_account=found.key, payment_id=wanted.payment_id, parts=parts)
        state = msgspec.structs.replace(found.state, batches=left)
        return Leg(
            amount_minor=amount,
            pay_from=RESERVE,
            owner="",
            before=Part(
                moves=Moves(
                    postings=(
                        points_move(found.key, REDEEMED, points, POINTS, "spend", (_FIELD, _FIELD)),
                    )
                ),
                events=(_moved("points.spent", found, wanted.payment_id, points, amount),),
                also=(
                    RecordChange(POINTS_TABLE, found.key, found.version, found.app, state),
                    RecordChange(USE_TABLE, use_id, 0, found.app, use),
                ),
            ),
            record=_json.encode(_Leg(use_id)).decode(),
            charged_minor=points,
            payer=found.key,
        )

    async def refund(
        self, leg: PaidLeg, amount_minor: int, *, app: str, payment_id: str, refund_id: str,
        whole: bool, now: datetime, ids: IdFactory,
    ) -> RefundLeg:  # fmt: skip
        """Give points back, and their worth to the reserve."""
        use = await USE_TABLE.load(self._store, msgspec.json.decode(leg.record, type=_Leg).use_id)
        assert use is not None, "a leg that was paid left its use"
        wallet = await POINTS_TABLE.load(self._store, use.state.points_account)
        assert wallet is not None, "points that were spent had an account"
        known = await fetch_known(self._store, (wallet.key,))
        if known[wallet.key].status == "closed":
            return RefundLeg(credit_to=wallet.state.account_id)
        shares = give_back(use.state.parts, amount_minor)
        batches, timers, points = self._returned(wallet, use.state, shares, now, ids)
        parts = tuple(
            msgspec.structs.replace(part, returned_minor=part.returned_minor + share)
            for part, share in zip(use.state.parts, shares, strict=True)
        )
        return RefundLeg(
            credit_to=RESERVE,
            after=Part(
                moves=Moves(
                    postings=(points_move(REDEEMED, wallet.key, points, POINTS, "return"),)
                ),
                events=(_moved("points.returned", wallet, payment_id, points, amount_minor),),
                timers=timers,
                also=(
                    RecordChange(
                        POINTS_TABLE, wallet.key, wallet.version, wallet.app,
                        msgspec.structs.replace(wallet.state, batches=batches),
                    ),
                    RecordChange(
                        USE_TABLE, use.key, use.version, use.app,
                        msgspec.structs.replace(use.state, parts=parts),
                    ),
                ),
            ),
            returned_minor=points,
        )  # fmt: skip

    def _returned(
        self,
        wallet: Record[PointsState],
        use: PointsUse,
        shares: tuple[int, ...],
        now: datetime,
        ids: IdFactory,
    ) -> tuple[tuple[Batch, ...], tuple[Timer, ...], int]:
        """Return the batches after it, the timers of new ones, and how many points came back."""
        program: PointsProgram = self._rules.current(RULES)
        batches = {one.batch_id: one for one in wallet.state.batches}
        timers = []
        points = 0
        for part, share in zip(use.parts, shares, strict=True):
            if not share:
                continue
            came = share * part.points_per_fen
            points += came
            batch = _batch_of(part, now)
            if batch is None:
                last_day = day_of(now) + timedelta(days=program.returned_for_days)
                batch = Batch(
                    batch_id=ids.new("pts"),
                    points=0,
                    points_per_fen=part.points_per_fen,
                    sponsor=part.sponsor,
                    ends_at_ms=end_of(last_day),
                )
                timers.append(end_timer(wallet.key, wallet.app, batch))
            batch = batches.get(batch.batch_id, batch)
            batches[batch.batch_id] = msgspec.structs.replace(batch, points=batch.points + came)
        return tuple(batches.values()), tuple(timers), points


def _batch_of(part: SpentPart, now: datetime) -> Batch | None:
    """Return the batch that a part came from, empty; None when it has ended.

    The timer of a batch stays when it is spent, so one that comes back ends as it would have.
    """
    batch = Batch(
        batch_id=part.batch_id,
        points=0,
        points_per_fen=part.points_per_fen,
        sponsor=part.sponsor,
        ends_at_ms=part.ends_at_ms,
    )
    return batch if batch.lives(int(now.timestamp() * 1000)) else None


def _moved(
    type_: str, wallet: Record[PointsState], payment_id: str, points: int, worth_minor: int
) -> Event:
    moved = PointsMoved(
        points_account=wallet.key, payment_id=payment_id, points=points, worth_minor=worth_minor
    )
    return Event(type_, wallet.key, _json.encode(moved).decode(), wallet.app)
