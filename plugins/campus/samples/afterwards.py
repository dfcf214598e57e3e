"""Forty days later: what has run out by itself, what comes late, and who leaves.

Subsidies and a release have expired, every open bill was reminded of, and the steps of the power
tariff begin anew. Tills that lay in a drawer upload, parents pay what is late, some twice, and
students leave with everything that is theirs.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from plugins.campus.samples.cast import (
    LATER_BATCHES,
    LATER_DAYS,
    MIDNIGHT,
    Act,
    Family,
    House,
    Ids,
    Message,
    request,
)
from plugins.campus.samples.leaving import left_for_good, refunded
from plugins.campus.samples.life import MEALS, around, family_payment, meals, old_sales, uploaded
from plugins.campus.samples.setting import OFFICE, WEEK, bills_issued, seen, student_seen

__all__ = ("house_afterwards", "office_afterwards")

_HOUR_S = 3_600
_TRIP = "trip-2026"
_LEAVERS = 2


def house_afterwards(random: Random, ids: Ids, house: House) -> list[Act]:
    """Return the acts of a house's later day, in no particular order."""
    house.canteen.days = house.shop.days = LATER_DAYS
    return [
        *_trip(random, ids, house),
        *_subsidies(random, ids, house),
        *meals(random, ids, house, MEALS[1:2]),
        *old_sales(random, ids, house.canteen, house, (LATER_DAYS,)),
        *(act for family in house.families for act in _arrears(random, ids, house.name, family)),
        *_lost_numbers(random, ids, house),
        *_meters(random, ids, house),
        *_leavers(random, ids, house),
    ]


