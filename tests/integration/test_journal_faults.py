"""What the journal does with what cannot be written, and with connections that die."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest

from kernel import journal as journal_module
from kernel import postgres_store
from kernel.host import BatchHost
from kernel.postgres_store import PostgresStore
from kernel.store import Commit
from schemas.change import Change, Fact
from tests.changes import (
    Answers,
    change,
    document,
    journal_delivery,
    pay,
    payments,
)
from tests.eventually import eventually
from tests.integration.journal_lab import (
    OPENING,
    journal_lab,
)

pytestmark = pytest.mark.anyio


async def test_document_versions_guard_each_other(postgres_dsn: str) -> None:
    """Only the next version of a document is written; a stale one is refused, not remembered."""
    async with journal_lab(postgres_dsn) as lab:
        answers = await lab.decide(
            change("v1", document("x", 1)),
            change("v2", document("x", 2)),
            change("stale", document("x", 2, '{"lost":1}'), body="s"),
            change("y1", document("y", 1)),
            change("gap", document("x", 9)),
            pay("r1", "a", "b", 1),
        )
        assert [answers[n] for n in range(6)] == [
            '{"version":1}', '{"version":2}', "stale_owner", '{"version":1}', "stale_owner",
            '{"paid":"r1"}',
        ]  # fmt: skip
        assert answers.error(2).retryable
        # Decided anew on what is there, the same request passes.
        retried = await lab.decide(change("stale", document("x", 3), body="s"))
        assert retried[0] == '{"version":3}'
        rows = await lab.fetch("SELECT key, version, body FROM zhihui.document ORDER BY key")
        assert [tuple(row) for row in rows] == [("x", 3, "{}"), ("y", 1, "{}")]


async def test_stale_document_takes_its_payment_with_it(postgres_dsn: str) -> None:
    """A change decided on an old document commits nothing, its payments included."""
    async with journal_lab(postgres_dsn) as lab:
        await lab.decide(change("v1", document("x", 1)))
        paid = payments("stale", [("a", "b", 1)])
        stale = msgspec.structs.replace(paid, facts=(*paid.facts, *document("x", 1).facts))
        answers = await lab.decide(change("stale", stale), pay("r1", "a", "b", 2))
        assert (answers[0], answers[1]) == ("stale_owner", '{"paid":"r1"}')
        assert (await lab.balances())["a"] == 998


async def test_one_stale_document_costs_a_large_batch_little(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that cannot be written is found by halves, not by a commit for each of the others."""
    async with journal_lab(postgres_dsn) as lab:
        await lab.decide(change("v1", document("x", 1)))
        commit, commits = lab.store.commit, []

        async def counted(one: Commit) -> None:
            commits.append(one)
            await commit(one)

        monkeypatch.setattr(lab.store, "commit", counted)
        batch = [pay(f"r{n}", "a", "b", 1) for n in range(256)]
        batch[100] = change("stale", document("x", 1), body="stale")
        answers = await lab.decide(*batch)
        assert answers[100] == "stale_owner"
        paid = [answers[n] for n in range(256) if n != 100]
        assert paid == [f'{{"paid":"r{n}"}}' for n in range(256) if n != 100]
        assert len(commits) <= 2 * 8 + 1
        assert (await lab.balances())["a"] == OPENING - 255


_UNWRITABLE: dict[str, Callable[[], Change]] = {
    "NUL in text": lambda: pay("bad", "a", "b", 1, reference="a\0b"),
    "NUL in an answer": lambda: change(
        "bad", msgspec.structs.replace(payments("bad", [("a", "b", 1)]), answer='"\0"')
    ),
    "number out of range": lambda: _with_row(lambda row: (*row[:7], 2**63, *row[8:])),
    "text for a number": lambda: _with_row(lambda row: (*row[:7], "many", *row[8:])),
    "number for text": lambda: _with_row(lambda row: (5, *row[1:])),
    "null where none may be": lambda: _with_row(lambda row: (*row[:8], None, *row[9:])),
    "too few columns": lambda: _with_row(lambda row: row[:-1]),
    "too many columns": lambda: _with_row(lambda row: (*row, "more")),
    "amount that the table refuses": lambda: _with_row(lambda row: (*row[:7], -1, *row[8:])),
    "unknown table": lambda: change(
        "bad",
        msgspec.structs.replace(payments("bad", [("a", "b", 1)]), facts=(Fact("nowhere", (1,)),)),
    ),
}


