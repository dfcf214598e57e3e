"""What a house does on a Monday at the beginning of term: the honest part of the day.

Tills are online or not: a house with a bad network sells its lunches offline and uploads them in
the afternoon, with some sales of the days before. After whatever reaches a student by way of a till
or a family, the lane waits until the student has it.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from plugins.campus.samples.cast import (
    Act,
    Family,
    House,
    Ids,
    Message,
    Till,
    clock_text,
    request,
)
from plugins.campus.samples.leaving import left_for_good, tried_to_leave
from plugins.campus.samples.setting import seen, student_seen

__all__ = (
    "MEALS",
    "around",
    "family_payment",
    "house_acts",
    "meals",
    "old_sales",
    "sold_online",
    "uploaded",
)

_HOUR_S = 3_600

# When the canteens serve, and what a meal costs at least and at most.
MEALS = ((7.2, 300, 900), (12.1, 900, 2_000), (18.0, 800, 1_900))


def house_acts(random: Random, ids: Ids, house: House) -> list[Act]:
    """Return the acts of a house's day, in no particular order."""
    return [
        *meals(random, ids, house, MEALS),
        *_shopping(random, ids, house),
        *old_sales(random, ids, house.shop, house, (3, 2, 1)),
        *_money(random, ids, house),
        *(act for family in house.families for act in _paying(random, ids, house.name, family)),
        *_power(random, ids, house),
        *_moving_away(random, ids, house),
    ]


def sold_online(lane: str, at: int, till: Till, record: dict[str, Any], ids: Ids) -> Message:
    """Return the message of a till that is online."""
    body = {"terminal_id": till.terminal_id, **record}
    return request(lane, at, "campus.buy_online", body, ids)


def uploaded(lane: str, at: int, till: Till, records: list[dict[str, Any]], ids: Ids) -> Act:
    """Return an upload, and the reads that wait until its students are charged."""
    body = {"terminal_id": till.terminal_id, "records": records}
    students = dict.fromkeys(record["student_id"] for record in records)
    return [
        request(lane, at, "campus.upload_sales", body, ids),
        *(student_seen(lane, at, student) for student in students),
    ]


def around(random: Random, hour: float, spread_h: float) -> int:
    """Return a second of the day near an hour."""
    return max(60, min(int(random.gauss(hour, spread_h) * _HOUR_S), 86_000))


def meals(
    random: Random, ids: Ids, house: House, served: tuple[tuple[float, int, int], ...]
) -> Iterator[Act]:
    """Yield what a canteen sells, online or not: at an hour, for at least and at most so much."""
    for hour, least, most in served:
        offline = random.random() < 0.45
        # A record is made when it is sold, so the numbers follow the order of the sales.
        sales = sorted(
            (around(random, hour, 0.3), child.student_id)
            for _, child in house.children
            if random.random() < 0.85
        )
        records = [
            (at, house.canteen.record(student, random.randrange(least, most, 10), at))
            for at, student in sales
        ]
        if not offline:
            for at, record in records:
                yield [sold_online(house.name, at, house.canteen, record, ids)]
            continue
        back = records[-1][0] + random.randrange(600, 5_400)
        kept = [record for _, record in records]
        random.shuffle(kept)
        yield uploaded(house.name, min(back, 86_000), house.canteen, kept, ids)


