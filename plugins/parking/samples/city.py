"""Who parks where and when on a Monday in June: the honest part of the sample day.

Four kinds of drivers give the arrival curve its shape: commuters in the morning and the evening,
shoppers over noon, residents by night, couriers all day long.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import msgspec

__all__ = (
    "LOTS",
    "MIDNIGHT",
    "Driver",
    "Ids",
    "Message",
    "clock_text",
    "make_lanes",
    "setup_messages",
)

MIDNIGHT = datetime(2026, 6, 15, tzinfo=timezone(timedelta(hours=8)))
_DAY_S = 86_400
_HOUR_S = 3_600

# free minutes, ¥ an hour by day, by night, cap of a day (fen), night window
_TARIFFS: dict[str, tuple[int, int, int, int, str, str]] = {
    "railway-station": (15, 1000, 500, 8000, "22:00:00", "06:00:00"),
    "first-hospital": (30, 500, 200, 3000, "20:00:00", "07:00:00"),
    "financial-centre": (15, 1500, 500, 10000, "21:00:00", "07:00:00"),
    "software-park": (15, 500, 100, 2500, "22:00:00", "06:00:00"),
    "people-square-mall": (60, 800, 400, 6000, "22:00:00", "08:00:00"),
    "riverside-mall": (60, 600, 300, 4500, "22:00:00", "08:00:00"),
    "green-garden-estate": (15, 300, 100, 1500, "19:00:00", "08:00:00"),
    "old-town-street": (15, 700, 0, 7000, "21:30:00", "07:30:00"),
}
LOTS = tuple(_TARIFFS)
_OFFICES = ("financial-centre", "software-park", "railway-station", "old-town-street")
_MALLS = ("people-square-mall", "riverside-mall", "old-town-street", "first-hospital")

# Cameras of most lots run on Beijing time; some were set up by people from elsewhere.
_CAMERA_ZONES = (
    *(MIDNIGHT.tzinfo,) * 10,
    UTC,
    timezone(timedelta(hours=9)),
)


class Message(msgspec.Struct, kw_only=True):
    """One line of the day before its outcome is known.

    ``body`` is sent as JSON unless ``raw_hex`` gives the bytes themselves. ``fault`` is the error
    code of a message that no state can change, because it cannot be decoded. ``defines`` names the
    account that an ``account.open`` opens, for the bodies of later messages. With ``until`` it is a
    read that is repeated until it is answered as expected.
    """

    at: int
    lane: str
    subject_tail: str
    body: dict[str, Any] | None = None
    raw_hex: str | None = None
    defines: str | None = None
    setup: bool = False
    fault: str | None = None
    until: bool = False


class Ids:
    """Request ids in the order in which they are asked for."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        """Return an id that was not used before."""
        self._last += 1
        return f"day-{self._last:06d}"


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """A car: its plate, its habits, and the money in its account; no account if None."""

    plate: str
    habit: str
    deposit_minor: int | None


def clock_text(seconds: float, zone: Any = MIDNIGHT.tzinfo) -> str:
    """Return the RFC 3339 text of a moment of the day, as a clock in ``zone`` shows it."""
    return (MIDNIGHT + timedelta(seconds=int(seconds))).astimezone(zone).isoformat()


def make_lanes(random: Random, ids: Ids, vehicles: int) -> tuple[list[Driver], list[list[Message]]]:
    """Return the drivers, and for each the messages of the day in their order."""
    drivers = [_make_driver(random, number) for number in range(vehicles)]
    return drivers, [list(_messages(random, ids, driver)) for driver in drivers]


def setup_messages(ids: Ids, drivers: list[Driver]) -> Iterator[Message]:
    """Yield what must stand before the day: lots, accounts, deposits, bindings."""
    for lot, (free, day, night, cap, night_from, night_until) in _TARIFFS.items():
        name = f"@acct:lot:{lot}"
        yield _setup(lot, "account.open", {"holder": lot, "type": "merchant"}, ids, defines=name)
        tariff = {
            "free_minutes": free,
            "hour_minor": day,
            "night_hour_minor": night,
            "daily_cap_minor": cap,
            "night_from": night_from,
            "night_until": night_until,
        }
        yield _setup(lot, "parking.open_lot", {"lot_id": lot, "payee": name, "tariff": tariff}, ids)
    for driver in drivers:
        if driver.deposit_minor is None:
            continue
        name = f"@acct:{driver.plate}"
        opening = {"holder": f"driver of {driver.plate}"}
        yield _setup(driver.plate, "account.open", opening, ids, defines=name)
        if driver.deposit_minor:
            deposit = {
                "account_id": name,
                "amount_minor": driver.deposit_minor,
                "source": "external:unionpay",
            }
            yield _setup(driver.plate, "account.deposit", deposit, ids)
        binding = {"plate": driver.plate, "account_id": name}
        yield _setup(driver.plate, "parking.bind", binding, ids)


def _setup(
    lane: str, tail: str, body: dict[str, Any], ids: Ids, *, defines: str | None = None
) -> Message:
    return Message(
        at=0,
        lane=lane,
        subject_tail=tail,
        body={"request_id": ids.next(), **body},
        defines=defines,
        setup=True,
    )


def _make_driver(random: Random, number: int) -> Driver:
    # The number stands in the serial, so no two plates are the same.
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    province = random.choices("沪苏浙皖京", (70, 14, 10, 4, 2))[0]
    issuer = random.choice("ABCDE")
    if random.random() < 0.35:
        serial = f"{random.choice('DF')}{random.choice(letters)}{number:04d}"
    else:
        serial = f"{random.choice(letters)}{number:04d}"
    habit = random.choices(("commuter", "shopper", "resident", "courier"), (45, 20, 20, 15))[0]
    wealth = random.random()
    deposit: int | None
    if wealth < 0.08:
        deposit = None
    elif wealth < 0.14:
        deposit = 0
    elif wealth < 0.22:
        deposit = random.randrange(500, 2_000)
    else:
        deposit = random.randrange(10_000, 50_000, 100)
    return Driver(plate=f"{province}{issuer}{serial}", habit=habit, deposit_minor=deposit)


def _messages(random: Random, ids: Ids, driver: Driver) -> Iterator[Message]:
    sent = 0
    for lot, enters, leaves in _visits(random, driver.habit):
        for verb, field, moment in (("enter", "entered_at", enters), ("exit", "left_at", leaves)):
            if moment >= _DAY_S:
                return
            # A gate reports within seconds; cars that are inside at midnight are reported by the
            # inventory that every lot sends then.
            sent = max(sent, moment + random.randrange(4), random.randrange(300))
            body = {
                "request_id": ids.next(),
                "plate": driver.plate,
                "lot_id": lot,
                field: clock_text(moment, random.choice(_CAMERA_ZONES)),
            }
            at = min(sent, _DAY_S - 1)
            yield Message(at=at, lane=driver.plate, subject_tail=f"parking.{verb}", body=body)
            if random.random() < 0.08:
                query = {"plate": driver.plate}
                yield Message(at=at, lane=driver.plate, subject_tail="parking.get", body=query)


def _visits(random: Random, habit: str) -> Iterator[tuple[str, int, int]]:
    """Yield the stays of a day as lot, entry and exit, in seconds of the day, one after another."""

    def around(hour: float, spread_h: float) -> int:
        return int(random.gauss(hour, spread_h) * _HOUR_S)

    if habit == "courier":
        moment = around(7.5, 0.7)
        for _ in range(random.randrange(4, 11)):
            leaves = moment + random.randrange(180, 2_700)
            yield random.choice(LOTS), moment, leaves
            moment = leaves + random.randrange(600, 7_200)
        return
    if habit == "shopper":
        moment = random.choice((around(10.5, 0.8), around(14, 1.2), around(18.2, 0.8)))
        for _ in range(random.choices((1, 2, 3), (5, 3, 1))[0]):
            leaves = moment + random.randrange(900, 4 * _HOUR_S)
            yield random.choice(_MALLS), moment, leaves
            moment = leaves + random.randrange(900, 2 * _HOUR_S)
        return
    moment = around(8.3, 0.6)
    if habit == "resident":
        yield "green-garden-estate", around(-4.5, 1.2), moment - random.randrange(1_200, 3_000)
    leaves = moment
    if random.random() < (0.95 if habit == "commuter" else 0.6):
        office = random.choice(_OFFICES)
        if random.random() < 0.2:
            lunch = max(moment + 600, around(12, 0.3))
            yield office, moment, lunch
            moment = lunch + random.randrange(1_800, 5_400)
        leaves = max(moment + 1_200, around(18.2, 0.9))
        yield office, moment, leaves
    if random.random() < 0.3:
        moment = leaves + random.randrange(900, 3_000)
        leaves = moment + random.randrange(1_800, 3 * _HOUR_S)
        yield random.choice(_MALLS), moment, leaves
    if habit == "resident":
        yield "green-garden-estate", max(leaves + 900, around(19, 1.0)), _DAY_S + _HOUR_S
