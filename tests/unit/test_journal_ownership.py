"""The journal while its partition comes and goes: what it may say, and what it must forget."""

from collections.abc import Callable

import pytest

from kernel import journal as journal_module
from kernel.store import Commit, CommitUnknown, DuplicateRequest, NumbersTaken, VersionConflict
from schemas.change import LinkedChanges
from schemas.errors import NotReady
from tests.changes import Answers
from tests.unit.stock_lab import (
    JOURNAL_PARTITION,
    OPENING,
    START_MS,
    StockLab,
    change,
    delivery_of,
    take,
)

pytestmark = pytest.mark.anyio

OTHER_PARTITION = (JOURNAL_PARTITION + 1) % 64


def _chain(*ids: str) -> LinkedChanges:
    return LinkedChanges(tuple(change(one, take("b", 1)) for one in ids))


async def _two_nodes() -> tuple[StockLab, StockLab]:
    """Return the owner of the journal and another node; they share the partitions."""
    first = await StockLab().started()
    second = first.node("n2")
    await second.store.join_cluster("n2", "n2-1", 60.0)
    for _ in range(3):
        await first.ownership._tick()
        await second.ownership._tick()
    labs = (first, second)
    owner = next(one for one in labs if one.ownership.epoch(JOURNAL_PARTITION) is not None)
    for one in labs:
        await one.journal.start()
    return owner, next(one for one in labs if one is not owner)


async def _hand_over(owner: StockLab, other: StockLab) -> None:
    """Give everything the owner has to the other node, which looks at once."""
    await owner.ownership.hand_over_all()
    await other.ownership._tick()
    assert other.ownership.epoch(JOURNAL_PARTITION) is not None


async def test_journal_given_away_answers_stale_and_commits_nothing() -> None:
    """After an ordered hand-over there is no epoch to commit under; the store is not asked."""
    owner, other = await _two_nodes()
    await owner.decide(change("r0", take("a", 1)))
    await _hand_over(owner, other)
    commits = owner.store.statistics().commits
    answers = await owner.decide(change("r1", take("a", 1)), _chain("c0", "c1"))
    assert (answers[0], answers[1]) == ("stale_owner", "stale_owner")
    assert answers.error(0).retry_after_s == 0.1
    assert owner.store.statistics().commits == commits
    assert (await other.decide(change("r1", take("a", 1)), _chain("c0", "c1")))[0]
    assert other.stock() == {"a": OPENING - 2, "b": OPENING - 2, "c": OPENING}
    other.check()


async def test_journal_regained_starts_from_what_stands_then() -> None:
    """What it remembers of stock, of requests and of numbers is of an epoch that is over."""
    owner, other = await _two_nodes()
    await owner.decide(change("r0", take("a", 1), body="mine"))
    for partition in (JOURNAL_PARTITION,):
        epoch = owner.ownership.epoch(partition)
        assert epoch is not None
        await owner.store.release_partitions("n1", {partition: epoch})
        await owner.store.release_partitions("n2", {partition: epoch})
    # The other one claims it, writes, and gives it back; nothing is said to the first's journal.
    owner.ownership.lost({JOURNAL_PARTITION})
    name = other.ownership._node
    other.ownership._epochs[JOURNAL_PARTITION] = other.move_partition(JOURNAL_PARTITION, name)
    done = await other.decide(
        change("r1", take("a", OPENING - 2), body="theirs"), change("r2", take("b", 1))
    )
    assert done[0] == done[1].replace("b", "a") == '{"taken":"a"}'
    name = owner.ownership._node
    owner.ownership._epochs[JOURNAL_PARTITION] = owner.move_partition(JOURNAL_PARTITION, name)
    answers = await owner.decide(
        change("x", take("a", 2)),
        change("y", take("a", 1)),
        change("r1", take("a", OPENING - 2), body="mine"),
        change("r0", take("a", 1), body="mine"),
    )
    assert [answers[n] for n in range(4)] == [
        "insufficient_funds", '{"taken":"a"}', "conflict", '{"taken":"a"}',
    ]  # fmt: skip
    assert owner.stock() == {"a": 0, "b": OPENING - 1, "c": OPENING}
    assert owner.journal.statistics().retried_batches == 0, "known before it was tried"
    owner.check()


def _before_commit(lab: StockLab, act: Callable[[], object]) -> None:
    """Do something once, when the next commit is on its way."""
    left = [1]

    async def disturb(moment: str) -> None:
        if moment == "commit" and left:
            left.clear()
            act()

    lab.store.disturb = disturb


