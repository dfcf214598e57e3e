"""What a stay comes to: the tariff on what no pass covers, less what was paid or stamped before.

In this order:

1. What a pass covers costs nothing. What is before or after it is charged as a stay of its own.
2. Who paid inside and leaves within ``leave_minutes`` is charged up to that payment and no further.
3. What was paid inside is taken off.
4. Each stamp takes its minutes off the end of the stay, after those of the stamps before it. What
   the stay costs less by that is its value, at most what is left to pay. The merchant pays its
   parts per million of the value, rounded down to a fen, and the operator forgoes the rest.
"""

from datetime import datetime, timedelta

import msgspec

from .messages import Exited
from .state import Session, Stamp
from .tariff import dearest_unit_minor, fee_minor
from .terms import PPM

__all__ = (
    "Bill",
    "StampPart",
    "bill_for",
    "covered_by",
    "fixed_bill",
    "stamp_worth_max_minor",
)


class StampPart(msgspec.Struct, frozen=True, kw_only=True):
    """What a stamp is worth at the end: what its merchant pays, and what the operator forgoes."""

    stamp: Stamp
    paid_minor: int
    discount_minor: int


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """The fee of a stay, who has borne how much of it, and what the driver still owes."""

    fee_minor: int
    due_minor: int
    prepaid_minor: int = 0
    parts: tuple[StampPart, ...] = ()

    @property
    def merchant_minor(self) -> int:
        """Return what merchants pay."""
        return sum(part.paid_minor for part in self.parts)

    @property
    def discount_minor(self) -> int:
        """Return what the operator forgoes."""
        return sum(part.discount_minor for part in self.parts)

    def without_stamps(self) -> "Bill":
        """Return the bill when the merchants cannot be charged after all."""
        due = self.due_minor + self.merchant_minor + self.discount_minor
        return Bill(fee_minor=self.fee_minor, due_minor=due, prepaid_minor=self.prepaid_minor)


def fixed_bill(amount_minor: int) -> Bill:
    """Return the bill of a stay that is charged a fixed sum."""
    return Bill(fee_minor=amount_minor, due_minor=amount_minor)


def bill_for(session: Session, left_at: datetime) -> Bill:
    """Return what a stay comes to when the car leaves at ``left_at``, by the rule above."""
    until = _charged_until(session, left_at)
    fee = _uncovered_minor(session, until)
    # A clock that runs behind may find less than what was paid at the machine: that is the fee.
    fee = max(fee, session.prepaid_minor)
    left = fee - session.prepaid_minor
    parts: list[StampPart] = []
    dearer = fee
    for stamp in session.stamps:
        until = max(until - timedelta(minutes=stamp.minutes), session.entered_at)
        cheaper = _uncovered_minor(session, until)
        value = min(max(dearer - cheaper, 0), left)
        paid = min(value * stamp.pays_ppm // PPM, stamp.held_minor)
        parts.append(StampPart(stamp=stamp, paid_minor=paid, discount_minor=value - paid))
        left -= value
        dearer = min(dearer, cheaper)
    return Bill(
        fee_minor=fee, due_minor=left, prepaid_minor=session.prepaid_minor, parts=tuple(parts)
    )


def covered_by(session: Session, exited: Exited) -> Exited:
    """Return what is told of a stay, with its pass if that covered any of it."""
    cover = session.cover
    if cover is None or cover.state == "queued" or cover.since >= exited.left_at:
        return exited
    return msgspec.structs.replace(exited, pass_id=cover.pass_id)


def stamp_worth_max_minor(session: Session, minutes: int) -> int:
    """Return what a stamp may be worth at most: its units, and the free minutes it may restore."""
    tariff = session.tariff
    # A stay with a pass in its middle is charged in two parts, each with free minutes.
    units = -(-(minutes + 2 * tariff.free_minutes) // tariff.unit_minutes) + 1
    return units * dearest_unit_minor(tariff)


def _charged_until(session: Session, left_at: datetime) -> datetime:
    paid_at = session.prepaid_at
    if paid_at is None:
        return left_at
    return (
        paid_at
        if left_at <= paid_at + timedelta(minutes=session.in_force.leave_minutes)
        else left_at
    )


def _uncovered_minor(session: Session, until: datetime) -> int:
    cover, entered_at = session.cover, session.entered_at
    if cover is None or cover.state == "queued":
        return fee_minor(session.tariff, entered_at, until)
    before = min(max(cover.since, entered_at), until)
    after = max(min(cover.until, until), before)
    return fee_minor(session.tariff, entered_at, before) + fee_minor(session.tariff, after, until)
