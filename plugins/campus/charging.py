"""How a sale is paid: from subsidies first, then from the wallet; what is missing is owed.

A sale in a canteen takes from the student's subsidies, the one that expires first before the
others; a sale in a shop does not. Nothing is taken of a subsidy that has expired by now, even if
its timer has not come yet, and even if the sale was made before: the money is the fund's again.

The rest comes from the wallet. What is in there only the ledger knows, so the ways in which it may
turn out are tried in order, each whole or not at all:

1. the sale, and all older debts with it;
2. the sale;
3. for a sale made offline, whose food is eaten: the subsidies pay their part, the rest is owed;
4. for the same: all of it is owed, when the fund does not pay either.

Whichever stands, what the subsidies paid, what the wallet paid and what is owed add up to the sale.
And in whatever order sales come, the subsidies pay the same in all, and so do wallet and debts
together.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec.structs import replace

from schemas.effects import Cancel, CaptureHold, Effect, Pay
from zhihui.plugin import Notice, Plan

from .moments import day_in
from .sale_messages import CapExceeded, DebtRecorded, Sale, SaleCharged
from .student import COLLECTED_MAX, Debt, Grant, Student, merged_debts

__all__ = ("EVENTS", "charge_plans", "debt_payments", "known_sale")

EVENTS = (
    "campus.sale_charged",
    "campus.debt_recorded",
    "campus.debts_collected",
    "campus.cap_exceeded",
)


class _Way(msgspec.Struct, frozen=True):
    """One way of paying a sale: the parts of subsidies, from the wallet, owed, and old debts."""

    grants: tuple[tuple[Grant, int], ...]
    own_minor: int
    owed_minor: int
    collected: tuple[Debt, ...] = ()


def charge_plans(
    student: Student, sale: Sale, zone: str, now: datetime, *, online: bool
) -> tuple[Plan, ...]:
    """Return the ways in which a sale may be paid, the best one first."""
    return tuple(
        _plan(student, sale, zone, way, online=online)
        for way in _ways(student, sale, now, online=online)
    )


def known_sale(student: Student, sale: Sale) -> SaleCharged:
    """Return the answer to a sale that was charged before: nothing moves."""
    return SaleCharged(
        student_id=student.student_id,
        terminal_id=sale.terminal_id,
        sequence=sale.sequence,
        amount_minor=sale.amount_minor,
        subsidy_minor=0,
        own_minor=0,
        owed_minor=0,
        collected_minor=0,
        debts_minor=student.debts_minor,
        status="already_charged",
    )


def debt_payments(student: Student, debts: tuple[Debt, ...]) -> tuple[Pay, ...]:
    """Return the payments of debts, one each: an operator reconciles by sales."""
    assert student.wallet is not None
    return tuple(
        Pay(
            payer=student.wallet,
            payee=debt.payee,
            amount_minor=debt.amount_minor,
            reference=f"campus debt {student.student_id} {debt.ref}",
        )
        for debt in debts
    )


def _ways(student: Student, sale: Sale, now: datetime, *, online: bool) -> Iterator[_Way]:
    grants = tuple(_from_grants(student, sale, now))
    own = sale.amount_minor - sum(part for _, part in grants)
    able = student.status == "active" and student.wallet is not None
    if able and student.debts:
        yield _Way(grants, own, 0, student.debts[:COLLECTED_MAX])
    if able or not own:
        yield _Way(grants, own, 0)
    if online:
        return
    if grants and own:
        yield _Way(grants, 0, own)
    yield _Way((), 0, sale.amount_minor)


def _from_grants(student: Student, sale: Sale, now: datetime) -> Iterator[tuple[Grant, int]]:
    wanted = sale.amount_minor
    for grant in student.grants:
        if wanted and grant.purpose == sale.category and grant.expires_at > now:
            part = min(wanted, grant.left_minor)
            wanted -= part
            yield grant, part


def _plan(student: Student, sale: Sale, zone: str, way: _Way, *, online: bool) -> Plan:
    effects: list[Effect] = []
    if way.own_minor:
        assert student.wallet is not None
        effects.append(
            Pay(
                payer=student.wallet,
                payee=sale.payee,
                amount_minor=way.own_minor,
                reference=f"campus sale {student.student_id} {sale.ref}",
            )
        )
    effects += debt_payments(student, way.collected) if way.collected else ()
    after = student
    for grant, part in way.grants:
        after, taken = _take(after, grant, part, sale.payee)
        effects += taken
    day = day_in(zone, sale.purchased_at)
    after = after.with_sale(sale.ref, sale.purchased_at, day, sale.amount_minor)
    owed = tuple(debt for debt in after.debts if debt not in way.collected)
    if way.owed_minor:
        debt = Debt(
            ref=sale.ref,
            payee=sale.payee,
            amount_minor=way.owed_minor,
            purchased_at=sale.purchased_at,
        )
        owed = merged_debts(owed, debt)
    after = replace(after, debts=owed)
    charged = SaleCharged(
        student_id=student.student_id,
        terminal_id=sale.terminal_id,
        sequence=sale.sequence,
        amount_minor=sale.amount_minor,
        subsidy_minor=sum(part for _, part in way.grants),
        own_minor=way.own_minor,
        owed_minor=way.owed_minor,
        collected_minor=sum(debt.amount_minor for debt in way.collected),
        debts_minor=after.debts_minor,
        status="owed" if way.owed_minor else "charged",
    )
    notices = tuple(_notices(after, sale, charged, zone, online=online))
    return Plan(state=after, effects=tuple(effects), result=charged, notices=notices)


def _take(
    student: Student, grant: Grant, part: int, payee: str
) -> tuple[Student, tuple[Effect, ...]]:
    """Take a part of a subsidy; when nothing is left of it, it is over."""
    capture = CaptureHold(name=grant.hold, amount_minor=part, payee=payee)
    if part == grant.left_minor:
        return student.without_grant(grant.hold), (capture, Cancel(name=grant.hold))
    left = replace(grant, left_minor=grant.left_minor - part)
    grants = tuple(left if one is grant else one for one in student.grants)
    return replace(student, grants=grants), (capture,)


def _notices(
    student: Student, sale: Sale, charged: SaleCharged, zone: str, *, online: bool
) -> Iterator[Notice]:
    subject = student.student_id
    yield Notice(type="campus.sale_charged", subject=subject, data=charged)
    if charged.collected_minor:
        yield Notice(type="campus.debts_collected", subject=subject, data=charged)
    if charged.owed_minor:
        debt = DebtRecorded(
            student_id=subject,
            ref=sale.ref,
            payee=sale.payee,
            amount_minor=charged.owed_minor,
            debts_minor=charged.debts_minor,
        )
        yield Notice(type="campus.debt_recorded", subject=subject, data=debt)
    day = day_in(zone, sale.purchased_at)
    spent = student.spent_minor(day)
    if not online and student.day_cap_minor is not None and spent > student.day_cap_minor:
        over = CapExceeded(
            student_id=subject,
            ref=sale.ref,
            day=day.isoformat(),
            spent_minor=spent,
            day_cap_minor=student.day_cap_minor,
        )
        yield Notice(type="campus.cap_exceeded", subject=subject, data=over)
