"""What each request about a hold or a freeze comes to, as the ways its change may turn out."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import msgspec

from actors.holds.hold_row import HoldRow, public_hold
from kernel.randomness import IdFactory
from schemas.accounts import AccountFrozen, AccountUnfrozen, FreezeAccount, UnfreezeAccount
from schemas.change import Alternative, Event, Timer, TimerFired, due_ms, unknown
from schemas.errors import InvalidField, NotFound, SelfPayment
from schemas.holds import CaptureHold, Hold, HoldCapture, PlaceHold, VoidHold
from schemas.ledger import (
    FREEZE,
    HOLD,
    CaptureStep,
    Moves,
    PlaceStep,
    ReleaseStep,
    StatusStep,
    Step,
    encode_moves,
)
from schemas.money import CNY, check_currency

__all__ = ("DECISIONS", "EXPIRE_TYPE", "Case", "Missing", "timer_of")

EXPIRE_TYPE = "hold.expire"

_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))

_json = msgspec.json.Encoder()

_Ways = tuple[Alternative, ...]


class Case(msgspec.Struct, frozen=True):
    """What a decision needs beside the request; ``hold`` is the one named, if it is the app's."""

    app: str
    now: datetime
    ids: IdFactory
    hold: HoldRow | None


class Missing(Exception):
    """The hold that the request names does not exist, or belongs to another app."""

    def __init__(self, hold_id: str) -> None:
        super().__init__(hold_id)
        self.rejection = NotFound(f"hold {hold_id!r} does not exist", field="hold_id").body()


def timer_of(hold_id: str) -> str:
    """Return the id of the timer that expires a hold."""
    return f"hold.{hold_id}"


def _place(request: PlaceHold, case: Case) -> _Ways:
    check_currency(request.currency)
    if request.payee == request.account_id:
        raise SelfPayment(f"account {request.payee!r} cannot pay itself", field="payee")
    hold_id = case.ids.new("hold")
    timers: tuple[Timer, ...] = ()
    expires_at = None
    if request.expires_in_s is not None:
        expires_at = case.now + timedelta(seconds=request.expires_in_s)
        timers = (
            Timer(
                timer_of(hold_id),
                due_ms(expires_at),
                "hold",
                hold_id,
                EXPIRE_TYPE,
                case.app,
                _NOTHING,
            ),
        )
    row = HoldRow(
        hold_id, case.app, request.account_id, request.payee or "", request.currency, HOLD,
        request.reference, request.amount_minor, 0, 0, "open", case.now, expires_at,
    )  # fmt: skip
    return (_way(_place_step(row), "hold.placed", hold_id, public_hold(row), timers=timers),)


def _capture(request: CaptureHold, case: Case) -> _Ways:
    hold = _named(case, request.hold_id)

    def way(status: str, *, resolves: bool) -> Alternative:
        capture = HoldCapture(
            hold_id=hold.hold_id,
            account_id=hold.account_id,
            payee=request.payee or hold.payee,
            status=status,
            captured_minor=_found("capture.captured"),
            released_minor=_found("capture.released"),
            remaining_minor=_found("capture.remaining"),
            currency=hold.asset,
            captured_at=case.now,
        )
        step = CaptureStep(
            hold.hold_id, request.amount_minor, request.payee or "", request.final, resolves,
            case.app,
        )  # fmt: skip
        cancels = _timers(hold) if resolves else ()
        return _way(step, "hold.captured", hold.hold_id, capture, cancels=cancels)

    resolved = way("captured", resolves=True)
    if request.final or request.amount_minor is None:
        return (resolved,)
    # Whether something is left, only the ledger knows.
    return (way("open", resolves=False), resolved)


def _void(request: VoidHold, case: Case) -> _Ways:
    hold = _named(case, request.hold_id)
    return (_release(hold, "voided", case.app, HOLD, cancels=_timers(hold)),)


def _expire(fired: TimerFired, case: Case) -> _Ways:
    """Expire a hold of any purpose; the ledger refuses when something else came first."""
    hold = _named(case, fired.timer_id)
    return (_release(hold, "expired", case.app, ""),)


