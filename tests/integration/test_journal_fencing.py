"""The journal and its epochs: a node that lost ownership commits nothing."""

import asyncio

import anyio
import pytest

from kernel.postgres_store import PostgresStore
from kernel.store import Commit, StaleEpoch
from tests.changes import (
    pay,
)
from tests.integration.journal_lab import (
    JOURNAL_PARTITION,
    OTHER_PARTITION,
    JournalLab,
    journal_lab,
)

pytestmark = pytest.mark.anyio


async def test_new_owner_of_the_journal_stops_the_old_one(postgres_dsn: str) -> None:
    """A journal whose epoch is stale commits nothing, says so, and forgets what it knew."""
    async with journal_lab(postgres_dsn) as lab, PostgresStore(postgres_dsn) as other_store:
        await lab.decide(pay("r0", "a", "b", 1))
        other = JournalLab(postgres_dsn, other_store)
        await other.ownership.join(0.0)
        await other.journal.start()
        answers = await lab.decide(pay("r1", "a", "b", 1), pay("r2", "a", "b", 1))
        assert (answers[0], answers[1]) == ("stale_owner", "stale_owner")
        assert answers.error(0).retryable
        assert lab.ownership.epoch(JOURNAL_PARTITION) is None
        assert lab.book._accounts == {}
        assert await lab.counts() == (1, 1, 1)
        # It stays so, whatever comes; and the new owner knows everything.
        assert (await lab.decide(pay("r3", "a", "b", 1)))[0] == "stale_owner"
        taken = await other.decide(pay("r1", "a", "b", 1), pay("r0", "a", "b", 1))
        assert (taken[0], taken[1], taken.notes()) == ('{"paid":"r1"}', '{"paid":"r0"}', [0, -1])
        # What is known by now the old one does not know, and does not look for.
        repeated = await lab.decide(pay("r1", "a", "b", 1), pay("r4", "a", "b", 1))
        assert (repeated[0], repeated[1]) == ("stale_owner", "stale_owner")
        await other.check()


async def test_two_owners_never_both_commit(postgres_dsn: str) -> None:
    """While ownership goes to and fro under load, each request takes effect once."""
    async with journal_lab(postgres_dsn) as first, PostgresStore(postgres_dsn) as other_store:
        second = JournalLab(postgres_dsn, other_store)
        labs = [first, second]
        paid: set[str] = set()
        for turn in range(6):
            owner, former = labs[turn % 2], labs[(turn + 1) % 2]
            await owner.new_ownership().join(0.0)
            owner.new_journal()
            await owner.journal.start()
            batch = [pay(f"t{turn}-{n}", "a", "b", 1) for n in range(5)]
            # The former owner does not know yet, and both get the same requests at once.
            old, new = await asyncio.gather(former.decide(*batch), owner.decide(*batch))
            assert {old[n] for n in range(5)} == {"stale_owner"}
            paid |= {new[n] for n in range(5)}
        assert len(paid) == 30
        assert (await first.balances())["a"] == 970
        first.book.forget()


async def test_sender_with_a_stale_epoch_is_refused_alone(postgres_dsn: str) -> None:
    """A change decided on lost ownership is refused; the rest of the batch stands."""
    async with journal_lab(postgres_dsn) as lab:
        await lab.fetch(
            "UPDATE zhihui.partition SET epoch = epoch + 1, owner = 'n2' WHERE partition = $1",
            OTHER_PARTITION,
        )
        answers = await lab.decide(
            pay("r1", "a", "b", 1),
            pay("r2", "a", "b", 2, partition=OTHER_PARTITION, epoch=1),
            pay("r3", "a", "b", 4),
        )
        assert [answers[n] for n in range(3)] == ['{"paid":"r1"}', "stale_owner", '{"paid":"r3"}']
        assert (await lab.balances())["a"] == 995
        assert lab.ownership.epoch(OTHER_PARTITION) is None
        assert lab.ownership.epoch(JOURNAL_PARTITION) == 1