def _trip(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    """Yield another batch of bills early in the morning, with mistakes, and who pays it."""
    _, _, least, most, _ = LATER_BATCHES[_TRIP]
    amounts = {child.student_id: random.randrange(least, most, 100) for _, child in house.children}
    rows: list[dict[str, Any]] = [
        {"student_id": student, "amount_minor": amount} for student, amount in amounts.items()
    ]
    rows.insert(random.randrange(len(rows)), {"student_id": "20269998", "amount_minor": least})
    rows.append(rows[0])
    lane = house.name
    yield [
        request(lane, 60, "campus.issue_bills", bills_issued(_TRIP, rows), ids),
        *(student_seen(lane, 60, student) for student in amounts),
    ]
    for family in house.families:
        if random.random() < 0.5:
            bills = [(one.student_id, _TRIP, amounts[one.student_id]) for one in family.children]
            yield family_payment(ids, lane, around(random, 8, 0.5), family, bills)


def _subsidies(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    """Yield officers who take back what has expired, or grant what is over before it begins."""
    for _, child in house.children:
        at = around(random, 10, 0.5)
        if child.grants and random.random() < 0.3:
            body: dict[str, Any] = {
                "student_id": child.student_id,
                "grant_id": "living-0",
                "officer_id": "bursar-shen",
                "reason": "学期调整",
            }
            yield [request(house.name, at, "campus.revoke_subsidy", body, ids)]
        elif random.random() < 0.1:
            body = {
                "student_id": child.student_id,
                "grant_id": "spring",
                "amount_minor": random.randrange(500, 3_000, 100),
                "expires_at": random.choice((f"@{WEEK}.lapses_at", "2070-07-10T00:00:00+08:00")),
            }
            yield [request(house.name, at, "campus.grant_subsidy", body, ids)]


def _arrears(random: Random, ids: Ids, lane: str, family: Family) -> Iterator[Act]:
    """Yield parents who pay what is open, and the other parent who does not know of it."""
    if family.habit == "at_once":
        return
    at = around(random, 18.5, 0.5)
    if random.random() < 0.6:
        deposit = {
            "account_id": f"@acct:{family.payer}",
            "amount_minor": random.choice((50_000, 200_000)),
            "source": "external:unionpay",
        }
        yield [request(lane, at - 60, "account.deposit", deposit, ids)]
    for student_id, batch, _ in family.bills:
        for guardian in family.guardians:
            if random.random() < 0.6:
                body = {"student_id": student_id, "bill_id": batch, "guardian_id": guardian}
                yield [request(lane, at, "campus.pay_bill", body, ids)]


def _lost_numbers(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    """Yield a shop whose till lost sales: they are written off, and one turns up after all."""
    if random.random() < 0.6:
        return
    till, lane, at = house.shop, house.name, around(random, 14, 0.5)
    students = [child.student_id for _, child in house.children]
    first, last = (
        till.record(random.choice(students), random.randrange(300, 900, 10), at - 3_600)
        for _ in range(2)
    )
    body = {
        "terminal_id": till.terminal_id,
        "first": first["sequence"],
        "last": last["sequence"],
        "reason": "终端损坏",
    }
    yield [request(lane, at, "campus.write_off_sequence", body, ids)]
    yield [
        *uploaded(lane, at + 1_800, till, [random.choice((first, last))], ids),
        seen(lane, "campus.get_terminal", {"terminal_id": till.terminal_id}, at=at + 1_800),
    ]


def _meters(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    """Yield power of another month, and a meter that is replaced."""
    later = f"{MIDNIGHT.replace(month=4, day=11):%Y-%m-%d}"
    lane = house.name
    for room in house.rooms:
        family, child = random.choice(list(house.children))
        body = {
            "room_id": room,
            "student_id": child.student_id,
            "guardian_id": family.payer,
            "amount_minor": random.choice((2_000, 5_000, 9_000)),
        }
        at = around(random, 9, 0.5)
        yield [request(lane, at, "campus.top_up_power", body, ids)]
        house.rooms[room] += random.randrange(2_000, 9_000)
        reading = {
            "room_id": room,
            "meter_units": house.rooms[room],
            "read_at": f"{later}T06:00:00+08:00",
        }
        yield [request(lane, at + 1, "campus.read_meter", reading, ids)]
    replacement = {
        "room_id": room,
        "old_meter_units": house.rooms[room] + random.randrange(500),
        "new_meter_units": random.randrange(100),
        "replaced_at": f"{later}T07:00:00+08:00",
    }
    at = 15 * _HOUR_S
    # Twice: the technician presses again.
    yield [request(lane, at, "campus.replace_meter", replacement, ids)]
    yield [
        request(lane, at + 30, "campus.replace_meter", replacement, ids),
        seen(lane, "campus.get_room", {"room_id": room}, at=at + 30),
    ]


def _leavers(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    """Yield students who leave with everything: fees, wallet, subsidies; and too late."""
    lane = house.name
    for family, child in random.sample(list(house.children), _LEAVERS):
        at = 22 * _HOUR_S + random.randrange(_HOUR_S)
        paid = {
            "student_id": child.student_id,
            "guardian_id": family.payer,
            "amount_minor": 3_000,
        }
        yield [
            # Enough for most debts, so that these do not keep anybody.
            request(lane, at, "campus.top_up", paid, ids),
            *refunded(ids, lane, at, family, child, child.bills["board-2026s"] // 3),
            *left_for_good(ids, lane, at, family, child, [*child.bills, _TRIP]),
        ]
        if random.random() < 0.3:
            yield [request(lane, at + 600, "campus.top_up", paid, ids)]


def office_afterwards(ids: Ids, releases: int) -> Iterator[Message]:
    """Yield the office, which finds that what it left lying has lapsed."""
    at = 9 * _HOUR_S
    yield seen(OFFICE, "campus.get_release", {"release_id": "release-unwanted"}, at=at)
    for release in ("release-unwanted", *(f"release-{one:03d}" for one in range(releases))):
        at += 30
        body = {"release_id": release, "officer_id": "bursar-shen"}
        yield request(OFFICE, at, "campus.approve_release", body, ids)
