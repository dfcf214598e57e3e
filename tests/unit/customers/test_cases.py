"""Openings under virtual time: every way through the states, and what stands at its end."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.customers.sample_people import sample_person
from actors.rules.rule_sets import LOOK_EVERY_S
from kernel.partition import partition_of
from tests.unit.customers.customer_lab import Bank, evidence, play, refused

_PERSON = sample_person(1)


def test_a_person_gets_an_account(tmp_path: Path) -> None:
    """Right elements and a face that is alive lead to an account with the limits of its class."""

    async def story(bank: Bank) -> None:
        case = await bank.opened(_PERSON)
        assert case["status"] == "opened"
        assert bank.events(case["case_id"]) == [
            "case.submitted", "case.elements_checked", "case.verifying", "case.examining",
            "case.opened",
        ]  # fmt: skip
        account_id = case["account_id"]
        assert bank.events(account_id) == ["account.opened"]
        account = await bank.app.call("account.get", account_id=account_id)
        assert (account["holder"], account["status"]) == ("王*", "open")
        (limit,) = bank.world.rows("account_limit")
        assert limit["day_out_max"] == limit["day_in_max"] == 1_000_000
        assert limit["year_out_max"] == limit["year_in_max"] == 20_000_000
        customer = await bank.app.call("customer.get", customer_id=case["customer_id"])
        (kept,) = customer["accounts"]
        assert kept["account_id"] == account_id
        assert kept["account_class"] == "II"
        assert kept["bound"]["card"] == "6299 **** **** 0012"
        assert kept["bound"]["source"] == limit["exempt"] == f"external:card:{account_id}"

    play(story, tmp_path)


@pytest.mark.parametrize(
    ("scripts", "status", "reasons", "attempts_left"),
    [
        (["mismatch", "pass"], "opened", ["face_mismatch"], 1),
        (["mismatch"] * 3, "rejected", ["face_mismatch"] * 3, 0),
        (["low_quality"] * 3, "pending_review", ["low_quality"] * 3, 0),
        (["low_quality", "mismatch", "pass"], "opened", ["low_quality", "face_mismatch"], 0),
        (["spoof"], "rejected", ["spoof"], 2),
        (["mismatch", "spoof"], "rejected", ["face_mismatch", "spoof"], 1),
        (["borderline"], "pending_review", ["face_score"], 2),
        (["down-3"], "opened", [], 2),
        (["timeout-2"], "opened", [], 2),
        (["processing-4"], "opened", [], 2),
    ],
)
def test_attempts_at_verification(
    tmp_path: Path, scripts: list[str], status: str, reasons: list[str], attempts_left: int
) -> None:
    """Attempts are limited, an outage costs none, and each outcome has its reason."""

    async def story(bank: Bank) -> dict[str, Any]:
        customer_id = await bank.register(_PERSON)
        case_id = await bank.begin(customer_id, _PERSON.cards[0].number)
        case: dict[str, Any] = {}
        for script in scripts:
            await bank.prove(case_id, script)
            case = await bank.until(
                case_id, "verifying", "opened", "rejected", "pending_review", within_s=300
            )
        return case

    case = play(story, tmp_path)
    assert (case["status"], case["reasons"], case["attempts_left"]) == (
        status, reasons, attempts_left,
    )  # fmt: skip
    assert case["outage"] is None


@pytest.mark.parametrize(
    ("number", "changes", "mismatched"),
    [
        (1, {"name": "王雷"}, ["name"]),
        (1, {"phone": "13812341234"}, ["phone"]),
        (3, {"card": sample_person(1).cards[0].number}, ["card_number"]),
        (70, {}, ["id_number"]),
        (5, {"card": sample_person(5).cards[1].number}, ["card_kind"]),
    ],
)
def test_wrong_elements_are_refused(
    tmp_path: Path, number: int, changes: dict[str, str], mismatched: list[str]
) -> None:
    """One wrong element is enough; which one is told to the bank's staff and to nobody else."""
    person = sample_person(number)

    async def story(bank: Bank) -> None:
        body = {"name": person.name, "id_number": person.id_number, "phone": person.phone}
        card = changes.get("card", person.cards[0].number)
        fields = {**body, **{k: v for k, v in changes.items() if k != "card"}}
        customer = await bank.app.call("customer.register", request_id="r", **fields)
        case_id = await bank.begin(customer["customer_id"], card)
        case = await bank.until(case_id, "rejected")
        reason = "card_kind" if mismatched == ["card_kind"] else "elements_mismatch"
        assert (case["reasons"], case["mismatched"]) == ([reason], [])
        assert (await bank.case(case_id, bank.staff))["mismatched"] == mismatched
        assert bank.events(case_id) == ["case.submitted", "case.rejected"]

    play(story, tmp_path)


