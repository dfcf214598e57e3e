"""The wallet of a student. The ledger knows what is in it; the document knows what is owed.

A pack never learns a balance, so whoever collects debts offers the ledger the ways in order: all of
them, all but the newest, and so on. The first that the wallet covers is what happens.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from schemas.effects import Cancel, Effect, Pay, VoidHold
from zhihui.plugin import (
    Context,
    InsufficientFunds,
    InvalidState,
    Notice,
    Pack,
    Plan,
    operation,
)

from .charging import debt_payments
from .lookups import active_student, guardian_account, known_student, wallet_of
from .student import COLLECTED_MAX, DEBTS_MAX, Debt, Student
from .subsidy_messages import SubsidyEnded
from .wallet_messages import (
    BindWallet,
    CapSet,
    DebtsSettled,
    LeaveSchool,
    SetCap,
    SettleDebts,
    StudentLeft,
    ToppedUp,
    TopUp,
    WalletBound,
)

__all__ = ("bind_wallet", "leave_school", "set_cap", "settle_debts", "top_up")


@operation(
    "bind_wallet",
    collection="student",
    key="student_id",
    state=Student,
    result=WalletBound,
    errors=("not_found", "invalid_state"),
    events=("campus.wallet_bound",),
)
async def bind_wallet(
    pack: Pack, context: Context, message: BindWallet, student: Student | None
) -> Plan:
    """Name the account that is the student's wallet."""
    known = active_student(student, message.student_id)
    if known.wallet not in (None, message.account_id):
        raise InvalidState(
            f"the wallet of {known.student_id!r} is {known.wallet!r}; let the student leave and "
            "come back to change it, so that no money stays behind",
            field="account_id",
        )
    result = WalletBound(
        student_id=known.student_id,
        account_id=message.account_id,
        status="bound" if known.wallet is None else "unchanged",
    )
    notice = Notice(type="campus.wallet_bound", subject=known.student_id, data=result)
    return Plan(
        state=replace(known, wallet=message.account_id),
        result=result,
        notices=(notice,) if result.status == "bound" else (),
    )


@operation(
    "set_cap",
    collection="student",
    key="student_id",
    state=Student,
    result=CapSet,
    errors=("not_found", "invalid_state"),
    events=("campus.cap_set",),
)
async def set_cap(pack: Pack, context: Context, message: SetCap, student: Student | None) -> Plan:
    """Cap what a student buys in a day."""
    known = active_student(student, message.student_id)
    await guardian_account(context, known, message.guardian_id)
    result = CapSet(
        student_id=known.student_id,
        guardian_id=message.guardian_id,
        day_cap_minor=message.day_cap_minor,
        status="unchanged" if known.day_cap_minor == message.day_cap_minor else "set",
    )
    notice = Notice(type="campus.cap_set", subject=known.student_id, data=result)
    return Plan(
        state=replace(known, day_cap_minor=message.day_cap_minor),
        result=result,
        notices=(notice,) if result.status == "set" else (),
    )


@operation(
    "top_up",
    collection="student",
    key="student_id",
    state=Student,
    result=ToppedUp,
    errors=(
        "not_found", "invalid_state", "insufficient_funds", "balance_limit", "limit_exceeded",
    ),
    events=("campus.topped_up", "campus.debts_collected"),
)  # fmt: skip
async def top_up(
    pack: Pack, context: Context, message: TopUp, student: Student | None
) -> tuple[Plan, ...]:
    """Move money from a guardian's account into the wallet, and collect debts with it."""
    known = active_student(student, message.student_id)
    wallet = wallet_of(known)
    payer = await guardian_account(context, known, message.guardian_id)
    payment = Pay(
        payer=payer,
        payee=wallet,
        amount_minor=message.amount_minor,
        reference=f"campus top-up {known.student_id}",
    )
    plans = []
    for collected in _prefixes(known.debts):
        after = replace(known, debts=known.debts[len(collected) :])
        result = ToppedUp(
            student_id=known.student_id,
            payer=payer,
            amount_minor=message.amount_minor,
            collected_minor=known.debts_minor - after.debts_minor,
            debts_minor=after.debts_minor,
        )
        types = ("campus.topped_up", *(("campus.debts_collected",) if collected else ()))
        plans.append(
            Plan(
                state=after if collected else None,
                effects=(payment, *debt_payments(known, collected)),
                result=result,
                notices=tuple(
                    Notice(type=one, subject=known.student_id, data=result) for one in types
                ),
            )
        )
    return tuple(plans)