def _with_row(mend: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Change:
    good = payments("bad", [("a", "b", 1)])
    (fact,) = good.facts
    return change("bad", msgspec.structs.replace(good, facts=(Fact(fact.table, mend(fact.row)),)))


@pytest.mark.parametrize("name", list(_UNWRITABLE))
async def test_unwritable_change_fails_alone(postgres_dsn: str, name: str) -> None:
    """A value that the database refuses costs only its own change, kept as a dead letter."""
    async with journal_lab(postgres_dsn) as lab:
        answers = await lab.decide_hosted(
            pay("r1", "a", "b", 10), pay("r2", "b", "c", 1_005), _UNWRITABLE[name](),
            pay("r3", "a", "b", 20),
        )  # fmt: skip
        assert [answers[n] for n in range(4)] == [
            '{"paid":"r1"}', '{"paid":"r2"}', "internal", '{"paid":"r3"}',
        ]  # fmt: skip
        assert await lab.balances() == {"a": 970, "b": 25, "c": 2_005}
        await lab.letters.flush()
        (row,) = await lab.fetch("SELECT kind, body, reason FROM zhihui.dead_letter")
        kept = msgspec.msgpack.decode(row["body"], type=Change)
        assert (row["kind"], kept.request_id) == ("journal", "bad")
        # And it left no trace: the same id may still be used.
        assert (await lab.decide(pay("bad", "a", "b", 1)))[0] == '{"paid":"bad"}'


async def test_one_unwritable_change_costs_a_large_batch_little(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others share their commits, and do not wait for a commit each behind the poison."""
    async with journal_lab(postgres_dsn) as lab:
        commit, commits = lab.store.commit, []

        async def counted(one: Commit) -> None:
            commits.append(one)
            await commit(one)

        monkeypatch.setattr(lab.store, "commit", counted)
        batch = [pay(f"r{n}", "a", "b", 1) for n in range(256)]
        batch[10] = _UNWRITABLE["NUL in text"]()
        answers = await lab.decide_hosted(*batch)
        assert answers[10] == "internal"
        paid = [answers[n] for n in range(256) if n != 10]
        assert paid == [f'{{"paid":"r{n}"}}' for n in range(256) if n != 10]
        # By halves, and the one at fault once more.
        assert len(commits) <= 2 * 8 + 2
        assert (await lab.balances())["a"] == OPENING - 255


async def test_damaged_account_holds_up_nobody_else(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balance that counts its entries wrongly collides at every attempt, and fails alone."""
    monkeypatch.setattr(journal_module, "STORE_RETRY_S", 0.01)
    async with journal_lab(postgres_dsn) as lab:
        lab.book.forget()
        await lab.fetch("UPDATE zhihui.balance SET entries = entries - 1 WHERE account_id = 'b'")
        with anyio.fail_after(30):
            answers = await lab.decide_hosted(
                pay("r1", "a", "c", 1), pay("r2", "a", "b", 2), pay("r3", "c", "a", 4)
            )
        assert [answers[n] for n in range(3)] == ['{"paid":"r1"}', "internal", '{"paid":"r3"}']
        await lab.fetch("UPDATE zhihui.balance SET entries = entries + 1 WHERE account_id = 'b'")
        lab.book.forget()
        assert (await lab.decide(pay("r2", "a", "b", 2)))[0] == '{"paid":"r2"}'


async def test_undecodable_change_fails_alone(postgres_dsn: str) -> None:
    """A message that is no change at all is a dead letter, and its neighbours are decided."""
    async with journal_lab(postgres_dsn) as lab:
        answers = Answers()
        host = BatchHost(lambda: lab.journal, clock=lab.clock, dead_letters=lab.letters)
        for number, one in enumerate((pay("r1", "a", "b", 1), pay("r2", "a", "b", 1))):
            host.deliver(journal_delivery(number, one, answers))
        bad = journal_delivery(7, pay("r3", "a", "b", 1), answers)
        bad.envelope = msgspec.structs.replace(bad.envelope, body=msgspec.Raw(b"\x93\x01\x02\x03"))
        host.deliver(bad)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.run)
            await eventually(lambda: len(answers.replies) == 3, "all answers")
            tasks.cancel_scope.cancel()
        assert (answers[0], answers[1], answers[7]) == (
            '{"paid":"r1"}', '{"paid":"r2"}', "internal",
        )  # fmt: skip
        assert (await lab.balances())["a"] == 998


def _commits(connection: Any, query: str) -> bool:
    """Tell whether a statement ends a commit: the one after several, or the one that is all."""
    return query == "COMMIT" or ("zhihui.fence" in query and not connection.is_in_transaction())


class _Interrupted:
    """The store's writing connection, with a fault around its commits."""

    def __init__(self, store: PostgresStore, fault: Callable[[str, Any], Awaitable[None]]) -> None:
        self._store = store
        self._fault = fault
        self._writing = store._writing
        self.commits = 0

    async def writing(self) -> Any:
        connection = await self._writing()
        outer = self

        class Wrapper:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            async def execute(self, query: str, *arguments: Any, **how: Any) -> Any:
                if not _commits(connection, query):
                    return await connection.execute(query, *arguments, **how)
                outer.commits += 1
                await outer._fault("before", connection)
                status = await connection.execute(query, *arguments, **how)
                await outer._fault("after", connection)
                return status

        return Wrapper()


async def _kill(dsn: str, connection: Any) -> None:
    """End the server's side of a connection, and wait until it is gone."""
    pid = connection.get_server_pid()
    killer = await asyncpg.connect(dsn)
    try:
        await killer.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    finally:
        await killer.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_unknown_commit_is_looked_up(
    postgres_dsn: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the connection dies around the commit nothing is guessed, doubled or lost."""
    async with journal_lab(postgres_dsn) as lab:
        left = [1]

        async def fault(moment: str, connection: Any) -> None:
            if moment == when and left[0]:
                left[0] -= 1
                await _kill(lab.dsn, connection)
                if moment == "after":
                    # As the client sees it: the commit was sent and no answer came.
                    raise asyncpg.ConnectionDoesNotExistError("gone")

        interrupted = _Interrupted(lab.store, fault)
        monkeypatch.setattr(lab.store, "_writing", interrupted.writing)
        answers = await lab.decide(
            pay("r1", "a", "b", 100), pay("r2", "a", "b", 5_000), pay("r3", "b", "c", 1_100)
        )
        assert [answers[n] for n in range(3)] == [
            '{"paid":"r1"}', "insufficient_funds", '{"paid":"r3"}',
        ]  # fmt: skip
        # Found when it stood, decided again when it did not.
        assert answers.notes() == ([-1, -1, -1] if when == "after" else [0, 0, 0])
        assert lab.journal.statistics().unknown_commits == 1
        assert interrupted.commits == (1 if when == "after" else 2)
        assert await lab.balances() == {"a": 900, "b": 0, "c": 2_100}
        assert await lab.counts() == (3, 2, 2)
        assert (await lab.decide(pay("r4", "a", "b", 1)))[0] == '{"paid":"r4"}'


_WAITING = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_commit_that_an_operator_cancels_is_done_again(postgres_dsn: str) -> None:
    """A statement that was cancelled is no fault of the payment in it."""
    async with journal_lab(postgres_dsn) as lab:

        async def cancelled() -> bool:
            waiting = await lab.fetch(_WAITING)
            for row in waiting:
                await lab.fetch("SELECT pg_cancel_backend($1)", row["pid"])
            return bool(waiting)

        blocker = await asyncpg.connect(lab.dsn)
        try:
            await blocker.execute("BEGIN")
            await blocker.execute("SELECT FROM zhihui.balance WHERE account_id = 'a' FOR UPDATE")
            answers = Answers()
            deliveries = [journal_delivery(0, pay("r0", "a", "b", 1), answers)]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lab.journal.receive_batch, deliveries)
                await eventually(cancelled, "the commit waits for the lock", within_s=30)
                await blocker.execute("ROLLBACK")
        finally:
            await blocker.close()
        assert answers[0] == '{"paid":"r0"}'
        assert await lab.balances() == {"a": OPENING - 1, "b": OPENING + 1, "c": OPENING}


async def test_commit_that_comes_through_late_is_not_doubled(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit given up as lost may still stand afterwards; then it is found and not repeated."""
    async with journal_lab(postgres_dsn) as lab:
        parked: list[Any] = []

        class Late:
            """Swallow the first commit, as a network that delays it would."""

            def __init__(self, connection: Any) -> None:
                self._connection = connection

            def __getattr__(self, name: str) -> Any:
                return getattr(self._connection, name)

            async def execute(self, query: str, *arguments: Any, **how: Any) -> Any:
                if _commits(self._connection, query) and not parked:
                    await self._connection.execute("BEGIN")
                    await self._connection.execute(query, *arguments, **how)
                    parked.append(self._connection)
                    raise asyncpg.ConnectionDoesNotExistError("no answer")
                return await self._connection.execute(query, *arguments, **how)

            def terminate(self) -> None:
                lab.store._writer = None  # and leave the server's side as it is

        writing = lab.store._writing

        async def late() -> Any:
            return Late(await writing())

        monkeypatch.setattr(lab.store, "_writing", late)
        answers = Answers()
        batch = [pay("r1", "a", "b", 100), pay("r2", "b", "c", 1_100)]
        deliveries = [journal_delivery(n, one, answers) for n, one in enumerate(batch)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lab.journal.receive_batch, deliveries)

            async def second_attempt_waits() -> bool:
                rows = await lab.fetch(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
                return bool(rows)

            # The second attempt inserts the same keys and waits for the first transaction.
            await eventually(second_attempt_waits, "the second attempt is under way")
            await parked[0].execute("COMMIT")
        parked[0].terminate()
        assert (answers[0], answers[1]) == ('{"paid":"r1"}', '{"paid":"r2"}')
        assert answers.notes() == [-1, -1]
        assert await lab.balances() == {"a": 900, "b": 0, "c": 2_100}
        assert await lab.counts() == (2, 2, 2)
        # What came through behind our back is part of the picture from now on.
        after = await lab.decide(pay("r3", "b", "c", 1), pay("r4", "c", "a", 2_100))
        assert (after[0], after[1]) == ("insufficient_funds", '{"paid":"r4"}')


async def test_store_that_goes_away_is_waited_for(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody may connect nothing is decided; when the store is back all is, once."""
    monkeypatch.setattr(postgres_store, "READ_TIMEOUT_S", 0.5)
    async with journal_lab(postgres_dsn) as lab, anyio.create_task_group() as tasks:
        server, _, name = lab.dsn.rpartition("/")
        answers = Answers()
        batch = [pay("r0", "a", "b", 1), pay("r1", "a", "b", 100), pay("r2", "a", "b", 5_000)]
        host = BatchHost(lambda: lab.journal, clock=lab.clock, dead_letters=lab.letters)
        tasks.start_soon(host.run)
        host.deliver(journal_delivery(0, batch[0], answers))
        await eventually(lambda: bool(answers[0]), "the first answer")
        admin = await asyncpg.connect(f"{server}/postgres")
        try:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1",
                name,
            )
            for number in (1, 2):
                host.deliver(journal_delivery(number, batch[number], answers))
            await eventually(
                lambda: bool(answers[1]) or lab.journal.statistics().unknown_commits > 0,
                "the loss is noticed",
            )
        finally:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await admin.close()
        await eventually(lambda: len(answers.replies) == 3, "all answers")
        tasks.cancel_scope.cancel()
        if answers[1] == "not_ready":  # not begun, so the caller sends both again
            answers = await lab.decide(*batch)
        assert (answers[1], answers[2]) == ('{"paid":"r1"}', "insufficient_funds")
        assert await lab.counts() == (3, 2, 2)
        assert lab.letters.statistics().recorded == 0


async def test_expired_change_is_not_begun_after_an_outage(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody waits for any more when the store is back is dropped, not committed."""
    async with journal_lab(postgres_dsn) as lab:
        position = lab.store.position
        away = [True]

        async def fault(moment: str, connection: Any) -> None:
            if moment == "before" and away[0]:
                await _kill(lab.dsn, connection)

        async def later() -> Any:
            away[0] = False
            return await position()

        monkeypatch.setattr(lab.store, "_writing", _Interrupted(lab.store, fault).writing)
        monkeypatch.setattr(lab.store, "position", later)
        answers = Answers()
        now_ms = lab.clock.now_ms()
        await lab.journal.receive_batch(
            [
                journal_delivery(0, pay("late", "a", "b", 1), answers, deadline_ms=now_ms - 1),
                journal_delivery(1, pay("due", "a", "b", 2), answers),
            ]
        )
        assert (answers[0], answers[1]) == ("", '{"paid":"due"}')
        assert (await lab.balances())["a"] == 998
