"""The bundled story of the city: it is what the program tells, and it can be played."""

import gzip
import hashlib
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.catalogue import BANK_OPERATIONS
from zhihui.demo.city.bundle import BUNDLED_CITY, City, load_city, write_city
from zhihui.demo.city.script import APP, OFFICE
from zhihui.demo.city.story import SEED, tell_story
from zhihui.demo.day import DayLine

_LINES = "story.jsonl.gz"
_MANIFEST = "story.manifest.json"
_OPERATIONS = {operation.name: operation for operation in BANK_OPERATIONS}
_NAME = re.compile(r"@(acct:[a-z0-9-]+|[a-z0-9-]+\.[a-z_]+)")

# What customers, merchants and their backends may ask for and the story does not, with the reason.
# What only the bank's own staff may do is not asked for here.
_LEFT_OUT = {
    "a read of what the story's own outcomes and balances show already": {
        "account.statement", "channel.get", "coupon.get", "credit.payoff", "credit.plan",
        "credit.plans",
        "customer.get", "event.list", "fund.get", "hold.get", "merchant.get", "payment.list",
        "qr.get", "settlement.clearing", "settlement.get", "settlement.list",
        "settlement.statement", "wealth.get", "wealth.order",
    },
    "the authorised payments of the story place, capture and let go the same holds": {
        "hold.capture", "hold.place", "hold.void",
    },
    "the story's units are redeemed in the instant of payment": {"wealth.redeem"},
    "the story's credit is instalments that pay themselves; loans have tests of their own": {
        "credit.autopay", "credit.close", "credit.draw", "credit.repay", "credit.settle",
    },
    "it changes or ends what the story goes on with": {
        "account.bind", "account.close", "account.withdraw", "coupon.revoke", "merchant.update",
    },
}  # fmt: skip


@pytest.fixture(name="city", scope="module")
def _city() -> City:
    return load_city()


def test_bundled_story_is_what_the_program_tells(tmp_path: Path) -> None:
    """The seed gives the bundled content; compared unpacked, as zlib versions pack differently."""
    write_city(tell_story(), tmp_path)
    content = gzip.decompress((tmp_path / _LINES).read_bytes())
    assert content == gzip.decompress((BUNDLED_CITY / _LINES).read_bytes())
    assert (tmp_path / _MANIFEST).read_bytes() == (BUNDLED_CITY / _MANIFEST).read_bytes()
    told = msgspec.json.decode((tmp_path / _MANIFEST).read_bytes())
    assert told["content_sha256"] == hashlib.sha256(content).hexdigest()


def test_the_same_seed_tells_the_same_story(tmp_path: Path) -> None:
    """Two tellings with one seed are identical, another seed tells another story."""
    contents = []
    for number, seed in enumerate((SEED, SEED, SEED + 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_city(tell_story(seed), folder)
        contents.append((folder / _LINES).read_bytes())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_every_line_is_counted_in_the_manifest(city: City) -> None:
    """The manifest's outcomes and messages are those of the lines, none more and none less."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    messages = [line for line in city.lines if not line.subject_tail.startswith("@")]
    for line in messages:
        counts[line.subject_tail][line.expect] += 1
    assert city.manifest.outcomes == {name: dict(found) for name, found in counts.items()}
    assert city.manifest.messages == len(messages)
    assert len(city.manifest.balances) > 30


def test_lines_stand_in_their_phases(city: City) -> None:
    """Lines come phase by phase, no phase is empty, and what is no message has a phase alone."""
    places = [line.at for line in city.lines]
    assert places == sorted(places)
    assert set(places) == set(range(len(city.manifest.phases)))
    acts = set()
    for number, phase in enumerate(city.manifest.phases):
        tails = [line.subject_tail for line in city.lines if line.at == number]
        if phase.startswith("@"):
            acts.add(phase)
            assert tails == [phase]
        else:
            assert not any(tail.startswith("@") for tail in tails)
    assert acts == {"@advance", "@outage", "@reconcile"}


def test_every_public_operation_is_played_or_left_out_for_a_reason(city: City) -> None:
    """What a customer or a merchant may ask for is in the story, unless it says why it is not."""
    played = {line.subject_tail for line in city.lines}
    left_out = [name for names in _LEFT_OUT.values() for name in names]
    assert len(left_out) == len(set(left_out))
    public = {name for name, operation in _OPERATIONS.items() if not operation.operator}
    assert public - played == set(left_out)


def test_the_office_alone_does_what_only_the_office_may(city: City) -> None:
    """Operations of the back office are asked for by it; the one that is not must be refused."""
    for line in city.lines:
        if line.subject_tail.startswith("@"):
            continue
        assert line.app in (APP, OFFICE)
        if _OPERATIONS[line.subject_tail].operator and line.app != OFFICE:
            assert line.expect == "forbidden"


def test_every_name_stands_for_what_came_before(city: City) -> None:
    """What a body names was opened or kept by a line before it, and has the field that is named."""
    made: dict[str, DayLine] = {}
    named = 0
    for line in city.lines:
        for name in _NAME.findall(bytes(line.body).decode()):
            named += 1
            key, _, field = name.partition(".")
            maker = made[key]
            # Phases wait for each other, and within one only a lane keeps its order.
            assert maker.at < line.at or maker.lane == line.lane, (name, line)
            assert maker.expect == "ok"
            if field:
                result = _OPERATIONS[maker.subject_tail].result
                assert field in result.__struct_fields__, name
        if line.defines:
            made[line.defines.removeprefix("@")] = line
        if line.keeps:
            made[line.keeps] = line
    assert named > 1_000


def test_a_name_means_one_thing(city: City) -> None:
    """No two lines open or keep under one name, so a body means the same wherever it stands."""
    names = [name for line in city.lines for name in (line.defines, line.keeps) if name]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_a_request_id_is_of_one_message(city: City) -> None:
    """What has a request id twice is the same message again, expected to be answered the same."""
    sent: dict[str, DayLine] = {}
    again = 0
    for line in city.lines:
        body: dict[str, Any] = msgspec.json.decode(bytes(line.body))
        if "request_id" not in body:
            continue
        before = sent.setdefault(body["request_id"], line)
        if before is not line:
            again += 1
            assert bytes(line.body) == bytes(before.body)
            assert (line.subject_tail, line.expect, line.expect_result, line.app) == (
                before.subject_tail, before.expect, before.expect_result, before.app,
            )  # fmt: skip
    assert again >= 10


def test_only_reads_are_repeated_until_they_fit(city: City) -> None:
    """A line that is sent until its answer fits changes nothing, and says what must fit."""
    waiting = [line for line in city.lines if line.until]
    assert len(waiting) > 50
    for line in waiting:
        assert not _OPERATIONS[line.subject_tail].mutates
        assert line.expect == "ok"


def test_bodies_are_what_the_service_takes(city: City) -> None:
    """With the names filled in, every body that must be taken is one that its operation decodes."""
    for line in city.lines:
        if line.subject_tail.startswith("@") or line.expect != "ok":
            continue
        text = re.sub(r"\{@[a-z0-9-]+\.[a-z_]+\}", "x", bytes(line.body).decode())
        body = _NAME.sub("x", text)
        msgspec.json.decode(body, type=_OPERATIONS[line.subject_tail].request)
