"""The actor of mandates: it makes them and ends them."""

from datetime import timedelta
from typing import ClassVar

import msgspec

from actors.entity import Case, EntityActor, Plan, decides, reads
from actors.payments.mandates import (
    MANDATE_TABLE,
    MandateState,
    mandate_tally,
    token_tally,
    used_of,
)
from actors.payments.profiles import Profiles
from schemas.change import TimerFired
from schemas.errors import InvalidState
from schemas.ledger import Moves, TallyStep
from schemas.mandates import CreateMandate, GetMandate, Mandate, MandateToken, RevokeMandate

__all__ = ("MandateActor",)

_EXPIRE_TYPE = "mandate.expire_due"


class MandateActor(EntityActor):
    """One mandate."""

    kind = "mandate"
    table: ClassVar = MANDATE_TABLE

    @decides("mandate.create", CreateMandate)
    async def create(self, request: CreateMandate, case: Case) -> Plan:
        """Make a mandate over an account of the app."""
        profiles = Profiles(case.store)
        await profiles.owned(request.account_id, case.app, "account_id")
        if request.payee is not None:
            await profiles.payable(request.payee, "payee")
        mandate_id = case.ids.new("man")
        expires_at = None
        if request.expires_in_days is not None:
            expires_at = case.now + timedelta(days=request.expires_in_days)
        state = MandateState(
            status="active",
            account_id=request.account_id,
            payee=request.payee,
            per_payment_minor=request.per_payment_minor,
            per_day_minor=request.per_day_minor,
            per_day_count=request.per_day_count,
            total_minor=request.total_minor,
            token=request.token,
            description=request.description,
            created_at=case.now,
            expires_at=expires_at,
        )
        return Plan(
            answer=_public(mandate_id, state),
            key=mandate_id,
            state=state,
            moves=_one_for_a_token(case.app, request.token),
            events=(case.tell("mandate.created", mandate_id, _public(mandate_id, state)),),
            timers=()
            if expires_at is None
            else (case.timer(_timer(mandate_id), expires_at, self.kind, mandate_id, _EXPIRE_TYPE),),
        )

    @decides("mandate.revoke", RevokeMandate)
    async def revoke(self, request: RevokeMandate, case: Case) -> Plan:
        """End a mandate at once."""
        state = case.state(MandateState, "mandate", "mandate_id")
        if state.status != "active":
            raise InvalidState(
                f"mandate {request.mandate_id!r} is {state.status}", field="mandate_id"
            )
        ended = msgspec.structs.replace(
            state, status="revoked", ended_at=case.now, reason=request.reason
        )
        plan = _ended(case, ended, "mandate.revoked")
        return msgspec.structs.replace(plan, cancels=(_timer(case.key),))

    @decides(_EXPIRE_TYPE, TimerFired)
    async def expire(self, fired: TimerFired, case: Case) -> Plan:
        """End a mandate whose time is over."""
        state = case.state(MandateState, "mandate", "mandate_id")
        if state.status != "active":
            return Plan(answer=_public(case.key, state))
        ended = msgspec.structs.replace(state, status="expired", ended_at=case.now)
        return _ended(case, ended, "mandate.expired")

    @reads("mandate.get", GetMandate)
    async def get(self, request: GetMandate, case: Case) -> Mandate:
        """Return the mandate and what of it was used."""
        state = case.state(MandateState, "mandate", "mandate_id")
        return _public(case.key, state, **await used_of(case.store, case.key, case.now))


def _timer(mandate_id: str) -> str:
    return f"mandate.{mandate_id}"


def _one_for_a_token(app: str, token: MandateToken | None) -> Moves:
    if token is None:
        return Moves()
    step = TallyStep(
        token_tally(app, token), count_max=1, code="invalid_state", field="token", name="",
        message=f"there is a mandate for the {token.type} already; revoke it first",
    )  # fmt: skip
    return Moves(steps=(step,))


def _ended(case: Case, state: MandateState, event: str) -> Plan:
    steps = [TallyStep(mandate_tally(case.key), count=0, closes=True, name="")]
    if state.token is not None:
        steps.append(TallyStep(token_tally(case.owner, state.token), count=-1, name=""))
    answer = _public(case.key, state)
    return Plan(
        answer=answer,
        state=state,
        moves=Moves(steps=tuple(steps)),
        events=(case.tell(event, case.key, answer),),
    )


def _public(mandate_id: str, state: MandateState, **used: int) -> Mandate:
    known = {
        name: value
        for name, value in msgspec.structs.asdict(state).items()
        if name in Mandate.__struct_fields__
    }
    return Mandate(mandate_id=mandate_id, **(known | used))
