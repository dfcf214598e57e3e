"""The steps of a change beyond plain postings: holds, transfers up to a balance, and statuses.

A hold::

    open ──capture of all that is left, or a final one──▶ captured
      │ ──void────────────────────────────────────────▶ voided
      └ ──expire──────────────────────────────────────▶ expired

It is resolved once. A capture of a part leaves it open; what was captured stays captured whichever
way it ends. A hold is open until its expiry is booked, even if that comes late.

An account: open ⇄ frozen, open → closed. Each step checks everything before it changes anything,
but a change of several steps is taken back by whoever applies them.
"""

from actors.ledger._limits import Limits, check_limits
from actors.ledger._state import Account, Hold, State
from kernel.book import StaleDecision
from schemas.errors import (
    ERRORS,
    BalanceLimit,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    NotFound,
    Rejected,
    SelfPayment,
)
from schemas.ledger import (
    BALANCE_MAX_MINOR,
    FREEZE,
    BoundsStep,
    CaptureStep,
    LimitsStep,
    PlaceStep,
    ReleaseStep,
    StatusStep,
    Step,
    TallyStep,
    TransferStep,
)
from schemas.money import MAX_AMOUNT_MINOR
from schemas.subjects import PLATFORM_APP

__all__ = ("check_amount", "check_use", "may_credit", "take_step")


def check_amount(amount: int, most: int = MAX_AMOUNT_MINOR) -> None:
    """Raise unless the amount is one that may move at all."""
    if not 0 < amount <= most:
        raise InvalidField(
            f"amount_minor is {amount}; it must be 1 to {most}", field="amount_minor"
        )


def may_credit(credit: Account, owner: str, credit_owner: str) -> bool:
    """Tell whether an account may be credited by whoever asked for it."""
    if credit_owner:
        return credit.app == credit_owner
    # What leaves the bank leaves through a channel, not by naming the bank's own account.
    return not owner or credit.app != PLATFORM_APP


def check_use(state: State, debit: str, credit: str, amount: int, fields: tuple[str, str]) -> None:
    """Raise when a move would pass what one of its accounts may move in a day or a year."""
    debit_field, credit_field = fields
    account = state.accounts[debit]
    assert account is not None
    if account.limits is not None and account.limits.exempt != credit:
        check_limits(debit, account.limits, amount, state.now, out=True, field=debit_field)
    account = state.accounts[credit]
    assert account is not None
    if account.limits is not None and account.limits.exempt != debit:
        check_limits(credit, account.limits, amount, state.now, out=False, field=credit_field)


def _owned_account(state: State, name: str, owner: str, field: str) -> Account:
    """Return an account that ``owner`` may dispose of.

    The account of another app is answered like one that does not exist, so that nobody can find out
    by asking.
    """
    account = state.accounts[name]
    if account is None or (owner and account.app != owner):
        raise NotFound(f"account {name!r} does not exist", field=field)
    return account


def _debitable(name: str, account: Account, asset: str) -> None:
    """Raise unless the account is open and kept in the asset."""
    if account.status != "open":
        raise InvalidState(f"account {name!r} is {account.status}")
    if account.asset != asset:
        raise InvalidState(f"account {name!r} holds {account.asset}, not {asset}")


def _creditable(
    state: State, name: str, asset: str, owner: str, credit_owner: str, field: str
) -> Account:
    """Return an account that may be credited; a frozen one may."""
    account = state.accounts[name]
    if account is None or not may_credit(account, owner, credit_owner):
        raise NotFound(f"account {name!r} does not exist", field=field)
    if account.status == "closed":
        raise InvalidState(f"account {name!r} is closed")
    if account.asset != asset:
        raise InvalidState(f"account {name!r} holds {account.asset}, not {asset}")
    return account


def take_step(state: State, step: Step, change_seq: int, first: int) -> dict[str, int]:
    """Apply one step or raise a rejection; return the integers that it found.

    ``first`` is the number of rows of transfers and statuses before this change, from which its own
    are numbered.
    """
    if isinstance(step, PlaceStep):
        return _place(state, step, change_seq)
    if isinstance(step, CaptureStep):
        return _capture(state, step, change_seq)
    if isinstance(step, ReleaseStep):
        return _release(state, step, change_seq)
    if isinstance(step, TransferStep):
        return _transfer(state, step, change_seq, first)
    if isinstance(step, TallyStep):
        return _tally(state, step)
    if isinstance(step, BoundsStep):
        return _change_bounds(state, step)
    if isinstance(step, LimitsStep):
        return _change_limits(state, step)
    return _change_status(state, step, change_seq, first)


