"""The bundled day: it is what its generator makes, and the pack agrees with its model."""

import gzip
import hashlib
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugins.campus.pack import Campus
from plugins.campus.samples import generate as generator
from plugins.campus.samples.generate import DAY_FILE, HOUSES, MANIFEST_FILE, SEED, generate
from plugins.campus.student import Student
from schemas.errors import BalanceLimit, LimitExceeded, ZhihuiError
from tests.unit.plugins.fake_host import FakeHost
from zhihui.plugin import InvalidState

# What may be in an account of class III, and move in or out of it in a day.
CLASS_III_MAX = 200_000
BUNDLED = Path(generator.__file__).parent


@pytest.fixture(name="manifest", scope="module")
def _manifest() -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((BUNDLED / MANIFEST_FILE).read_text("utf-8"))
    return manifest


@pytest.fixture(name="lines", scope="module")
def _lines() -> list[dict[str, Any]]:
    with gzip.open(BUNDLED / DAY_FILE, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(name="played", scope="module")
def _played(lines: list[dict[str, Any]], manifest: dict[str, Any]) -> "Player":
    player = Player(manifest["phases"])
    for line in lines:
        player.play(line)
    return player


class Player(FakeHost):
    """Plays the lines of a day to the pack and to the fake bank."""

    def __init__(self, phases: list[dict[str, Any]]) -> None:
        super().__init__(Campus(), datetime(2026, 6, 1, tzinfo=UTC))
        self.phases = phases
        self.kept: dict[str, dict[str, Any]] = {}
        self.answered: set[str] = set()
        self.examined: set[str] = set()
        self.phase = 0
        # How many payments were made before today.
        self.before_today = 0

    def play(self, line: dict[str, Any]) -> None:
        """Send a line, let all arrive that is sent on it, and compare with what is expected."""
        request_id = str(line.get("body", {}).get("request_id", ""))
        if line["phase"] > self.phase:
            self.phase, self.before_today = line["phase"], len(self.payments)
            self.advance(self.phases[self.phase]["advance_s"])
        # What was decided once never reaches a pack again, if it can be decoded.
        if line["expect"] == "conflict" and line["subject_tail"].startswith("campus."):
            verb = line["subject_tail"].removeprefix("campus.")
            msgspec.json.decode(self._json(line), type=self.operations[verb].request)
        if line["expect"] in ("conflict", "unknown_operation") or request_id in self.answered:
            return
        outcome, result = self._answer(line)
        assert outcome.removeprefix("undecoded ") == line["expect"], line
        expected = line.get("expect_result", {})
        assert {name: result.get(name) for name in expected} == expected, line
        if "keeps" in line:
            self.kept[line["keeps"]] = result
        if request_id and not outcome.startswith("undecoded"):
            self.answered.add(request_id)
        self.deliver()

    def _answer(self, line: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        service, _, verb = line["subject_tail"].partition(".")
        try:
            if service in ("customer", "case"):
                return self._customers(line["subject_tail"], line)
            if service == "account":
                return "ok", self._bank(verb, self._named(line["body"]), line)
            raw = bytes.fromhex(line["raw_hex"]) if "raw_hex" in line else self._json(line)
            result = self.send(verb, raw)
        except ZhihuiError as error:
            return error.code, {}
        except msgspec.ValidationError:
            return "undecoded invalid_field", {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "undecoded malformed_message", {}
        return result.status, msgspec.to_builtins(result)

    def _json(self, line: dict[str, Any]) -> bytes:
        return json.dumps(self._named(line["body"]), ensure_ascii=False).encode()

    def _named(self, value: Any) -> Any:
        """Return a body with ids and earlier results in the place of their names."""
        if isinstance(value, dict):
            return {field: self._named(one) for field, one in value.items()}
        if isinstance(value, list):
            return [self._named(one) for one in value]
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        if value.startswith("@acct:"):
            return account_id(value)
        name, _, field = value[1:].partition(".")
        return self.kept[name][field]

    def _bank(self, verb: str, body: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
        if verb == "open":
            self.balances[account_id(line["defines"])] = 0
            return body
        if verb == "open_personal":
            return body | {"case_id": line["keeps"]}
        name = body["account_id"]
        if verb != "get" and name in self.closed:
            raise InvalidState(f"account {name!r} is closed")
        if verb == "deposit":
            if self.balances[name] + body["amount_minor"] > self.ceilings.get(name, 10**15):
                raise BalanceLimit(f"account {name!r} may not hold so much")
            self.balances[name] += body["amount_minor"]
        if verb == "close":
            if self.balances[name] or self.held(name):
                raise InvalidState(f"account {name!r} is not empty")
            self.closed.add(name)
            return {"status": "closed"}
        return body | {
            "posted_minor": self.balances[name],
            "available_minor": self.available(name),
            "held_minor": self.held(name),
        }

    def _customers(self, tail: str, line: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Open accounts of class III as fast as they are asked for."""
        body = self._named(line["body"])
        if tail == "customer.register":
            return "ok", {"customer_id": line["keeps"]}
        if tail == "case.submit_evidence":
            self.examined.add(body["case_id"])
            return "examining", {}
        if body["case_id"] not in self.examined:
            return "verifying", {"status": "verifying"}
        name = account_id(line["defines"])
        self.balances[name], self.ceilings[name] = 0, CLASS_III_MAX
        return "opened", {"status": "opened", "account_id": name}

    def move(self, payer: str, payee: str, amount_minor: int) -> None:
        """Move money, if the limits of a day of class III allow it."""
        today = self.payments[self.before_today :]
        out = sum(one.amount_minor for one in today if one.payer == payer)
        came = sum(one.amount_minor for one in today if one.payee == payee)
        for account, moved in ((payer, out), (payee, came)):
            if account in self.ceilings and moved + amount_minor > CLASS_III_MAX:
                raise LimitExceeded(f"too much moved through account {account!r} today")
        super().move(payer, payee, amount_minor)


def account_id(name: str) -> str:
    """Return the id that an account of the day has on the fake bank."""
    return "acct-" + name.encode().hex()


def test_bundled_day_is_what_the_generator_makes(tmp_path: Path, manifest: dict[str, Any]) -> None:
    """The seed gives the bundled content; compared unpacked, as zlib versions pack differently."""
    generate(seed=SEED, houses=HOUSES, out=tmp_path)
    content = gzip.decompress((tmp_path / DAY_FILE).read_bytes())
    assert hashlib.sha256(content).hexdigest() == manifest["content_sha256"]
    assert content == gzip.decompress((BUNDLED / DAY_FILE).read_bytes())
    made = (tmp_path / MANIFEST_FILE).read_bytes()
    assert made == (BUNDLED / MANIFEST_FILE).read_bytes()


def test_same_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    """Two runs write identical files, another seed writes others."""
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        generate(seed=seed, houses=2, out=tmp_path / name)
    one, two, other = (
        [(tmp_path / name / file).read_bytes() for file in (DAY_FILE, MANIFEST_FILE)]
        for name in ("one", "two", "other")
    )
    assert one == two
    assert one[0] != other[0]


def test_day_holds_what_it_promises(lines: list[dict[str, Any]]) -> None:
    """At least 5,000 messages besides repeated reads, in order, with enough of every trouble."""
    day = [line for line in lines if not line.get("setup")]
    assert len([line for line in day if not line.get("until")]) >= 5_000
    assert [line["at"] for line in day] == sorted(line["at"] for line in day)
    bodies: defaultdict[str, list[str]] = defaultdict(list)
    for line in day:
        if "request_id" in line.get("body", {}):
            bodies[str(line["body"]["request_id"])].append(json.dumps(line["body"]))
    repeated = sum(len(sent) - len(set(sent)) for sent in bodies.values())
    assert repeated >= 0.02 * len(day)
    outcomes = Counter(line["expect"] for line in day)
    for outcome in (
        "conflict", "malformed_message", "invalid_field", "invalid_state", "not_found",
        "insufficient_funds", "limit_exceeded", "unknown_operation",
    ):  # fmt: skip
        assert outcomes[outcome] >= 10, outcome
    for outcome in ("charged", "settled", "partly_paid", "accepted", "partly", "already_charged"):
        assert outcomes[outcome] >= 10, outcome
    for outcome in (
        "released", "refused", "left", "rest_paid", "waived", "agreed", "stale", "nothing_new",
        "replaced", "written_off",
    ):  # fmt: skip
        assert outcomes[outcome] >= 4, outcome
    assert min(Counter(line["phase"] for line in lines).values()) >= 500


def test_wallets_of_class_three_meet_their_limits(lines: list[dict[str, Any]]) -> None:
    """What may be in one, go in and go out is reached to the fen; then they are emptied, closed."""
    told = [line for line in lines if line["lane"] == "class-three"]
    outcomes = Counter((line["subject_tail"], line["expect"]) for line in told)
    for ended in (("case.get", "opened"), ("campus.leave_school", "left"), ("account.close", "ok")):
        assert outcomes[ended] == 2, ended
    refused = Counter(line["expect"] for line in told if line["phase"] == 1)
    assert (refused["balance_limit"], refused["limit_exceeded"]) == (1, 4)


def test_every_line_is_counted_in_the_manifest(
    lines: list[dict[str, Any]], manifest: dict[str, Any]
) -> None:
    """The manifest's outcomes are those of the lines, none more and none less."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        outcomes[line["subject_tail"]][line["expect"]] += 1
    assert outcomes == manifest["outcomes"]
    assert len(lines) == manifest["messages"] + manifest["setup_messages"]


def test_lanes_wait_for_what_they_sent(lines: list[dict[str, Any]]) -> None:
    """After an upload or a family's payment its lane waits for each student before it goes on."""
    by_lane: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        by_lane[line["lane"]].append(line)
    for sent in by_lane.values():
        waiting: set[str] = set()
        known: set[str] = set()
        for line in sent:
            body, tail = line.get("body", {}), line["subject_tail"]
            if tail == "campus.get_student" and line.get("until"):
                waiting.discard(body["student_id"])
                continue
            if tail.startswith("campus."):
                assert body.get("student_id") not in waiting, line
            if body.get("request_id") in known:
                continue
            known.add(body.get("request_id"))
            if tail == "campus.upload_sales" and line["expect"] in ("accepted", "partly"):
                waiting |= {one["student_id"] for one in body["records"]} - {"20269999"}
            if tail == "campus.pay_family" and line["expect"] == "paid":
                waiting |= {one["student_id"] for one in body["items"]}


def test_pack_does_what_the_model_says(played: Player, manifest: dict[str, Any]) -> None:
    """Two programs that share nothing agree on every message, every balance and every debt."""
    assert played.refused == []
    for name, balance in manifest["balances"].items():
        assert played.balances[account_id(name)] == balance, name
        assert played.held(account_id(name)) == manifest["held"].get(name, 0), name
    others = played.balances.keys() - {account_id(name) for name in manifest["balances"]}
    assert [name for name in others if played.balances[name]] == []
    students = {key: one for (kind, key), one in played.documents.items() if kind == "student"}
    assert len(students) == manifest["students"]
    owed = {}
    sales = 0
    for key, student in sorted(students.items()):
        assert isinstance(student, Student)
        sales += len(student.charged)
        if student.debts:
            owed[key] = student.debts_minor
    assert owed == manifest["debts"]
    assert sales == manifest["sales"]


def test_subsidies_end_and_bills_are_reminded_of(played: Player) -> None:
    """Long after the day every subsidy has gone back, and every open bill was reminded of."""
    played.advance(80 * 366 * 86_400)
    assert played.held(account_id("@acct:hilltop:fund")) == 0
    assert played.held(account_id("@acct:hilltop:supervised")) == 0
    assert played.timers == {}
    told: list[Any] = [data for kind, data in played.heard if kind == "campus.bill_late"]
    late = {(data.student_id, data.bill_id) for data in told}
    students = [one for one in played.documents.values() if isinstance(one, Student)]
    still_open = {(one.student_id, bill.bill_id) for one in students for bill in one.bills}
    settled = {(one.student_id, bill_id) for one in students for bill_id in one.bills_ended}
    assert still_open
    # Those that were paid late had been reminded of before.
    assert late - settled == still_open
    assert late & settled
