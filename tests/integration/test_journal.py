"""The journal on a real Postgres: each request once, each change whole, in order."""

import asyncpg
import pytest

from kernel.journal import LOOKUP_BATCHES, Journal
from kernel.store import Commit, EventRow
from schemas.change import Change
from schemas.envelope import REPLAYED
from schemas.errors import InvalidState
from tests.changes import (
    FACT_TABLES,
    change,
    deposit,
    open_account,
    pay,
    payments,
)
from tests.integration.journal_lab import (
    journal_lab,
)

pytestmark = pytest.mark.anyio


async def test_mixed_batch_answers_each_by_itself(postgres_dsn: str) -> None:
    """Good, unaffordable and impossible changes share a batch, and each gets its own answer."""
    async with journal_lab(postgres_dsn) as lab:
        answers = await lab.decide(
            pay("r1", "a", "b", 600),
            pay("r2", "a", "b", 500),
            pay("r3", "a", "nobody", 1),
            pay("r4", "nobody", "a", 1),
            pay("r5", "b", "b", 1),
            pay("r6", "b", "c", 1_600),
            pay("r7", "a", "b", 401),
            pay("r8", "a", "b", 400),
        )
        assert [answers[n] for n in range(8)] == [
            '{"paid":"r1"}', "insufficient_funds", "not_found", "not_found", "self_payment",
            '{"paid":"r6"}', "insufficient_funds", '{"paid":"r8"}',
        ]  # fmt: skip
        assert await lab.balances() == {"a": 0, "b": 400, "c": 2_600}
        assert await lab.counts() == (8, 3, 3)
        rows = await lab.fetch(
            "SELECT outcome FROM zhihui.change WHERE request_id LIKE 'r%' ORDER BY seq"
        )
        assert [row[0] for row in rows][:4] == [
            "committed", "insufficient_funds", "not_found", "not_found",
        ]  # fmt: skip


async def test_duplicate_is_answered_with_the_first_answer(postgres_dsn: str) -> None:
    """Within a batch, in a later one and after a restart, the same request moves money once."""
    async with journal_lab(postgres_dsn) as lab:
        once = pay("r1", "a", "b", 100)
        answers = await lab.decide(once, pay("r2", "a", "b", 1), once, once)
        assert {answers[n] for n in (0, 2, 3)} == {'{"paid":"r1"}'}
        assert answers.notes() == [0, 0, REPLAYED, REPLAYED]
        again = await lab.decide(once)
        assert (again[0], again.notes()) == ('{"paid":"r1"}', [REPLAYED])
        await lab.new_journal().start()
        restarted = await lab.decide(once, pay("r3", "a", "b", 1))
        assert (restarted[0], restarted[1]) == ('{"paid":"r1"}', '{"paid":"r3"}')
        assert restarted.notes() == [REPLAYED, 0]
        assert await lab.balances() == {"a": 898, "b": 1_102, "c": 1_000}
        assert lab.journal.statistics().replayed == 1


async def test_old_duplicate_is_found_in_the_store(postgres_dsn: str) -> None:
    """Long after a start, an id that is not in memory any more still trips over the unique key."""
    async with journal_lab(postgres_dsn) as lab:
        await lab.decide(pay("old", "a", "b", 100))
        await lab.new_journal().start()
        for number in range(LOOKUP_BATCHES):
            await lab.decide(pay(f"x{number}", "a", "c", 1))
        assert lab.journal._lookups_left == 0
        answers = await lab.decide(
            pay("n1", "a", "b", 1), pay("old", "a", "b", 100), pay("n2", "a", "b", 1)
        )
        assert [answers[n] for n in range(3)] == [
            '{"paid":"n1"}',
            '{"paid":"old"}',
            '{"paid":"n2"}',
        ]
        assert answers.notes() == [0, REPLAYED, 0]
        assert lab.journal.statistics().retried_batches == 1
        assert (await lab.balances())["b"] == 1_102