def _place(state: State, step: PlaceStep, change_seq: int) -> dict[str, int]:
    account_field, payee_field = step.fields
    check_amount(step.amount_minor)
    if state.holds[step.hold_id] is not None:
        raise InvalidState(f"hold {step.hold_id!r} exists already")
    if step.account_id == step.payee:
        raise SelfPayment(f"account {step.payee!r} cannot pay itself", field=payee_field)
    account = _owned_account(state, step.account_id, step.owner, account_field)
    if step.payee:
        _creditable(state, step.payee, step.asset, step.owner, "", payee_field)
    _debitable(step.account_id, account, step.asset)
    if account.posted - account.held - step.amount_minor < account.floor:
        raise InsufficientFunds(
            f"account {step.account_id!r} does not cover {step.amount_minor} minor units",
            field=account_field,
        )
    hold = Hold(
        account.app, step.account_id, step.payee, step.asset, step.purpose, step.capturable,
        step.amount_minor,
    )  # fmt: skip
    row = (
        change_seq, hold.app, step.account_id, step.payee, step.asset, step.purpose,
        step.capturable, step.reference, step.amount_minor, step.placed_at, step.expires_at,
    )  # fmt: skip
    state.place(step.hold_id, hold, row)
    state.replace(step.account_id, account, "held", account.held + step.amount_minor)
    _note(state, step.hold_id, hold, change_seq, "placed", step.amount_minor)
    return {}


def _capture(state: State, step: CaptureStep, change_seq: int) -> dict[str, int]:
    hold_field, payee_field = step.fields
    hold = _open_hold(state, step.hold_id, step.owner, step.purpose, hold_field)
    if not hold.capturable:
        raise InvalidState(f"hold {step.hold_id!r} cannot be captured")
    payee = _payee(hold, step.hold_id, step.payee, payee_field)
    amount = hold.remaining if step.amount_minor is None else step.amount_minor
    check_amount(amount)
    if amount > hold.remaining:
        raise InsufficientFunds(
            f"hold {step.hold_id!r} does not cover {amount} minor units", field="amount_minor"
        )
    rest = hold.remaining - amount
    resolved = step.final or not rest
    account = state.accounts[hold.account_id]
    assert account is not None, "an open hold keeps its account"
    credit = _creditable(state, payee, hold.asset, step.owner, "", payee_field)
    _debitable(hold.account_id, account, hold.asset)
    _check_ceiling(payee, credit, amount, payee_field)
    check_use(state, hold.account_id, payee, amount, (hold_field, payee_field))
    # Last of all: of two alternatives that differ in this alone, the first one's reason is told.
    if step.resolves is not None and step.resolves != resolved:
        raise InvalidState(
            f"hold {step.hold_id!r} would {'be resolved' if resolved else 'stay open'}"
        )
    state.replace(
        hold.account_id, account, "held", account.held - amount - (rest if resolved else 0)
    )
    state.post(hold.account_id, payee, amount, change_seq)
    state.replace(step.hold_id, hold, "captured", hold.captured + amount)
    _note(state, step.hold_id, hold, change_seq, "captured", amount, payee)
    if resolved and rest:
        state.replace(step.hold_id, hold, "released", hold.released + rest)
        _note(state, step.hold_id, hold, change_seq, "released", rest)
    if resolved:
        state.replace(step.hold_id, hold, "status", "captured")
    return {
        f"{step.name}.captured": amount,
        f"{step.name}.released": rest if resolved else 0,
        f"{step.name}.remaining": hold.remaining,
    }


def _payee(hold: Hold, hold_id: str, named: str, field: str) -> str:
    payee = named or hold.payee
    if not payee:
        raise InvalidField(f"neither hold {hold_id!r} nor the capture names a payee", field=field)
    if hold.payee and payee != hold.payee:
        raise InvalidField(f"hold {hold_id!r} is for another payee than {payee!r}", field=field)
    if payee == hold.account_id:
        raise SelfPayment(f"account {payee!r} cannot pay itself", field=field)
    return payee


def _release(state: State, step: ReleaseStep, change_seq: int) -> dict[str, int]:
    hold = _open_hold(state, step.hold_id, step.owner, step.purpose, step.field)
    account = state.accounts[hold.account_id]
    assert account is not None, "an open hold keeps its account"
    rest = hold.remaining
    state.replace(hold.account_id, account, "held", account.held - rest)
    state.replace(step.hold_id, hold, "released", hold.released + rest)
    state.replace(step.hold_id, hold, "status", step.status)
    _note(state, step.hold_id, hold, change_seq, step.status, rest)
    return {f"{step.name}.captured": hold.captured, f"{step.name}.released": hold.released}


def _open_hold(state: State, hold_id: str, owner: str, purpose: str, field: str) -> Hold:
    hold = state.holds[hold_id]
    if hold is None or (owner and hold.app != owner):
        raise NotFound(f"hold {hold_id!r} does not exist", field=field)
    if purpose and hold.purpose != purpose:
        kind = "a freeze" if hold.purpose == FREEZE else f"for {hold.purpose!r}"
        raise InvalidState(f"hold {hold_id!r} is {kind}, not for {purpose!r}")
    if hold.status != "open":
        raise InvalidState(f"hold {hold_id!r} is {hold.status}")
    return hold


def _note(
    state: State, hold_id: str, hold: Hold, change_seq: int, kind: str, amount: int, payee: str = ""
) -> None:
    state.replace(hold_id, hold, "steps", hold.steps + 1)
    state.hold_steps.append((hold_id, hold.steps, change_seq, kind, amount, payee))


