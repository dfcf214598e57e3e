"""What stands before the day begins: the school, its roster, accounts, tills, rooms, bills."""

from collections.abc import Iterator
from typing import Any

from plugins.campus.samples.cast import (
    BATCHES,
    LATER_BATCHES,
    MIDNIGHT,
    OPERATORS,
    SCHOOL,
    TERM,
    Child,
    Family,
    House,
    Ids,
    Message,
    account_setup,
    setup_request,
)

__all__ = (
    "BRANCH",
    "OFFICE",
    "SCHOOL_ACCOUNTS",
    "STEPS",
    "WEEK",
    "bills_issued",
    "house_setup",
    "school_setup",
    "seen",
    "student_seen",
)

OFFICE = "office"
# A release that nobody decides: when it lapses is a moment a week after the day, on whatever date
# it is played. Some subsidies expire then.
WEEK = "week"
BRANCH = "branch"

# The accounts of the school, with what is in them before the day (fen). A second, small school has
# nothing to release.
SCHOOL_ACCOUNTS = {
    "hilltop:supervised": 4_000_000,
    "hilltop:clearing": 0,
    "hilltop:fund": 3_000_000,
    "hilltop:power": 0,
    "branch:supervised": 0,
    "branch:clearing": 0,
    "branch:fund": 0,
    "branch:power": 0,
}

_OFFICERS = [
    {"officer_id": "cashier-lu", "may_request": True},
    {"officer_id": "clerk-qian", "may_request": True},
    {"officer_id": "bursar-shen", "may_approve": True},
    {"officer_id": "principal-han", "may_request": True, "may_approve": True},
]

# ¥0.52 a kWh for the first 60 kWh of a month, then ¥0.57, beyond 120 kWh ¥0.82.
STEPS = [
    {"kwh_minor": 52, "up_to_units": 6_000},
    {"kwh_minor": 57, "up_to_units": 12_000},
    {"kwh_minor": 82},
]


def school_setup(ids: Ids) -> Iterator[Message]:
    """Yield what the school's office does first. The last line lets the houses begin."""
    for name, balance in SCHOOL_ACCOUNTS.items():
        yield from account_setup(OFFICE, f"@acct:{name}", name.replace(":", " "), balance, ids)
    for operator in (*OPERATORS, "teachers"):
        yield from account_setup(OFFICE, f"@acct:{operator}", operator, 0, ids, kind="merchant")
    yield _opened(SCHOOL, ids)
    term = {
        "term_id": TERM,
        "name": "2026 春季学期",
        "begins_at": MIDNIGHT.isoformat(),
        "ends_at": "2026-07-10T00:00:00+08:00",
    }
    yield setup_request(OFFICE, "campus.import_roster", {"school_id": SCHOOL, "terms": [term]}, ids)
    marker = setup_request(
        OFFICE,
        "campus.request_release",
        {
            "release_id": "release-unwanted",
            "school_id": SCHOOL,
            "payee": "@acct:teachers",
            "amount_minor": 100,
            "purpose": "maintenance",
            "reason": "误操作",
            "officer_id": "cashier-lu",
        },
        ids,
    )
    marker.keeps = WEEK
    yield marker
    yield _opened(BRANCH, ids)


def _opened(school: str, ids: Ids) -> Message:
    accounts = {
        "supervised": f"@acct:{school}:supervised",
        "clearing": f"@acct:{school}:clearing",
        "subsidy_fund": f"@acct:{school}:fund",
        "power": f"@acct:{school}:power",
    }
    body = {"school_id": school, "accounts": accounts, "officers": _OFFICERS}
    return setup_request(OFFICE, "campus.open_school", body, ids)