@operation(
    "settle_debts",
    collection="student",
    key="student_id",
    state=Student,
    result=DebtsSettled,
    errors=("not_found", "invalid_state", "insufficient_funds", "limit_exceeded"),
    events=("campus.debts_collected",),
)
async def settle_debts(
    pack: Pack, context: Context, message: SettleDebts, student: Student | None
) -> tuple[Plan, ...]:
    """Collect as many debts as the wallet covers, the oldest first."""
    known = known_student(student, message.student_id)
    wallet_of(known)
    plans = []
    for collected in _prefixes(known.debts):
        after = replace(known, debts=known.debts[len(collected) :])
        result = DebtsSettled(
            student_id=known.student_id,
            collected_minor=known.debts_minor - after.debts_minor,
            debts_minor=after.debts_minor,
            status="partly_settled" if after.debts else "settled",
        )
        notice = Notice(type="campus.debts_collected", subject=known.student_id, data=result)
        plans.append(
            Plan(
                state=after if collected else None,
                effects=debt_payments(known, collected),
                result=result,
                notices=(notice,) if collected else (),
            )
        )
    # Nothing of what is owed is a refusal; nothing owed is settled.
    return tuple(plans[:-1] or plans)


def _prefixes(debts: tuple[Debt, ...]) -> Iterator[tuple[Debt, ...]]:
    """Yield the oldest debts: as many as one plan takes, then fewer and fewer, none at last."""
    most = min(len(debts), COLLECTED_MAX)
    # Every way carries the whole document, so of a list that is beyond all measure not every length
    # is tried.
    for number in dict.fromkeys((most, *range(min(most, DEBTS_MAX), -1, -1))):
        yield debts[:number]


@operation(
    "leave_school",
    collection="student",
    key="student_id",
    state=Student,
    result=StudentLeft,
    errors=(
        "not_found", "invalid_state", "insufficient_funds", "balance_limit", "limit_exceeded",
    ),
    events=("campus.student_left", "campus.subsidy_ended"),
)  # fmt: skip
async def leave_school(
    pack: Pack, context: Context, message: LeaveSchool, student: Student | None
) -> Plan:
    """Let a student leave: debts are settled, subsidies go back, the rest is paid out."""
    known = known_student(student, message.student_id)
    _check_free(known, message.balance_minor)
    payee = await guardian_account(context, known, message.guardian_id)
    rest = message.balance_minor - known.debts_minor
    effects: list[Effect] = []
    effects += debt_payments(known, known.debts) if known.debts else ()
    if rest:
        effects.append(
            Pay(
                payer=wallet_of(known),
                payee=payee,
                amount_minor=rest,
                reference=f"campus leaving {known.student_id}",
            )
        )
    after = replace(known, status="left", debts=(), day_cap_minor=None)
    notices: list[Notice] = []
    for grant in known.grants:
        effects += (VoidHold(name=grant.hold), Cancel(name=grant.hold))
        after = after.without_grant(grant.hold)
        ended = SubsidyEnded(
            student_id=known.student_id,
            grant_id=grant.grant_id,
            returned_minor=grant.left_minor,
            reason="the student leaves",
            status="left",
        )
        notices.append(Notice(type="campus.subsidy_ended", subject=known.student_id, data=ended))
    result = StudentLeft(
        student_id=known.student_id,
        payee=payee,
        debts_paid_minor=known.debts_minor,
        paid_out_minor=rest,
        subsidies_returned_minor=known.grants_minor,
        status="left" if known.status == "active" else "rest_paid",
    )
    return Plan(
        state=after,
        effects=tuple(effects),
        result=result,
        notices=(
            Notice(type="campus.student_left", subject=known.student_id, data=result),
            *notices,
        ),
    )


def _check_free(student: Student, balance_minor: int) -> None:
    """Raise unless nothing stands in the way of leaving."""
    if student.bills:
        named = ", ".join(bill.bill_id for bill in student.bills[:5])
        raise InvalidState(
            f"{student.bills_minor} minor units of bills are open ({named}); pay or waive them",
            field="student_id",
        )
    if len(student.debts) > COLLECTED_MAX:
        raise InvalidState(
            f"{len(student.debts)} debts are too many to be paid at once; settle them first",
            field="student_id",
        )
    if student.debts_minor > balance_minor:
        raise InsufficientFunds(
            f"{student.debts_minor} minor units are owed and {balance_minor} are in the wallet; "
            "top it up first",
            field="balance_minor",
        )
    if balance_minor:
        wallet_of(student)