async def test_loss_in_the_middle_of_a_batch_commits_nothing() -> None:
    """Between the decision and the commit another node took over: all of it is refused."""
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1)))
    _before_commit(lab, lambda: lab.move_partition(JOURNAL_PARTITION, "n2"))
    batch = (change("r1", take("a", 1)), _chain("c0", "c1"), change("r2", take("a", OPENING)))
    answers = await lab.decide(*batch)
    assert [answers[n] for n in range(3)] == ["stale_owner"] * 3
    assert "nothing was committed" in answers.error(0).message
    assert lab.outcomes() == {"r0": "committed"}
    assert lab.ownership.epoch(JOURNAL_PARTITION) is None
    assert lab.ownership.statistics().lost == 1
    assert lab.book.stock == {}, "it forgets what may be old"
    assert (await lab.decide(*batch))[0] == "stale_owner"


async def test_loss_and_return_in_the_middle_of_a_batch() -> None:
    """The batch of the old epoch is refused; the new epoch stays, and the next batch passes."""
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1)))

    def lost_and_regained() -> None:
        lab.move_partition(JOURNAL_PARTITION, "n2")
        lab.database.put("stock", ("a",), {"quantity": 10})
        lab.ownership.lost({JOURNAL_PARTITION})
        lab.ownership._epochs[JOURNAL_PARTITION] = lab.move_partition(JOURNAL_PARTITION, "n1")

    _before_commit(lab, lost_and_regained)
    answers = await lab.decide(change("r1", take("a", 20)), change("r2", take("a", 1)))
    assert (answers[0], answers[1]) == ("stale_owner", "stale_owner")
    assert lab.ownership.epoch(JOURNAL_PARTITION) == 3, "what was regained is not given up again"
    again = await lab.decide(change("r1", take("a", 20)), change("r2", take("a", 1)))
    assert (again[0], again[1]) == ("insufficient_funds", '{"taken":"a"}')
    assert lab.stock()["a"] == 9
    lab.check()


async def test_loss_of_a_senders_partition_and_return_in_a_batch() -> None:
    """The same for the partition of a sender: only its change is refused, the new epoch stays."""
    lab = await StockLab().started()

    def lost_and_regained() -> None:
        lab.move_partition(OTHER_PARTITION, "n2")
        lab.ownership._epochs[OTHER_PARTITION] = lab.move_partition(OTHER_PARTITION, "n1")

    _before_commit(lab, lost_and_regained)
    answers = await lab.decide(
        change("r1", take("a", 1)), change("r2", take("a", 1), partition=OTHER_PARTITION, epoch=1)
    )
    assert (answers[0], answers[1]) == ('{"taken":"a"}', "stale_owner")
    assert lab.ownership.epoch(OTHER_PARTITION) == 3
    assert lab.ownership.epoch(JOURNAL_PARTITION) == 1
    lab.check()


async def test_loss_while_accounts_are_loaded() -> None:
    """The reading of the state may be overtaken: what was decided on it is refused by its epoch."""
    lab = await StockLab().started()

    async def disturb(moment: str) -> None:
        if moment == "fetch":
            lab.store.disturb = None
            lab.move_partition(JOURNAL_PARTITION, "n2")
            lab.ownership.lost({JOURNAL_PARTITION})

    lab.store.disturb = disturb
    answers = await lab.decide(change("r1", take("a", 1)))
    assert answers[0] == "stale_owner"
    assert lab.outcomes() == {}


@pytest.mark.parametrize("stood", [True, False])
async def test_unknown_commit_then_loss_is_never_said_to_be_nothing(stood: bool) -> None:
    """After a commit that went unheard and a loss of ownership the outcome is unknown, for all.

    Also when the id of one is found again: its caller asks once more and hears it from the owner.
    """
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1)))

    async def disturb(moment: str) -> None:
        if moment == ("commit done" if stood else "commit"):
            lab.store.disturb = None
            lab.move_partition(JOURNAL_PARTITION, "n2")
            lab.ownership.lost({JOURNAL_PARTITION})
            raise NotReady("cut off")

    lab.store.disturb = disturb
    answers = await lab.decide(
        change("r1", take("a", 1)), _chain("c0", "c1"), change("r2", take("a", OPENING))
    )
    assert [answers[n] for n in range(3)] == ["deadline_exceeded"] * 3
    assert answers.error(0).retryable
    assert answers.error(0).retry_after_s == 0.1
    assert ("r1" in lab.outcomes()) is stood
    other = lab.node("n2")
    other.ownership._epochs[JOURNAL_PARTITION] = lab.move_partition(JOURNAL_PARTITION, "n2")
    told = await other.decide(change("r1", take("a", 1)), _chain("c0", "c1"))
    assert (told[0], told[1]) == ('{"taken":"a"}', '[{"taken":"b"},{"taken":"b"}]')
    assert told.notes() == [-1 if stood else 0] * 2
    assert other.stock() == {"a": OPENING - 2, "b": OPENING - 2, "c": OPENING}
    other.check()


