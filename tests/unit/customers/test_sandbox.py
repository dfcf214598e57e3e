"""The sandbox: its source knows who is on record, and its provider answers as its inputs say."""

import re
from datetime import date
from pathlib import Path

import anyio
import pytest

from actors.customers.identity_source import Outage, PersonElements, within
from actors.customers.numbers import (
    checked_card_number,
    checked_credit_code,
    checked_identity_number,
)
from actors.customers.reference_source import ReferenceSource, read_reference
from actors.customers.sample_people import sample_company, sample_person, sample_reference
from actors.customers.verification import SESSIONS_MAX, SandboxVerification, Subject
from kernel.clock import ManualClock, SystemClock
from schemas.customers import Evidence
from tests.unit.kernel.harness import START

_SUBJECT = Subject(name="李雷", id_number="11010519491231002X")


def _evidence(reference: str) -> list[Evidence]:
    voice = Evidence(kind="voice", reference="voice-1", sha256="0" * 64)
    return [voice, Evidence(kind="face_video", reference=reference, sha256="0" * 64)]


async def _seen(provider: SandboxVerification, reference: str) -> str:
    """Return the outcome of one question about a session of its own."""
    session = await provider.start_session(reference, _SUBJECT, deadline_s=1.0)
    await provider.submit(session, _evidence(reference), deadline_s=1.0)
    try:
        verdict = await provider.result(session, deadline_s=1.0)
    except Outage as outage:
        return outage.reason
    return "nothing yet" if verdict is None else f"{verdict.outcome} {verdict.face_ppm}"


@pytest.mark.anyio
async def test_the_provider_answers_what_its_input_says() -> None:
    """Each documented input leads to its outcome, and an input that says nothing to a poor one."""
    provider = SandboxVerification(ManualClock(START))
    seen = {
        one: (await _seen(provider, f"{one}/1"))
        for one in ("sandbox/pass", "sandbox/borderline", "sandbox/mismatch", "sandbox/spoof",
                    "sandbox/low_quality", "sandbox/processing", "sandbox/timeout", "sandbox/down",
                    "store/123")
    }  # fmt: skip
    assert seen == {
        "sandbox/pass": "pass 970000",
        "sandbox/borderline": "pass 780000",
        "sandbox/mismatch": "mismatch 210000",
        "sandbox/spoof": "spoof 930000",
        "sandbox/low_quality": "low_quality 400000",
        "sandbox/processing": "nothing yet",
        "sandbox/timeout": "timeout",
        "sandbox/down": "down",
        "store/123": "low_quality 400000",
    }


@pytest.mark.anyio
async def test_every_input_of_the_provider_is_documented() -> None:
    """The table in the docstring is complete: what it lists leads somewhere, and nothing else."""
    table = re.findall(r"``sandbox/(\w+)/…``", SandboxVerification.__doc__ or "")
    provider = SandboxVerification(ManualClock(START))
    outcomes = {await _seen(provider, f"sandbox/{name}/1") for name in table}
    assert len(table) == len(set(table)) == len(outcomes) == 8


@pytest.mark.anyio
async def test_an_outage_may_end() -> None:
    """With a digit the provider is away that often, and then it has seen the recordings."""
    provider = SandboxVerification(ManualClock(START))
    for script, first in (("down", "down"), ("processing", "nothing yet"), ("timeout", "timeout")):
        reference = f"sandbox/{script}-2/x"
        seen = [await _seen(provider, reference) for _ in range(4)]
        assert seen == [first, first, "pass 970000", "pass 970000"]


@pytest.mark.anyio
async def test_the_provider_forgets_without_harm() -> None:
    """A session that fell out of memory is answered all the same: the input holds everything."""
    provider = SandboxVerification(ManualClock(START))
    await _seen(provider, "sandbox/mismatch/first")
    for number in range(SESSIONS_MAX + 1):
        await provider.start_session(str(number), _SUBJECT, deadline_s=1.0)
    assert await _seen(provider, "sandbox/mismatch/first") == "mismatch 210000"
    assert provider.statistics().sessions == SESSIONS_MAX + 3


