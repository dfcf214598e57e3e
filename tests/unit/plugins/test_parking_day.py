"""The bundled day: it is what its generator makes, and the pack agrees with its model."""

import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugins.parking.pack import Parking
from plugins.parking.samples import generate as generator
from plugins.parking.samples.generate import DAY_FILE, MANIFEST_FILE, SEED, VEHICLES, generate
from schemas.errors import ZhihuiError
from tests.unit.plugins.fake_host import FakeHost

BUNDLED = Path(generator.__file__).parent


@pytest.fixture(name="manifest", scope="module")
def _manifest() -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((BUNDLED / MANIFEST_FILE).read_text("utf-8"))
    return manifest


@pytest.fixture(name="lines", scope="module")
def _lines() -> list[dict[str, Any]]:
    with gzip.open(BUNDLED / DAY_FILE, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_bundled_day_is_what_the_generator_makes(tmp_path: Path, manifest: dict[str, Any]) -> None:
    """The seed gives the bundled content; compared unpacked, as zlib versions pack differently."""
    generate(seed=SEED, vehicles=VEHICLES, out=tmp_path)
    content = gzip.decompress((tmp_path / DAY_FILE).read_bytes())
    assert hashlib.sha256(content).hexdigest() == manifest["content_sha256"]
    assert content == gzip.decompress((BUNDLED / DAY_FILE).read_bytes())
    made = (tmp_path / MANIFEST_FILE).read_bytes()
    assert made == (BUNDLED / MANIFEST_FILE).read_bytes()


def test_same_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    """Two runs write identical files, another seed writes others."""
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        generate(seed=seed, vehicles=40, out=tmp_path / name)
    one, two, other = (
        [(tmp_path / name / file).read_bytes() for file in (DAY_FILE, MANIFEST_FILE)]
        for name in ("one", "two", "other")
    )
    assert one == two
    assert one[0] != other[0]


def test_day_holds_what_it_promises(lines: list[dict[str, Any]]) -> None:
    """At least 20,000 messages in order of arrival, and enough of every kind of trouble."""
    day = [line for line in lines if not line.get("setup")]
    assert len(day) >= 20_000
    assert [line["at"] for line in day] == sorted(line["at"] for line in day)
    assert len({line["lane"] for line in day}) > 3_500
    bodies: defaultdict[str, list[str]] = defaultdict(list)
    for line in day:
        if "body" in line and "request_id" in line["body"]:
            bodies[str(line["body"]["request_id"])].append(json.dumps(line["body"]))
    repeated = sum(len(sent) - len(set(sent)) for sent in bodies.values())
    assert repeated >= 0.02 * len(day)
    outcomes = Counter(line["expect"] for line in day)
    for outcome in ("conflict", "malformed_message", "invalid_field", "invalid_state", "not_found"):
        assert outcomes[outcome] >= 50, outcome
    for outcome in ("paid", "free", "unpaid"):
        assert outcomes[outcome] >= 1_000, outcome
    for outcome in (
        "bought", "disputed", "waived", "upheld", "refunded", "waiting", "prepaid", "nothing_due",
        "stamped", "unbound", "ineligible", "limit_exceeded",
    ):  # fmt: skip
        assert outcomes[outcome] >= 5, outcome


def test_every_line_is_counted_in_the_manifest(
    lines: list[dict[str, Any]], manifest: dict[str, Any]
) -> None:
    """The manifest's outcomes are those of the lines, none more and none less."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        outcomes[line["subject_tail"]][line["expect"]] += 1
    assert outcomes == manifest["outcomes"]
    assert len(lines) == manifest["messages"] + manifest["setup_messages"]


def test_pack_does_what_the_model_says(
    lines: list[dict[str, Any]], manifest: dict[str, Any]
) -> None:
    """Two programs that share only the tariff agree on every message and on every balance."""
    host = FakeHost(Parking(), datetime(2026, 6, 16, tzinfo=UTC))
    seen: set[str] = set()
    direct = 0
    for line in lines:
        service, _, verb = line["subject_tail"].partition(".")
        request_id = line.get("body", {}).get("request_id", "")
        # What was decided once never reaches a pack again.
        if line["expect"] in ("conflict", "unknown_operation") or request_id in seen:
            continue
        if service == "parking":
            outcome, result = _outcome(host, verb, line)
            assert outcome.removeprefix("undecoded ") == line["expect"], line
            expected = line.get("expect_result", {})
            assert {name: result.get(name) for name in expected} == expected, line
            if outcome.startswith("undecoded"):
                continue
        elif line["expect"] == "ok":
            _move(host.balances, verb, line)
            direct += verb == "create"
        if request_id:
            seen.add(str(request_id))
    for name, balance in manifest["balances"].items():
        assert host.balances[_account_id(name)] == balance, name
    for lot in manifest["lots"].values():
        assert host.balances[_account_id(lot["account"])] == lot["balance_minor"]
    assert len(host.payments) + direct == manifest["payments"]
    # Nothing of the day comes later, so its books are the same whenever they are read.
    assert (host.timers, host.holds) == ({}, {})


def _outcome(host: FakeHost, verb: str, line: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    raw = bytes.fromhex(line["raw_hex"]) if "raw_hex" in line else _body(line)
    host.request_id = str(line.get("body", {}).get("request_id", ""))
    try:
        result = host.send(verb, raw)
    except ZhihuiError as error:
        return error.code, {}
    except msgspec.ValidationError:
        return "undecoded invalid_field", {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "undecoded malformed_message", {}
    # What the pack tells itself has arrived before anybody asks, and what is due has come.
    host.deliver()
    host.advance(0)
    return result.status, json.loads(msgspec.json.encode(result))


def _body(line: dict[str, Any]) -> bytes:
    """Return the body with an account's id wherever the day has a name for it."""
    text = json.dumps(line["body"], ensure_ascii=False)
    return re.sub(r"@acct:[^\"]+", lambda name: _account_id(name[0]), text).encode()


def _account_id(name: str) -> str:
    return "acct-" + name.encode().hex()


def _move(balances: dict[str, int], verb: str, line: dict[str, Any]) -> None:
    body = json.loads(_body(line))
    if verb == "open":
        balances[_account_id(line["defines"])] = 0
    elif verb == "deposit":
        balances[body["account_id"]] += body["amount_minor"]
    elif verb == "create":
        balances[body["payer"]] -= body["amount_minor"]
        balances[body["payee"]] += body["amount_minor"]