@pytest.mark.parametrize("partition", [JOURNAL_PARTITION, OTHER_PARTITION])
async def test_unknown_commit_then_stale_epoch_is_never_said_to_be_nothing(partition: int) -> None:
    """The second attempt is refused by the fence, and the first one may still come through."""
    lab = await StockLab().started()
    attempts = [0]

    async def disturb(moment: str) -> None:
        if moment == "commit":
            attempts[0] += 1
            if attempts[0] == 1:
                raise CommitUnknown("no answer")
            lab.move_partition(partition, "n2")
            lab.store.disturb = None

    lab.store.disturb = disturb
    answers = await lab.decide(
        change("r1", take("a", 1), partition=OTHER_PARTITION, epoch=1), change("r2", take("a", 1))
    )
    assert answers[0] == "deadline_exceeded"
    # Nobody said anything against the second one's sender when only the first one's has moved.
    assert answers[1] == (
        "deadline_exceeded" if partition == JOURNAL_PARTITION else '{"taken":"a"}'
    )


async def test_unknown_commit_then_older_epoch_is_never_said_to_be_nothing() -> None:
    """Nor when this node itself owns the sender's partition anew by then."""
    lab = await StockLab().started()

    async def disturb(moment: str) -> None:
        if moment == "commit":
            lab.store.disturb = None
            lab.ownership._epochs[OTHER_PARTITION] = lab.move_partition(OTHER_PARTITION, "n1")
            raise CommitUnknown("no answer")

    lab.store.disturb = disturb
    answers = await lab.decide(
        change("r1", take("a", 1), partition=OTHER_PARTITION, epoch=1), change("r2", take("a", 1))
    )
    assert (answers[0], answers[1]) == ("deadline_exceeded", '{"taken":"a"}')


async def test_unknown_commit_then_a_store_that_is_away_is_unknown() -> None:
    """not_ready would say that nothing was begun: who may stand already is told so, others not."""
    lab = await StockLab().started()
    stage = ["commit"]

    async def disturb(moment: str) -> None:
        if moment == stage[0]:
            stage[0] = {"commit": "fetch", "fetch": ""}[moment]
            if moment == "commit":
                raise CommitUnknown("no answer")
            raise NotReady("cut off")

    lab.store.disturb = disturb
    answers = Answers()
    deliveries = [
        delivery_of(0, change("r1", take("a", 1)), answers),
        delivery_of(1, _chain("c0", "c1"), answers),
    ]
    with pytest.raises(NotReady):
        await lab.journal.receive_batch(deliveries)
    assert (answers[0], answers[1]) == ("deadline_exceeded", "deadline_exceeded")
    # A batch that never reached its commit is left to the host, which answers not_ready.
    stage[0] = "fetch"
    fresh = Answers()
    lab.book.forget()
    with pytest.raises(NotReady):
        await lab.journal.receive_batch([delivery_of(0, change("r9", take("a", 1)), fresh)])
    assert fresh[0] == ""


async def test_unknown_commit_then_a_version_conflict_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A conflict says that this attempt was not written; it knows nothing of the one before."""
    lab = await StockLab().started()
    errors: list[Exception] = [VersionConflict("old"), CommitUnknown("no answer")]

    async def commit(one: Commit) -> None:
        del one
        raise errors.pop()

    monkeypatch.setattr(lab.store, "commit", commit)
    assert (await lab.decide(change("r1", take("a", 1))))[0] == "deadline_exceeded"
    errors.append(VersionConflict("old"))
    assert (await lab.decide(change("r2", take("a", 1))))[0] == "stale_owner"


@pytest.mark.parametrize("error", [DuplicateRequest, NumbersTaken])
async def test_store_that_contradicts_itself_is_not_asked_for_ever(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What collides with something that nobody can find is given up, whatever time it has."""
    lab = await StockLab().started()
    attempts = []

    async def commit(one: Commit) -> None:
        attempts.append(one)
        assert len(attempts) < 100, "an endless loop"
        raise error("there is one already")

    with monkeypatch.context() as broken:
        broken.setattr(lab.store, "commit", commit)
        with pytest.raises(error):
            await lab.decide(change("r1", take("a", 1)), change("r2", take("b", 1)))
    assert (await lab.decide(change("r1", take("a", 1))))[0] == '{"taken":"a"}'
    lab.check()


