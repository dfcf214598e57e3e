"""Requests with data of persons, as they come in and as they go on: sealed, hashed and masked.

The door takes a request in its plain form and hands on one of the messages here. From then on
nothing that is sent between actors, decided, stored or told holds a plain value.
"""

import unicodedata
from datetime import date

import msgspec

from actors.customers.masking import mask_card, mask_identity_number, mask_name, mask_phone
from actors.customers.numbers import (
    checked_card_number,
    checked_credit_code,
    checked_identity_number,
    checked_phone_number,
)
from actors.customers.vault import Vault, sealed_under
from schemas.change import Fact
from schemas.customers import (
    BindCard,
    LegalRepresentative,
    OpenCorporateAccount,
    OpenPersonalAccount,
    RegisterCustomer,
)

__all__ = (
    "SealedBinding",
    "SealedCorporateOpening",
    "SealedPersonalOpening",
    "SealedRegistration",
    "SealedValue",
    "customer_of",
    "normal_name",
    "party_of_company",
    "party_of_person",
    "personal_data",
    "seal_binding",
    "seal_corporate_opening",
    "seal_personal_opening",
    "seal_registration",
)


class SealedValue(msgspec.Struct, frozen=True, array_like=True):
    """One value: the field that it is, its keyed hash, and itself under the active key."""

    field: str
    lookup: str
    sealed: str


class SealedRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """A :class:`~schemas.customers.RegisterCustomer`; ``digest`` is that of the plain request."""

    request_id: str
    digest: bytes
    party_id: str
    name: str
    id_number: str
    phone: str
    values: tuple[SealedValue, ...]


class SealedPersonalOpening(msgspec.Struct, frozen=True, kw_only=True):
    """An :class:`~schemas.customers.OpenPersonalAccount`; ``card`` is masked."""

    request_id: str
    digest: bytes
    customer_id: str
    account_class: str
    card: str
    values: tuple[SealedValue, ...]


class SealedCorporateOpening(msgspec.Struct, frozen=True, kw_only=True):
    """An :class:`~schemas.customers.OpenCorporateAccount`; the representative is masked."""

    request_id: str
    digest: bytes
    customer_id: str
    party_id: str
    credit_code: str
    company_name: str
    representative: str
    representative_phone: str
    values: tuple[SealedValue, ...]


class SealedBinding(msgspec.Struct, frozen=True, kw_only=True):
    """A :class:`~schemas.customers.BindCard`; ``card`` is masked."""

    request_id: str
    digest: bytes
    account_id: str
    card: str
    values: tuple[SealedValue, ...]


def normal_name(name: str) -> str:
    """Return a name in the one form in which it is compared: NFKC, and without blanks around."""
    return " ".join(unicodedata.normalize("NFKC", name).split())


def party_of_person(vault: Vault, id_number: str) -> str:
    """Return what a person is known by in the whole bank; nobody can turn it back."""
    return vault.derived_id("party", "person", id_number)


def party_of_company(vault: Vault, credit_code: str) -> str:
    """Return what a company is known by in the whole bank."""
    return vault.derived_id("party", "company", credit_code)


def customer_of(vault: Vault, app: str, party_id: str) -> str:
    """Return what an app knows a party by: the same each time, and another one for each app."""
    return vault.derived_id("cust", app, party_id)


def personal_data(owner: str, values: tuple[SealedValue, ...], version: int = 1) -> list[Fact]:
    """Return the rows that keep the values of an owner."""
    return [
        Fact(
            "personal_data",
            (owner, one.field, version, sealed_under(one.sealed), one.lookup, one.sealed),
        )
        for one in values
    ]


def seal_registration(
    request: RegisterCustomer, *, app: str, vault: Vault, digest: bytes, today: date
) -> tuple[str, SealedRegistration]:
    """Return the customer's id and the sealed request; raise when a number is none."""
    name = normal_name(request.name)
    id_number = checked_identity_number(request.id_number, today=today)
    phone = checked_phone_number(request.phone)
    party_id = party_of_person(vault, id_number)
    customer_id = customer_of(vault, app, party_id)
    return customer_id, SealedRegistration(
        request_id=request.request_id,
        digest=digest,
        party_id=party_id,
        name=mask_name(name),
        id_number=mask_identity_number(id_number),
        phone=mask_phone(phone),
        values=_sealed(vault, customer_id, name=name, id_number=id_number, phone=phone),
    )


def seal_personal_opening(
    request: OpenPersonalAccount, *, case_id: str, vault: Vault, digest: bytes
) -> SealedPersonalOpening:
    """Return the sealed request; raise when the card's number is none."""
    card = checked_card_number(request.card_number)
    return SealedPersonalOpening(
        request_id=request.request_id,
        digest=digest,
        customer_id=request.customer_id,
        account_class=request.account_class,
        card=mask_card(card),
        values=_sealed(vault, case_id, card_number=card),
    )


def seal_corporate_opening(
    request: OpenCorporateAccount, *, app: str, case_id: str, vault: Vault, digest: bytes,
    today: date,
) -> SealedCorporateOpening:  # fmt: skip
    """Return the sealed request; raise when a number is none."""
    code = checked_credit_code(request.credit_code)
    person: LegalRepresentative = request.legal_representative
    field = "legal_representative"
    name = normal_name(person.name)
    id_number = checked_identity_number(person.id_number, today=today, field=field)
    phone = checked_phone_number(person.phone)
    party_id = party_of_company(vault, code)
    return SealedCorporateOpening(
        request_id=request.request_id,
        digest=digest,
        customer_id=customer_of(vault, app, party_id),
        party_id=party_id,
        credit_code=code,
        company_name=normal_name(request.company_name),
        representative=mask_name(name),
        representative_phone=mask_phone(phone),
        values=_sealed(vault, case_id, name=name, id_number=id_number, phone=phone),
    )


def seal_binding(request: BindCard, *, case_id: str, vault: Vault, digest: bytes) -> SealedBinding:
    """Return the sealed request; raise when the card's number is none."""
    card = checked_card_number(request.card_number)
    return SealedBinding(
        request_id=request.request_id,
        digest=digest,
        account_id=request.account_id,
        card=mask_card(card),
        values=_sealed(vault, case_id, card_number=card),
    )


def _sealed(vault: Vault, owner: str, **values: str) -> tuple[SealedValue, ...]:
    return tuple(
        SealedValue(field, vault.lookup(field, text), vault.seal(text, owner=owner, field=field))
        for field, text in values.items()
    )
