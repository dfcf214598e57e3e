"""All that goes wrong on a day: what gates, apps, networks and people really send.

Every kind is put in at a stated rate. Nothing here reaches over to another lane, so the outcome of
a message depends only on those before it in its own lane.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from plugins.parking.samples.city import LOTS, Driver, Ids, Message, clock_text

__all__ = ("add_mischief", "strangers")

_DAY_S = 86_400

# Bodies that are not JSON: cut off, garbled, of other formats, of another encoding, empty.
_NOT_JSON = (
    b'{"request_id":"day-x","plate":',
    b'{"request_id":"day-x",,}',
    b"plate=%E6%B2%AAA12345&lot=railway-station",
    b"<enter><plate>A12345</plate></enter>",
    b"{'plate': 'A12345'}",
    b'{"plate":"\xbb\xa6A12345"}',
    b"\x00\x01\x02",
    b"",
)

_Kind = Callable[[Random, Ids, Message], list[Message]]


def add_mischief(
    random: Random, ids: Ids, driver: Driver, messages: list[Message]
) -> list[Message]:
    """Return the lane's messages with what goes wrong in between, in the order of sending."""
    lane: list[Message] = []
    for message in messages:
        kind = _draw(random, message)
        lane += kind(random, ids, message) if kind else [message]
    if driver.deposit_minor is not None:
        lane += _money(random, ids, driver)
    lane += [echo for message in lane for echo in _echoes(random, message)]
    # Stable: messages of one second stay in the order in which they were put in.
    return sorted(lane, key=lambda message: message.at)


def strangers(random: Random, ids: Ids, count: int) -> Iterator[Message]:
    """Yield messages about plates, and for operations, that nobody knows."""
    for number in range(count):
        plate = f"闽{random.choice('ABCD')}Z{number:04d}"
        at = random.randrange(_DAY_S)
        verb = random.choices(("exit", "get", "settle", "fly"), (6, 3, 1, 1))[0]
        body = {"plate": plate}
        if verb != "get":
            body["request_id"] = ids.next()
        if verb == "exit":
            body |= {"lot_id": random.choice(LOTS), "left_at": clock_text(at)}
        yield Message(
            at=at,
            lane=plate,
            subject_tail=f"parking.{verb}",
            body=body,
            fault="unknown_operation" if verb == "fly" else None,
        )


def _dropped(_random: Random, _ids: Ids, _message: Message) -> list[Message]:
    # The camera saw nothing: an exit, or an entry, that is never reported.
    return []


def _read_twice(random: Random, ids: Ids, message: Message) -> list[Message]:
    return [message, _changed(message, ids, at=message.at + random.randrange(1, 9))]


def _other_lot(random: Random, ids: Ids, message: Message) -> list[Message]:
    lots = [lot for lot in LOTS if lot != _body(message)["lot_id"]]
    return [_changed(message, ids, lot_id=random.choice(lots)), message]


def _unknown_lot(random: Random, ids: Ids, message: Message) -> list[Message]:
    return [_changed(message, ids, lot_id=f"lot-{random.randrange(100)}"), message]


def _clock_reset(_random: Random, ids: Ids, message: Message) -> list[Message]:
    # A camera that lost its battery begins again at its own epoch, then is set right.
    return [_changed(message, ids, left_at="2017-01-01T00:00:00+08:00"), message]


def _clock_ahead(_random: Random, ids: Ids, message: Message) -> list[Message]:
    return [_changed(message, ids, left_at="2099-06-15T12:00:00+08:00"), message]


def _clock_slow(_random: Random, _ids: Ids, message: Message) -> list[Message]:
    body = _body(message)
    entered = datetime.fromisoformat(body["entered_at"]) - timedelta(hours=3)
    return [replace(message, body=body | {"entered_at": entered.isoformat()})]


def _undecodable(random: Random, ids: Ids, message: Message) -> list[Message]:
    time_field = "entered_at" if "entered_at" in _body(message) else "left_at"
    wrong: dict[str, Any] = random.choice(
        (
            {"gate": 3},
            {"plate": "A12345"},
            {"plate": 12345},
            {"plate": None},
            {"lot_id": ["railway-station"]},
            {"lot_id": "no/such.lot*"},
            {time_field: 1781481600},
            {time_field: "2026-06-15T08:00:00"},
            {time_field: "15.06.2026 08:00"},
            {"request_id": ""},
            {"request_id": 7},
            {"request_id": "x" * 65},
        )
    )
    bad = _changed(message, ids, **wrong)
    if random.random() < 0.3:
        whole = _body(message)
        missing = random.choice([field for field in whole if field != "plate"])
        bad = replace(message, body={key: whole[key] for key in whole if key != missing})
    return [replace(bad, fault="invalid_field"), message]


