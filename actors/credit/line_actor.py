"""The actor of one credit line: how it is applied for, granted, kept and closed."""

from typing import ClassVar

from msgspec.structs import replace

from actors.credit.line_accounts import check_account, opened_accounts, party_of_customer
from actors.credit.records import (
    LINE_TABLE,
    LineState,
    charges_account,
    line_tally,
    open_plans,
)
from actors.credit.rule_set import limit_max_minor
from actors.credit.views import public_line
from actors.entity import Case, EntityActor, Part, Plan, decides
from actors.regulation.instalments import CreditRules
from schemas.credit import (
    ApplyForCredit,
    ChangeCreditLimit,
    ChangeCreditStatus,
    CloseCredit,
    CreditKind,
    DeclineCredit,
    GrantCredit,
    SetCreditAutopay,
)
from schemas.errors import InvalidField, InvalidState
from schemas.ledger import BoundsStep, Moves, StatusStep, Step, TallyStep

__all__ = ("LineActor",)


class LineActor(EntityActor):
    """One line. What is drawn and repaid is not its state: that is the ledger's and the plans'."""

    kind = "credit_line"
    table: ClassVar = LINE_TABLE

    @decides("credit.apply", ApplyForCredit)
    async def apply(self, request: ApplyForCredit, case: Case) -> Plan:
        """Grant the line at once to who is pre-approved; leave it to the bank otherwise."""
        party = await party_of_customer(case.store, request.customer_id, case.app)
        await check_account(case.store, request.account_id, case.app, request.customer_id)
        line_id = case.ids.new("line")
        state = LineState(
            customer_id=request.customer_id,
            party_id=party,
            kind=request.kind,
            status="pending",
            account_id=request.account_id,
            asked_minor=request.limit_minor,
            created_at=case.now,
            updated_at=case.now,
            autopay=request.autopay,
        )
        one = TallyStep(
            line_tally(party, request.kind), 1, count_max=1, code="invalid_state",
            message=f"customer {request.customer_id!r} has a line of this kind already",
            field="customer_id",
        )  # fmt: skip
        only = Part(moves=Moves(steps=(one,)))
        limit = min(request.limit_minor, self._rules().approved(request.customer_id, request.kind))
        if not limit:
            return _told(case, line_id, state, "credit.applied").plus(only)
        state = replace(state, status="active", limit_minor=limit)
        opened = opened_accounts(line_id, state, case.now)
        return _told(case, line_id, state, "credit.granted").plus(only, opened)

    @decides("credit.grant", GrantCredit)
    async def grant(self, request: GrantCredit, case: Case) -> Plan:
        """Grant a line that is pending."""
        state = _in(case, "pending")
        self._check_limit(request.limit_minor, state.kind)
        state = replace(
            state,
            status="active",
            limit_minor=request.limit_minor,
            decided_by=request.decided_by,
            updated_at=case.now,
        )
        opened = opened_accounts(case.key, state, case.now)
        return _told(case, case.key, state, "credit.granted").plus(opened)

    @decides("credit.decline", DeclineCredit)
    async def decline(self, request: DeclineCredit, case: Case) -> Plan:
        """Decline a line that is pending; the customer may apply again."""
        state = replace(
            _in(case, "pending"),
            status="declined",
            reason=request.reason,
            decided_by=request.decided_by,
            updated_at=case.now,
        )
        gone = Part(moves=Moves(steps=(TallyStep(line_tally(state.party_id, state.kind), -1),)))
        return _told(case, case.key, state, "credit.declined").plus(gone)

    @decides("credit.limit", ChangeCreditLimit)
    async def limit(self, request: ChangeCreditLimit, case: Case) -> Plan:
        """Move the floor of the line's account, whatever is drawn by then."""
        state = _in(case, "active", "frozen")
        self._check_limit(request.limit_minor, state.kind)
        state = replace(
            state,
            limit_minor=request.limit_minor,
            decided_by=request.decided_by,
            updated_at=case.now,
        )
        bounds = Part(moves=Moves(steps=(BoundsStep(case.key, -request.limit_minor, None),)))
        return _told(case, case.key, state, "credit.limit_changed").plus(bounds)

    @decides("credit.status", ChangeCreditStatus)
    async def status(self, request: ChangeCreditStatus, case: Case) -> Plan:
        """Freeze the line's account in the ledger, so that no draw passes it, or open it again."""
        frozen = request.status == "frozen"
        state = replace(
            _in(case, "active" if frozen else "frozen"),
            status=request.status,
            reason=request.reason,
            decided_by=request.decided_by,
            updated_at=case.now,
        )
        step = StatusStep(case.key, "frozen" if frozen else "open", field="line_id")
        told = _told(case, case.key, state, "credit.frozen" if frozen else "credit.unfrozen")
        return told.plus(Part(moves=Moves(steps=(step,))))

    @decides("credit.close", CloseCredit)
    async def close(self, request: CloseCredit, case: Case) -> Plan:
        """Close a line of which nothing is owed, or withdraw an application."""
        state = _in(case, "pending", "active")
        steps: tuple[Step, ...] = (TallyStep(line_tally(state.party_id, state.kind), -1),)
        if state.status == "active":
            plans = await open_plans(case.store, case.key)
            if plans:
                raise InvalidState(
                    f"line {case.key!r} has open plans, {plans[0].key!r} among them",
                    field="line_id",
                )
            # The ledger closes only what is empty, so a draw meanwhile is not lost sight of.
            names = (case.key, charges_account(case.key))
            steps += tuple(StatusStep(name, "closed", field="line_id") for name in names)
        state = replace(state, status="closed", updated_at=case.now)
        return _told(case, case.key, state, "credit.closed").plus(Part(moves=Moves(steps=steps)))

    @decides("credit.autopay", SetCreditAutopay)
    async def autopay(self, request: SetCreditAutopay, case: Case) -> Plan:
        """Switch automatic repayment, from the next daily run of each plan on."""
        state = _in(case, "pending", "active", "frozen")
        account_id = request.account_id or state.account_id
        if account_id != state.account_id:
            await check_account(case.store, account_id, case.owner, state.customer_id)
        state = replace(state, autopay=request.autopay, account_id=account_id, updated_at=case.now)
        return _told(case, case.key, state, "credit.autopay_changed")

    def _rules(self) -> CreditRules:
        rules = self.parts.rules.current("credit")
        assert isinstance(rules, CreditRules)
        return rules

    def _check_limit(self, limit_minor: int, kind: CreditKind) -> None:
        most = limit_max_minor(self._rules(), kind)
        if limit_minor > most:
            raise InvalidField(
                f"limit_minor is {limit_minor}; a line for {kind}s has at most {most}",
                field="limit_minor",
            )


def _in(case: Case, *statuses: str) -> LineState:
    """Return the line's state, which must be one of these."""
    state = case.state(LineState, "credit line", "line_id")
    if state.status not in statuses:
        raise InvalidState(
            f"credit line {case.key!r} is {state.status}, not {' or '.join(statuses)}",
            field="line_id",
        )
    return state


def _told(case: Case, line_id: str, state: LineState, event: str) -> Plan:
    line = public_line(line_id, state)
    return Plan(answer=line, state=state, key=line_id, events=(case.tell(event, line_id, line),))
