"""The actor of openings and bindings: from a sealed request through questions to a decision.

Whatever is asked of the outside is asked in the turn of a timer, so a node that dies in the middle
of a question leaves the timer, and the next owner asks again. The states are drawn in
:mod:`actors.customers._flow`.
"""

from datetime import timedelta
from typing import Any, ClassVar

import msgspec

from actors.customers import _flow as flow
from actors.customers._opened import bound_plan, opened_company, opened_person
from actors.customers._questions import Questions
from actors.customers.identity_source import Outage
from actors.customers.judgements import Judgement, judge_verdict
from actors.customers.masking import scrub
from actors.customers.policy import OpeningPolicy
from actors.customers.records import (
    BOUND_CARD_TABLE,
    CASE_TABLE,
    CUSTOMER_TABLE,
    CaseState,
    CustomerState,
    KeptEvidence,
    public_case,
)
from actors.customers.sealing import (
    SealedBinding,
    SealedCorporateOpening,
    SealedPersonalOpening,
    SealedValue,
    personal_data,
)
from actors.customers.services import Services
from actors.entity import Case, EntityActor, Part, Plan, Record, decides, reads
from actors.parts import Parts
from actors.regulation.account_classes import AccountClasses, class_of
from actors.regulation.calendar import day_of
from kernel.actor import ActorContext, Delivery
from kernel.store import Query, Where
from schemas.change import TimerFired
from schemas.customers import (
    AccountCase,
    CaseList,
    DecideCase,
    GetCase,
    ListCases,
    SubmitEvidence,
)
from schemas.errors import InvalidField, InvalidState, NotFound
from schemas.ledger import Moves, TallyStep
from schemas.subjects import OPERATOR_APP

__all__ = ("CaseActor",)

_ACCOUNT = ("account_id", "app", "holder", "customer_id", "class", "status")

_Plans = Plan | tuple[Plan, ...]


