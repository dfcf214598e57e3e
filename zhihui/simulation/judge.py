"""Compares a world at rest with the model: nothing that was said may be untrue.

The order of the changes in the store is taken as the order in which things happened. The model
plays them in that order and must come to the same decision each time, and in the end to the same
balances, holds, payments, plans and counters. That the order is possible is checked as well: who
was answered before another one asked must stand before it.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any

import orjson

from zhihui.simulation.backend import Record
from zhihui.simulation.books import check_books
from zhihui.simulation.evidence import Within, check_evidence
from zhihui.simulation.model import Refused
from zhihui.simulation.outside import Outside
from zhihui.simulation.replayed import Replayed, Row
from zhihui.simulation.workload import Step
from zhihui.simulation.world import World

__all__ = ("judge",)

_COMMITTED = "committed"
_SOURCE_REFUSES = {"insufficient_funds", "invalid_state", "self_payment"}
# More say no more.
_PROBLEMS_MAX = 20


def judge(
    world: World, records: dict[int, Record], outside: Outside | None, *, within_s: Within
) -> list[str]:
    """Return what is wrong, in words; nothing when all is well."""
    replayed = Replayed(world)
    wrong = list(check_books(world))
    wrong += _replay(world, replayed, records)
    wrong += check_evidence(replayed, records, within_s)
    wrong += _compare(world, replayed)
    if outside is not None:
        wrong += _check_channels(world, replayed, outside)
        wrong += _check_late(world, replayed)
    wrong += _check_rest(world)
    return wrong[:_PROBLEMS_MAX]


# The replay.


def _replay(world: World, replayed: Replayed, records: dict[int, Record]) -> Iterator[str]:
    seqs = [row.seq for row in replayed.rows]
    if seqs != list(range(1, len(seqs) + 1)):
        yield f"changes are not numbered without gaps: {seqs}"
    for row in replayed.rows:
        if row.number is None and row.request_id.startswith("s"):
            yield f"change {row.seq} does {row.request_id.rstrip('+')} again"
            continue
        if row.number is None:
            yield from _by_itself(replayed, row)
            continue
        record = records.get(row.number)
        if record is None or record.asked is None:
            yield f"change {row.seq} is for {row.request_id}, which nobody asked for"
            continue
        yield from _decided(replayed, row, record, records)
        replayed.note_made(row, record.step.kind)


def _decided(
    replayed: Replayed, row: Row, record: Record, records: dict[int, Record]
) -> Iterator[str]:
    """Compare a decision with that of the model."""
    step = record.step
    assert record.asked is not None
    outcome, facts = replayed.bank.play(step, record.asked.body)
    said = f"{row.request_id} ({step.kind} {step.args}, change {row.seq})"
    if outcome != row.outcome and not _either(step, outcome, row.outcome):
        if row.outcome != _COMMITTED and _once_true(replayed, row, record, records):
            # The refusal stands, so what the model has just done has to be taken back.
            if outcome == _COMMITTED:
                replayed.rebuild(row.seq, records)
            return
        yield f"{said} is {row.outcome!r}; the model says {outcome!r}"
        if outcome == _COMMITTED:
            replayed.rebuild(row.seq, records)
        return
    if outcome == _COMMITTED:
        for name, value in facts.items():
            found = row.answer.get(name)
            if found != value and not (found is None and not value):
                yield f"{said}: {name} is {found!r} in the answer; the model says {value!r}"


def _either(step: Step, outcome: str, other: str) -> bool:
    """Tell whether both refuse a move of which several parts cannot be.

    Which of them is named is not promised: of several sources, of a redemption and its payment, or
    of what goes back to several.
    """
    legs = step.args.get("legs", ())
    several = step.kind == "refund" or len(legs) > 1 or any(leg["type"] == "wealth" for leg in legs)
    return several and {outcome, other} <= _SOURCE_REFUSES


def _once_true(replayed: Replayed, row: Row, record: Record, records: dict[int, Record]) -> bool:
    """Tell whether the refusal was right at some moment since it was asked for.

    An actor may refuse on what it has just read while a change is on its way that it cannot see.
    """
    since = replayed.seq_at(record.first_asked_s)
    for seq in range(row.seq - 1, max(since - 1, 0), -1):
        bank = replayed.bank_before(seq, records)
        assert record.asked is not None
        if bank.play(record.step, record.asked.body)[0] == row.outcome:
            return True
    return False


def _by_itself(replayed: Replayed, row: Row) -> Iterator[str]:
    """Let the model do what a timer or a channel has done."""
    try:
        replayed.by_itself(replayed.bank, row)
    except Refused as refused:
        yield (
            f"change {row.seq} ({row.operation} {row.request_id}) is not possible: the model says"
            f" {refused}"
        )


# The end.


def _compare(world: World, replayed: Replayed) -> Iterator[str]:
    yield from _compare_accounts(world, replayed)
    yield from _compare_holds(world, replayed)
    yield from _compare_payments(world, replayed)
    yield from _compare_plans(world, replayed)
    counters = {
        row["key"].partition("/")[2]: orjson.loads(row["body"])["total"]
        for row in world.rows("document")
        if row["pack"] == "counter"
    }
    if counters != replayed.bank.counters:
        yield f"the counters are {counters}; the model has {replayed.bank.counters}"


def _compare_accounts(world: World, replayed: Replayed) -> Iterator[str]:
    balances = {row["account_id"]: row for row in world.rows("balance")}
    accounts = replayed.bank.books.accounts
    for name, account_id in replayed.account_ids().items():
        row, model = balances[account_id], accounts[name]
        found = (row["posted_minor"], row["held_minor"])
        if found != (model.posted, model.held):
            yield (
                f"account {name} ({account_id}) has {found}, posted and held; the model has"
                f" {(model.posted, model.held)}"
            )


def _compare_holds(world: World, replayed: Replayed) -> Iterator[str]:
    holds = replayed.bank.books.holds
    for row in world.rows("hold"):
        number = replayed.made.get(row["hold_id"])
        if number is None or number not in holds:
            continue
        model = holds[number]
        found = (row["captured_minor"], row["released_minor"], row["status"])
        status = "voided" if model.status == "voided" else model.status
        if found != (model.captured, model.released, status):
            yield (
                f"hold {number} is {found}; the model has"
                f" {(model.captured, model.released, status)}"
            )


def _compare_payments(world: World, replayed: Replayed) -> Iterator[str]:
    orders = {row["payment_id"]: orjson.loads(row["body"]) for row in world.rows("payment_order")}
    payments = replayed.bank.payments.payments
    known = set()
    for row in world.rows("payment"):
        number = replayed.made.get(row["payment_id"], -1)
        known.add(number)
        if number not in payments:
            yield f"payment {row['payment_id']} of {row['request_id']} is not in the model"
            continue
        model = payments[number]
        order = orders.get(row["payment_id"])
        found: tuple[Any, ...] = (row["status"], row["amount_minor"], 0)
        if order is not None:
            found = (order["status"], order.get("captured_minor", 0),
                     order.get("refunded_minor", 0))  # fmt: skip
        if found != (model.status, model.captured, model.refunded):
            yield (
                f"payment {number} is {found}, captured and refunded; the model has"
                f" {(model.status, model.captured, model.refunded)}"
            )
    if missing := set(payments) - known:
        yield f"payments {sorted(missing)} are in the model only"


def _compare_plans(world: World, replayed: Replayed) -> Iterator[str]:
    for row in world.rows("credit_plan"):
        number = replayed.made.get(row["payment_id"], -1)
        payment = replayed.bank.payments.payments.get(number)
        plan = None if payment is None else next(
            (leg.plan for leg in payment.legs if leg.plan is not None), None
        )  # fmt: skip
        if plan is None:
            yield f"plan {row['plan_id']} is not in the model"
            continue
        body = orjson.loads(row["body"])["plan"]
        left = [one["principal_minor"] - one["principal_paid_minor"] for one in body["terms"]]
        left = [one for one in left if one]
        if (row["status"], left) != (plan.status, [one for one in plan.terms if one]):
            yield (
                f"the plan of payment {number} is {row['status']} with {left} to repay; the model"
                f" has {plan.status} with {plan.terms}"
            )


def _check_channels(world: World, replayed: Replayed, outside: Outside) -> Iterator[str]:
    """Compare what the channels keep, by their own books, with what the model says they took."""
    owners = {
        (row["channel"], row["reference"]): row["payment_id"] for row in world.rows("channel_order")
    }
    kept: Counter[Hashable] = Counter()
    for channel in outside.channels:
        for order in outside.books.orders(channel):
            payment_id = owners.get((channel, order.reference))
            if payment_id is None:
                yield f"{channel} knows of order {order.reference}, and the platform does not"
            elif order.state == "paid":
                sign = 1 if order.kind == "pay" else -1
                kept[replayed.made.get(payment_id, payment_id)] += sign * order.amount_minor
    for number, payment in replayed.bank.payments.payments.items():
        (first, *_) = payment.legs
        if first.kind == "channel":
            due = first.taken - first.refunded
            if payment.status == "voided":
                due = 0
            if kept[number] != due:
                yield (
                    f"the channels keep {kept[number]} for payment {number}, which is"
                    f" {payment.status}; the model says {due}"
                )


def _check_late(world: World, replayed: Replayed) -> Iterator[str]:
    """No order is given up while it may still be paid; the channels keep their word here.

    One whose payment was called off is not given up: what comes of it is sent back.
    """
    payments = replayed.bank.payments.payments
    for row in world.rows("channel_order"):
        payment = payments.get(replayed.made.get(row["payment_id"], -1))
        called_off = payment is not None and payment.status == "voided"
        if row["state"] == "paid_late" and not called_off:
            yield (
                f"order {row['order_id']} of {row['channel']} was paid after it had been given up"
            )


def _check_rest(world: World) -> Iterator[str]:
    letters = world.rows("dead_letter")
    yield from (f"dead letter: {one['kind']}.{one['type']}: {one['reason']}" for one in letters)
    yield from world.stale_commits
