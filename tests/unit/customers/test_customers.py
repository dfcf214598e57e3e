"""Customers: one person is one customer of an app, and who looks closer leaves a line."""

from pathlib import Path
from typing import Any

import pytest

from actors.customers.records import CustomerState
from actors.customers.sample_people import sample_person
from tests.unit.customers.customer_lab import Bank, play, refused, registration

_PERSON = sample_person(1)


def test_one_person_is_one_customer_of_an_app(tmp_path: Path) -> None:
    """Registered again, in whatever form, it is the same one; to another app it is another."""

    async def story(bank: Bank) -> None:
        first = await bank.register(_PERSON)
        assert await bank.register(_PERSON) == first
        other = await bank.register(_PERSON, bank.other)
        assert other != first
        rows = bank.world.rows("customer")
        assert {row["party_id"] for row in rows} == {rows[0]["party_id"]}
        assert [row["version"] for row in rows] == [1, 1]
        assert bank.events(first) == ["customer.registered"]
        answer = await bank.app.ask("customer.get", customer_id=other)
        assert refused(answer) == "not_found"

    play(story, tmp_path)


def test_the_form_of_what_is_typed_does_not_matter(tmp_path: Path) -> None:
    """A small x, a country's prefix and full-width blanks make nobody new."""
    person = next(sample_person(n) for n in range(60) if sample_person(n).id_number[-1] == "X")

    async def story(bank: Bank) -> None:
        first = await bank.register(person)
        again = await bank.app.call(
            "customer.register", request_id="again", name=f" {person.name}\u3000",
            id_number=person.id_number.lower(), phone=f"+86{person.phone}",
        )  # fmt: skip
        assert again["customer_id"] == first
        assert len(bank.world.rows("personal_data")) == 3

    play(story, tmp_path)


def test_a_new_phone_number_replaces_the_old_one(tmp_path: Path) -> None:
    """The newest number counts, masked; another name for the same number is refused."""

    async def story(bank: Bank) -> None:
        customer_id = await bank.register(_PERSON)
        body = registration(_PERSON, "r2", phone="13912345678")
        updated = await bank.app.call("customer.register", **body)
        assert (updated["customer_id"], updated["phone"]) == (customer_id, "139****5678")
        assert bank.events(customer_id) == ["customer.registered", "customer.updated"]
        answer = await bank.app.ask(
            "customer.register", **registration(_PERSON, "r3", name="王小梅")
        )
        assert (refused(answer), answer["error"]["field"]) == ("invalid_state", "name")
        shown = await bank.staff.call(
            "customer.reveal", request_id="v", customer_id=customer_id, fields=["phone"],
            purpose="call back", revealed_to="clerk-7",
        )  # fmt: skip
        assert shown["phone"] == "13912345678"

    play(story, tmp_path)


def test_the_same_request_is_the_same_answer(tmp_path: Path) -> None:
    """Sent again it is answered again; with another body under the same id it is a conflict."""

    async def story(bank: Bank) -> None:
        body = registration(_PERSON, "r1")
        first = await bank.app.call("customer.register", **body)
        assert await bank.app.call("customer.register", **body) == first
        changed = await bank.app.ask("customer.register", **{**body, "phone": "13912345678"})
        assert refused(changed) == "conflict"
        customer_id = first["customer_id"]
        opening = {
            "request_id": "o1", "customer_id": customer_id, "account_class": "III",
            "card_number": _PERSON.cards[0].number,
        }  # fmt: skip
        case = await bank.app.call("account.open_personal", **opening)
        assert await bank.app.call("account.open_personal", **opening) == case
        assert len(bank.world.rows("account_case")) == 1

    play(story, tmp_path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id_number": "310101190101020015"}, "id_number"),
        ({"id_number": "31010119010102001"}, "id_number"),
        ({"phone": "12012345678"}, "phone"),
        ({"name": ""}, "name"),
    ],
)
def test_numbers_that_are_none_are_refused(
    tmp_path: Path, changes: dict[str, str], field: str
) -> None:
    """A wrong digit is refused at the door, by its field's name and without its value."""

    async def story(bank: Bank) -> None:
        answer = await bank.app.ask("customer.register", **registration(_PERSON, "r", **changes))
        assert (refused(answer), answer["error"]["field"]) == ("invalid_field", field)
        value = changes[field]
        assert not value or value not in str(answer)
        assert bank.world.rows("change") == []

    play(story, tmp_path)