@pytest.mark.parametrize("restart", [False, True])
async def test_same_id_with_another_body_conflicts(postgres_dsn: str, restart: bool) -> None:
    """Another body under a known id is a conflict: in the same batch, later, after a restart."""
    async with journal_lab(postgres_dsn) as lab:
        first = await lab.decide(pay("r1", "a", "b", 100), pay("r1", "a", "b", 101))
        assert (first[0], first[1]) == ('{"paid":"r1"}', "conflict")
        if restart:
            await lab.new_journal().start()
        answers = await lab.decide(pay("r1", "a", "b", 100_000), pay("r1", "a", "b", 100))
        assert (answers[0], answers[1]) == ("conflict", '{"paid":"r1"}')
        assert answers.error(0).field == "request_id"
        assert (await lab.balances())["a"] == 900
        assert lab.journal.statistics().conflicts == (1 if restart else 2)


async def test_same_id_of_another_app_is_another_request(postgres_dsn: str) -> None:
    """Request ids belong to their app."""
    async with journal_lab(postgres_dsn) as lab:
        answers = await lab.decide(
            pay("r1", "a", "b", 100),
            change("r1", open_account("a2", app="gym"), app="gym", body="another"),
        )
        assert (answers[0], answers[1]) == ('{"paid":"r1"}', '{"opened":"a2"}')


@pytest.mark.parametrize("restart", [False, True])
async def test_rejection_is_remembered(postgres_dsn: str, restart: bool) -> None:
    """A rejected id stays rejected, even when by now the money would be there."""
    async with journal_lab(postgres_dsn) as lab:
        first = await lab.decide(pay("r1", "a", "b", 5_000))
        await lab.decide(change("more", deposit("a", 9_000, deposit_id="d-more")))
        if restart:
            await lab.new_journal().start()
        again = await lab.decide(pay("r1", "a", "b", 5_000), pay("r1", "a", "b", 1))
        assert (first[0], again[0], again[1]) == (
            "insufficient_funds", "insufficient_funds", "conflict",
        )  # fmt: skip
        assert again.error(0) == first.error(0)
        assert await lab.balances() == {"a": 10_000, "b": 1_000, "c": 1_000}


async def test_first_alternative_that_stands_is_committed(postgres_dsn: str) -> None:
    """Alternatives are tried in order, each whole; the note tells which one it was."""
    async with journal_lab(postgres_dsn) as lab:

        def either(request_id: str, *moves: list[tuple[str, str, int]]) -> Change:
            plans = [payments(request_id, one, tag=f"-{n}") for n, one in enumerate(moves)]
            return change(request_id, *plans)

        answers = await lab.decide(
            either("r1", [("a", "b", 900)], [("a", "c", 1)]),
            either("r2", [("a", "b", 900)], [("a", "c", 1)]),
            either("r3", [("c", "b", 1_001), ("a", "b", 1)], [("a", "b", 500)], []),
            either("r4", [("a", "b", 5_000)], [("a", "nobody", 1)]),
        )
        assert [answers[n] for n in range(4)] == [
            '{"paid":"r1-0"}', '{"paid":"r2-1"}', '{"paid":"r3-0"}', "insufficient_funds",
        ]  # fmt: skip
        assert answers.notes() == [0, 1, 0, 0]
        assert await lab.balances() == {"a": 98, "b": 2_902, "c": 0}


async def test_alternative_that_fails_midway_leaves_nothing(postgres_dsn: str) -> None:
    """When the last posting of a plan cannot stand, the first ones of it do not either."""
    async with journal_lab(postgres_dsn) as lab:
        plan = payments("r1", [("a", "b", 1_000), ("b", "c", 2_000), ("c", "a", 3_001)])
        fallback = payments("r1", [("a", "b", 1)], tag="-plan-b")
        answers = await lab.decide(change("r1", plan, fallback))
        assert answers[0] == '{"paid":"r1-plan-b"}'
        assert await lab.balances() == {"a": 999, "b": 1_001, "c": 1_000}
        assert await lab.counts() == (1, 1, 1)