def _shopping(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    sales = sorted(
        (around(random, random.choice((10.1, 15.8, 19.5)), 0.5), child.student_id)
        for _, child in house.children
        if random.random() < 0.45
    )
    for at, student in sales:
        record = house.shop.record(student, random.randrange(200, 2_500, 10), at)
        yield [sold_online(house.name, at, house.shop, record, ids)]


def old_sales(
    random: Random, ids: Ids, till: Till, house: House, days: tuple[int, ...]
) -> Iterator[Act]:
    """Yield uploads of a till that was out of the network since some days ago."""
    if random.random() < 0.5:
        return
    for day in days:
        records = [
            till.record(child.student_id, random.randrange(200, 1_500, 10), at)
            for _, child in house.children
            if random.random() < 0.4
            for at in (around(random, 16, 1.5) - day * 86_400,)
        ]
        if records:
            random.shuffle(records)
            yield uploaded(house.name, around(random, 20.5, 0.8), till, records, ids)


def _money(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    for family, child in house.children:
        lane, student_id = house.name, child.student_id
        if random.random() < 0.35:
            body = {
                "student_id": student_id,
                "guardian_id": random.choice(list(family.guardians)),
                "amount_minor": random.choice((1_000, 2_000, 5_000, 10_000)),
            }
            at = around(random, random.choice((9.5, 13.5, 21)), 1)
            yield [request(lane, at, "campus.top_up", body, ids)]
        if random.random() < 0.12:
            # Paid into the wallet by phone, past the pack; then the app asks for the debts.
            at = around(random, 21, 0.8)
            deposit = {
                "account_id": child.wallet,
                "amount_minor": random.randrange(500, 4_000, 100),
                "source": random.choice(("external:wechat", "external:alipay")),
            }
            settle = {"student_id": student_id}
            yield [
                request(lane, at, "account.deposit", deposit, ids),
                request(lane, at, "campus.settle_debts", settle, ids),
            ]
        if random.random() < 0.06:
            cap: dict[str, Any] = {
                "student_id": student_id,
                "guardian_id": family.payer,
                "day_cap_minor": random.choice((None, 1_500, 3_000)),
            }
            yield [request(lane, around(random, 11, 2), "campus.set_cap", cap, ids)]


def _paying(random: Random, ids: Ids, lane: str, family: Family) -> Iterator[Act]:
    at = around(random, random.choice((9, 12.5, 20)), 0.8)
    if family.habit == "at_once":
        yield family_payment(ids, lane, at, family, family.bills)
    for child in family.children:
        for batch, amount in child.bills.items():
            bill = {"student_id": child.student_id, "bill_id": batch}
            payer = {"guardian_id": family.payer}
            later = min(at + random.randrange(600, 9_000), 86_000)
            if family.habit == "in_parts":
                part = {"amount_minor": amount // random.choice((2, 3))}
                yield [request(lane, at, "campus.pay_bill", bill | payer | part, ids)]
                yield [request(lane, later, "campus.pay_bill", bill | payer, ids)]
            elif family.habit == "wallet" and batch == "insurance-2026":
                yield [request(lane, at, "campus.pay_bill", bill, ids)]
            elif family.habit == "instalments" and batch == "tuition-2026s":
                terms = {
                    "officer_id": "bursar-shen",
                    "weights": random.choice(([1, 1, 1], [50, 30, 20], [3, 2, 2, 2])),
                    "first_due_at": "2026-04-01T00:00:00+08:00",
                }
                first = {"amount_minor": amount // 3}
                yield [request(lane, at, "campus.agree_instalments", bill | terms, ids)]
                yield [request(lane, later, "campus.pay_bill", bill | payer | first, ids)]
            elif family.habit == "waiver" and batch != "insurance-2026":
                waiver: dict[str, Any] = {"officer_id": "principal-han", "reason": "家庭经济困难"}
                if batch == "board-2026s":
                    waiver["amount_minor"] = amount // 2
                yield [request(lane, at, "campus.waive_bill", bill | waiver, ids)]


def family_payment(
    ids: Ids, lane: str, at: int, family: Family, bills: list[tuple[str, str, int]]
) -> Act:
    """Return how a parent pays bills of several children: look, pay, wait until it is there."""
    children = list(dict.fromkeys(student_id for student_id, _, _ in bills))
    look = seen(
        lane, "campus.get_family", {"guardian_id": family.payer, "student_ids": children}, at=at
    )
    items = [
        {"student_id": student_id, "bill_id": batch, "amount_minor": amount}
        for student_id, batch, amount in bills
    ]
    body = {"guardian_id": family.payer, "items": items}
    pay = request(lane, at, "campus.pay_family", body, ids)
    return [look, pay, *(student_seen(lane, at, child) for child in children)]


def _power(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    residents = list(house.children)
    for room in house.rooms:
        family, child = random.choice(residents)
        body: dict[str, Any] = {
            "room_id": room,
            "student_id": child.student_id,
            "amount_minor": random.choice((1_000, 2_000, 5_000, 8_000)),
        }
        if random.random() < 0.6:
            body["guardian_id"] = family.payer
        yield [request(house.name, around(random, 8.5, 0.7), "campus.top_up_power", body, ids)]
        for hour in (6, 12, 18, 23):
            at = hour * _HOUR_S + random.randrange(900)
            house.rooms[room] += random.randrange(20, 1_400)
            shown = house.rooms[room]
            reading = {"room_id": room, "meter_units": shown, "read_at": clock_text(at)}
            # Concentrators send when they can: some readings overtake others.
            sent = at + random.choice((5, 5, 5, 5, 20_000))
            yield [request(house.name, min(sent, 86_000), "campus.read_meter", reading, ids)]


def _moving_away(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    """Yield a student leaving who has bills: refused first, then they are waived."""
    if random.random() < 0.4:
        return
    family, child = random.choice(list(house.children))
    at = 22 * _HOUR_S + random.randrange(_HOUR_S)
    yield tried_to_leave(ids, house.name, at, family, child, "first")
    at += 60
    yield left_for_good(ids, house.name, at, family, child, list(child.bills))
    if random.random() < 0.5:
        # A till that was offline comes home when the student is gone.
        amount = random.randrange(300, 900, 10)
        record = house.shop.record(child.student_id, amount, 15 * _HOUR_S)
        yield uploaded(house.name, at + 600, house.shop, [record], ids)
