"""The journal and its ledger against a sequential model, on a real Postgres."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.ledger import LedgerBook
from kernel.clock import SystemClock
from kernel.journal import Journal
from kernel.postgres_store import PostgresStore
from kernel.store import Commit, CommitUnknown, Query, Where
from tests.changes import FACT_TABLES, Answers, OwnsAll, journal_delivery
from tests.ledger_model import Model
from tests.ledger_requests import (
    Batches,
    Chain,
    Request,
    batches,
    chain_of,
    change_of,
    heard,
    renamed,
)
from zhihui.audit import run_audit

# Time to shrink an example that fails.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_example_numbers = itertools.count(1)


class _Flaky(PostgresStore):
    """Loses connections around commits as told: ``lost`` before they stand, ``unheard`` after."""

    faults: tuple[str, ...] = ()

    async def commit(self, commit: Commit) -> None:
        fault, self.faults = (self.faults[0], self.faults[1:]) if self.faults else ("", ())
        if fault == "lost":
            raise CommitUnknown("lost before the commit")
        await super().commit(commit)
        if fault == "unheard":
            raise CommitUnknown("lost after the commit")


async def _decide(journal: Journal, batch: list[Request | Chain]) -> list[str]:
    answers = Answers()
    changes = [chain_of(one) if isinstance(one, Chain) else change_of(one) for one in batch]
    await journal.receive_batch(
        [journal_delivery(number, one, answers) for number, one in enumerate(changes)]
    )
    return heard(answers, batch)


async def _stored(
    store: PostgresStore, table: str, columns: tuple[str, ...], ids: list[str]
) -> Any:
    where = (Where(columns[0], "in", ids),)
    rows = await store.fetch(Query(table=table, columns=columns, where=where))
    return {row[0]: row[1:] for row in rows}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=batches(),
    faults=st.lists(st.sampled_from(["", "", "", "lost", "unheard"]), max_size=12),
    restarts=st.sets(st.integers(0, 12)),
)
async def test_any_history_is_the_models(
    postgres_dsn: str, cut: Batches, faults: list[str], restarts: set[int]
) -> None:
    """Whatever comes, each hears what the model says, balances agree, and the audit holds.

    All of it sent again hears the same again.
    """
    # The examples share a database, as the apps of a bank do.
    prefix = f"e{next(_example_numbers)}-"
    cut = renamed(cut, prefix)
    model = Model()
    async with _Flaky(postgres_dsn) as store:
        store.faults = tuple(faults)
        clock = SystemClock()
        # No node ever owned a partition of this database.
        ownership = OwnsAll(0)

        async def started() -> Journal:
            journal = Journal(store, LedgerBook(store), ownership, clock, FACT_TABLES)
            await journal.start()
            return journal

        journal = await started()
        said: list[str] = []
        for number, batch in enumerate(cut):
            if number in restarts:
                journal = await started()
            outcomes = await _decide(journal, batch)
            assert outcomes == [model.decide(one) for one in batch]
            said += outcomes
        journal = await started()
        assert await _decide(journal, [one for batch in cut for one in batch]) == said
        model.check()
        ours = {name: one for name, one in model.accounts.items() if name.startswith(prefix)}
        balances = await _stored(
            store, "balance", ("account_id", "posted_minor", "held_minor"), list(ours)
        )
        assert balances == {name: (one.posted, one.held) for name, one in ours.items()}
        statuses = await _stored(store, "account", ("account_id", "status"), list(ours))
        assert statuses == {name: (one.status,) for name, one in ours.items()}
        columns = ("hold_id", "captured_minor", "released_minor", "status")
        holds = await _stored(store, "hold", columns, list(model.holds))
        assert holds == {
            name: (one.captured, one.released, one.status) for name, one in model.holds.items()
        }
    report = await run_audit(postgres_dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]