async def test_several_postings_see_those_before_them(postgres_dsn: str) -> None:
    """Within a change money may be passed on, and an account may not be debited beyond its sum."""
    async with journal_lab(postgres_dsn) as lab:
        answers = await lab.decide(
            change("r1", payments("r1", [("a", "b", 1_000), ("b", "c", 2_000)])),
            change("r2", payments("r2", [("c", "a", 2_000), ("c", "b", 1_001)])),
            change("r3", payments("r3", [("c", "a", 2_000), ("c", "b", 1_000)])),
        )
        assert [answers[n] for n in range(3)] == [
            '{"paid":"r1"}', "insufficient_funds", '{"paid":"r3"}',
        ]  # fmt: skip
        assert await lab.balances() == {"a": 2_000, "b": 1_000, "c": 0}


async def test_change_of_a_rejection_alone_is_remembered(postgres_dsn: str) -> None:
    """A scenario's own refusal is durable: it has a number, an answer, and nothing else."""
    async with journal_lab(postgres_dsn) as lab:
        refused = change("r1", rejection=InvalidState("not inside", field="plate").body())
        first = await lab.decide(refused)
        await lab.new_journal().start()
        again = await lab.decide(refused)
        assert first.error(0) == again.error(0) == InvalidState("not inside", field="plate").body()
        assert await lab.counts() == (1, 0, 0)
        # Its own rejection goes before what the book said of the alternatives.
        both = change(
            "r2", payments("r2", [("a", "b", 9_999)]), rejection=InvalidState("gone").body()
        )
        assert (await lab.decide(both))[0] == "invalid_state"


async def test_change_without_any_outcome_is_internal(postgres_dsn: str) -> None:
    """A change with neither an alternative nor a rejection is our bug, and says so."""
    async with journal_lab(postgres_dsn) as lab:
        assert (await lab.decide(change("r1")))[0] == "internal"


async def test_affordable_payments_of_a_race_pass(postgres_dsn: str) -> None:
    """Of fifty payments of 30 from an account of 1,000 in one batch, exactly 33 pass."""
    async with journal_lab(postgres_dsn) as lab:
        answers = await lab.decide(*(pay(f"r{n}", "a", "b", 30) for n in range(50)))
        outcomes = [answers[n] for n in range(50)]
        assert outcomes[:33] == [f'{{"paid":"r{n}"}}' for n in range(33)]
        assert outcomes[33:] == ["insufficient_funds"] * 17
        assert await lab.balances() == {"a": 10, "b": 1_990, "c": 1_000}
        rows = await lab.fetch(
            "SELECT balance_after_minor FROM zhihui.entry WHERE account_id = 'a' ORDER BY number"
        )
        assert [row[0] for row in rows] == [1_000 - 30 * n for n in range(34)]


async def test_account_opened_and_used_in_one_batch(postgres_dsn: str) -> None:
    """What a change opened, the next one of the same batch may credit and debit."""
    async with journal_lab(postgres_dsn) as lab:
        answers = await lab.decide(
            pay("early", "a", "new", 1),
            change("open", open_account("new", ceiling=500)),
            change("open-2", open_account("new"), body="again"),
            pay("r1", "a", "new", 400),
            pay("r2", "a", "new", 101),
            pay("r3", "new", "b", 150),
        )
        assert [answers[n] for n in range(6)] == [
            "not_found", '{"opened":"new"}', "invalid_state", '{"paid":"r1"}', "balance_limit",
            '{"paid":"r3"}',
        ]  # fmt: skip
        assert await lab.balances() == {"a": 600, "b": 1_150, "c": 1_000, "new": 250}


