"""Risk on a real Postgres: the race at a limit, and what is read again."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from kernel.postgres_store import PostgresStore
from schemas.risk import ExplainRisk, GeoPoint, GetRiskReport
from tests.unit.risk.facts import MORNING_MS, facts, rule
from tests.unit.risk.race import race
from tests.unit.risk.risk_lab import RiskLab, check_of
from zhihui.audit import run_audit

pytestmark = pytest.mark.anyio

_MORNING = datetime.fromtimestamp(MORNING_MS / 1000, UTC)


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    """A store on a database of the test's own."""
    async with PostgresStore(postgres_dsn, application="test") as opened:
        yield opened


async def test_two_hundred_race_at_a_limit(store: PostgresStore, postgres_dsn: str) -> None:
    """On Postgres too exactly the allowed number pass, and the books hold afterwards."""
    lab = RiskLab(store, rule("velocity", count_max=41, buckets=2), epoch=0)
    await race(lab, allowed=41, seed=11)
    assert (await run_audit(postgres_dsn)).ok


async def test_the_past_is_read_from_the_database(store: PostgresStore) -> None:
    """Windows, marks and places survive on Postgres as they do in memory."""
    lab = RiskLab(
        store,
        rule("velocity", action="review", count_max=2, buckets=24),
        rule("new_device", stage="shadow"),
        rule("geo_speed", stage="shadow"),
        epoch=0,
    )
    await lab.open("acct_a", "acct_b")
    shanghai, beijing = GeoPoint(31_230_400, 121_473_700), GeoPoint(39_904_200, 116_407_400)
    one = facts(device_id="d", geo=shanghai)
    assert await lab.pay(check_of(one)) == ["ok"]
    lab.new_actor()
    two = facts(device_id="d", geo=beijing, at_ms=MORNING_MS + 60_000, subject="pay_2")
    three = facts(device_id="d", geo=beijing, at_ms=MORNING_MS + 120_000, subject="pay_3")
    assert await lab.pay(check_of(two, "r2"), check_of(three, "r3")) == ["ok", "risk_declined"]
    lab.new_actor()
    hits = await lab.rows("risk_hit", "subject", "rule_id", "outcome")
    assert hits == [
        ("pay_1", "new-device", "approve"),
        ("pay_2", "geo-speed", "approve"),
        ("pay_3", "velocity", "decline"),
    ]


async def test_limits_that_refused_are_read_by_an_index(
    store: PostgresStore, postgres_dsn: str
) -> None:
    """The report finds them, and does not walk through every request for it."""
    lab = RiskLab(store, rule("velocity", count_max=1), epoch=0)
    await lab.open("acct_a", "acct_b")
    answers = await lab.pay(check_of(facts()), check_of(facts(subject="pay_2"), "r2"))
    assert answers == ["ok", "limit_exceeded"]
    report = await lab.ask(
        GetRiskReport(since=_MORNING - timedelta(hours=1), until=_MORNING + timedelta(hours=1))
    )
    assert [(one["rule_id"], one["kind"], one["hits"]) for one in report["rules"]] == [
        ("velocity", "limit", 1)
    ]
    explained = await lab.ask(ExplainRisk(app="shop", request_id="r2"))
    assert explained["outcome"] == "limit"
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute("SET enable_seqscan = off")
        # As the store sends it: with parameters, planned for their values.
        plan = await connection.fetch(
            "EXPLAIN SELECT answer FROM zhihui.change"
            " WHERE outcome = 'limit_exceeded' AND at > now() AND at <= now()"
        )
    finally:
        await connection.close()
    assert any("change_limit_exceeded" in row[0] for row in plan)