@pytest.mark.parametrize("partition", [JOURNAL_PARTITION, OTHER_PARTITION])
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_epochs_are_checked_for_each_change(
    postgres_dsn: str, partition: int, order: tuple[int, int]
) -> None:
    """Of two changes on one partition, the one decided under an older epoch never rides along.

    It is what a former process of this node may still send. It costs this one no ownership.
    """
    async with journal_lab(postgres_dsn) as lab:
        await lab.new_ownership().join(0.0)  # epoch 2, for a successor of the same name
        await lab.new_journal().start()
        answers = await lab.decide(
            *(
                pay(f"e{epoch}", "a", "b", epoch, partition=partition, epoch=epoch)
                for epoch in order
            ),
            pay("r3", "a", "b", 4),
        )
        by_epoch = {epoch: answers[number] for number, epoch in enumerate(order)}
        assert by_epoch == {1: "stale_owner", 2: '{"paid":"e2"}'}
        assert answers[2] == '{"paid":"r3"}'
        assert (await lab.balances())["a"] == 994
        assert lab.ownership.epoch(partition) == 2
        assert lab.ownership.statistics().lost == 0


async def test_regained_journal_reads_what_others_wrote(postgres_dsn: str) -> None:
    """A journal that lost its partition and has it again decides on what stands then."""
    async with journal_lab(postgres_dsn) as lab, PostgresStore(postgres_dsn) as other_store:
        await lab.decide(pay("r0", "a", "b", 1))
        other = JournalLab(postgres_dsn, other_store)
        await other.ownership.join(0.0)
        await other.journal.start()
        assert (await other.decide(pay("r1", "a", "c", 990)))[0] == '{"paid":"r1"}'
        # The same journal, with all that it remembers, under a new epoch.
        journal, book = lab.journal, lab.book
        await lab.new_ownership().join(0.0)
        journal._ownership = lab.ownership
        answers = await lab.decide(
            pay("r2", "a", "b", 10), pay("r1", "a", "c", 990), pay("r3", "a", "b", 9)
        )
        assert [answers[n] for n in range(3)] == [
            "insufficient_funds", '{"paid":"r1"}', '{"paid":"r3"}',
        ]  # fmt: skip
        assert (lab.journal, lab.book) == (journal, book)
        assert lab.journal.statistics().retried_batches == 0
        assert (await lab.balances())["a"] == 0


async def test_leases_and_commits_never_deadlock(postgres_dsn: str) -> None:
    """Looks, claims and releases beside commits on the same rows, in any order, fail none of them.

    A commit stands or is refused for its epochs; nobody waits for another in a circle.
    """
    async with journal_lab(postgres_dsn) as lab, PostgresStore(postgres_dsn) as other:
        # Rows that were updated in another order lie in another order.
        for partition in reversed(range(64)):
            await lab.fetch(
                "UPDATE zhihui.partition SET lease_until = now() WHERE partition = $1", partition
            )
        instance = (await lab.store.heartbeat("n1", "", 60)).instance
        done = anyio.Event()
        moves = 0

        async def look(store: PostgresStore) -> None:
            while not done.is_set():
                assert len((await store.heartbeat("n1", instance, 60)).claims) == 64

        async def move() -> None:
            nonlocal moves
            while not done.is_set():
                cluster = await other.claim_partitions("n1", instance, {}, 64, 60)
                epochs = {claim.partition: claim.epoch for claim in cluster.claims}
                some = {partition: epochs[partition] for partition in range(60, 3, -7)}
                await other.release_partitions("n1", some)
                moves += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look, lab.store)
            tasks.start_soon(look, other)
            tasks.start_soon(move)
            stood = refused = 0
            while stood + refused < 150 or not moves or not refused:
                cluster = await lab.store.heartbeat("n1", instance, 60)
                epochs = {claim.partition: claim.epoch for claim in reversed(cluster.claims)}
                try:
                    await lab.store.commit(Commit(epochs, []))
                except StaleEpoch:
                    refused += 1
                else:
                    stood += 1
            done.set()
        await lab.new_ownership().join(0.0)
        await lab.new_journal().start()
