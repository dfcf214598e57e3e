"""Accounts of companies, and accounts bound to another card."""

from pathlib import Path
from typing import Any

import pytest

from actors.customers.reference_source import read_reference
from actors.customers.sample_people import sample_company, sample_person
from tests.unit.customers.customer_lab import Bank, play, refused

_REFERENCE = read_reference()


def _request(number: int, request_id: str = "c1", **changes: Any) -> dict[str, Any]:
    company, person = _REFERENCE.companies[number], sample_person(number)
    representative = {"name": person.name, "id_number": person.id_number, "phone": person.phone}
    return {
        "request_id": request_id,
        "credit_code": company.credit_code,
        "company_name": company.name,
        "legal_representative": representative,
        **changes,
    }


def test_a_company_gets_an_account(tmp_path: Path) -> None:
    """What the registry confirms is opened; the company is a customer of the app from then on."""

    async def story(bank: Bank) -> None:
        case = await bank.app.call("account.open_corporate", **_request(1))
        assert (case["status"], case["waiting_on"]) == ("submitted", "identity_source")
        case = await bank.until(case["case_id"], "opened")
        assert bank.events(case["case_id"]) == ["case.submitted", "case.opened"]
        customer = await bank.app.call("customer.get", customer_id=case["customer_id"])
        company = sample_company(1)
        assert (customer["kind"], customer["name"]) == ("company", company.name)
        assert (customer["id_number"], customer["phone"]) == (company.credit_code, "140****0001")
        (account,) = customer["accounts"]
        assert (account["account_id"], account["account_class"]) == (case["account_id"], "")
        shown = await bank.staff.call(
            "customer.reveal", request_id="v", customer_id=case["customer_id"], revealed_to="c-1",
            fields=["id_number", "name"], purpose="check",
        )  # fmt: skip
        assert shown["id_number"] == sample_person(1).id_number
        again = await bank.app.call("account.open_corporate", **_request(1, "c2"))
        again = await bank.until(again["case_id"], "opened")
        assert again["customer_id"] == case["customer_id"]
        assert again["account_id"] != case["account_id"]

    play(story, tmp_path)


@pytest.mark.parametrize(
    ("number", "changes", "status", "reasons"),
    [
        (10, {}, "rejected", ["company_revoked"]),
        (11, {}, "rejected", ["company_dissolved"]),
        (2, {"credit_code": sample_company(40).credit_code}, "rejected", ["company_unknown"]),
        (2, {"company_name": "北京别的公司"}, "pending_review", ["company_name"]),
        (2, {"phone": "13912345678"}, "rejected", ["elements_mismatch"]),
        (2, {"person": 3}, "pending_review", ["legal_representative"]),
        (2, {"person": 50}, "pending_review", ["legal_representative"]),
        (2, {"person": 70}, "rejected", ["elements_mismatch"]),
    ],
)
def test_a_company_that_is_not_confirmed(
    tmp_path: Path, number: int, changes: dict[str, Any], status: str, reasons: list[str]
) -> None:
    """What is not in business is refused; what the registry may just not know yet is reviewed."""
    request = _request(number)
    person = changes.pop("person", None)
    if person is not None:
        one = sample_person(person)
        request["legal_representative"] = {
            "name": one.name, "id_number": one.id_number, "phone": one.phone,
        }  # fmt: skip
    phone = changes.pop("phone", None)
    if phone is not None:
        request["legal_representative"] = {**request["legal_representative"], "phone": phone}
    request |= changes

    async def story(bank: Bank) -> None:
        case = await bank.app.call("account.open_corporate", **request)
        case = await bank.until(case["case_id"], "rejected", "pending_review")
        assert (case["status"], case["reasons"]) == (status, reasons)
        if status == "pending_review":
            decided = await bank.staff.call(
                "case.decide", request_id="d", case_id=case["case_id"], decision="approve",
                reason="seen the licence", decided_by="clerk-7",
            )  # fmt: skip
            assert decided["status"] == "opened"
            account = await bank.app.call("account.get", account_id=decided["account_id"])
            assert account["holder"] == request["company_name"]

    play(story, tmp_path)