class CaseActor(EntityActor):
    """One case; see the module."""

    kind = "account_case"
    table: ClassVar = CASE_TABLE

    def __init__(self, context: ActorContext, *, parts: Parts, services: Services) -> None:
        super().__init__(context, parts=parts)
        self._services = services
        self._questions = Questions(parts.store, services)

    @property
    def _policy(self) -> OpeningPolicy:
        policy: OpeningPolicy = self.parts.rules.current("opening")
        return policy

    @property
    def _classes(self) -> AccountClasses:
        classes: AccountClasses = self.parts.rules.current("account_classes")
        return classes

    def digest_of(self, message: Any, delivery: Delivery) -> bytes:
        """Return the digest of the plain request, as the door took it; a seal is never the same."""
        digest = getattr(message, "digest", None)
        return digest if isinstance(digest, bytes) else super().digest_of(message, delivery)

    # Beginnings.

    @decides("account.open_personal", SealedPersonalOpening)
    async def open_personal(self, request: SealedPersonalOpening, case: Case) -> Plan:
        """Begin the opening of an account of class II or III."""
        customer = await self._customer(case, request.customer_id, "customer_id")
        if customer.state.kind != "person":
            raise InvalidState(f"customer {customer.key!r} is a company", field="customer_id")
        account_class = class_of(request.account_class)
        state = self._new(
            case,
            kind="personal",
            customer_id=customer.key,
            party_id=customer.state.party_id,
            account_class=account_class,
            holder=customer.state.name,
            card=request.card,
            card_lookup=_lookup(request.values, "card_number"),
        )
        steps = (*self._classes.asking(account_class, state.party_id), self._counted(case, state))
        return flow.submitted(
            case, state, moves=Moves(steps=steps), facts=personal_data(case.key, request.values)
        )

    @decides("account.open_corporate", SealedCorporateOpening)
    async def open_corporate(self, request: SealedCorporateOpening, case: Case) -> Plan:
        """Begin the opening of a company's account."""
        state = self._new(
            case,
            kind="corporate",
            customer_id=request.customer_id,
            party_id=request.party_id,
            holder=request.company_name,
            credit_code=request.credit_code,
            phone=request.representative_phone,
            phone_lookup=_lookup(request.values, "phone"),
        )
        return flow.submitted(
            case,
            state,
            moves=Moves(steps=(self._counted(case, state),)),
            facts=personal_data(case.key, request.values),
        )

    @decides("account.bind", SealedBinding)
    async def bind(self, request: SealedBinding, case: Case) -> Plan:
        """Begin the binding of an account to another card."""
        rows = await case.store.fetch(
            Query(
                table="account",
                columns=_ACCOUNT,
                where=(Where("account_id", "=", request.account_id),),
            )
        )
        found = [row for row in rows if row[1] == case.app and row[4]]
        if not found:
            raise NotFound(
                f"there is no account {request.account_id!r} of class II or III",
                field="account_id",
            )
        account_id, _, holder, customer_id, account_class, status = found[0]
        if status == "closed":
            raise InvalidState(f"account {account_id!r} is closed", field="account_id")
        customer = await self._customer(case, customer_id, "account_id")
        state = self._new(
            case,
            kind="binding",
            customer_id=customer_id,
            party_id=customer.state.party_id,
            account_class=account_class,
            account_id=account_id,
            holder=holder,
            card=request.card,
            card_lookup=_lookup(request.values, "card_number"),
        )
        return flow.submitted(
            case,
            state,
            moves=Moves(steps=(self._counted(case, state),)),
            facts=personal_data(case.key, request.values),
        )

    def _new(self, case: Case, **fields: Any) -> CaseState:
        policy = self._policy
        return CaseState(
            status="submitted",
            waiting_on=flow.SOURCE,
            attempts_left=policy.attempts_max,
            created_at=case.now,
            updated_at=case.now,
            expires_at=case.now + timedelta(seconds=policy.expires_after_s),
            **fields,
        )

    def _counted(self, case: Case, state: CaseState) -> TallyStep:
        """Return the step that counts a case of a party on this day.

        Each case lets an app learn whether a card belongs to a person; a few a day are a customer
        who mistyped, and more are not.
        """
        most = self._policy.cases_per_day_max
        return TallyStep(
            f"cases:{state.party_id}:{day_of(case.now).isoformat()}",
            count_max=most,
            message=f"one person or company may have {most} cases a day",
            name="cases",
        )

    async def _customer(self, case: Case, customer_id: str, field: str) -> Record[CustomerState]:
        found = await CUSTOMER_TABLE.load(case.store, customer_id)
        if found is None or not case.sees(found.app):
            raise NotFound(f"customer {customer_id!r} does not exist", field=field)
        return found

    # What comes in while it is on its way.

    @decides("case.submit_evidence", SubmitEvidence)
    async def submit_evidence(self, request: SubmitEvidence, case: Case) -> Plan:
        """Take the recordings of an attempt."""
        state = case.state(CaseState, "case", "case_id")
        if not any(one.kind == "face_video" for one in request.evidence):
            raise InvalidField("one of the recordings must be a face_video", field="evidence")
        if state.status != "verifying":
            raise InvalidState(f"case {case.key!r} is {state.status}; it takes no evidence now")
        kept = KeptEvidence(
            attempt=state.attempt, submitted_at=case.now, evidence=tuple(request.evidence)
        )
        return flow.moved(
            case,
            state,
            "examining",
            self._policy,
            waiting_on=flow.PROVIDER,
            evidence=(*state.evidence, kept),
            tries=0,
        )

    @decides("case.decide", DecideCase)
    async def decide(self, request: DecideCase, case: Case) -> _Plans:
        """Approve or reject what is under review, and note who did."""
        state = case.state(CaseState, "case", "case_id")
        if state.status != "pending_review":
            raise InvalidState(f"case {case.key!r} is {state.status}; it is not under review")
        state = msgspec.structs.replace(state, decided_by=request.decided_by)
        noted = flow.audited(
            case,
            actor=request.decided_by,
            action=f"case.{request.decision}",
            subject=case.key,
            detail=state.customer_id,
            reason=scrub(request.reason),
        )
        part = Part(facts=(noted,))
        if request.decision == "reject":
            reasons = (*state.reasons, "rejected_by_staff")
            return flow.moved(case, state, "rejected", self._policy, part=part, reasons=reasons)
        return await self._approved(case, state, part)

    async def _approved(
        self, case: Case, state: CaseState, part: Part = flow.NOTHING_MORE
    ) -> _Plans:
        if state.kind == "corporate":
            known = await CUSTOMER_TABLE.load(case.store, state.customer_id)
            return opened_company(case, state, self._policy, known, part)
        return opened_person(case, state, self._policy, self._classes, part)

    # Timers.

    @decides(flow.EXPIRE_TYPE, TimerFired)
    async def expire(self, fired: TimerFired, case: Case) -> Plan:
        """End a case that nobody finished in time."""
        state = case.state(CaseState, "case", "case_id")
        if state.status in flow.FINAL or state.expires_at is None or state.expires_at > case.now:
            raise InvalidState(f"case {case.key!r} is {state.status}; it does not expire now")
        return flow.moved(case, state, "expired", self._policy, reasons=(*state.reasons, "expired"))

    @decides(flow.ADVANCE_TYPE, TimerFired)
    async def advance(self, fired: TimerFired, case: Case) -> _Plans:
        """Ask the outside what the case waits for, and go on by the answer."""
        state = case.state(CaseState, "case", "case_id")
        if msgspec.msgpack.decode(fired.body, type=flow.StepOf).step != state.step:
            raise InvalidState(f"case {case.key!r} has moved on")
        try:
            if state.status == "submitted":
                return await self._check(case, state)
            if state.status == "elements_checked":
                return await self._begin_session(case, state)
            if state.status == "examining":
                return await self._examine(case, state)
        except Outage as outage:
            return flow.waited(case, state, self._policy, outage.reason)
        raise InvalidState(f"case {case.key!r} is {state.status} and waits for nobody outside")

    async def _check(self, case: Case, state: CaseState) -> _Plans:
        policy = self._policy
        if state.kind == "corporate":
            judgement = await self._questions.about_company(case.key, state, policy)
        else:
            customer = await self._customer(case, state.customer_id, "customer_id")
            judgement, card_kind, bank = await self._questions.about_person(
                case.key, state, customer.state.sealed_owner, policy, self._classes
            )
            state = msgspec.structs.replace(state, card_kind=card_kind, bank=bank)
        if judgement.ruling != "pass":
            return self._ruled(case, state, judgement)
        state = msgspec.structs.replace(state, tries=0, outage="")
        if state.kind == "corporate":
            return await self._approved(case, state)
        if state.kind == "binding":
            before = await BOUND_CARD_TABLE.load(case.store, state.account_id)
            return bound_plan(case, state, policy, before)
        try:
            return await self._begin_session(case, state, passed=("elements_checked",))
        except Outage as outage:
            # The elements are right, and are not asked about again.
            return flow.moved(
                case,
                state,
                "elements_checked",
                policy,
                waiting_on=flow.PROVIDER,
                tries=1,
                outage=outage.reason,
                pause_s=policy.pause_s(1),
            )

    async def _begin_session(
        self, case: Case, state: CaseState, *, passed: tuple[Any, ...] = ()
    ) -> Plan:
        customer = await self._customer(case, state.customer_id, "customer_id")
        attempt = state.attempt + 1
        session_id = await self._questions.session(
            f"{case.key}-{attempt}", customer.state.sealed_owner, self._policy
        )
        return flow.moved(
            case,
            state,
            "verifying",
            self._policy,
            passed=passed,
            waiting_on=flow.EVIDENCE,
            attempt=attempt,
            session_id=session_id,
            tries=0,
            outage="",
        )

    async def _examine(self, case: Case, state: CaseState) -> _Plans:
        verdict = await self._questions.verdict(state, self._policy)
        if verdict is None:
            return flow.waited(case, state, self._policy, "")
        left = state.attempts_left - 1
        judgement = judge_verdict(verdict, self._policy, left)
        state = msgspec.structs.replace(state, attempts_left=left, tries=0, outage="")
        if judgement.ruling == "pass":
            return await self._approved(case, state)
        if judgement.ruling == "retry":
            return flow.moved(
                case,
                state,
                "elements_checked",
                self._policy,
                waiting_on=flow.PROVIDER,
                session_id="",
                reasons=(*state.reasons, judgement.reason),
            )
        return self._ruled(case, state, judgement)

    def _ruled(self, case: Case, state: CaseState, judgement: Judgement) -> Plan:
        return flow.moved(
            case,
            state,
            "pending_review" if judgement.ruling == "review" else "rejected",
            self._policy,
            reasons=(*state.reasons, judgement.reason),
            mismatched=judgement.mismatched,
        )

    # Reads.

    @reads("case.get", GetCase)
    async def get(self, request: GetCase, case: Case) -> AccountCase:
        """Return the case as committed."""
        state = case.state(CaseState, "case", "case_id")
        return public_case(case.key, state, for_staff=case.app == OPERATOR_APP)

    @reads("case.list", ListCases)
    async def list_(self, request: ListCases, case: Case) -> CaseList:
        """Return cases of one status, for the back office."""
        found = await CASE_TABLE.search(
            case.store,
            Where("status", "=", request.status),
            Where("case_id", ">", request.after),
            order_by=("case_id",),
            limit=request.limit + 1,
        )
        page = found[: request.limit]
        return CaseList(
            cases=[public_case(one.key, one.state, for_staff=True) for one in page],
            next_after=page[-1].key if len(found) > request.limit else None,
        )


def _lookup(values: tuple[SealedValue, ...], field: str) -> str:
    return next(one.lookup for one in values if one.field == field)
