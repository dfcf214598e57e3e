"""The same request has to be answered the same."""

import pytest

from zhihui.demo.days.answers import Answers, Repetition

_REQUEST = b'{"request_id":"r-1","amount_minor":5}'


@pytest.mark.parametrize(
    ("subject", "payload", "answer", "expected"),
    [
        ("zh.v1.kiosk.buy", _REQUEST, b"yes", "same"),
        ("zh.v1.kiosk.buy", _REQUEST, b"yes!", "different"),
        ("zh.v1.kiosk.buy", _REQUEST.replace(b"5", b"6"), b"yes!", "first"),
        ("zh.v1.kiosk-2.buy", _REQUEST, b"yes!", "first"),
    ],
)
def test_an_answer_stands_for_its_message(
    subject: str, payload: bytes, answer: bytes, expected: Repetition
) -> None:
    """The same bytes of the same app get the same answer; another message is another."""
    answers = Answers()
    assert answers.note("zh.v1.kiosk.buy", _REQUEST, b"yes", ok=True) == "first"
    assert answers.note(subject, payload, answer, ok=True) == expected


def test_what_was_accepted_may_not_be_refused_afterwards() -> None:
    """A refusal of what took effect is another answer."""
    answers = Answers()
    answers.note("s", _REQUEST, b"yes", ok=True)
    assert answers.note("s", _REQUEST, b"no", ok=False) == "different"


def test_what_was_refused_may_be_tried_again() -> None:
    """A refusal does not stand; what comes of the next sending does."""
    answers = Answers()
    assert answers.note("s", _REQUEST, b"no", ok=False) == "first"
    assert answers.note("s", _REQUEST, b"yes", ok=True) == "first"
    assert answers.note("s", _REQUEST, b"yes", ok=True) == "same"


def test_reads_may_change() -> None:
    """What has no request id is a read, and what it finds is of its moment."""
    answers = Answers()
    for number in range(3):
        assert answers.note("s", b'{"plate":"x"}', str(number).encode(), ok=True) == "first"
