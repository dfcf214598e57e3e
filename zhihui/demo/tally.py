"""Counts what came of a day's messages, and tells what each one that went wrong did wrong."""

from collections import Counter, defaultdict
from typing import Any, Literal

import msgspec

from zhihui.demo.day import DayLine
from zhihui.demo.days.answers import Repetition

__all__ = ("NOT_SENT", "Answer", "Fault", "Mismatch", "Tally", "contains")

# The outcome of a line that refers to the result of one that failed.
NOT_SENT = "not_sent"

# Mismatches kept in full, for the report. There are none, or something is thoroughly wrong.
_MISMATCHES_MAX = 10

Fault = Literal["wrong answer", "no answer", "not sent", "another answer than before"]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A message whose outcome is not the expected one, and in what way."""

    line: DayLine
    fault: Fault
    outcome: str
    reply: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a line in the end.

    ``outcome`` is in the words of the manifest. ``error`` is the code of a refusal, and ``final``
    is false when the message might have been tried again and time was over.
    """

    outcome: str
    result: dict[str, Any] = {}
    error: str = ""
    final: bool = True
    repetition: Repetition = "first"
    raw: bytes = b""


class Tally:
    """What came of one stage of the day. Latencies are from first sending to answer, seconds.

    ``accepted`` and ``rejected`` count by operation what was answered as expected, the second by
    code; ``repeated`` is how many of those were messages sent before and answered as before.
    """

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.accepted: Counter[str] = Counter()
        self.rejected: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.repeated: Counter[str] = Counter()
        self.mismatched_in: Counter[str] = Counter()
        self.latencies_s: list[float] = []
        self.elapsed_s = 0.0
        self.done = 0
        self.sent_again = 0
        self.mismatches: list[Mismatch] = []

    @property
    def mismatched(self) -> int:
        """Return how many messages had another outcome than expected."""
        return self.mismatched_in.total()

    def add(self, line: DayLine, answer: Answer) -> None:
        """Count an answer and compare it with what the line expects."""
        operation = line.subject_tail
        self.outcomes[operation][answer.outcome] += 1
        self.done += 1
        fault = _fault(line, answer)
        if fault is None:
            if answer.error:
                self.rejected[operation][answer.error] += 1
            else:
                self.accepted[operation] += 1
            self.repeated[operation] += answer.repetition == "same"
            return
        self.mismatched_in[operation] += 1
        if len(self.mismatches) < _MISMATCHES_MAX:
            reply = answer.raw.decode(errors="backslashreplace")
            self.mismatches.append(
                Mismatch(line=line, fault=fault, outcome=answer.outcome, reply=reply)
            )


def _fault(line: DayLine, answer: Answer) -> Fault | None:
    if answer.outcome == NOT_SENT:
        return "not sent"
    if not answer.final and answer.outcome != line.expect:
        return "no answer"
    if answer.outcome != line.expect or not contains(answer.result, line.expect_result):
        return "wrong answer"
    return "another answer than before" if answer.repetition == "different" else None


def contains(result: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Tell whether a result has all these fields with these values."""
    return all(name in result and result[name] == value for name, value in expected.items())
