"""Changes that the book finds to rest on a state that is over: they are to be decided again."""

from collections.abc import Mapping

import pytest

from kernel.book import StaleDecision
from kernel.journal import Journal
from kernel.store import Commit, CommitUnknown
from schemas.envelope import REPLAYED
from schemas.errors import NotReady
from tests.changes import Answers
from tests.unit.stock_lab import (
    OPENING,
    Moves,
    StockBook,
    StockLab,
    chain_of_takes,
    change,
    delivery_of,
    take,
)

pytestmark = pytest.mark.anyio


class _Book(StockBook):
    """Nothing is put back that was not taken; who wants to has not seen what is there."""

    def decide(self, app: str, moves: Moves, change_seq: int) -> Mapping[str, int] | None:
        kept = dict(self.stock)
        found = super().decide(app, moves, change_seq)
        if any((there or 0) > OPENING for there in self.stock.values()):
            self.stock = kept
            raise StaleDecision("more than was taken")
        return found


class _Lab(StockLab):
    """``forgetful`` journals know no request and look none up."""

    def new_journal(self, *, forgetful: bool = False) -> Journal:
        super().new_journal()
        self.book = self.journal._book = self.journal._reader._book = _Book(self.store)
        self.journal._ahead._book = self.book
        if forgetful:
            self.journal._epoch = self.ownership.epoch(self.journal._partition)
            self.journal._position = self.database.position()
            self.journal._lookups_left = 0
        return self.journal


async def _lab() -> _Lab:
    lab = _Lab()
    await lab.started()
    assert (await lab.decide(change("r0", take("a", 5))))[0] == '{"taken":"a"}'
    return lab


async def test_it_is_decided_again_and_leaves_no_row() -> None:
    """Who is told so may come with something else under the same id; all others are committed."""
    lab = await _lab()
    back = change("r2", take("a", -6), take("b", 1))
    answers = await lab.decide(change("r1", take("b", 1)), back, change("r3", take("c", 1)))
    assert [answers[number] for number in range(3)] == [
        '{"taken":"b"}', "stale_owner", '{"taken":"c"}',
    ]  # fmt: skip
    assert set(lab.outcomes()) == {"r0", "r1", "r3"}
    assert lab.stock() == {"a": OPENING - 5, "b": OPENING - 1, "c": OPENING - 1}
    lab.check()
    assert (await lab.decide(change("r2", take("a", -5))))[0] == '{"taken":"a"}'
    assert lab.outcomes()["r2"] == "committed"
    lab.check()


async def test_alone_it_is_no_commit() -> None:
    """Nothing is written for it, and the journal goes on."""
    lab = await _lab()
    commits = lab.store.statistics().commits
    assert (await lab.decide(change("r1", take("a", -6))))[0] == "stale_owner"
    assert lab.store.statistics().commits == commits
    assert (await lab.decide(change("r2", take("a", -5))))[0] == '{"taken":"a"}'
    lab.check()


async def test_of_two_in_one_batch_the_second_is_told_when_the_first_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both put the same back: one does, and the other finds it done when it looks again."""
    lab = await _lab()
    answers, told_before = Answers(), []
    commit = lab.store.commit

    async def watched(one: Commit) -> None:
        await commit(one)
        told_before.append(len(answers.replies))

    monkeypatch.setattr(lab.store, "commit", watched)
    both = (change("r1", take("a", -5)), change("r2", take("a", -5)))
    await lab.journal.receive_batch([delivery_of(n, one, answers) for n, one in enumerate(both)])
    assert told_before == [0]
    assert (answers[0], answers[1]) == ('{"taken":"a"}', "stale_owner")
    assert lab.outcomes() == dict.fromkeys(("r0", "r1"), "committed")
    lab.check()


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_chain_is_decided_again_as_a_whole(place: int) -> None:
    """Wherever it is in the chain, nothing of the chain stays, and no id of it is remembered."""
    lab = await _lab()
    moves = [("c0", "b", 1), ("c1", "b", 2), ("c2", "c", 3)]
    moves[place] = (f"c{place}", "a", -6)
    answers = await lab.decide(chain_of_takes(*moves), change("r1", take("c", 1)))
    assert (answers[0], answers[1]) == ("stale_owner", '{"taken":"c"}')
    assert set(lab.outcomes()) == {"r0", "r1"}
    assert lab.stock() == {"a": OPENING - 5, "b": OPENING, "c": OPENING - 1}
    moves[place] = (f"c{place}", "a", -5)
    assert (await lab.decide(chain_of_takes(*moves)))[0] == '["c0","c1","c2"]'
    lab.check()


async def test_a_repetition_is_answered_as_before() -> None:
    """What stands is put back already; that its id is not in memory makes it nothing new."""
    lab = await _lab()
    back, chain = change("r1", take("a", -2)), chain_of_takes(("c0", "b", 1), ("c1", "a", -3))
    await lab.decide(back, chain)
    lab.new_journal(forgetful=True)
    again = await lab.decide(back, chain)
    assert (again[0], again[1]) == ('{"taken":"a"}', '["c0","c1"]')
    assert again.notes() == [REPLAYED, REPLAYED]
    assert (await lab.decide(change("r1", take("a", -2), body="other")))[0] == "conflict"
    lab.check()


async def test_what_it_collided_with_may_come_to_nothing() -> None:
    """The batch is taken back since a change of it stands already; then it is decided after all."""
    lab = await _lab()
    first = change("r1", take("a", -5))
    await lab.decide(first)
    await lab.decide(change("r2", take("a", 5)))
    lab.new_journal(forgetful=True)
    answers = await lab.decide(first, change("r3", take("a", -5)))
    assert (answers[0], answers[1]) == ('{"taken":"a"}', '{"taken":"a"}')
    assert answers.notes() == [REPLAYED, 0]
    assert lab.stock()["a"] == OPENING
    lab.check()


async def test_after_a_commit_that_went_unheard_nobody_says_that_nothing_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its outcome is as unknown as before."""
    lab = await _lab()
    commit = lab.store.commit

    async def lose(one: Commit) -> None:
        del one
        monkeypatch.setattr(lab.store, "commit", commit)
        lab.database.put("stock", ("a",), {"name": "a", "quantity": OPENING})
        raise CommitUnknown("no answer")

    monkeypatch.setattr(lab.store, "commit", lose)
    assert (await lab.decide(change("r1", take("a", -5))))[0] == "deadline_exceeded"
    assert "r1" not in lab.outcomes()


async def test_a_store_that_is_away_tells_of_no_repetition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it stands cannot be seen, so nothing is said but that; the others are answered."""
    lab = await _lab()
    lab.new_journal(forgetful=True)

    async def lose(*_: object) -> None:
        raise NotReady("the store is away")

    monkeypatch.setattr(lab.store, "find_requests", lose)
    answers = await lab.decide(change("r1", take("a", -6)), change("r2", take("b", 1)))
    assert (answers[0], answers[1]) == ("not_ready", '{"taken":"b"}')
    lab.check()