def _release(
    hold: HoldRow,
    status: Literal["voided", "expired"],
    owner: str,
    purpose: str,
    *,
    cancels: tuple[str, ...] = (),
) -> Alternative:
    ended = msgspec.structs.replace(
        public_hold(hold),
        status=status,
        captured_minor=_found("release.captured"),
        released_minor=_found("release.released"),
        remaining_minor=0,
    )
    step = ReleaseStep(hold.hold_id, status, owner, purpose)
    return _way(step, f"hold.{status}", hold.hold_id, ended, cancels=cancels)


def _freeze(request: FreezeAccount, case: Case) -> _Ways:
    step: Step
    if request.amount_minor is None:
        hold_id = None
        step = StatusStep(request.account_id, "frozen", case.app)
    else:
        hold_id = case.ids.new("hold")
        row = HoldRow(
            hold_id, case.app, request.account_id, "", CNY, FREEZE, request.reason,
            request.amount_minor, 0, 0, "open", case.now, None,
        )  # fmt: skip
        step = _place_step(row, capturable=False)
    frozen = AccountFrozen(
        account_id=request.account_id,
        status="frozen" if hold_id is None else "open",
        hold_id=hold_id,
        amount_minor=request.amount_minor,
        reason=request.reason,
        frozen_at=case.now,
    )
    return (_way(step, "account.frozen", request.account_id, frozen),)


def _unfreeze(request: UnfreezeAccount, case: Case) -> _Ways:
    step: Step
    if request.account_id is not None and request.hold_id is None:
        account_id, amount_minor = request.account_id, None
        step = StatusStep(account_id, "open", case.app)
    elif request.hold_id is not None and request.account_id is None:
        hold = _named(case, request.hold_id)
        account_id, amount_minor = hold.account_id, hold.amount_minor
        step = ReleaseStep(hold.hold_id, "voided", case.app, FREEZE)
    else:
        raise InvalidField("give either account_id or hold_id, not both", field="account_id")
    unfrozen = AccountUnfrozen(
        account_id=account_id,
        hold_id=request.hold_id,
        amount_minor=amount_minor,
        unfrozen_at=case.now,
    )
    return (_way(step, "account.unfrozen", account_id, unfrozen),)


# Type → what the actor receives, and what it comes to.
DECISIONS: dict[str, tuple[type[msgspec.Struct], Callable[[Any, Case], _Ways]]] = {
    "hold.place": (PlaceHold, _place),
    "hold.capture": (CaptureHold, _capture),
    "hold.void": (VoidHold, _void),
    "account.freeze": (FreezeAccount, _freeze),
    "account.unfreeze": (UnfreezeAccount, _unfreeze),
    EXPIRE_TYPE: (TimerFired, _expire),
}


def _named(case: Case, hold_id: str) -> HoldRow:
    if case.hold is None:
        raise Missing(hold_id)
    return case.hold


def _timers(hold: HoldRow) -> tuple[str, ...]:
    return () if hold.expires_at is None else (timer_of(hold.hold_id),)


def _found(name: str) -> int:
    """Return the stand-in for an amount of the answer that only the ledger knows."""
    return cast("int", unknown(name))


def _place_step(row: HoldRow, *, capturable: bool = True) -> PlaceStep:
    return PlaceStep(
        row.hold_id, row.account_id, row.amount_minor, row.asset, row.placed_at, row.app,
        row.payee, row.purpose, capturable, row.reference, row.expires_at,
    )  # fmt: skip


def _way(
    step: Step,
    event: str,
    subject: str,
    answer: Hold | HoldCapture | AccountFrozen | AccountUnfrozen,
    *,
    timers: tuple[Timer, ...] = (),
    cancels: tuple[str, ...] = (),
) -> Alternative:
    """Return the one step as a change, told to the caller and as an event in the same words."""
    told = _json.encode(answer).decode()
    moves = encode_moves(Moves(steps=(step,)))
    return Alternative(moves, (), (Event(event, subject, told),), told, timers, cancels)