def test_class_three_takes_a_card_of_class_two(tmp_path: Path) -> None:
    """Four elements suffice for class III: of what class the card is, nobody asks."""
    person = sample_person(5)

    async def story(bank: Bank) -> None:
        customer_id = await bank.register(person)
        case_id = await bank.begin(customer_id, person.cards[1].number, "III")
        await bank.prove(case_id, "pass")
        case = await bank.until(case_id, "opened")
        (row,) = [
            one for one in bank.world.rows("account") if one["account_id"] == case["account_id"]
        ]
        assert (row["class"], row["ceiling_minor"]) == ("III", 200_000)

    play(story, tmp_path)


@pytest.mark.parametrize(("number", "tries"), [(50, 3), (51, 2)])
def test_an_outage_of_the_source_is_waited_out(tmp_path: Path, number: int, tries: int) -> None:
    """A source that is down or silent is asked again later; it is told once, and nobody pays."""
    person = sample_person(number)

    async def story(bank: Bank) -> None:
        customer_id = await bank.register(person)
        case_id = await bank.begin(customer_id, person.cards[0].number)
        case = await bank.until(case_id, "verifying", within_s=120)
        assert (case["outage"], case["attempts_left"]) == (None, 3)
        assert bank.events(case_id) == [
            "case.submitted", "case.waiting", "case.elements_checked", "case.verifying",
        ]  # fmt: skip

    assert tries > 1
    play(story, tmp_path)


async def _put_policy(bank: Bank, **changes: Any) -> None:
    """Let the back office change how cases are conducted, and wait until it counts."""
    await bank.staff.call("rules.put", request_id="policy", name="opening", rules=changes)
    await bank.world.clock.sleep(2 * LOOK_EVERY_S)


def test_a_timer_of_an_earlier_step_does_nothing(tmp_path: Path) -> None:
    """A message that comes late, after the case moved on, asks nobody and changes nothing."""

    async def story(bank: Bank) -> None:
        customer_id = await bank.register(_PERSON)
        case_id = await bank.begin(customer_id, _PERSON.cards[0].number)
        await bank.prove(case_id, "processing")
        # Two questions later the next one is some seconds away.
        await bank.world.clock.sleep(8)
        (before,) = bank.world.rows("account_case")
        bank.world.database.put(
            "timer",
            ("late",),
            {
                "timer_id": "late", "change_seq": 1, "due_at": bank.world.clock.now(),
                "partition": partition_of("account_case", case_id), "every_s": 0,
                "kind": "account_case", "key": case_id, "type": "case.advance", "app": "campus",
                "body": msgspec.msgpack.encode([2]),
            },
        )  # fmt: skip
        await bank.world.clock.sleep(3)
        assert not [row for row in bank.world.rows("timer") if row["timer_id"] == "late"]
        assert bank.world.rows("account_case") == [before]

    play(story, tmp_path)


def test_an_outage_without_end_ends_with_the_case(tmp_path: Path) -> None:
    """What nobody answers until the end is no rejection and no account: the case expires."""
    person = sample_person(52)

    async def story(bank: Bank) -> None:
        await _put_policy(bank, expires_after_s=300.0, retry_s_max=20.0)
        customer_id = await bank.register(person)
        case_id = await bank.begin(customer_id, person.cards[0].number)
        await bank.world.clock.sleep(250)
        case = await bank.case(case_id)
        assert (case["status"], case["outage"]) == ("submitted", "down")
        case = await bank.until(case_id, "expired")
        assert bank.events(case_id) == ["case.submitted", "case.waiting", "case.expired"]
        await bank.world.clock.sleep(30)
        assert not [row for row in bank.world.rows("timer") if row["key"] == case_id]

    play(story, tmp_path)


