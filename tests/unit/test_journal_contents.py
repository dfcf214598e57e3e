"""What a change carries besides its moves: integers found by the book, timers, and their ends."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.partition import partition_of
from schemas.change import Change, LinkedChanges, unknown
from schemas.errors import InvalidState
from tests.unit.stock_lab import OPENING, START_MS, StockLab, change, take, timer

pytestmark = pytest.mark.anyio


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_LEFT = unknown("left")


async def test_found_integers_stand_where_they_were_unknown() -> None:
    """In the answer, in the events and in the rows there is a number, and it is remembered so."""
    lab = await StockLab().started()
    text = _json({"left": _LEFT, "deep": [{"by": unknown("left_by"), "again": _LEFT}]})
    one = change("r1", take("a", -1_000, answer=text, event=text, note=unknown("left_by")))
    first = await lab.decide(change("r0", take("a", 30)), one)
    expected = {"left": 0, "deep": [{"by": 70, "again": 0}]}
    assert json.loads(first[1]) == expected
    assert [json.loads(row.data) for row in lab.told] == [expected]
    assert [row["data"] for row in lab.database.rows("event").values()] == [lab.told[0].data]
    assert [row["quantity"] for row in lab.database.rows("taken").values()] == [70]
    await lab.new_journal().start()
    assert (await lab.decide(one))[0] == first[1]


# What users may write; a control character is refused at the door.
_texts = st.one_of(
    st.sampled_from(
        [
            "left", '"left"', "\\u0001left", '"\\u0001left"', '\\"\\u0001left\\"', "\\x01left",
            "u0001left", '"', "\\", '":"\\u0001left","', "left_by", "\\\\u0001left",
        ]
    ),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12),
    st.text(st.sampled_from(list('"\\u01left ')), max_size=16),
)  # fmt: skip


@given(before=_texts, after=_texts)
async def test_no_text_of_a_user_is_taken_for_an_unknown(before: str, after: str) -> None:
    """Whatever stands beside an unknown integer, it stays as it is, and only that one is put in."""
    lab = await StockLab().started()
    said = {"before": before, "left": _LEFT, "after": [after, before], f"k{after}": 1}
    answers = await lab.decide(
        change("r1", take("a", 1, answer=_json(said), event=_json(said), note=_LEFT))
    )
    expected = said | {"left": OPENING - 1}
    assert json.loads(answers[0]) == expected
    assert json.loads(lab.told[0].data) == expected


async def test_longer_text_that_holds_an_unknown_is_left_alone() -> None:
    """Only a whole string stands for an integer, not a part of one, nor the name of a field."""
    lab = await StockLab().started()
    said = {"a": f"x{_LEFT}", "b": f"{_LEFT}x", "c": _LEFT + unknown("left_by"), "d": "left"}
    answers = await lab.decide(change("r1", take("a", 1, answer=_json(said))))
    assert json.loads(answers[0]) == said


async def test_name_that_begins_another_is_not_mistaken() -> None:
    """The names left and left_by are two."""
    lab = await StockLab().started()
    text = _json([unknown("left_by"), _LEFT, unknown("left_by")])
    assert json.loads((await lab.decide(change("r", take("a", 5, answer=text))))[0]) == [5, 95, 5]


async def test_alternative_without_unknowns_is_written_as_it_is() -> None:
    """Numbers, nulls and texts of a row go through untouched when the book found something."""
    lab = await StockLab().started()
    text = '{"n": 1,  "spaced": true}'
    answers = await lab.decide(change("r1", take("a", 1, answer=text, event=text, note=7)))
    assert answers[0] == text
    assert lab.told[0].data == text


async def test_chosen_alternative_alone_is_filled_in() -> None:
    """What the book found for the alternative that stands goes into that one."""
    lab = await StockLab().started()
    text = _json([_LEFT])
    answers = await lab.decide(
        change("r1", take("a", OPENING + 1, answer='"first"'), take("b", 40, answer=text))
    )
    assert json.loads(answers[0]) == [60]


async def test_timer_stands_with_its_change() -> None:
    """Its row is part of the commit: partition, time, interval, message."""
    lab = await StockLab().started()
    due = timer("t1", due_at_ms=START_MS + 1_234, every_s=60)
    await lab.decide(change("r1", take("a", 1, timers=[due, timer("t2")])))
    row = lab.database.rows("timer")["t1",]
    at = datetime.fromtimestamp((START_MS + 1_234) / 1000, UTC)
    assert row == {
        "timer_id": "t1", "change_seq": 1, "partition": partition_of("shelf", "key of t1"),
        "due_at": at, "every_s": 60, "kind": "shelf", "key": "key of t1", "type": "due",
        "app": "shop", "body": msgspec.msgpack.encode(["body of", "t1"]),
    }  # fmt: skip
    assert lab.timers() == {"t1", "t2"}
    (found,) = await lab.store.due_timers(list(range(64)), at, 10, [])
    assert (found.timer_id, found.due_at) == ("t1", at)


async def test_rejected_change_sets_and_ends_no_timer() -> None:
    """Timers belong to the alternative that stands, and to no other one."""
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1, timers=[timer("old")])))
    await lab.decide(
        change("r1", take("a", OPENING, timers=[timer("t1")], cancels=["old"])),
        change("r2", rejection=InvalidState("no").body()),
        change(
            "r3",
            take("a", OPENING, timers=[timer("t2")], cancels=["old"]),
            take("a", 1, timers=[timer("t3")]),
        ),
    )
    assert lab.timers() == {"old", "t3"}


async def test_timer_set_and_cancelled_in_one_batch_is_gone() -> None:
    """By a later change and by a later member of its chain; its own change sets it anew."""
    lab = await StockLab().started()
    chain = LinkedChanges(
        (
            change("c0", take("a", 1, timers=[timer("t3")])),
            change("c1", take("a", 1, cancels=["t3"], timers=[timer("stays")])),
        )
    )
    await lab.decide(
        change("r0", take("a", 1, timers=[timer("t1")])),
        change("r1", take("a", 1, cancels=["t1"])),
        change("r2", take("a", 1, timers=[timer("t2")], cancels=["t2"])),
        chain,
    )
    assert lab.timers() == {"stays", "t2"}


async def test_timer_is_set_anew() -> None:
    """A change that cancels a timer and sets it again moves it, in one batch or in two."""
    lab = await StockLab().started()
    first = change("r0", take("a", 1, timers=[timer("t1")]))
    again = change("r1", take("a", 1, cancels=["t1"], timers=[timer("t1")]))
    await lab.decide(first, again)
    await lab.decide(change("r2", take("a", 1, cancels=["t1"], timers=[timer("t1")])))
    assert lab.timers() == {"t1"}
    lab.check()


async def test_timer_is_cancelled_later_and_once() -> None:
    """A cancel of a timer that is gone, or never was, is no error: it may have fired meanwhile."""
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1, timers=[timer("t1"), timer("t2")])))
    answers = await lab.decide(
        change("r1", take("a", 1, cancels=["t1"])),
        change("r2", take("a", 1, cancels=["t1", "never"])),
    )
    assert (answers[0], answers[1]) == ('{"taken":"a"}',) * 2
    assert lab.timers() == {"t2"}
    lab.check()


async def test_chain_that_falls_leaves_the_timers_as_they_were() -> None:
    """A chain rejected in the middle has neither set nor ended any."""
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1, timers=[timer("old")])))
    members: list[Change] = [
        change("c0", take("a", 1, timers=[timer("t1")], cancels=["old"])),
        change("c1", take("a", OPENING)),
    ]
    answers = await lab.decide(LinkedChanges(tuple(members)))
    assert answers[0] == "insufficient_funds"
    assert lab.timers() == {"old"}


@pytest.mark.parametrize("fault", ["lost", "unheard"])
async def test_timers_of_a_lost_commit_stand_once(fault: str) -> None:
    """When the commit stood the timer does, and when it did not it is set by the next attempt."""
    lab = await StockLab().started()
    await lab.decide(change("r0", take("a", 1, timers=[timer("old")])))
    lab.store.faults.append(fault)
    await lab.decide(change("r1", take("a", 1, timers=[timer("t1")], cancels=["old"])))
    assert lab.timers() == {"t1"}
    lab.check()


async def test_replayed_change_sets_its_timer_no_second_time() -> None:
    """A timer that has fired does not come back when its change is sent again."""
    lab = await StockLab().started()
    one = change("r1", take("a", 1, timers=[timer("t1")]))
    await lab.decide(one)
    due_at = lab.database.rows("timer")["t1",]["due_at"]
    await lab.store.end_timers([("t1", due_at, None)])
    await lab.decide(one)
    await lab.new_journal().start()
    await lab.decide(one)
    assert lab.timers() == set()
