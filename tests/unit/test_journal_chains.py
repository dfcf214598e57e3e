"""Chains: changes that stand or fall together, each under its own id."""

import json
from unittest import mock

import msgspec
import pytest

from kernel import journal as journal_module
from kernel import request_memory
from kernel.store import Commit
from schemas.change import Change, LinkedChanges, unknown
from schemas.envelope import REPLAYED
from schemas.errors import InvalidState, LinkedFailed
from tests.changes import Answers
from tests.unit.stock_lab import (
    OPENING,
    StockLab,
    chain_of,
    chain_of_takes,
    change,
    delivery_of,
    take,
    timer,
)

pytestmark = pytest.mark.anyio


async def test_chain_stands_as_a_whole() -> None:
    """All of it is one commit; the answer is the array of all answers, in order."""
    lab = await StockLab().started()
    commits = lab.store.statistics().commits
    answers = await lab.decide(chain_of_takes(("c1", "a", 1), ("c2", "b", 2), ("c3", "a", 3)))
    assert json.loads(answers[0]) == ["c1", "c2", "c3"]
    assert lab.stock() == {"a": OPENING - 4, "b": OPENING - 2, "c": OPENING}
    assert lab.outcomes() == dict.fromkeys(("c1", "c2", "c3"), "committed")
    assert lab.store.statistics().commits == commits + 1
    assert len(lab.database.rows("taken")) == 3
    assert [row.seq for row in lab.told] == [1, 2, 3]
    statistics = lab.journal.statistics()
    assert (statistics.committed, statistics.rejected, statistics.change_seq) == (3, 0, 3)
    lab.check()


async def test_members_see_those_before_them() -> None:
    """What an earlier member took is gone, and what it put back is there."""
    lab = await StockLab().started()
    answers = await lab.decide(
        chain_of_takes(("c1", "a", OPENING), ("c2", "a", 1)),
        chain_of_takes(("d1", "a", -50), ("d2", "a", OPENING + 50)),
        chain_of_takes(("e1", "a", 1)),
    )
    assert answers[0] == "insufficient_funds"
    assert json.loads(answers[1]) == ["d1", "d2"]
    assert answers[2] == "insufficient_funds"
    assert lab.stock()["a"] == 0
    lab.check()


@pytest.mark.parametrize("failing", [0, 1, 2])
async def test_chain_falls_as_a_whole(failing: int) -> None:
    """Wherever it fails nothing of it stays: no stock, fact, event or timer.

    The one rejected is remembered with its reason, the others with linked_failed.
    """
    lab = await StockLab().started()
    members = [
        change(
            f"c{n}",
            take(
                "a", OPENING + 1 if n == failing else 1, note=n, event="{}", timers=[timer(f"{n}")]
            ),
        )
        for n in range(3)
    ]
    answers = await lab.decide(change("before", take("a", 1)), chain_of(*members))
    assert answers[1] == "insufficient_funds"
    assert answers.error(1).message == f"{OPENING - 1 - failing} a left"
    assert lab.stock()["a"] == OPENING - 1
    assert lab.outcomes() == {
        "before": "committed",
        **{f"c{n}": "insufficient_funds" if n == failing else "linked_failed" for n in range(3)},
    }
    for name in ("taken", "event", "timer"):
        assert not lab.database.rows(name)
    statistics = lab.journal.statistics()
    assert (statistics.committed, statistics.rejected) == (1, 3)
    lab.check()


@pytest.mark.parametrize("restart", [False, True])
async def test_rejected_chain_is_remembered(restart: bool) -> None:
    """Sent again when by now it could stand, it hears the same rejection, and so again."""
    lab = await StockLab().started()
    chain = chain_of_takes(("c1", "a", 1), ("c2", "b", OPENING + 1), ("c3", "a", 1))
    first = await lab.decide(chain)
    await lab.decide(change("more", take("b", -OPENING)))
    if restart:
        await lab.new_journal().start()
    again = await lab.decide(chain)
    assert first.error(0) == again.error(0)
    assert (again[0], again.notes()) == ("insufficient_funds", [REPLAYED])
    assert lab.stock() == {"a": OPENING, "b": 2 * OPENING, "c": OPENING}
    lab.check()