def _not_json(random: Random, _ids: Ids, message: Message) -> list[Message]:
    raw = random.choice(_NOT_JSON).hex()
    return [replace(message, body=None, raw_hex=raw, fault="malformed_message"), message]


# Share of the messages of a verb that go wrong in one way; at most one way for each message.
_RATES: dict[str, tuple[tuple[float, _Kind], ...]] = {
    "parking.enter": (
        (0.010, _read_twice),
        (0.006, _dropped),
        (0.004, _unknown_lot),
        (0.004, _clock_slow),
        (0.008, _undecodable),
        (0.008, _not_json),
    ),
    "parking.exit": (
        (0.020, _dropped),
        (0.006, _other_lot),
        (0.008, _clock_reset),
        (0.003, _clock_ahead),
        (0.008, _undecodable),
        (0.008, _not_json),
    ),
}


def _draw(random: Random, message: Message) -> _Kind | None:
    roll = random.random()
    for rate, kind in _RATES.get(message.subject_tail, ()):
        if roll < rate:
            return kind
        roll -= rate
    return None


def _money(random: Random, ids: Ids, driver: Driver) -> Iterator[Message]:
    """Yield what an owner does by phone: top-ups, charging a battery, settling, and mistakes."""
    account = f"@acct:{driver.plate}"

    def message(tail: str, **body: Any) -> Message:
        return Message(
            at=random.randrange(9 * 3600, 21 * 3600),
            lane=driver.plate,
            subject_tail=tail,
            body={"request_id": ids.next(), **body},
        )

    if random.random() < (0.5 if driver.deposit_minor == 0 else 0.06):
        yield message(
            "account.deposit",
            account_id=account,
            amount_minor=random.randrange(2_000, 20_000, 100),
            source=random.choice(("external:wechat", "external:alipay")),
        )
    if random.random() < 0.03:
        yield message("parking.settle", plate=driver.plate)
    payee = f"@acct:lot:{random.choice(LOTS)}"
    good = {"payer": account, "payee": payee, "amount_minor": random.randrange(500, 4_000)}
    if random.random() < 0.08:
        yield message("payment.create", **good, reference="charging a battery")
    if random.random() < 0.05:
        wrong: dict[str, Any] = random.choice(
            (
                {"amount_minor": -random.randrange(1, 5_000)},
                {"amount_minor": 0},
                {"amount_minor": 2**53 + 1},
                {"amount_minor": 2**63},
                {"amount_minor": 2**200},
                {"amount_minor": 12.5},
                {"amount_minor": "1200"},
                {"tip_minor": 100},
            )
        )
        yield replace(message("payment.create", **good | wrong), fault="invalid_field")
    if random.random() < 0.03:
        refused: dict[str, Any] = random.choice(
            (
                {"payee": account},
                {"payee": "nobody"},
                {"currency": "USD"},
                # More than anybody has, and less than what asks for a verification first.
                {"amount_minor": 4_999_999},
            )
        )
        yield message("payment.create", **good | refused)


def _echoes(random: Random, message: Message) -> Iterator[Message]:
    """Yield the same id again: at once, or hours later, or with another body."""
    if message.fault is not None or "request_id" not in _body(message):
        return
    roll = random.random()
    if roll < 0.03:
        yield replace(message, at=_at(message.at + random.randrange(3)))
    elif roll < 0.045:
        yield replace(message, at=_at(message.at + random.randrange(600, 14_400)))
    elif roll < 0.052:
        body = dict(_body(message))
        if "lot_id" in body:
            body["lot_id"] = LOTS[LOTS.index(body["lot_id"]) - 1] if body["lot_id"] in LOTS else "x"
        elif "amount_minor" in body:
            body["amount_minor"] += 1
        else:
            return
        yield replace(message, at=_at(message.at + random.randrange(1, 3_600)), body=body)


def _changed(message: Message, ids: Ids, *, at: int | None = None, **fields: Any) -> Message:
    """Return another message of the same kind, with an id of its own."""
    body = _body(message) | {"request_id": ids.next()} | fields
    return replace(message, at=_at(message.at if at is None else at), body=body)


def _at(at: int) -> int:
    return min(at, _DAY_S - 1)


def _body(message: Message) -> dict[str, Any]:
    assert message.body is not None
    return message.body
