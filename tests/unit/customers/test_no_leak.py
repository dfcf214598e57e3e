"""No plain value of a person is stored, told or logged: not on any way through a case."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.customers import door_actor
from actors.customers.identity_source import PersonElements
from actors.customers.reference_source import ReferenceSource
from actors.customers.sample_people import sample_person
from actors.digest import request_digest
from actors.tables import BANK_TABLES
from kernel.memory_tables import KERNEL_TABLES
from schemas.accounts import OpenAccount
from schemas.customers import RegisterCustomer
from tests.unit.customers.customer_lab import Bank, play, refused, registration
from tests.unit.customers.leaks import KeptLog, leaks, secrets_of

# With numbers that stand nowhere by chance; the last one's source is down at first.
_PEOPLE = [sample_person(number) for number in (123_457, 234_568, 345_679, 456_795, 567_801)]
_PEOPLE[-1] = msgspec.structs.replace(_PEOPLE[-1], outage="down", outage_times=2)
_SECRETS = secrets_of(_PEOPLE)


def _stored(bank: Bank) -> list[str]:
    found = []
    for table in (*KERNEL_TABLES, *BANK_TABLES):
        for row in bank.world.rows(table.name):
            found += leaks(_SECRETS, table.name, row.values())
    return found


async def _whole_story(bank: Bank) -> None:
    """Let everything happen that has to do with persons."""
    passed, mismatch, review, rebinds, outage = _PEOPLE
    await bank.opened(passed)
    for person, script in ((mismatch, "mismatch"), (review, "borderline"), (outage, "spoof")):
        customer_id = await bank.register(person)
        case_id = await bank.begin(customer_id, person.cards[0].number)
        await bank.prove(case_id, script)
        await bank.until(case_id, "pending_review", "rejected", "verifying", within_s=120)
    account_id = (await bank.opened(rebinds))["account_id"]
    binding = await bank.app.call(
        "account.bind", request_id="b", account_id=account_id, card_number=rebinds.cards[1].number
    )
    await bank.until(binding["case_id"], "bound")
    wrong = registration(passed, "again", name="李四")
    assert refused(await bank.app.ask("customer.register", **wrong)) == "invalid_state"
    broken = registration(passed, "broken", id_number=passed.id_number[:-1] + "0")
    assert refused(await bank.app.ask("customer.register", **broken)) == "invalid_field"
    customer_id = await bank.register(passed)
    await bank.staff.call(
        "customer.reveal", request_id="v", customer_id=customer_id, fields=["name", "phone"],
        purpose=f"for {passed.phone}", revealed_to="clerk-7",
    )  # fmt: skip
    company: dict[str, Any] = {
        "credit_code": "9111010190000000A5",
        "company_name": "某公司",
        "legal_representative": {
            "name": review.name, "id_number": review.id_number, "phone": review.phone,
        },
    }  # fmt: skip
    answer = await bank.app.ask("account.open_corporate", request_id="co", **company)
    assert answer["ok"] or refused(answer) == "invalid_field"


def test_nothing_stored_or_logged_holds_a_plain_value(tmp_path: Path) -> None:
    """After every way through a case no column of any table and no line of the log tells one."""
    with KeptLog() as log:

        async def story(bank: Bank) -> list[str]:
            await _whole_story(bank)
            assert len(bank.world.rows("personal_data")) > 15
            return _stored(bank)

        assert play(story, tmp_path, people=tuple(_PEOPLE)) == []
    assert leaks(_SECRETS, "log", log.lines) == []


def test_the_search_finds_a_leak(tmp_path: Path) -> None:
    """The search itself sees a value that is stored as text, as bytes and in JSON."""
    person = _PEOPLE[0]

    async def story(bank: Bank) -> None:
        await bank.app.call("account.open", request_id="o", holder=person.name)
        assert {one.split(":")[0] for one in _stored(bank)} == {"account", "change", "event"}
        assert leaks(_SECRETS, "bytes", [f'{{"a":"{person.phone}"}}'.encode()]) != []

    assert leaks({"李雷"}, "x", ['{"name":"\\u674e\\u96f7"}']) == ["x: 李雷"]
    assert leaks(_SECRETS, "x", [person.id_number[6:14]]) != []
    play(story, tmp_path, people=tuple(_PEOPLE))


def test_no_digest_can_be_turned_back(tmp_path: Path) -> None:
    """Who has the tables and guesses a request cannot see in its digest that he was right."""
    body = registration(_PEOPLE[0], "guess")
    guess = msgspec.msgpack.encode(msgspec.convert(body, RegisterCustomer))

    async def story(bank: Bank) -> list[bytes]:
        await bank.app.call("customer.register", **body)
        await bank.app.call("account.open", request_id="o", holder="Shop")
        return [bytes(row["digest"]) for row in bank.world.rows("change")]

    digests = play(story, tmp_path, people=tuple(_PEOPLE))
    assert request_digest("customer.register", msgspec.Raw(guess)) not in digests
    # The way of guessing is right: it finds a request without data of a person.
    plain = msgspec.msgpack.encode(OpenAccount(request_id="o", holder="Shop"))
    assert request_digest("account.open", msgspec.Raw(plain)) in digests


def test_what_makes_the_door_fail_is_kept_without_its_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault whose message quotes a number leaves a dead letter and a log without it."""

    def bad(request: Any, **_: Any) -> None:
        raise ValueError(f"cannot bear {request.name} {request.id_number}")

    monkeypatch.setattr(door_actor, "seal_registration", bad)
    with KeptLog() as log:

        async def story(bank: Bank) -> list[str]:
            answer = await bank.app.ask("customer.register", **registration(_PEOPLE[0], "r"))
            assert refused(answer) == "internal"
            await bank.world.clock.sleep(1)
            (letter,) = bank.world.rows("dead_letter")
            assert (letter["type"], bytes(letter["body"])) == ("customer.register", b"")
            assert "RuntimeError" in letter["reason"]
            return _stored(bank)

        assert play(story, tmp_path, people=tuple(_PEOPLE)) == []
    assert any("ValueError in test_no_leak.py" in line for line in log.lines)
    assert leaks(_SECRETS, "log", log.lines) == []


def test_a_source_that_fails_is_an_outage_without_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter that raises what it was asked is waited out, and its words are not repeated."""
    asked = []
    answer = ReferenceSource.check_person

    async def bad(self: ReferenceSource, elements: PersonElements, *, deadline_s: float) -> Any:
        asked.append(elements)
        if len(asked) < 3:
            raise KeyError(elements.id_number)
        return await answer(self, elements, deadline_s=deadline_s)

    monkeypatch.setattr(ReferenceSource, "check_person", bad)
    with KeptLog() as log:

        async def story(bank: Bank) -> list[str]:
            person = _PEOPLE[0]
            customer_id = await bank.register(person)
            case_id = await bank.begin(customer_id, person.cards[0].number)
            case = await bank.until(case_id, "verifying")
            assert case["reasons"] == []
            assert "case.waiting" in bank.events(case_id)
            return _stored(bank)

        assert play(story, tmp_path, people=tuple(_PEOPLE)) == []
    assert len(asked) == 3
    assert any("KeyError" in line for line in log.lines)
    assert leaks(_SECRETS, "log", log.lines) == []
