"""How a case moves on: its next state with the events, timers and rows that belong to it.

::

    submitted ──elements right──▶ elements_checked ──session──▶ verifying ──evidence──▶ examining
        │                               ▲                                                 │
        │                               └───────────────── another attempt ◀──────────────┤
        ├── nobody answers: waits, asks again later ─────────────────────────────────────┤
        ├── wrong ────────────────▶ rejected ◀───── not this person, or a spoof ──────────┤
        ├── unclear ──────────────▶ pending_review ◀──────── unclear ─────────────────────┤
        │                               ├──rejected by staff──▶ rejected                  │
        │                               └──approved──▶ opened                             │
        └── right (company: opened, binding: bound)                  right: opened ◀──────┘

    any that is not decided ──too old──▶ expired

Each move is one change: the state under its next version, one event for each status passed, the
timer of what comes next, and for an opened account all of the account.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from actors.customers.policy import OpeningPolicy
from actors.customers.records import CaseState, public_case
from actors.entity import Case, Part, Plan
from schemas.change import Event, Fact, Timer
from schemas.customers import CaseStatus
from schemas.ledger import Moves

__all__ = (
    "ADVANCE_TYPE",
    "EVIDENCE",
    "EXPIRE_TYPE",
    "FINAL",
    "NOTHING_MORE",
    "OPERATOR",
    "PROVIDER",
    "SOURCE",
    "StepOf",
    "audited",
    "moved",
    "submitted",
    "waited",
)

ADVANCE_TYPE = "case.advance"
EXPIRE_TYPE = "case.expire"

# What a case waits on.
SOURCE = "identity_source"
PROVIDER = "verification_provider"
EVIDENCE = "evidence"
OPERATOR = "operator"

FINAL: frozenset[CaseStatus] = frozenset({"opened", "bound", "rejected", "expired"})

# Nothing in the change but the case itself.
NOTHING_MORE = Part()

_NO_MOVES = Moves()
_KIND = "account_case"
_ASKED = (SOURCE, PROVIDER)


class StepOf(msgspec.Struct, frozen=True, array_like=True):
    """The body of a timer: the step of the case that it belongs to."""

    step: int


def submitted(
    case: Case, state: CaseState, *, moves: Moves = _NO_MOVES, facts: Iterable[Fact] = ()
) -> Plan:
    """Return the plan that begins a case; the first question to the outside follows at once."""
    assert state.expires_at is not None
    shown = public_case(case.key, state)
    return Plan(
        answer=shown,
        state=state,
        moves=moves,
        facts=tuple(facts),
        events=(case.tell("case.submitted", case.key, shown),),
        timers=(_advance(case, state, 0.0), _expiry(case, state.expires_at)),
    )


def moved(
    case: Case,
    before: CaseState,
    status: CaseStatus,
    policy: OpeningPolicy,
    *,
    passed: tuple[CaseStatus, ...] = (),
    pause_s: float = 0.0,
    part: Part = NOTHING_MORE,
    **changes: Any,
) -> Plan:
    """Return the plan that takes a case to its next status, with what else belongs to it.

    ``passed`` are statuses that it was in for a moment on its way, each with an event. ``changes``
    are other fields of the new state. What it waits on decides the timer.
    """
    if status in FINAL:
        changes = {"waiting_on": "", "session_id": "", "outage": "", "expires_at": None, **changes}
    if status == "pending_review":
        until = case.now + timedelta(seconds=policy.review_expires_after_s)
        changes = {"waiting_on": OPERATOR, "outage": "", "expires_at": until, **changes}
    state = msgspec.structs.replace(
        before, status=status, step=before.step + 1, updated_at=case.now, **changes
    )
    events = []
    for one in (*passed, status):
        shown = public_case(case.key, msgspec.structs.replace(state, status=one))
        events.append(case.tell(f"case.{one}", case.key, shown))
    return _plan(case, before, state, pause_s, events).plus(part)


def waited(
    case: Case, before: CaseState, policy: OpeningPolicy, outage: str, *, tries: int | None = None
) -> Plan:
    """Return the plan for a question that nobody answered: the same case, asked again later.

    ``outage`` is empty when the answer is only not ready. The first of an outage is told.
    """
    tries = before.tries + 1 if tries is None else tries
    state = msgspec.structs.replace(
        before, step=before.step + 1, updated_at=case.now, tries=tries, outage=outage
    )
    events = []
    if outage and not before.outage:
        events.append(case.tell("case.waiting", case.key, public_case(case.key, state)))
    return _plan(case, before, state, policy.pause_s(tries), events)


def _plan(
    case: Case, before: CaseState, state: CaseState, pause_s: float, events: list[Event]
) -> Plan:
    cancels: list[str] = []
    timers: list[Timer] = []
    if before.waiting_on in _ASKED:
        cancels.append(_advance_id(case, before.step))
    if state.waiting_on in _ASKED:
        timers.append(_advance(case, state, pause_s))
    if state.expires_at != before.expires_at:
        cancels.append(_expiry_id(case))
        if state.expires_at is not None:
            timers.append(_expiry(case, state.expires_at))
    return Plan(
        answer=public_case(case.key, state),
        state=state,
        events=tuple(events),
        timers=tuple(timers),
        cancels=tuple(cancels),
    )


def _advance_id(case: Case, step: int) -> str:
    return f"case.{case.key}.{step}"


def _expiry_id(case: Case) -> str:
    return f"case.{case.key}.expiry"


def _advance(case: Case, state: CaseState, pause_s: float) -> Timer:
    due_at = case.now + timedelta(seconds=pause_s)
    return case.timer(
        _advance_id(case, state.step), due_at, _KIND, case.key, ADVANCE_TYPE, StepOf(state.step)
    )


def _expiry(case: Case, due_at: datetime) -> Timer:
    return case.timer(_expiry_id(case), due_at, _KIND, case.key, EXPIRE_TYPE)


def audited(case: Case, *, actor: str, action: str, subject: str, detail: str, reason: str) -> Fact:
    """Return the row that tells who did what about whom, and why; ``reason`` holds no numbers."""
    row = (
        case.ids.new("audit"), case.owner, actor, action, subject, detail, reason, case.now,
    )  # fmt: skip
    return Fact("audit_trail", row)