def test_staff_decide_what_is_unclear(tmp_path: Path) -> None:
    """A reviewed case is approved or rejected by name and with a reason, once, by staff only."""

    async def story(bank: Bank) -> None:
        cases = []
        for number in (1, 2):
            person = sample_person(number)
            customer_id = await bank.register(person)
            case_id = await bank.begin(customer_id, person.cards[0].number)
            await bank.prove(case_id, "borderline")
            await bank.until(case_id, "pending_review")
            cases.append(case_id)
        listed = await bank.staff.call("case.list")
        assert [one["case_id"] for one in listed["cases"]] == sorted(cases)
        assert refused(await bank.app.ask("case.list")) == "forbidden"
        decision: dict[str, Any] = {
            "case_id": cases[0], "decision": "approve", "decided_by": "clerk-7",
            "reason": "called 138 1234 1234, it is her",
        }  # fmt: skip
        assert refused(await bank.app.ask("case.decide", request_id="d0", **decision)) == (
            "forbidden"
        )
        case = await bank.staff.call("case.decide", request_id="d1", **decision)
        assert (case["status"], case["decided_by"]) == ("opened", "clerk-7")
        assert await bank.staff.call("case.decide", request_id="d1", **decision) == case
        again = await bank.staff.ask("case.decide", request_id="d2", **decision)
        assert refused(again) == "invalid_state"
        decision |= {"case_id": cases[1], "decision": "reject", "reason": "a photo of a photo"}
        case = await bank.staff.call("case.decide", request_id="d3", **decision)
        assert (case["status"], case["reasons"]) == (
            "rejected", ["face_score", "rejected_by_staff"],
        )  # fmt: skip
        trail = bank.world.rows("audit_trail")
        assert [(row["actor"], row["action"], row["subject"], row["reason"]) for row in trail] == [
            ("clerk-7", "case.approve", cases[0], "called ***, it is her"),
            ("clerk-7", "case.reject", cases[1], "a photo of a photo"),
        ]
        told = [row for row in bank.world.rows("event") if row["subject"] in cases]
        assert {row["app"] for row in told} == {"campus"}

    play(story, tmp_path)


def test_evidence_is_taken_at_its_time_alone(tmp_path: Path) -> None:
    """Recordings without a face video, too early, twice, or of another app are refused."""

    async def story(bank: Bank) -> None:
        customer_id = await bank.register(_PERSON)
        case_id = await bank.begin(customer_id, _PERSON.cards[0].number)
        body: dict[str, Any] = {"case_id": case_id, "evidence": evidence("sandbox/pass/1")}
        early = await bank.app.ask("case.submit_evidence", request_id="e1", **body)
        assert refused(early) == "invalid_state"
        await bank.until(case_id, "verifying")
        voice_only: dict[str, Any] = {**body, "evidence": body["evidence"][1:]}
        answer = await bank.app.ask("case.submit_evidence", request_id="e2", **voice_only)
        assert (refused(answer), answer["error"]["field"]) == ("invalid_field", "evidence")
        other = await bank.other.ask("case.submit_evidence", request_id="e3", **body)
        assert refused(other) == "not_found"
        first = await bank.app.call("case.submit_evidence", request_id="e4", **body)
        assert (first["status"], first["evidence"]) == ("examining", 2)
        twice = await bank.app.ask("case.submit_evidence", request_id="e5", **body)
        assert refused(twice) == "invalid_state"
        assert await bank.app.call("case.submit_evidence", request_id="e4", **body) == first

    play(story, tmp_path)


def test_a_review_that_nobody_decides_expires(tmp_path: Path) -> None:
    """Without a decision in time there is no account, and nobody can decide any more."""

    async def story(bank: Bank) -> None:
        await _put_policy(bank, expires_after_s=60.0, review_expires_after_s=300.0)
        customer_id = await bank.register(_PERSON)
        case_id = await bank.begin(customer_id, _PERSON.cards[0].number)
        await bank.prove(case_id, "borderline")
        await bank.until(case_id, "pending_review")
        await bank.world.clock.sleep(280)
        assert (await bank.case(case_id))["status"] == "pending_review"
        await bank.until(case_id, "expired")
        late = await bank.staff.ask(
            "case.decide", request_id="d1", case_id=case_id, decision="approve",
            decided_by="clerk-7", reason="late",
        )  # fmt: skip
        assert refused(late) == "invalid_state"

    play(story, tmp_path)
