"""The judges of the proof of hot loading: what they let pass, and what they must not."""

from typing import Any

import pytest

from loadtest.hotload.answers import judge_answers
from loadtest.hotload.books import Books, Offences, judge_books
from loadtest.hotload.load import Resent
from loadtest.hotload.memory import Memory
from loadtest.hotload.report import judge_memory, judge_switches
from loadtest.hotload.timeline import PPM, Serving, Timeline, in_share
from loadtest.hotload.traffic import Outcome, Request

_ANSWER = b'{"paid_minor":5,"served_by":"1"}'


class _Car:
    """An identity that was written to."""

    pack, collection, key = "parking", "vehicle", "a"

    def next(self, request_id: str) -> Request:
        """Return nothing: it is only looked up."""
        raise AssertionError(request_id)


def _outcome(**fields: Any) -> Outcome:
    request = Request(
        request_id="r1", pack="parking", verb="exit", key="a", body=b"", pays_minor=5,
        moves={"payer": -5, "payee": 5},
    )  # fmt: skip
    found = {"sent_s": 10.0, "done_s": 10.1, "answer": _ANSWER, "served_by": "1", **fields}
    return Outcome(request=request, due_s=10.0, **found)


def _books(**fields: Any) -> Books:
    sound: dict[str, Any] = {
        "changes": {"r1": ("committed", _ANSWER.decode())},
        "payments": {"r1": [(5, "1")]},
        "witnesses": {"r1": ["1"]},
        "balances": {"payer": 95, "payee": 5},
        "documents": {("parking", "vehicle", "a"): "1"},
        "dead_letters": (),
    }
    return Books(**(sound | fields))


def _judged(books: Books, outcome: Outcome) -> dict[str, int]:
    opening = {"payer": 100, "payee": 0}
    return dict(judge_books(books, [outcome], [_Car()], opening).counts)


def test_sound_books_have_no_offence() -> None:
    """One answer, one payment, one witness, one document, and the balances that follow."""
    assert _judged(_books(), _outcome()) == {}


@pytest.mark.parametrize(
    ("fields", "offence"),
    [
        ({"changes": {}}, "lost"),
        ({"changes": {"r1": ("committed", "{}")}}, "answers"),
        ({"payments": {}}, "lost"),
        ({"payments": {"r1": [(5, "1"), (5, "1")]}}, "doubled"),
        ({"payments": {"r1": [(5, "1")], "r2": [(5, "1")]}}, "doubled"),
        ({"payments": {"r1": [(4, "1")]}}, "lost"),
        ({"payments": {"r1": [(5, "2")]}}, "divided"),
        ({"witnesses": {"r1": ["1", "1"]}}, "doubled"),
        ({"witnesses": {"r1": ["2"]}}, "divided"),
        ({"witnesses": {}}, "divided"),
        ({"balances": {"payer": 90, "payee": 10}}, "balances"),
        ({"documents": {("parking", "vehicle", "a"): "2"}}, "divided"),
        ({"documents": {}}, "divided"),
        ({"dead_letters": ("parking.exit: it crashed",)}, "dead letters"),
    ],
)
def test_each_damage_to_the_books_is_an_offence(fields: dict[str, Any], offence: str) -> None:
    """Whatever the database has too little, twice or by somebody else is counted."""
    assert offence in _judged(_books(**fields), _outcome())


def test_a_request_without_an_outcome_is_lost() -> None:
    """Also when the database has its change: nobody was told."""
    found = _judged(_books(), _outcome(answer=b"", error="internal: bug"))
    assert found["lost"] == 1


def _served_by(version: str, *, sent_s: float, done_s: float, key: str = "a") -> int:
    """Return whether it is an offence: 1 served until it was seen to be over at 21, 2 from 20."""
    timeline = Timeline()
    timeline.ask("parking", Serving(promoted="1"), 0.0)
    timeline.settle("parking", 1.0)
    timeline.ask("parking", Serving(promoted="2"), 20.0)
    timeline.settle("parking", 21.0)
    offences = Offences()
    outcome = _outcome(sent_s=sent_s, done_s=done_s, served_by=version)
    judge_answers([outcome], [], timeline, offences)
    return offences.counts["wrong generation"]


def test_an_answer_is_by_who_was_to_serve_at_some_moment_of_it() -> None:
    """Before a switch only the old, after it only the new, in between either."""
    assert not _served_by("1", sent_s=10, done_s=11)
    assert _served_by("2", sent_s=10, done_s=11)
    assert not _served_by("1", sent_s=20.5, done_s=20.6)
    assert not _served_by("2", sent_s=20.5, done_s=20.6)
    assert not _served_by("2", sent_s=19.9, done_s=20.1)
    assert not _served_by("2", sent_s=30, done_s=31)
    assert _served_by("1", sent_s=30, done_s=31)
    assert _served_by("", sent_s=30, done_s=31)


def test_a_canary_serves_its_share_alone() -> None:
    """Keys in the share must be answered by the canary, all others by what is promoted."""
    timeline = Timeline()
    timeline.ask("parking", Serving(promoted="1"), 0.0)
    timeline.ask("parking", Serving(promoted="1", canary="2", ppm=PPM // 2), 1.0)
    timeline.settle("parking", 2.0)
    keys = [f"key-{number}" for number in range(100)]
    for key in keys:
        inside = in_share("parking", key, PPM // 2)
        assert timeline.allowed("parking", key, 3.0, 4.0) == {"2" if inside else "1"}
    assert 30 < sum(in_share("parking", key, PPM // 2) for key in keys) < 70


def test_a_request_sent_again_must_be_answered_the_same() -> None:
    """Another answer is an offence; whether a switch came in between is counted."""
    timeline = Timeline()
    timeline.ask("parking", Serving(promoted="1"), 0.0)
    timeline.ask("parking", Serving(promoted="2"), 20.0)
    outcome, offences = _outcome(), Offences()
    again = [
        Resent(outcome=outcome, sent_s=15.0, same=True),
        Resent(outcome=outcome, sent_s=25.0, same=False),
    ]
    counts = judge_answers([outcome], again, timeline, offences)
    assert (counts.resent, counts.resent_across) == (2, 1)
    assert offences.counts["answers"] == 1


def test_the_verdict_on_switches_is_on_the_median_block() -> None:
    """One block that another program disturbed decides nothing; no block at all is no proof."""
    assert judge_switches([1.0, 1.9, 9.0]).ok
    assert not judge_switches([1.0, 2.1, 9.0]).ok
    assert not judge_switches([]).ok


def test_the_verdicts_on_memory() -> None:
    """More than five percent is too much, and so is a generation that is held or not proven."""

    def verdicts(last_kib: int, *, unproven: int = 0, leaked: int = 0) -> list[bool]:
        memory = [
            Memory(generations=10, resident_kib=100_000, unproven=3),
            Memory(generations=100, resident_kib=last_kib, unproven=unproven),
        ]
        return [one.ok for one in judge_memory(memory, leaked, ("a dict",) * leaked)]

    assert verdicts(104_900) == [True, True]
    assert verdicts(105_100) == [True, False]
    assert verdicts(90_000, unproven=1) == [False, True]
    assert verdicts(90_000, leaked=1) == [False, True]
    assert judge_memory([], 0, ()) == []