@pytest.mark.anyio
async def test_the_source_knows_who_is_on_record() -> None:
    """It compares each element, names those that are wrong, and tells the kind of the card."""
    source = ReferenceSource(sample_reference(6, 3), SystemClock())
    person, other = sample_person(5), sample_person(3)
    claims = PersonElements(
        name=person.name,
        id_number=person.id_number,
        phone=person.phone,
        card_number=person.cards[0].number,
    )

    async def answer(**changes: str) -> tuple[bool, tuple[str, ...], str]:
        fields = {name: getattr(claims, name) for name in claims.__struct_fields__}
        got = await source.check_person(PersonElements(**fields | changes), deadline_s=1.0)
        return got.matched, got.mismatched, got.card_kind

    assert await answer() == (True, (), "class_1")
    assert await answer(card_number=person.cards[1].number) == (True, (), "class_2")
    assert await answer(card_number="") == (True, (), "")
    assert await answer(name=other.name) == (False, ("name",), "class_1")
    assert await answer(phone=other.phone) == (False, ("phone",), "class_1")
    assert await answer(card_number=other.cards[0].number) == (False, ("card_number",), "")
    assert await answer(id_number=sample_person(6).id_number) == (False, ("id_number",), "")
    assert source.statistics().matched == 3


@pytest.mark.anyio
async def test_the_source_knows_companies() -> None:
    """A company is found under its code, and another code finds none."""
    source = ReferenceSource(sample_reference(3, 2), SystemClock())
    found = await source.find_company(sample_company(1).credit_code, deadline_s=1.0)
    assert found is not None
    assert found.representative_name == sample_person(1).name
    assert await source.find_company(sample_company(2).credit_code, deadline_s=1.0) is None


@pytest.mark.anyio
async def test_a_late_answer_is_an_outage() -> None:
    """Whoever does not keep the deadline is not waited for."""
    with pytest.raises(Outage) as caught:
        await within(0.01, lambda: anyio.sleep(60))
    assert caught.value.reason == "timeout"


def test_the_bundled_reference_is_made_of_sample_people() -> None:
    """All of it can be made again; what differs are the outages and the companies that closed."""
    bundled = read_reference()
    made = sample_reference(len(bundled.people), len(bundled.companies))
    assert [one.id_number for one in bundled.people] == [one.id_number for one in made.people]
    assert {one.outage for one in bundled.people} == {"", "down", "timeout"}
    assert {one.status for one in bundled.companies} == {"in_business", "revoked", "dissolved"}


def test_sample_people_pass_every_check_and_live_no_more() -> None:
    """Their numbers are good, all different, and of people born before 1911."""
    today = date(2026, 11, 25)
    people = [sample_person(number) for number in (*range(200), 3_652, 999_999)]
    for person in people:
        checked_identity_number(person.id_number, today=today)
        assert int(person.id_number[6:10]) <= 1910
        for card in person.cards:
            checked_card_number(card.number)
    for values in (
        {one.id_number for one in people},
        {one.phone for one in people},
        {card.number for one in people for card in one.cards[:1]},
    ):
        assert len(values) == len(people)
    for number in range(50):
        checked_credit_code(sample_company(number).credit_code)


def test_a_file_that_is_no_reference_is_not_quoted(tmp_path: Path) -> None:
    """The error names the file and the form, and nothing that stands in it."""
    path = tmp_path / "people.json"
    path.write_text('{"people":[{"name":"李雷","id_number":"11010519491231002X"}],"companies":[]}')
    with pytest.raises(ValueError, match=r"people\.json") as caught:
        read_reference(path)
    assert "11010519491231002X" not in str(caught.value)
    assert "李雷" not in str(caught.value)