def house_setup(house: House, ids: Ids) -> Iterator[Message]:
    """Yield how a house comes to be."""
    lane = house.name
    # Opened last of all that the office does.
    yield seen(lane, "campus.get_school", {"school_id": BRANCH}, setup=True)
    for _, child in house.children:
        yield from account_setup(lane, child.wallet, f"wallet of {child.student_id}", 0, ids)
    for family in house.families:
        for guardian, purse in family.guardians.items():
            yield from account_setup(lane, f"@acct:{guardian}", guardian, purse, ids)
            body = {"guardian_id": guardian, "account_id": f"@acct:{guardian}"}
            yield setup_request(lane, "campus.bind_guardian", body, ids)
    yield setup_request(lane, "campus.import_roster", _roster(house), ids)
    for _, child in house.children:
        yield student_seen(lane, 0, child.student_id, setup=True)
        body = {"student_id": child.student_id, "account_id": child.wallet}
        yield setup_request(lane, "campus.bind_wallet", body, ids)
    yield from _places(house, ids)
    for family, child in house.children:
        yield from _purse(lane, family, child, ids)
    yield from _bills(house, ids)


def _roster(house: House) -> dict[str, Any]:
    rows = [
        {
            "student_id": child.student_id,
            "class_id": house.class_id,
            "name": child.name,
            "guardians": [
                {"guardian_id": one, "relation": "mother" if one.endswith("m") else "father"}
                for one in family.guardians
            ],
        }
        for family, child in house.children
    ]
    classes = [{"class_id": house.class_id, "grade": f"grade {7 + int(house.class_id[-2:]) % 3}"}]
    return {"school_id": SCHOOL, "classes": classes, "students": rows}


def _places(house: House, ids: Ids) -> Iterator[Message]:
    for till in (house.canteen, house.shop):
        body = {
            "terminal_id": till.terminal_id,
            "school_id": SCHOOL,
            "payee": f"@acct:{till.operator}",
            "category": till.category,
            "public_key": till.public_key,
        }
        yield setup_request(house.name, "campus.register_terminal", body, ids)
    for room, shown in house.rooms.items():
        opening: dict[str, Any] = {
            "room_id": room,
            "school_id": SCHOOL,
            "steps": STEPS,
            "meter_units": shown,
        }
        yield setup_request(house.name, "campus.open_room", opening, ids)


def _purse(lane: str, family: Family, child: Child, ids: Ids) -> Iterator[Message]:
    """Yield what a student has to spend, and what the parents allow."""
    student_id = child.student_id
    if child.top_up:
        body = {
            "student_id": student_id,
            "guardian_id": family.payer,
            "amount_minor": child.top_up,
        }
        yield setup_request(lane, "campus.top_up", body, ids)
    if child.cap is not None:
        body = {
            "student_id": student_id,
            "guardian_id": family.payer,
            "day_cap_minor": child.cap,
        }
        yield setup_request(lane, "campus.set_cap", body, ids)
    # So far off that the day can be played in any year.
    ends = ["2070-07-10T00:00:00+08:00", "2071-07-10T00:00:00+08:00"]
    if int(student_id) % 2:
        ends[0] = f"@{WEEK}.lapses_at"
    for number, amount in enumerate(child.grants):
        body = {
            "student_id": student_id,
            "grant_id": f"living-{number}",
            "amount_minor": amount,
            "expires_at": ends[number],
        }
        yield setup_request(lane, "campus.grant_subsidy", body, ids)


def _bills(house: House, ids: Ids) -> Iterator[Message]:
    for batch in BATCHES:
        rows = [
            {"student_id": child.student_id, "amount_minor": child.bills[batch]}
            for _, child in house.children
        ]
        yield setup_request(house.name, "campus.issue_bills", bills_issued(batch, rows), ids)
    for _, child in house.children:
        yield student_seen(house.name, 0, child.student_id, setup=True)


def bills_issued(batch: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of a message that issues a part of a batch."""
    kind, title, _, _, due_at = (BATCHES | LATER_BATCHES)[batch]
    return {
        "batch_id": batch,
        "school_id": SCHOOL,
        "term_id": TERM,
        "kind": kind,
        "title": title,
        "due_at": due_at,
        "rows": rows,
    }


def student_seen(lane: str, at: int, student_id: str, *, setup: bool = False) -> Message:
    """Return a read that is repeated until everything sent to the student has arrived."""
    body = {"student_id": student_id}
    return seen(lane, "campus.get_student", body, at=at, setup=setup)


def seen(
    lane: str, tail: str, body: dict[str, Any], *, at: int = 0, setup: bool = False
) -> Message:
    """Return a read that is repeated until it is answered as expected."""
    return Message(at=at, lane=lane, subject_tail=tail, body=body, until=True, setup=setup)