async def test_own_rejection_of_a_member_is_the_answer() -> None:
    """A sender's rejection fails the chain, also when it has the code of the others."""
    lab = await StockLab().started()
    gone = InvalidState("gone", field="plate").body()
    own = await lab.decide(
        chain_of(
            change("c1", take("a", 1)), change("c2", rejection=gone), change("c3", take("a", 1))
        )
    )
    assert own.error(0) == gone
    linked = LinkedFailed("the sender's own").body()
    other = await lab.decide(chain_of(change("d1", rejection=linked), change("d2", take("a", 1))))
    assert other[0] == "linked_failed"
    last = await lab.decide(chain_of(change("e1", take("a", 1)), change("e2", rejection=linked)))
    assert last[0] == "linked_failed"
    assert lab.stock()["a"] == OPENING
    lab.check()


async def test_member_falls_back_to_another_alternative() -> None:
    """The alternatives of each member are tried before the chain falls."""
    lab = await StockLab().started()
    answers = await lab.decide(
        chain_of(
            change("c1", take("a", 60, answer='"first"'), take("a", 1, answer='"second"')),
            change("c2", take("a", 60, answer='"first"'), take("a", 1, answer='"second"')),
        )
    )
    assert json.loads(answers[0]) == ["first", "second"]
    assert lab.stock()["a"] == OPENING - 61
    lab.check()


@pytest.mark.parametrize("restart", [False, True])
async def test_chain_is_answered_again_and_done_once(restart: bool) -> None:
    """The same chain again, later or after a restart, hears the same answers and moves nothing."""
    lab = await StockLab().started()
    chain = chain_of_takes(("c1", "a", 1), ("c2", "b", 2))
    first = await lab.decide(chain)
    if restart:
        await lab.new_journal().start()
    again = await lab.decide(chain, chain)
    assert (again[0], again[1]) == (first[0], first[0])
    assert (first.notes(), again.notes()) == ([0], [REPLAYED, REPLAYED])
    assert lab.stock()["a"] == OPENING - 1
    assert lab.journal.statistics().replayed == 2
    lab.check()


@pytest.mark.parametrize("quantity", [1, OPENING + 1])
async def test_chain_twice_in_one_batch(quantity: int) -> None:
    """The second one hears what the first one did, be it a rejection."""
    lab = await StockLab().started()
    chain = chain_of_takes(("c1", "a", 1), ("c2", "b", quantity))
    answers = await lab.decide(chain, chain)
    assert answers[0] == answers[1]
    assert answers.notes() == [0, REPLAYED]
    assert lab.stock()["a"] == OPENING - (quantity == 1)
    lab.check()


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("quantity", [1, OPENING + 1])
async def test_member_sent_alone_afterwards_conflicts(quantity: int, restart: bool) -> None:
    """A member is a part of its chain: the same change alone is another request."""
    lab = await StockLab().started()
    chain = chain_of_takes(("c1", "a", 1), ("c2", "b", quantity))
    await lab.decide(chain)
    if restart:
        await lab.new_journal().start()
    answers = await lab.decide(*chain.changes)
    assert (answers[0], answers[1]) == ("conflict", "conflict")
    assert answers.error(0).field == "request_id"
    assert "'c1'" in answers.error(0).message
    lab.check()


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("used", [0, 1, 2])
async def test_chain_with_an_id_that_was_used_conflicts(used: int, restart: bool) -> None:
    """One known id is enough: nothing of the chain is done, and its other ids stay free."""
    lab = await StockLab().started()
    chain = chain_of_takes(("c0", "a", 1), ("c1", "a", 1), ("c2", "a", 1))
    await lab.decide(chain.changes[used])
    if restart:
        await lab.new_journal().start()
    answers = await lab.decide(chain)
    assert answers[0] == "conflict"
    assert f"'c{used}'" in answers.error(0).message or used > 0
    assert lab.stock()["a"] == OPENING - 1
    assert list(lab.outcomes()) == [f"c{used}"]
    free = sorted({0, 1, 2} - {used})
    later = await lab.decide(*(chain.changes[number] for number in free))
    assert [later[0], later[1]] == [f'"c{number}"' for number in free]
    lab.check()