def _transfer(state: State, step: TransferStep, change_seq: int, first: int) -> dict[str, int]:
    debit_field, credit_field = step.fields
    check_amount(step.amount_minor, BALANCE_MAX_MINOR)
    if step.debit == step.credit:
        raise SelfPayment(f"account {step.debit!r} cannot pay itself", field=credit_field)
    debit = _owned_account(state, step.debit, step.owner, debit_field)
    credit = _creditable(
        state, step.credit, step.asset, step.owner, step.credit_owner, credit_field
    )
    _debitable(step.debit, debit, step.asset)
    keep = debit.floor if step.keep_minor is None else max(debit.floor, step.keep_minor)
    amount = max(0, min(step.amount_minor, debit.posted - debit.held - keep))
    if amount < step.at_least_minor:
        raise InsufficientFunds(
            f"account {step.debit!r} does not cover {step.at_least_minor} minor units",
            field=debit_field,
        )
    if amount:
        _check_ceiling(step.credit, credit, amount, credit_field)
        if not step.exempt:
            check_use(state, step.debit, step.credit, amount, step.fields)
        state.post(step.debit, step.credit, amount, change_seq, exempt=step.exempt)
        if step.purpose:
            number = len(state.transfers) + len(state.statuses) - first
            state.transfers.append(
                (change_seq, number, step.debit, step.credit, amount, step.asset, step.purpose)
            )
    return {f"{step.name}.amount": amount}


def _check_ceiling(name: str, credit: Account, amount: int, field: str) -> None:
    if credit.posted + amount > credit.ceiling:
        raise BalanceLimit(f"account {name!r} may not hold that much", field=field)


# From → to.
_STATUS_STEPS = {("open", "frozen"), ("frozen", "open"), ("open", "closed")}


def _change_status(state: State, step: StatusStep, change_seq: int, first: int) -> dict[str, int]:
    name = step.account_id
    account = _owned_account(state, name, step.owner, step.field)
    if (account.status, step.status) not in _STATUS_STEPS:
        raise InvalidState(f"account {name!r} is {account.status}, so it cannot be {step.status}")
    if step.status == "closed" and (account.posted or account.held):
        raise InvalidState(
            f"account {name!r} has {account.posted} minor units, {account.held} of them held;"
            " only an empty one can be closed"
        )
    state.replace(name, account, "status", step.status)
    number = len(state.transfers) + len(state.statuses) - first
    state.statuses.append((change_seq, number, name, step.status))
    return {}


def _tally(state: State, step: TallyStep) -> dict[str, int]:
    tally = state.tallies[step.tally_id]
    count, amount = tally.count + step.count, tally.amount + step.amount_minor
    if count < 0 or amount < 0:
        # What was counted is given back once, by a change of what it was counted for. So that has
        # changed already, and its version would have said so in the commit.
        raise StaleDecision(f"tally {step.tally_id!r} holds less than what is given back")
    adds = step.count > 0 or step.amount_minor > 0
    gives_back = step.count < 0 or step.amount_minor < 0
    if tally.closed and not (gives_back or step.opens):
        raise _refusal(step, f"tally {step.tally_id!r} is closed")
    if adds:
        others = [state.tallies[name] for name in step.window]
        in_all = count + sum(one.count for one in others)
        if step.count_max is not None and in_all > step.count_max:
            raise _refusal(step, f"{in_all} would pass the limit of {step.count_max}")
        in_all = amount + sum(one.amount for one in others)
        if step.amount_max is not None and in_all > step.amount_max:
            raise _refusal(step, f"{in_all} would pass the limit of {step.amount_max}")
    closed = step.closes or (tally.closed and not step.opens)
    state.tally(step.tally_id, step.count, step.amount_minor, closed)
    return {f"{step.name}.count": count, f"{step.name}.amount": amount} if step.name else {}


def _refusal(step: TallyStep, reason: str) -> Rejected:
    kind = ERRORS[step.code]
    error = kind(step.message or reason, field=step.field or None)
    assert isinstance(error, Rejected), f"{step.code} is not a rejection"
    return error


def _change_bounds(state: State, step: BoundsStep) -> dict[str, int]:
    account = _owned_account(state, step.account_id, step.owner, step.field)
    floor = -BALANCE_MAX_MINOR if step.floor_minor is None else step.floor_minor
    ceiling = BALANCE_MAX_MINOR if step.ceiling_minor is None else step.ceiling_minor
    if floor > ceiling:
        raise InvalidState(f"the floor {floor} is above the ceiling {ceiling}")
    state.replace(step.account_id, account, "floor", floor)
    state.replace(step.account_id, account, "ceiling", ceiling)
    return {}


def _change_limits(state: State, step: LimitsStep) -> dict[str, int]:
    account = _owned_account(state, step.account_id, step.owner, step.field)
    limits = Limits.of(step.limits)
    if account.limits is not None:
        for used in ("day", "day_out", "day_in", "year", "year_out", "year_in"):
            setattr(limits, used, getattr(account.limits, used))
    state.replace(step.account_id, account, "limits", limits)
    return {}