def test_an_account_is_bound_to_another_card(tmp_path: Path) -> None:
    """A card of the same person takes the place of the one before; the mirror stays."""
    person = sample_person(15)

    async def story(bank: Bank) -> None:
        case = await bank.opened(person)
        account_id = case["account_id"]
        binding = await bank.app.call(
            "account.bind", request_id="b1", account_id=account_id,
            card_number=person.cards[1].number,
        )  # fmt: skip
        assert binding["kind"] == "binding"
        binding = await bank.until(binding["case_id"], "bound")
        assert bank.events(binding["case_id"]) == ["case.submitted", "case.bound"]
        assert bank.events(account_id) == ["account.opened", "account.bound"]
        customer = await bank.app.call("customer.get", customer_id=case["customer_id"])
        (account,) = customer["accounts"]
        assert (account["bound"]["card"], account["bound"]["card_kind"]) == (
            binding["card"], "credit",
        )  # fmt: skip
        assert account["bound"]["source"] == f"external:card:{account_id}"

    play(story, tmp_path)


@pytest.mark.parametrize(
    ("card", "reasons"),
    [
        (sample_person(16).cards[0].number, ["elements_mismatch"]),
        (sample_person(15).cards[2].number, ["card_kind"]),
    ],
)
def test_a_card_that_is_not_fit_is_not_bound(tmp_path: Path, card: str, reasons: list[str]) -> None:
    """Another person's card, or one of class II for an account of class II, changes nothing."""

    async def story(bank: Bank) -> None:
        case = await bank.opened(sample_person(15))
        before = bank.world.rows("bound_card")
        binding = await bank.app.call(
            "account.bind", request_id="b1", account_id=case["account_id"], card_number=card
        )
        binding = await bank.until(binding["case_id"], "rejected")
        assert binding["reasons"] == reasons
        assert bank.world.rows("bound_card") == before

    play(story, tmp_path)


def test_only_an_own_account_with_a_class_is_bound(tmp_path: Path) -> None:
    """Another app's account, one without a customer, and a closed one are refused."""
    person = sample_person(15)

    async def story(bank: Bank) -> None:
        case = await bank.opened(person)
        account_id = case["account_id"]
        body = {"account_id": account_id, "card_number": person.cards[1].number}
        assert refused(await bank.other.ask("account.bind", request_id="b1", **body)) == (
            "not_found"
        )
        plain = await bank.app.call("account.open", request_id="o", holder="Shop")
        answer = await bank.app.ask(
            "account.bind", request_id="b2", **{**body, "account_id": plain["account_id"]}
        )
        assert refused(answer) == "not_found"
        wrong = {**body, "card_number": f"{body['card_number'][:-1]}0"}
        answer = await bank.app.ask("account.bind", request_id="b3", **wrong)
        assert (refused(answer), answer["error"]["field"]) == ("invalid_field", "card_number")
        await bank.app.call("account.close", request_id="x", account_id=account_id)
        assert refused(await bank.app.ask("account.bind", request_id="b4", **body)) == (
            "invalid_state"
        )

    play(story, tmp_path)


def test_money_goes_back_to_the_own_card(tmp_path: Path) -> None:
    """A withdrawal to the bound card counts against no limit, and is the app's own to make."""

    async def story(bank: Bank) -> None:
        account_id = (await bank.opened(sample_person(15), "III"))["account_id"]
        source = f"external:card:{account_id}"
        for number in range(4):
            await bank.app.call(
                "account.deposit", request_id=f"d{number}", account_id=account_id, source=source,
                amount_minor=200_000,
            )  # fmt: skip
            body = {"request_id": f"w{number}", "account_id": account_id, "amount_minor": 200_000}
            gone = await bank.app.call("account.withdraw", **body)
            assert (gone["target"], gone["card"]) == (source, "6299 **** **** 0152")
            assert await bank.app.call("account.withdraw", **body) == gone
            assert bank.events(gone["withdrawal_id"]) == ["withdrawal.succeeded"]
        (limit,) = bank.world.rows("account_limit")
        assert (limit["day_in"], limit["day_out"]) == (0, 0)
        empty = await bank.app.ask(
            "account.withdraw", request_id="w9", account_id=account_id, amount_minor=1
        )
        assert refused(empty) == "insufficient_funds"
        for caller in (bank.other, bank.staff):
            answer = await caller.ask(
                "account.withdraw", request_id="w10", account_id=account_id, amount_minor=1
            )
            assert refused(answer) == "not_found"

    play(story, tmp_path)