@pytest.mark.parametrize("lookups", [0, 20])
async def test_old_id_in_a_chain_is_found_in_the_store(
    lookups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that is not in memory trips over the unique key: the chain conflicts or is replayed."""
    lab = await StockLab().started()
    await lab.decide(change("c1", take("a", 1)), chain_of_takes(("d0", "b", 1), ("d1", "b", 1)))
    monkeypatch.setattr(journal_module, "LOOKUP_BATCHES", lookups)
    await lab.new_journal().start()
    monkeypatch.setattr(journal_module, "LOOKUP_BATCHES", 20)
    answers = await lab.decide(
        chain_of_takes(("c0", "a", 1), ("c1", "a", 1)),
        chain_of_takes(("d0", "b", 1), ("d1", "b", 1)),
        change("x", take("c", 1)),
    )
    assert answers[0] == "conflict"
    assert (json.loads(answers[1]), answers[2]) == (["d0", "d1"], '{"taken":"c"}')
    assert lab.stock() == {"a": OPENING - 1, "b": OPENING - 2, "c": OPENING - 1}
    assert lab.journal.statistics().retried_batches == (lookups == 0)
    lab.check()


@pytest.mark.parametrize("order", ["chain first", "single first"])
@pytest.mark.parametrize("member", [0, 1])
@pytest.mark.parametrize("fits", [True, False])
async def test_chain_and_single_of_one_id_in_a_batch(order: str, member: int, fits: bool) -> None:
    """The first one in the batch is done, or refused, and the other one conflicts."""
    lab = await StockLab().started()
    chain = chain_of_takes(("c0", "a", 10), ("c1", "a", 20 if fits else OPENING))
    single = change(f"c{member}", take("a", 1, answer='"single"'), body=f"a {(10, 20)[member]}")
    if order == "chain first":
        answers = await lab.decide(chain, single, change("x", take("b", 1)))
        assert answers[1] == "conflict"
        assert answers[0] == ('["c0","c1"]' if fits else "insufficient_funds")
        assert lab.stock()["a"] == OPENING - (30 if fits else 0)
    else:
        answers = await lab.decide(single, chain, change("x", take("b", 1)))
        assert (answers[0], answers[1]) == ('"single"', "conflict")
        assert lab.stock()["a"] == OPENING - 1
    assert answers[2] == '{"taken":"b"}'
    lab.check()


async def test_chains_that_share_an_id_in_a_batch() -> None:
    """The first one is done; the second conflicts, and its other ids are free for a third."""
    lab = await StockLab().started()
    answers = await lab.decide(
        chain_of_takes(("c0", "a", 1), ("c1", "a", 1)),
        chain_of_takes(("c1", "a", 1), ("c2", "a", 1)),
        chain_of_takes(("c2", "b", 1), ("c3", "b", 1)),
        # The same members in another order are another chain.
        chain_of_takes(("c1", "a", 1), ("c0", "a", 1)),
        # And so is a longer and a shorter one.
        chain_of_takes(("c0", "a", 1), ("c1", "a", 1), ("c4", "a", 1)),
        chain_of_takes(("c0", "a", 1)),
    )
    assert [answers[n] for n in range(6)] == [
        '["c0","c1"]', "conflict", '["c2","c3"]', "conflict", "conflict", "conflict",
    ]  # fmt: skip
    assert set(lab.outcomes()) == {"c0", "c1", "c2", "c3"}
    assert lab.stock() == {"a": OPENING - 2, "b": OPENING - 2, "c": OPENING}
    lab.check()


async def test_same_ids_with_other_bodies_are_another_chain() -> None:
    """A chain is known by all of its bodies: any other one under its ids conflicts."""
    lab = await StockLab().started()
    await lab.decide(chain_of_takes(("c0", "a", 1), ("c1", "a", 1)))
    answers = await lab.decide(
        chain_of_takes(("c0", "a", 1), ("c1", "a", 2)),
        chain_of_takes(("c0", "a", 2), ("c1", "a", 1)),
    )
    assert (answers[0], answers[1]) == ("conflict", "conflict")
    lab.check()


async def test_same_id_of_two_apps_is_two_ids() -> None:
    """A chain may hold one request id for each of two apps."""
    lab = await StockLab().started()
    answers = await lab.decide(
        chain_of(change("c0", take("a", 1)), change("c0", take("a", 2), app="gym"))
    )
    assert json.loads(answers[0]) == [{"taken": "a"}, {"taken": "a"}]
    assert lab.stock()["a"] == OPENING - 3
    lab.check()


@pytest.mark.parametrize(
    "chain",
    [
        chain_of(),
        chain_of_takes(("c0", "a", 1), ("c0", "a", 1)),
        chain_of_takes(("c0", "a", 1), ("c1", "a", 1), ("c0", "b", 7)),
    ],
    ids=["empty", "twice the same", "one id with two bodies"],
)
async def test_chain_that_is_none_is_refused_alone(chain: LinkedChanges) -> None:
    """A chain that is empty or uses an id twice is refused; nothing is done and nobody disturbed.

    It is not remembered: its ids are free.
    """
    lab = await StockLab().started()
    answers = await lab.decide(change("x", take("b", 1)), chain, change("y", take("b", 1)))
    assert [answers[n] for n in range(3)] == ['{"taken":"b"}', "invalid_field", '{"taken":"b"}']
    assert answers.error(1).field == "changes"
    assert set(lab.outcomes()) == {"x", "y"}
    assert lab.journal.statistics().retried_batches == 0
    alone = await lab.decide(chain)
    assert alone[0] == "invalid_field"
    assert (await lab.decide(change("c0", take("a", 1))))[0] == '{"taken":"a"}'
    lab.check()


async def test_chain_of_one_is_a_chain() -> None:
    """It is answered with an array, and its change alone is another request."""
    lab = await StockLab().started()
    chain = chain_of_takes(("c0", "a", 1))
    answers = await lab.decide(chain, chain.changes[0])
    assert (answers[0], answers[1]) == ('["c0"]', "conflict")
    lab.check()


async def test_memory_may_forget_a_part_of_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """When only some of its ids are still in memory the chain is looked up, and is no conflict."""
    monkeypatch.setattr(request_memory, "REMEMBERED_MAX", 4)
    lab = await StockLab().started()
    chain = chain_of_takes(("c0", "a", 1), ("c1", "b", 1), ("c2", "c", 1))
    first = await lab.decide(chain)
    rejected = chain_of_takes(("d0", "a", 1), ("d1", "b", OPENING))
    refused = await lab.decide(rejected)
    for one, heard in ((chain, first), (rejected, refused)):
        for fill in range(5):
            await lab.decide(change(f"x{one.changes[0].request_id}{fill}", take("c", 1)))
            again = await lab.decide(one)
            assert (again[0], again.notes()) == (heard[0], [REPLAYED])
    # What is only half known because another request used the id is a conflict all the same.
    await lab.decide(change("e1", take("a", 1)))
    assert (await lab.decide(chain_of_takes(("e0", "a", 1), ("e1", "a", 1))))[0] == "conflict"
    lab.check()


@pytest.mark.parametrize("fault", ["lost", "unheard"])
async def test_lost_commit_of_a_chain_is_looked_up(fault: str) -> None:
    """A chain whose commit went unheard is found whole, or decided again, whole."""
    lab = await StockLab().started()
    lab.store.faults.extend(["", fault])
    chain = chain_of_takes(("c0", "a", 1), ("c1", "b", 1))
    await lab.decide(change("x", take("c", 1)))
    answers = await lab.decide(
        chain, change("y", take("c", 1)), chain_of_takes(("d0", "a", OPENING))
    )
    assert [answers[n] for n in range(3)] == [
        '["c0","c1"]', '{"taken":"c"}', "insufficient_funds",
    ]  # fmt: skip
    assert answers.notes() == ([REPLAYED] * 3 if fault == "unheard" else [0] * 3)
    assert lab.stock() == {"a": OPENING - 1, "b": OPENING - 1, "c": OPENING - 2}
    lab.check()


async def test_chain_that_cannot_be_written_fails_alone() -> None:
    """A row that the store refuses costs its chain and nobody else, and leaves nothing of it."""
    lab = await StockLab().started()
    bad = chain_of(change("c0", take("a", 1)), change("c1", take("b", 1, note="no number")))
    answers = Answers()
    batch: list[Change | LinkedChanges] = [
        change("x", take("c", 1)), bad, change("y", take("c", 1)), chain_of_takes(("d", "a", 1)),
    ]  # fmt: skip
    deliveries = [delivery_of(n, one, answers) for n, one in enumerate(batch)]
    with pytest.raises(Exception, match="taken"):
        await lab.journal.receive_batch(deliveries)
    # The host redoes one by one what was not answered; only the chain fails again.
    await lab.journal.start()
    for number in (2, 3):
        if not answers[number]:
            await lab.journal.receive_batch([deliveries[number]])
    assert [answers[n] for n in range(4)] == ['{"taken":"c"}', "", '{"taken":"c"}', '["d"]']
    assert set(lab.outcomes()) == {"x", "y", "d"}
    assert lab.stock() == {"a": OPENING - 1, "b": OPENING, "c": OPENING - 2}
    lab.check()


async def test_members_on_several_partitions_are_all_fenced() -> None:
    """The commit names the epoch of every member's partition, and a stale one fails the chain."""
    lab = await StockLab().started()
    seen: list[Commit] = []
    commit = lab.database.commit

    def noted(one: Commit) -> None:
        seen.append(one)
        commit(one)

    with mock.patch.object(lab.database, "commit", noted):
        answers = await lab.decide(
            chain_of(
                change("c0", take("a", 1), partition=3, epoch=1),
                change("c1", take("a", 1), partition=4, epoch=1),
                change("c2", take("a", 1)),
            )
        )
    assert answers[0].startswith("[")
    assert {3: 1, 4: 1}.items() <= seen[0].epochs.items()
    # Another node took one of them, of which nobody here knows yet.
    lab.move_partition(4, "n2")
    answers = await lab.decide(
        chain_of(
            change("d0", take("a", 1), partition=3, epoch=1),
            change("d1", take("a", 1), partition=4, epoch=1),
        ),
        change("x", take("a", 1), partition=3, epoch=1),
        change("y", take("a", 1), partition=4, epoch=1),
    )
    assert [answers[n] for n in range(3)] == ["stale_owner", '{"taken":"a"}', "stale_owner"]
    assert lab.ownership.epoch(4) is None
    assert lab.ownership.epoch(3) == 1
    assert set(lab.outcomes()) == {"c0", "c1", "c2", "x"}
    lab.check()


async def test_rejected_chain_is_fenced_too() -> None:
    """A rejection decided on lost ownership is not remembered either."""
    lab = await StockLab().started()
    lab.move_partition(4, "n2")
    answers = await lab.decide(
        chain_of(
            change("d0", take("a", 1), partition=3, epoch=1),
            change("d1", take("a", OPENING), partition=4, epoch=1),
        )
    )
    assert answers[0] == "stale_owner"
    assert lab.outcomes() == {}
    lab.check()


@pytest.mark.parametrize("older", [0, 1])
async def test_member_of_an_older_epoch_fails_its_chain(older: int) -> None:
    """A chain with one member decided under an epoch that is over is refused; others are not."""
    lab = await StockLab().started()
    successor = StockLab(lab.database, lab.clock)
    await successor.started()  # the same name, so everything has epoch 2 now
    chain = chain_of(
        *(
            change(f"c{n}", take("a", 1), partition=3 + n, epoch=1 if n == older else 2)
            for n in range(2)
        )
    )
    answers = await successor.decide(
        chain,
        change("x", take("a", 1), partition=3, epoch=2),
        change("y", take("a", 1), partition=4, epoch=2),
    )
    assert [answers[n] for n in range(3)] == ["stale_owner", '{"taken":"a"}', '{"taken":"a"}']
    assert successor.ownership.statistics().lost == 0
    successor.check()


async def test_two_epochs_of_one_partition_in_a_chain() -> None:
    """Members that disagree about an epoch cannot both be right: the chain is refused."""
    lab = await StockLab().started()
    answers = await lab.decide(
        chain_of(
            change("c0", take("a", 1), partition=3, epoch=1),
            change("c1", take("a", 1), partition=3, epoch=0),
        )
    )
    assert answers[0] == "stale_owner"
    lab.check()


async def test_found_integers_stand_in_each_member() -> None:
    """What the book found for a member is put into that member's texts and rows, and no other's."""
    lab = await StockLab().started()
    text = msgspec.json.encode({"left": unknown("left")}).decode()

    def member(request_id: str, quantity: int) -> Change:
        alternative = take("a", quantity, answer=text, event=text, note=unknown("left"))
        return change(request_id, alternative)

    answers = await lab.decide(chain_of(member("c0", 30), member("c1", 20)))
    assert json.loads(answers[0]) == [{"left": 70}, {"left": 50}]
    assert [row["quantity"] for row in lab.database.rows("taken").values()] == [70, 50]
    assert [json.loads(row.data) for row in lab.told] == [{"left": 70}, {"left": 50}]
    assert json.loads((await lab.decide(chain_of(member("c0", 30), member("c1", 20))))[0]) == [
        {"left": 70},
        {"left": 50},
    ]
    lab.check()
