"""The sandbox's identity source: a look into a file of people and companies that are on record.

It says yes to what stands there and no to everything else, as the real one does. The bundled file
holds invented people with dates of birth before 1911, so that nobody alive has their numbers; a
file of one's own takes its place.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from actors.customers.identity_source import (
    CardKind,
    Company,
    CompanyStatus,
    ElementsAnswer,
    Outage,
    PersonElements,
)
from kernel.clock import Clock
from schemas.customers import Personal

__all__ = (
    "BUNDLED_REFERENCE",
    "Reference",
    "ReferenceCard",
    "ReferenceCompany",
    "ReferencePerson",
    "ReferenceSource",
    "ReferenceStatistics",
    "read_reference",
)

BUNDLED_REFERENCE = Path(__file__).with_name("reference.json")


class ReferenceCard(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card of a person."""

    number: str
    kind: CardKind
    bank: str


class ReferencePerson(
    Personal, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A person on record.

    With an ``outage`` the source is ``down`` or late (``timeout``) when it is asked about this
    person, the first ``outage_times`` times, or always when that is 0.
    """

    name: str
    id_number: str
    phone: str
    cards: tuple[ReferenceCard, ...] = ()
    outage: str = ""
    outage_times: int = 0


class ReferenceCompany(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company on record."""

    credit_code: str
    name: str
    status: CompanyStatus
    representative_name: str


class Reference(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is on record."""

    people: tuple[ReferencePerson, ...]
    companies: tuple[ReferenceCompany, ...]


class ReferenceStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    asked: int
    matched: int
    outages: int


def read_reference(path: Path = BUNDLED_REFERENCE) -> Reference:
    """Return what a file holds; raise :class:`OSError` or :class:`ValueError`, quoting nothing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reference)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no file of references: {error}") from None


class ReferenceSource:
    """See :class:`~actors.customers.identity_source.IdentitySource`."""

    def __init__(self, reference: Reference, clock: Clock) -> None:
        self._people = _by(reference.people)
        self._companies = {one.credit_code: one for one in reference.companies}
        self._clock = clock
        self._asked_about: dict[str, int] = {}
        self._counts = {"asked": 0, "matched": 0, "outages": 0}

    async def check_person(self, elements: PersonElements, *, deadline_s: float) -> ElementsAnswer:
        """Compare each element with what is on record under the identity number."""
        self._counts["asked"] += 1
        person = self._people.get(elements.id_number)
        if person is None:
            return ElementsAnswer(matched=False, mismatched=("id_number",))
        await self._suffer(person, deadline_s)
        wrong = []
        if elements.name != person.name:
            wrong.append("name")
        if elements.phone and elements.phone != person.phone:
            wrong.append("phone")
        card = None
        if elements.card_number:
            card = next((one for one in person.cards if one.number == elements.card_number), None)
            if card is None:
                wrong.append("card_number")
        if not wrong:
            self._counts["matched"] += 1
        return ElementsAnswer(
            matched=not wrong,
            mismatched=tuple(wrong),
            card_kind="" if card is None else card.kind,
            card_bank="" if card is None else card.bank,
        )

    async def find_company(self, credit_code: str, *, deadline_s: float) -> Company | None:
        """Return the company on record under the code."""
        del deadline_s
        self._counts["asked"] += 1
        found = self._companies.get(credit_code)
        if found is None:
            return None
        self._counts["matched"] += 1
        return Company(
            credit_code=found.credit_code,
            name=found.name,
            status=found.status,
            representative_name=found.representative_name,
        )

    async def _suffer(self, person: ReferencePerson, deadline_s: float) -> None:
        if not person.outage:
            return
        times = self._asked_about.get(person.id_number, 0) + 1
        self._asked_about[person.id_number] = times
        if person.outage_times and times > person.outage_times:
            return
        self._counts["outages"] += 1
        if person.outage == "down":
            raise Outage("down")
        # Longer than anybody waits; whoever asks has a deadline of his own.
        await self._clock.sleep(2 * deadline_s)
        raise Outage("timeout")

    def statistics(self) -> ReferenceStatistics:
        """Return the counts so far."""
        return ReferenceStatistics(**self._counts)


def _by(people: Iterable[ReferencePerson]) -> dict[str, ReferencePerson]:
    return {one.id_number: one for one in people}
