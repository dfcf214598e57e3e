"""What the school's office does on the day, what strangers send, and the last look at the books."""

from collections.abc import Iterator
from random import Random
from typing import Any

from plugins.campus.samples.cast import (
    BATCHES,
    DAY_S,
    LATER_BATCHES,
    OPERATORS,
    SCHOOL,
    Act,
    Ids,
    Message,
    request,
)
from plugins.campus.samples.setting import BRANCH, OFFICE, SCHOOL_ACCOUNTS, seen

__all__ = ("RELEASES", "last_look", "office_acts", "strangers")

# How many times the office asks for money on the day.
RELEASES = 40

_PURPOSES = ("salaries", "catering", "books", "insurance_premium", "maintenance")


def office_acts(random: Random, ids: Ids) -> Iterator[Act]:
    """Yield releases of supervised money, and parts of the roster with mistakes in them."""
    at = 9 * 3_600
    for number in range(RELEASES):
        at += random.randrange(120, 900)
        yield from _release(random, ids, at, f"release-{number:03d}")
    for number in range(12):
        at = random.randrange(10 * 3_600, 16 * 3_600)
        rows = [
            _row(f"2025{number:02d}01", "class-none"),
            _row(f"2025{number:02d}02", "class-00", [{"guardian_id": "g"}] * 2),
            _row(f"2025{number:02d}03", "class-new"),
            _row(f"2025{number:02d}03", "class-new"),
        ]
        body = {
            "school_id": random.choice((SCHOOL, SCHOOL, "lowland")),
            "classes": [{"class_id": "class-new", "grade": "grade 7"}],
            "students": rows,
        }
        yield [request(OFFICE, at, "campus.import_roster", body, ids)]


def _row(
    student_id: str, class_id: str, guardians: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    return {
        "student_id": student_id,
        "class_id": class_id,
        "name": "新同学",
        "guardians": guardians or [],
    }


def _release(random: Random, ids: Ids, at: int, release_id: str) -> Iterator[Act]:
    asking = random.choice(("cashier-lu", "clerk-qian", "principal-han"))
    ask = {
        "release_id": release_id,
        "school_id": SCHOOL,
        "payee": f"@acct:{random.choice((*OPERATORS, 'teachers'))}",
        # Below what the bank's own rules want a verification for.
        "amount_minor": random.randrange(5_000, 90_000, 50),
        "purpose": random.choice(_PURPOSES),
        "reason": "2 月结算",
        "officer_id": asking,
    }
    kind = random.choices(
        ("approved", "refused", "alone", "twice", "poor", "stranger", "waits"),
        (50, 14, 10, 10, 8, 6, 6),
    )[0]
    if kind == "poor":
        ask["school_id"] = BRANCH
    if kind == "stranger":
        ask["officer_id"] = random.choice(("bursar-shen", "nobody"))
    yield [request(OFFICE, at, "campus.request_release", ask, ids)]
    if kind == "alone":
        yield [_decide("approve", at + 30, release_id, asking, ids)]
    if kind == "refused":
        yield [_decide("refuse", at + 60, release_id, "bursar-shen", ids, reason="缺发票")]
    elif kind != "waits":
        yield [_decide("approve", at + 60, release_id, "bursar-shen", ids)]
    if kind == "twice":
        yield [_decide("approve", at + 90, release_id, "principal-han", ids)]
        yield [_decide("refuse", at + 95, release_id, "bursar-shen", ids, reason="重复")]


def _decide(verb: str, at: int, release_id: str, officer: str, ids: Ids, **fields: Any) -> Message:
    body = {"release_id": release_id, "officer_id": officer, **fields}
    return request(OFFICE, at, f"campus.{verb}_release", body, ids)


def strangers(random: Random, ids: Ids, count: int) -> Iterator[Message]:
    """Yield messages about people and things, and for operations, that nobody knows."""
    for number in range(count):
        name = f"ghost-{number:04d}"
        at = random.randrange(DAY_S)
        verb, body = random.choice(
            (
                ("get_student", {"student_id": name}),
                ("get_terminal", {"terminal_id": name}),
                ("get_room", {"room_id": name}),
                ("get_batch", {"batch_id": name}),
                ("get_release", {"release_id": name}),
                ("settle_debts", {"student_id": name}),
                ("top_up", {"student_id": name, "guardian_id": "g", "amount_minor": 100}),
                ("pay_bill", {"student_id": name, "bill_id": "b"}),
                ("pay_family", {"guardian_id": name, "items": [_item(name)]}),
                ("approve_release", {"release_id": name, "officer_id": "bursar-shen"}),
                ("read_meter", {"room_id": name, "meter_units": 1, "read_at": "yesterday"}),
                ("fly", {"student_id": name}),
                ("charge_sale", {"student_id": name}),
            )
        )
        message = Message(at=at, lane=name, subject_tail=f"campus.{verb}", body=dict(body))
        if not verb.startswith("get_"):
            message.body = {"request_id": ids.next(), **body}
        if verb in ("fly", "charge_sale"):
            # The second is for messages between the pack's own identities: there is none outside.
            message.fault = "unknown_operation"
        if verb == "read_meter":
            message.fault = "invalid_field"
        yield message


def _item(name: str) -> dict[str, Any]:
    return {"student_id": name, "bill_id": "b", "amount_minor": 1}


def last_look(*, later: bool = False) -> Iterator[Message]:
    """Yield reads that wait until every account and every batch is as it must be."""
    at = DAY_S - 1
    for name in (*SCHOOL_ACCOUNTS, *OPERATORS, "teachers"):
        yield seen(f"last:{name}", "account.get", {"account_id": f"@acct:{name}"}, at=at)
    for batch in (*BATCHES, *(LATER_BATCHES if later else ())):
        yield seen(f"last:{batch}", "campus.get_batch", {"batch_id": batch}, at=at)