async def test_opening_that_was_taken_back_can_be_repeated(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a batch with an opening was rolled back, the account does not exist until it does."""
    async with journal_lab(postgres_dsn) as lab:
        commit = lab.store.commit
        faults = [ValueError("a fault of our own")]

        async def failing(one: Commit) -> None:
            if faults:
                raise faults.pop()
            await commit(one)

        monkeypatch.setattr(lab.store, "commit", failing)
        with pytest.raises(ValueError, match="our own"):
            await lab.decide(change("open", open_account("new")))
        assert (await lab.decide(pay("r0", "a", "new", 1)))[0] == "not_found"
        answers = await lab.decide(change("open", open_account("new")), pay("r1", "a", "new", 1))
        assert (answers[0], answers[1]) == ('{"opened":"new"}', '{"paid":"r1"}')


@pytest.mark.parametrize(
    ("payer", "payee", "code"),
    [("foreign", "a", "not_found"), ("a", "foreign", "paid"), ("points", "a", "invalid_state")],
)
async def test_rules_of_a_posting(postgres_dsn: str, payer: str, payee: str, code: str) -> None:
    """Only its own app debits an account, and both sides hold the same asset."""
    async with journal_lab(postgres_dsn) as lab:
        await lab.decide(
            change("o1", open_account("foreign", app="gym"), app="gym"),
            change("o2", open_account("points", asset="POINTS", floor=None)),
            change("f1", deposit("foreign", 100, deposit_id="d-f", app="gym"), app="gym"),
        )
        assert code in (await lab.decide(pay("r1", payer, payee, 1)))[0]


@pytest.mark.parametrize(
    ("status", "credit"), [("frozen", '{"paid":"r1"}'), ("closed", "invalid_state")]
)
async def test_account_that_is_not_open(postgres_dsn: str, status: str, credit: str) -> None:
    """A frozen account pays nothing out and takes what comes in; a closed one does neither."""
    async with journal_lab(postgres_dsn) as lab:
        await lab.fetch("UPDATE zhihui.account SET status = $1 WHERE account_id = 'b'", status)
        await lab.new_journal().start()
        answers = await lab.decide(pay("r1", "a", "b", 1), pay("r2", "b", "a", 1))
        assert (answers[0], answers[1]) == (credit, "invalid_state")
        # By hand as it came, for the audit knows of no decision that changed it.
        await lab.fetch("UPDATE zhihui.account SET status = 'open' WHERE account_id = 'b'")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE zhihui.entry SET amount_minor = 1 WHERE account_id = 'a'",
        "DELETE FROM zhihui.entry",
        "TRUNCATE zhihui.entry",
        "UPDATE zhihui.change SET answer = '' WHERE request_id = 'open-a'",
        "DELETE FROM zhihui.change",
        "TRUNCATE zhihui.change",
        "UPDATE zhihui.event SET data = ''",
        "DELETE FROM zhihui.event",
    ],
)
async def test_what_stands_is_never_rewritten(postgres_dsn: str, sql: str) -> None:
    """The database itself refuses to change or remove entries, changes and events."""
    async with journal_lab(postgres_dsn) as lab:
        with pytest.raises(asyncpg.RestrictViolationError, match="never updated or deleted"):
            await lab.fetch(sql)


async def test_committed_is_told_only_after_the_commit(postgres_dsn: str) -> None:
    """The listener hears of a batch when its events can be read, and not of one without events."""
    async with journal_lab(postgres_dsn) as lab:
        heard: list[EventRow] = []
        before = (await lab.store.position()).event_seq
        journal = Journal(
            lab.store, lab.book, lab.ownership, lab.clock, FACT_TABLES,
            committed=heard.extend,
        )  # fmt: skip
        await journal.start()
        lab.journal = journal
        await lab.decide(pay("r1", "a", "b", 5_000))
        assert heard == []
        await lab.decide(pay("r2", "a", "b", 5))
        assert [(event.seq, event.type) for event in heard] == [(before + 1, "payment.succeeded")]
        assert heard == await lab.store.events_after(before, 10)
