"""A journal on a real Postgres, without nodes and bus: what the tests of the journal share."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg

from actors.ledger import LedgerBook
from kernel.clock import SystemClock
from kernel.dead_letter import DeadLetters
from kernel.host import BatchHost
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, Journal
from kernel.ownership import Ownership
from kernel.partition import partition_of
from kernel.postgres_store import PostgresStore
from kernel.randomness import IdFactory, SeededRandomness
from schemas.change import Change
from tests.changes import (
    FACT_TABLES,
    Answers,
    change,
    deposit,
    journal_delivery,
    open_account,
)
from tests.eventually import eventually
from zhihui.audit import run_audit

__all__ = ("JOURNAL_PARTITION", "OPENING", "OTHER_PARTITION", "JournalLab", "journal_lab")

JOURNAL_PARTITION = partition_of(JOURNAL_KIND, JOURNAL_KEY)
OTHER_PARTITION = (JOURNAL_PARTITION + 1) % 64
OPENING = 1_000


class JournalLab:
    """A journal on a store of its own, with accounts a, b and c of 1,000 each.

    Every lab is another process of the node n1: the one that joined last is the one that counts.
    """

    _instances = itertools.count(1)

    def __init__(self, dsn: str, store: PostgresStore) -> None:
        self.dsn = dsn
        self.store = store
        self.clock = SystemClock()
        self.ownership = self.new_ownership()
        self.letters = DeadLetters(
            "n1", store, self.clock, IdFactory(self.clock, SeededRandomness(1))
        )
        self.journal = self.new_journal()

    def new_ownership(self) -> Ownership:
        """Replace the ownership by that of another process of the same name."""
        instance = f"n1-{next(self._instances)}"
        self.ownership = Ownership("n1", instance, self.store, self.clock)
        return self.ownership

    def new_journal(self) -> Journal:
        """Replace the journal by one that remembers nothing, as after a restart."""
        self.book = LedgerBook(self.store)
        self.journal = Journal(self.store, self.book, self.ownership, self.clock, FACT_TABLES)
        return self.journal

    async def decide(self, *changes: Change) -> Answers:
        """Hand a batch to the journal and return its answers."""
        answers = Answers()
        await self.journal.receive_batch(
            [journal_delivery(number, one, answers) for number, one in enumerate(changes)]
        )
        return answers

    async def decide_hosted(self, *changes: Change) -> Answers:
        """The same under supervision, as in a node: a crash is retried one by one."""
        answers = Answers()
        host = BatchHost(lambda: self.journal, clock=self.clock, dead_letters=self.letters)
        for number, one in enumerate(changes):
            host.deliver(journal_delivery(number, one, answers))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.run)
            await eventually(lambda: len(answers.replies) == len(changes), "all answers")
            tasks.cancel_scope.cancel()
        return answers

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Return the rows of a statement, on a connection of its own."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def balances(self) -> dict[str, int]:
        """Return the stored balances of all but the bank's own accounts."""
        rows = await self.fetch(
            "SELECT account_id, posted_minor FROM zhihui.balance"
            " JOIN zhihui.account USING (account_id) WHERE app <> 'bank'"
        )
        return dict(rows)

    async def counts(self) -> tuple[int, int, int]:
        """Return the numbers of changes, payments and events since the setting up."""
        (row,) = await self.fetch(
            "SELECT (SELECT count(*) FROM zhihui.change) - 6,"
            " (SELECT count(*) FROM zhihui.payment), (SELECT count(*) FROM zhihui.event) - 6"
        )
        return tuple(row)

    async def check(self) -> None:
        """Every test ends here: the books are whole, and memory says what the database says."""
        report = await run_audit(self.dsn)
        assert report.ok, [one.offences for one in report.checks if not one.ok]
        stored = await self.balances()
        for name, account in self.book._accounts.items():
            if account is not None and account.app != "bank":
                assert account.posted == stored[name], name
        seqs = await self.fetch("SELECT seq FROM zhihui.change ORDER BY seq")
        assert [row[0] for row in seqs] == list(range(1, len(seqs) + 1)), "numbers without a gap"


@asynccontextmanager
async def journal_lab(dsn: str) -> AsyncIterator[JournalLab]:
    """Yield a journal on a fresh database, and check the books at the end."""
    async with PostgresStore(dsn) as store:
        lab = JournalLab(dsn, store)
        await lab.ownership.join(0.0)
        await lab.journal.start()
        opened = await lab.decide(*(change(f"open-{n}", open_account(n)) for n in "abc"))
        funded = await lab.decide(
            *(change(f"fund-{n}", deposit(n, OPENING, deposit_id=f"d-{n}")) for n in "abc")
        )
        assert all(one.ok for one in (*opened.replies.values(), *funded.replies.values()))
        yield lab
        await lab.check()