def test_looking_closer_leaves_a_line(tmp_path: Path) -> None:
    """The back office sees what it asks for, once for each line of the trail, and no other app."""

    async def story(bank: Bank) -> None:
        customer_id = await bank.register(_PERSON)
        body: dict[str, Any] = {
            "customer_id": customer_id, "fields": ["name", "id_number"], "revealed_to": "clerk-7",
            "purpose": "court order 20261125001",
        }  # fmt: skip
        assert refused(await bank.app.ask("customer.reveal", request_id="v0", **body)) == (
            "forbidden"
        )
        shown = await bank.staff.call("customer.reveal", request_id="v1", **body)
        assert shown == {
            "customer_id": customer_id, "name": _PERSON.name, "id_number": _PERSON.id_number,
            "phone": None,
        }  # fmt: skip
        again = await bank.staff.ask("customer.reveal", request_id="v1", **body)
        assert refused(again) == "invalid_state"
        (line,) = bank.world.rows("audit_trail")
        assert (line["app"], line["actor"], line["action"]) == (
            "campus", "clerk-7", "customer.reveal",
        )  # fmt: skip
        assert (line["subject"], line["detail"]) == (customer_id, "id_number, name")
        assert line["reason"] == "court order ***"
        nobody: dict[str, Any] = {**body, "customer_id": "cust_0"}
        assert refused(await bank.staff.ask("customer.reveal", request_id="v2", **nobody)) == (
            "not_found"
        )
        without: dict[str, Any] = {key: value for key, value in body.items() if key != "purpose"}
        answer = await bank.staff.ask("customer.reveal", request_id="v3", **without)
        assert refused(answer) == "invalid_field"

    play(story, tmp_path)


def test_without_keys_nothing_is_taken(tmp_path: Path) -> None:
    """A node whose keys are gone refuses for now; it does not store data under none."""

    async def story(bank: Bank) -> None:
        (tmp_path / "keys.json").unlink()
        answer = await bank.app.ask("customer.register", **registration(_PERSON, "r"))
        assert refused(answer) == "not_ready"
        assert bank.world.rows("personal_data") == []

    play(story, tmp_path)


def test_another_index_key_is_noticed(tmp_path: Path) -> None:
    """A node with another ring's index key does not count every person anew."""
    from actors.customers.keyring import decode_keyring, new_keyring, write_keyring
    from kernel.randomness import SeededRandomness

    async def story(bank: Bank) -> None:
        await bank.register(_PERSON)
        path = tmp_path / "keys.json"
        right = decode_keyring(path.read_bytes())
        write_keyring(path, new_keyring(SeededRandomness(99), bank.world.clock.now()))
        await bank.world.stop("n1")
        await bank.world.start("n2")
        body = registration(sample_person(2), "r")
        answer = await bank.app.ask("customer.register", **body)
        assert refused(answer) == "not_ready"
        write_keyring(path, right)
        assert (await bank.app.call("customer.register", **body))["name"] == "张*"

    play(story, tmp_path)


def test_what_is_kept_of_a_customer_is_masked() -> None:
    """No field of the record but names of masks, hashes and ids: a new one has to be thought of."""
    assert set(CustomerState.__struct_fields__) == {
        "id_number", "kind", "name", "name_lookup", "party_id", "phone", "phone_lookup",
        "phone_version", "registered_at", "sealed_owner",
    }  # fmt: skip
