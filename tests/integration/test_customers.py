"""Customers on real NATS and real Postgres: opened, limited, masked, and nothing leaked."""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest

from actors.customers.keyring import ensure_keyring
from actors.customers.reference_source import ReferencePerson, read_reference
from actors.customers.sample_people import sample_person, sample_reference
from actors.customers.services import DATA_KEYS_SETTING, IDENTITY_REFERENCE_SETTING
from kernel.clock import SystemClock
from kernel.randomness import SystemRandomness
from schemas.errors import (
    BalanceLimit,
    Forbidden,
    LimitExceeded,
    NotFound,
    UnknownOperation,
    ZhihuiError,
)
from schemas.subjects import EVENT_STREAM, INTAKE_STREAM
from tests.eventually import eventually
from tests.unit.customers.customer_lab import evidence, registration
from tests.unit.customers.leaks import KeptLog, leaks, secrets_of
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_WITHIN_S = 20.0
# With numbers that stand nowhere by chance.
_FIRST = 700_001

_TEXTS = """
SELECT table_name::text, column_name::text FROM information_schema.columns
 WHERE table_schema IN ('zhihui', 'zhihui_migrations') AND data_type IN ('text', 'bytea')
"""


class _Lab:
    """A node, an app, the back office, and what stands in the database."""

    def __init__(self, streams: Path, dsn: str, app: Client, staff: Client, log: KeptLog) -> None:
        self.streams = streams
        self.dsn = dsn
        self.app = app
        self.staff = staff
        self.log = log
        self.people: list[ReferencePerson] = []
        self._numbers = itertools.count(_FIRST)
        self._ids = itertools.count(1)

    def person(self) -> ReferencePerson:
        """Return somebody on record whom no test has met."""
        self.people.append(sample_person(next(self._numbers)))
        return self.people[-1]

    async def call(self, operation: str, client: Client | None = None, **fields: Any) -> Any:
        """Ask, with an id that was not used before where none is given."""
        service, verb = operation.split(".")
        if verb not in ("get", "list", "statement"):
            fields.setdefault("request_id", f"r-{next(self._ids)}")
        return await (client or self.app).call(service, verb, fields)

    async def register(self, person: ReferencePerson) -> str:
        """Register and return the customer's id."""
        body = registration(person, f"reg-{next(self._ids)}")
        return str((await self.call("customer.register", **body))["customer_id"])

    async def until(self, case_id: str, *statuses: str) -> dict[str, Any]:
        """Wait until the case has one of the statuses."""
        case: dict[str, Any] = {}

        async def there() -> bool:
            case.update(await self.call("case.get", case_id=case_id))
            return case["status"] in statuses

        await eventually(there, f"case {case_id} is {statuses}", within_s=_WITHIN_S)
        return case

    async def opened(
        self, person: ReferencePerson, account_class: str = "II", script: str = "pass"
    ) -> dict[str, Any]:
        """Take a person from nothing to a decided case."""
        case = await self.call(
            "account.open_personal",
            customer_id=await self.register(person),
            account_class=account_class,
            card_number=person.cards[0].number,
        )
        await self.until(case["case_id"], "verifying")
        proof = evidence(f"sandbox/{script}/{next(self._ids)}")
        await self.call("case.submit_evidence", case_id=case["case_id"], evidence=proof)
        return await self.until(
            case["case_id"], "opened", "rejected", "pending_review", "elements_checked"
        )

    async def fetch(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def stored_leaks(self) -> list[str]:
        """Return where a plain value stands in any column of any table, or in any stream."""
        secrets = secrets_of(self.people)
        found: list[str] = []
        looked = 0
        for table, column in await self.fetch(_TEXTS):
            schema = "zhihui_migrations" if table == "version" else "zhihui"
            rows = await self.fetch(f"SELECT {column} FROM {schema}.{table}")
            looked += len(rows)
            found += leaks(secrets, f"{table}.{column}", (row[0] for row in rows))
        assert looked > 100
        told = b""
        for path in self.streams.rglob("*"):
            # What was in the intake is taken out, and its bytes are written over some time later.
            if path.is_file() and INTAKE_STREAM not in path.parts:
                content = path.read_bytes()
                found += leaks(secrets, f"NATS {path}", [content])
                told += content if EVENT_STREAM in path.parts else b""
        # The search is one in plain text.
        assert b"case.submitted" in told
        return found


@pytest.fixture(scope="module")
async def running(
    module_postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[_Lab]:
    """One node for all tests, on a NATS whose files can be looked into."""
    dsn, folder = module_postgres_dsn, tmp_path_factory.mktemp("customers")
    nats = EmbeddedNats(folder / "server")
    await nats.start()
    try:
        async for lab in _running(folder, nats.url, dsn):
            yield lab
    finally:
        await nats.stop()


async def _running(folder: Path, url: str, dsn: str) -> AsyncIterator[_Lab]:
    ensure_keyring(folder / "keys.json", SystemRandomness(), SystemClock().now())
    people = sample_reference(0, 0)
    people = msgspec.structs.replace(
        people,
        people=tuple(sample_person(number) for number in range(_FIRST, _FIRST + 40)),
        companies=read_reference().companies,
    )
    (folder / "reference.json").write_bytes(msgspec.json.encode(people))
    settings = {
        DATA_KEYS_SETTING: str(folder / "keys.json"),
        IDENTITY_REFERENCE_SETTING: str(folder / "reference.json"),
    }
    config = NodeConfig(name="n1", nats_url=url, postgres_dsn=dsn, settings=settings)
    with KeptLog() as log:
        async with (
            running_node(config),
            Client(app="campus", url=url) as app,
            Client(app="ops", url=url) as staff,
        ):
            yield _Lab(folder / "server" / "nats", dsn, app, staff, log)


@pytest.fixture
async def lab(running: _Lab) -> AsyncIterator[_Lab]:
    """Every test ends with an audit, and with a search for what it must not have left."""
    yield running
    report = await run_audit(running.dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]
    assert await running.stored_leaks() == []
    assert leaks(secrets_of(running.people), "log", running.log.lines) == []


async def _refused(attempt: Any, kind: type[ZhihuiError]) -> str | None:
    with pytest.raises(kind) as refused:
        await attempt
    return refused.value.field


async def test_from_a_person_to_an_account_that_is_closed(lab: _Lab) -> None:
    """An account of class III: opened, filled to its brim, frozen, emptied and closed."""
    case = await lab.opened(lab.person(), "III")
    assert case["status"] == "opened"
    account_id = case["account_id"]
    own = {"account_id": account_id, "source": f"external:card:{account_id}"}
    await lab.call("account.deposit", amount_minor=200_000, **own)
    over = lab.call("account.deposit", amount_minor=1, **own)
    assert await _refused(over, BalanceLimit) == "account_id"
    await lab.call("account.freeze", account_id=account_id, reason="court order")
    await lab.call("account.unfreeze", account_id=account_id)
    other = (await lab.opened(lab.person()))["account_id"]
    await lab.call("account.close", account_id=account_id, transfer_to=other)
    statement = await lab.call("account.statement", account_id=account_id)
    assert [one["amount_minor"] for one in statement["entries"]] == [200_000, -200_000]
    customer = await lab.call("customer.get", customer_id=case["customer_id"])
    assert [one["status"] for one in customer["accounts"]] == ["closed"]
    tallies = await lab.fetch("SELECT count FROM zhihui.tally WHERE tally_id LIKE 'accounts:III:%'")
    assert tallies == [(0,)]


async def test_the_limit_of_a_day_spares_the_own_card(lab: _Lab) -> None:
    """Class II takes ¥10,000 a day from others, and any sum from its bound card."""
    account_id = (await lab.opened(lab.person()))["account_id"]
    unbound = {"account_id": account_id, "source": "external:unionpay"}
    await lab.call("account.deposit", amount_minor=1_000_000, **unbound)
    over = lab.call("account.deposit", amount_minor=1, **unbound)
    assert await _refused(over, LimitExceeded) == "account_id"
    own = {"account_id": account_id, "source": f"external:card:{account_id}"}
    await lab.call("account.deposit", amount_minor=5_000_000, **own)
    foreign = {**own, "source": "external:card:acct_1"}
    assert await _refused(lab.call("account.deposit", amount_minor=1, **foreign), NotFound) == (
        "source"
    )


async def test_racing_openings_stop_at_five(lab: _Lab) -> None:
    """Of nine openings at once exactly five stand, whatever the order of the commits."""
    person = lab.person()
    await lab.register(person)
    ended: list[dict[str, Any]] = []

    async def one() -> None:
        ended.append(await lab.opened(person))

    async with anyio.create_task_group() as tasks:
        for _ in range(9):
            tasks.start_soon(one)
    assert [case["status"] for case in ended].count("opened") == 5
    assert [case["reasons"] for case in ended if case["status"] == "rejected"] == (
        [["account_count"]] * 4
    )


async def test_staff_decide_and_look_and_it_is_noted(lab: _Lab) -> None:
    """A case is decided by name, data is shown for a purpose, and both are on the trail."""
    person = lab.person()
    case = await lab.opened(person, script="borderline")
    assert case["status"] == "pending_review"
    decision = {
        "case_id": case["case_id"], "decision": "approve", "decided_by": "clerk-7",
        "reason": f"asked under {person.phone}",
    }  # fmt: skip
    await _refused(lab.call("case.decide", **decision), Forbidden)
    listed = await lab.call("case.list", lab.staff)
    assert case["case_id"] in [one["case_id"] for one in listed["cases"]]
    decided = await lab.call("case.decide", lab.staff, **decision)
    assert (decided["status"], decided["decided_by"]) == ("opened", "clerk-7")
    shown = await lab.call(
        "customer.reveal", lab.staff, customer_id=case["customer_id"], revealed_to="clerk-7",
        fields=["phone", "id_number"], purpose="letter of the court",
    )  # fmt: skip
    assert (shown["id_number"], shown["phone"], shown["name"]) == (
        person.id_number, person.phone, None,
    )  # fmt: skip
    trail = await lab.fetch(
        "SELECT actor, action, reason FROM zhihui.audit_trail WHERE subject IN ($1, $2)"
        " ORDER BY change_seq",
        case["case_id"],
        case["customer_id"],
    )
    assert trail == [
        ("clerk-7", "case.approve", "asked under ***"),
        ("clerk-7", "customer.reveal", "letter of the court"),
    ]
    with pytest.raises(asyncpg.RestrictViolationError):
        await lab.fetch("DELETE FROM zhihui.audit_trail RETURNING 1")


async def test_what_was_published_by_mistake_is_not_kept(lab: _Lab) -> None:
    """A request with data of a person on the durable intake is refused, and its body is gone.

    Backends cannot publish it at all; the client here has the node's own user, which may.
    """
    person = lab.person()
    body = registration(person, "published")
    await lab.app.publish("customer", "register", body)

    async def refused() -> bool:
        rows = await lab.fetch("SELECT data FROM zhihui.event WHERE type = 'request.rejected'")
        return any(UnknownOperation.code in row[0] for row in rows)

    await eventually(refused, "the refusal is told", within_s=_WITHIN_S)


async def test_events_are_masked(lab: _Lab) -> None:
    """Every transition is an event that an app may read, with masks in it."""
    person = lab.person()
    case = await lab.opened(person, script="spoof")
    assert (case["status"], case["reasons"]) == ("rejected", ["spoof"])
    rows = await lab.fetch(
        "SELECT type, data FROM zhihui.event WHERE subject = $1 ORDER BY seq", case["case_id"]
    )
    assert [row[0] for row in rows] == [
        "case.submitted", "case.elements_checked", "case.verifying", "case.examining",
        "case.rejected",
    ]  # fmt: skip
    assert {json.loads(row[1])["card"] for row in rows} == {
        f"{person.cards[0].number[:4]} **** **** {person.cards[0].number[-4:]}"
    }
