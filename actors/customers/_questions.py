"""What a case asks of the outside, with the plain values that the question needs.

Only here are they opened, and only for as long as the question takes.
"""

from actors.customers.identity_source import PersonElements, within
from actors.customers.judgements import Judgement, judge_company, judge_elements
from actors.customers.policy import OpeningPolicy
from actors.customers.records import CaseState
from actors.customers.services import Services, read_personal
from actors.customers.verification import Subject, Verdict
from actors.regulation.account_classes import AccountClasses, class_of
from kernel.store import Store

__all__ = ("Questions",)

_PERSON = ("name", "id_number", "phone")


class Questions:
    """Ask, each within its deadline; every method raises `Outage` when nobody answers."""

    def __init__(self, store: Store, services: Services) -> None:
        self._store = store
        self._services = services

    async def _read(self, owner: str, *fields: str) -> dict[str, str]:
        return await read_personal(self._store, self._services.vault, owner, fields)

    async def about_person(
        self,
        case_id: str,
        state: CaseState,
        sealed_owner: str,
        policy: OpeningPolicy,
        classes: AccountClasses,
    ) -> tuple[Judgement, str, str]:
        """Return what the source's answer means, and kind and bank of the card."""
        rules = classes.rules(class_of(state.account_class))
        person = await self._read(sealed_owner, *_PERSON)
        card = await self._read(case_id, "card_number")
        elements = PersonElements(**person, **card)
        answer = await within(
            policy.source_deadline_s,
            lambda: self._services.source.check_person(
                elements, deadline_s=policy.source_deadline_s
            ),
        )
        return judge_elements(answer, rules), answer.card_kind, answer.card_bank

    async def about_company(
        self, case_id: str, state: CaseState, policy: OpeningPolicy
    ) -> Judgement:
        """Return what the registry's answer means, and that about the one who acts for it."""
        person = await self._read(case_id, *_PERSON)
        source = self._services.source
        # Both within the one deadline: the timer that asks is answered in time.
        deadline_s = policy.source_deadline_s / 2

        async def ask() -> Judgement:
            company = await source.find_company(state.credit_code, deadline_s=deadline_s)
            judgement = judge_company(company, name=state.holder, representative=person["name"])
            if judgement.ruling == "reject":
                return judgement
            answer = await source.check_person(PersonElements(**person), deadline_s=deadline_s)
            elements = judge_elements(answer, None)
            return judgement if elements.ruling == "pass" else elements

        return await within(policy.source_deadline_s, ask)

    async def session(self, reference: str, sealed_owner: str, policy: OpeningPolicy) -> str:
        """Begin an attempt at verification; the same reference is the same attempt."""
        subject = Subject(**await self._read(sealed_owner, "name", "id_number"))
        return await within(
            policy.verification_deadline_s,
            lambda: self._services.provider.start_session(
                reference, subject, deadline_s=policy.verification_deadline_s
            ),
        )

    async def verdict(self, state: CaseState, policy: OpeningPolicy) -> Verdict | None:
        """Hand in the recordings of this attempt and return what was seen, None if nothing yet."""
        recordings = state.evidence[-1].evidence
        provider = self._services.provider
        deadline_s = policy.verification_deadline_s / 2

        async def ask() -> Verdict | None:
            await provider.submit(state.session_id, recordings, deadline_s=deadline_s)
            return await provider.result(state.session_id, deadline_s=deadline_s)

        return await within(policy.verification_deadline_s, ask)
