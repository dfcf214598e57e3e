"""The journal and its ledger against a sequential model, on a real Postgres."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.ledger import LedgerBook
from kernel.clock import SystemClock
from kernel.journal import Journal
from kernel.ownership import Ownership
from kernel.postgres_store import PostgresStore
from kernel.store import Commit, CommitUnknown
from tests.changes import FACT_TABLES, Answers, journal_delivery
from tests.ledger_model import Batches, Model, Request, batches, change_of, heard, renamed
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


async def _decide(journal: Journal, batch: list[Request]) -> list[str]:
    answers = Answers()
    await journal.receive_batch(
        [journal_delivery(number, change_of(one), answers) for number, one in enumerate(batch)]
    )
    return heard(answers, batch)


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
        ownership = Ownership("n1", store, clock)
        await ownership.acquire_all(0.0)

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
        rows = await store.read_rows(
            "SELECT account_id, posted_minor FROM zhihui.balance WHERE starts_with(account_id, $1)",
            prefix,
        )
    expected = {name: one for name, one in model.balances.items() if name.startswith(prefix)}
    assert dict(rows) == expected
    report = await run_audit(postgres_dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]