async def test_store_that_is_away_is_waited_for_and_the_late_are_dropped() -> None:
    """While the store is away a batch waits; what expires meanwhile is not done when it is back."""
    lab = await StockLab().started()
    refusals = [0]

    async def disturb(moment: str) -> None:
        if refusals[0] < 8:
            refusals[0] += 1
            raise CommitUnknown("away") if moment == "commit" else NotReady("away")

    await lab.decide(change("r0", take("a", 1)))
    lab.journal._lookups_left = 0
    lab.store.disturb = disturb
    answers = Answers()
    soon_ms = START_MS + int(journal_module.STORE_RETRY_S * 4_000)
    await lab.journal.receive_batch(
        [
            delivery_of(0, change("late", take("a", 1)), answers, deadline_ms=soon_ms),
            delivery_of(1, change("due", take("a", 1)), answers),
        ]
    )
    assert (answers[0], answers[1]) == ("", '{"taken":"a"}')
    assert set(lab.outcomes()) == {"r0", "due"}
    assert lab.clock.monotonic_s() >= 8 * journal_module.STORE_RETRY_S
    lab.check()


async def test_loss_during_an_outage_is_seen_after_it() -> None:
    """A store that was away for longer than the lease comes back with another owner's word."""
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1)))
    lab.journal._lookups_left = 0
    lab.store.cut()

    async def sleep(seconds: float) -> None:
        lab.clock.advance(seconds)
        if lab.clock.monotonic_s() > 8.0:
            lab.move_partition(JOURNAL_PARTITION, "n2")
            lab.store.mend()

    lab.clock.sleep = sleep  # type: ignore[method-assign] # an outage that passes with the time
    answers = await lab.decide(change("r1", take("a", 1)))
    # Its own picture is still the old one; the fence of the commit is not.
    assert answers[0] == "deadline_exceeded"
    assert set(lab.outcomes()) == {"r0"}
    assert lab.ownership.epoch(JOURNAL_PARTITION) is None


async def test_journal_that_starts_without_its_partition_serves_when_it_has_it() -> None:
    """A node that joins later starts its journal first and owns it afterwards."""
    lab = StockLab()
    await lab.journal.start()
    assert (await lab.decide(change("r1", take("a", 1))))[0] == "stale_owner"
    await lab.ownership.join(0.0)
    assert (await lab.decide(change("r1", take("a", 1))))[0] == '{"taken":"a"}'
    lab.check()


async def test_node_that_slept_past_its_lease_commits_nothing() -> None:
    """It wakes believing what it did, and another serves: the fence refuses, the other goes on."""
    owner, other = await _two_nodes()
    assert (await owner.decide(change("r0", take("a", 1))))[0] == '{"taken":"a"}'
    owner.clock.advance(60.0)  # its own clock is the same; it has only not looked
    await other.ownership._tick()
    assert (await other.decide(change("r1", take("a", 1))))[0] == '{"taken":"a"}'
    assert owner.ownership.epoch(JOURNAL_PARTITION) is not None, "it does not know yet"
    answers = await owner.decide(change("r2", take("a", 1)), _chain("c0"))
    assert (answers[0], answers[1]) == ("stale_owner", "stale_owner")
    assert set(owner.outcomes()) == {"r0", "r1"}
    # It comes back, and both share; whoever has the journal knows it all.
    for _ in range(3):
        await owner.ownership._tick()
        await other.ownership._tick()
    labs = [one for one in (owner, other) if one.ownership.epoch(JOURNAL_PARTITION) is not None]
    (serving,) = labs
    answers = await serving.decide(change("r1", take("a", 1)), change("r2", take("a", 1)))
    assert answers.notes() == [-1, 0]
    assert serving.stock()["a"] == OPENING - 3
    serving.check()
