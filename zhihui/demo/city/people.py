"""The people and companies of the city, and how their accounts are opened, whatever goes wrong.

They are those of the sandbox's reference; see docs/customers.md for what a recording says there.
"""

from typing import Any

import msgspec

from actors.customers.sample_people import sample_company, sample_person
from zhihui.demo.city.script import OFFICE, Script

__all__ = ("PEOPLE", "open_accounts")

# How many are opened an account of class II as a matter of course; the demo's customers.
PEOPLE = 24

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_DEPOSIT = 1_500_000


class _Opening(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to open an account, and how it must end."""

    person: int
    account_class: str = "II"
    recordings: tuple[str, ...] = ("pass",)
    ends: str = "opened"
    reasons: tuple[str, ...] = ()
    card: str = ""
    # What the staff decide, when it comes to them.
    staff: str = ""


# Numbers of the reference's people from PEOPLE on.
_TROUBLE = (
    _Opening(person=30, account_class="III"),
    _Opening(person=31, recordings=("low_quality", "pass"), reasons=("low_quality",)),
    _Opening(person=32, recordings=("mismatch", "pass"), reasons=("face_mismatch",)),
    _Opening(person=33, recordings=("spoof",), ends="rejected", reasons=("spoof",)),
    _Opening(person=34, recordings=("down-1",)),
    _Opening(person=35, recordings=("timeout-1",)),
    _Opening(person=36, recordings=("borderline",), ends="opened", staff="approve"),
    _Opening(person=37, recordings=("borderline",), ends="rejected", staff="reject"),
    # The card of somebody else, and one of the wrong kind.
    _Opening(person=38, card=sample_person(39).cards[0].number, ends="rejected",
             recordings=(), reasons=("elements_mismatch",)),
    _Opening(person=40, card=sample_person(40).cards[-1].number, ends="rejected",
             recordings=(), reasons=("card_kind",)),
)  # fmt: skip


def open_accounts(script: Script) -> None:
    """Register everybody, open their accounts, and put money in from their cards."""
    script.begin("People become customers")
    people = [*range(PEOPLE), *(one.person for one in _TROUBLE)]
    for number in people:
        person = sample_person(number)
        line = script.ask(
            "customer.register", f"p{number}", keeps=f"who{number}",
            name=person.name, id_number=person.id_number, phone=person.phone,
        )  # fmt: skip
        if number % 6 == 0:
            script.again(line)
    broken = sample_person(41)
    script.ask(
        "customer.register", "p41", expect="invalid_field", name=broken.name,
        id_number=broken.id_number[:-1] + ("0" if broken.id_number[-1] != "0" else "1"),
        phone=broken.phone,
    )  # fmt: skip
    script.begin("Their accounts are opened")
    for number in range(PEOPLE):
        _open(script, _Opening(person=number))
    for opening in _TROUBLE:
        _open(script, opening)
    _companies(script)
    script.begin("Money comes from their cards")
    for number in range(PEOPLE):
        name = f"p{number}"
        script.deposit(
            name, f"@{name}.account_id", _DEPOSIT, f"external:card:{{@{name}.account_id}}"
        )
    limited = "p30"
    # Class III holds at most 2,000 yuan.
    script.ask(
        "account.deposit", limited, expect="balance_limit", account_id=f"@{limited}.account_id",
        amount_minor=200_001, source=f"external:card:{{@{limited}.account_id}}",
    )  # fmt: skip
    script.deposit(
        limited, f"@{limited}.account_id", 200_000, f"external:card:{{@{limited}.account_id}}"
    )


def _open(script: Script, one: _Opening) -> None:
    person, lane = sample_person(one.person), f"p{one.person}"
    case: dict[str, Any] = {"case_id": f"@case{one.person}.case_id"}
    script.ask(
        "account.open_personal", lane, keeps=f"case{one.person}",
        customer_id=f"@who{one.person}.customer_id", account_class=one.account_class,
        card_number=one.card or person.cards[0].number,
    )  # fmt: skip
    for number, recording in enumerate(one.recordings, 1):
        script.ask("case.get", lane, until=True, result={"status": "verifying"}, **case)
        evidence = {"kind": "face_video", "reference": f"sandbox/{recording}/{number}",
                    "sha256": _SHA256}  # fmt: skip
        script.ask("case.submit_evidence", lane, evidence=[evidence], **case)
    if one.staff:
        script.ask("case.get", lane, until=True, result={"status": "pending_review"}, **case)
        script.ask(
            "case.decide", lane, app=OFFICE, decision=one.staff, reason="looked at by a person",
            decided_by="clerk-7", **case,
        )  # fmt: skip
    result: dict[str, Any] = {"status": one.ends}
    if one.reasons:
        result["reasons"] = list(one.reasons)
    keeps = lane if one.ends == "opened" else ""
    script.ask("case.get", lane, until=True, result=result, keeps=keeps, **case)


def _companies(script: Script) -> None:
    for number, name, ends in ((0, "", "opened"), (1, "别的有限公司", "pending_review")):
        company, person = sample_company(number), sample_person(number)
        script.ask(
            "account.open_corporate", f"company{number}", keeps=f"company-case{number}",
            credit_code=company.credit_code, company_name=name or company.name,
            legal_representative={
                "name": person.name, "id_number": person.id_number, "phone": person.phone,
            },
        )  # fmt: skip
        script.ask(
            "case.get", f"company{number}", until=True, result={"status": ends},
            keeps=f"company{number}", case_id=f"@company-case{number}.case_id",
        )  # fmt: skip
