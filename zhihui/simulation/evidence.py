"""What the backends heard, held against what the store has."""

from collections.abc import Callable, Iterator
from typing import Any

from zhihui.simulation.backend import Record
from zhihui.simulation.replayed import Replayed, Row

__all__ = ("Within", "check_evidence")

# Called with when something was asked and when it was answered; returns how long that may take.
Within = Callable[[float, float], float]

_COMMITTED = "committed"
# Refused whatever stands, so it need not be remembered.
_NEVER_POSSIBLE = ("self_payment",)


def check_evidence(
    replayed: Replayed, records: dict[int, Record], within_s: Within
) -> Iterator[str]:
    """Yield each answer that is not true, came too late, or came in an impossible order."""
    for record in records.values():
        if record.asked is None:
            continue
        said = f"step {record.step.number} ({record.step.kind})"
        for heard in record.heard:
            if heard.after_s > within_s(heard.at_s - heard.after_s, heard.at_s):
                yield f"{said} was answered {heard.after_s:.3f} s after it was asked"
            if record.step.kind == "read":
                yield from _check_read(replayed, record, records, heard.answer, heard.at_s)
            else:
                yield from _check_answer(replayed, record, heard.answer, said)
    yield from _check_order(replayed, records)
    yield from _check_lookups(replayed, records)


def _check_answer(replayed: Replayed, record: Record, answer: Any, said: str) -> Iterator[str]:
    row = replayed.by_request.get(record.step.request_id)
    error = None if answer["ok"] else answer["error"]
    if error is not None and error["retryable"]:
        return
    if record.step.kind == "conflict":
        if error is None or error["code"] != "conflict":
            yield f"{said} repeats an id with another body and was answered {answer}"
        return
    if row is None and error is not None and error["code"] in _NEVER_POSSIBLE:
        return
    if row is None:
        said_of_it = "acknowledged" if error is None else "refused"
        yield f"{said} was {said_of_it} for good, and is not in the store: {answer}"
        return
    if error is None:
        if row.outcome != _COMMITTED:
            yield f"{said} was acknowledged, and the store has {row.outcome!r}"
        elif answer["result"] != row.answer:
            yield f"{said} was told {answer['result']}; the store has {row.answer}"
    elif error["code"] != row.outcome:
        yield f"{said} was told {error['code']!r}; the store has {row.outcome!r}"


def _check_read(
    replayed: Replayed, record: Record, records: dict[int, Record], answer: Any, at_s: float
) -> Iterator[str]:
    """A read shows a state that stood after all that was acknowledged before it was asked for."""
    if not answer["ok"]:
        return
    result = answer["result"]
    asked_s = record.first_asked_s
    acknowledged = max(
        (row.seq for row in replayed.rows if (known := _of(row, records)) is not None
         and known.answered_s is not None and known.answered_s < asked_s),
        default=0,
    )  # fmt: skip
    possible = replayed.balances(result["account_id"], acknowledged)
    if result["posted_minor"] not in possible:
        yield (
            f"step {record.step.number} read {result['posted_minor']} in account"
            f" {result['account_id']} at {at_s:.3f} s; after what had been acknowledged it held"
            f" {possible}"
        )


def _of(row: Row, records: dict[int, Record]) -> Record | None:
    return None if row.number is None else records.get(row.number)


def _check_order(replayed: Replayed, records: dict[int, Record]) -> Iterator[str]:
    """What was answered before another was asked for stands before it in the store."""
    last_asked = (0.0, "")
    for row in replayed.rows:
        record = _of(row, records)
        if record is None:
            continue
        if record.answered_s is not None and record.answered_s < last_asked[0]:
            yield (
                f"{row.request_id} was answered at {record.answered_s:.3f} s, and {last_asked[1]},"
                f" asked for at {last_asked[0]:.3f} s, stands before it"
            )
        last_asked = max(last_asked, (record.first_asked_s, row.request_id))


def _check_lookups(replayed: Replayed, records: dict[int, Record]) -> Iterator[str]:
    """Who never heard of a payment finds it by the id of the request, if it is there.

    A request of it may still be on its way, so that it comes to stand while it is looked up.
    """
    for record in records.values():
        if record.found is None:
            continue
        row = replayed.by_request.get(record.step.request_id)
        before, after = record.found_between
        seq = row.seq if row is not None and row.outcome == _COMMITTED else after + 1
        if record.found and seq > after:
            yield f"{record.step.request_id} was found by its request id before it stood"
        if not record.found and seq <= before:
            yield f"{record.step.request_id} stood and was not found by its request id"
