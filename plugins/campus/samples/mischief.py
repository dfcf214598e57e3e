"""All that goes wrong on a day: what tills, apps, networks and people really send.

Every kind is put in at a stated rate. Nothing here reaches over to another lane, so the outcome of
a message depends only on those before it in its own lane.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from msgspec.structs import replace

from plugins.campus.samples.cast import DAY_S, Act, House, Ids, Message, Till, request
from plugins.campus.samples.life import sold_online, uploaded
from plugins.campus.samples.setting import seen

__all__ = ("add_mischief", "echoes")

# Bodies that are not JSON: cut off, garbled, of other formats, of another encoding, empty. None
# has a field that some message does not know, which would be noticed first.
_NOT_JSON = (
    b'{"request_id":"campus-x"',
    b'{"request_id":"campus-x",,}',
    b"student=20260001&amount=12.50",
    b"<sale><student>20260001</student></sale>",
    b"{'student_id': '20260001'}",
    b'{"request_id":"\xcd\xf5\xd7\xd3\xba\xad"}',
    b"\x00\x01\x02",
    b"",
)
_NOBODY = "20269999"


class _Scene:
    """What one kind of mischief may work with."""

    def __init__(self, random: Random, ids: Ids, house: House, act: Act) -> None:
        self.random = random
        self.ids = ids
        self.house = house
        self.act = act
        self.message = next(one for one in act if not one.until)
        assert self.message.body is not None
        self.body = self.message.body
        self.at = self.message.at

    @property
    def till(self) -> Till:
        """Return the till that the message is from."""
        canteen = self.house.canteen
        named = self.body["terminal_id"]
        return canteen if canteen.terminal_id == named else self.house.shop

    @property
    def record(self) -> dict[str, Any]:
        """Return the record of an online sale."""
        return {name: self.body[name] for name in self.till.record(_NOBODY, 1, 0, 1)}

    def other(self, after_s: int = 0, fault: str | None = None, **fields: Any) -> Message:
        """Return another message of the same kind, with an id of its own."""
        body = self.body | {"request_id": self.ids.next()} | fields
        return replace(self.message, at=_at(self.at + after_s), body=body, fault=fault)

    def later(self, least: int = 60, most: int = 9_000) -> int:
        """Return a number of seconds."""
        return self.random.randrange(least, most)


_Kind = Callable[[_Scene], list[Act]]


def add_mischief(random: Random, ids: Ids, house: House, acts: list[Act]) -> list[Act]:
    """Return a house's acts with what goes wrong in between, in the order of the day."""
    lane: list[Act] = []
    for act in acts:
        scene = _Scene(random, ids, house, act)
        kind = _draw(random, scene.message)
        lane += kind(scene) if kind else [act]
    lane += _extras(random, ids, house)
    lane += [[echo] for act in lane for message in act for echo in echoes(random, message)]
    # Stable: acts of one second stay in the order in which they were put in.
    return sorted(lane, key=lambda act: act[0].at)


def echoes(random: Random, message: Message) -> Iterator[Message]:
    """Yield the same id again: at once, or hours later, or with another body."""
    if message.fault is not None or message.body is None or "request_id" not in message.body:
        return
    roll = random.random()
    if roll < 0.03:
        yield replace(message, at=_at(message.at + random.randrange(3)))
    elif roll < 0.045:
        yield replace(message, at=_at(message.at + random.randrange(600, 14_400)))
    elif roll < 0.055:
        body = dict(message.body)
        if "amount_minor" in body:
            # Upwards it might be more than a message can say.
            body["amount_minor"] -= 1 if body["amount_minor"] > 1 else -1
        elif "meter_units" in body:
            body["meter_units"] += 1
        elif "reason" in body:
            body["reason"] = f"{body['reason']}!"
        else:
            return
        yield replace(message, at=_at(message.at + random.randrange(1, 3_600)), body=body)


# A till that is online.


def _sold_twice(scene: _Scene) -> list[Act]:
    # No answer in time: the till sends the same sale as a new request.
    again = sold_online(
        scene.house.name, _at(scene.at + scene.later(3, 30)), scene.till, scene.record, scene.ids
    )
    return [scene.act, [again]]


def _kept_and_uploaded(scene: _Scene) -> list[Act]:
    # No answer at all: the till keeps the sale, and uploads it when the day is over.
    at = _at(scene.at + scene.later())
    look = seen(
        scene.house.name, "campus.get_terminal", {"terminal_id": scene.till.terminal_id}, at=at
    )
    return [
        scene.act,
        [look, *uploaded(scene.house.name, at, scene.till, [scene.record], scene.ids)],
    ]


def _number_used_again(scene: _Scene) -> list[Act]:
    # A till that was set back counts from an old number.
    body = scene.body
    record = scene.till.record(
        body["student_id"], body["amount_minor"] + 10, scene.at, body["sequence"]
    )
    at = _at(scene.at + scene.later())
    return [scene.act, [sold_online(scene.house.name, at, scene.till, record, scene.ids)]]


def _changed_on_its_way(scene: _Scene) -> list[Act]:
    return [[scene.other(amount_minor=max(1, scene.body["amount_minor"] - 200))], scene.act]


def _unknown_till(scene: _Scene) -> list[Act]:
    return [[scene.other(terminal_id=f"till-99-{scene.random.randrange(9)}")], scene.act]


def _unknown_card(scene: _Scene) -> list[Act]:
    record = scene.till.record(_NOBODY, scene.body["amount_minor"], scene.at)
    stranger = sold_online(scene.house.name, scene.at, scene.till, record, scene.ids)
    return [[stranger], scene.act]


def _clock_ahead(scene: _Scene) -> list[Act]:
    # A till that lost its battery believes that it is the year 2099.
    ahead = 73 * 366 * DAY_S
    body = scene.body
    record = scene.till.record(body["student_id"], body["amount_minor"], ahead)
    return [[sold_online(scene.house.name, scene.at, scene.till, record, scene.ids)], scene.act]


# A till that was offline.


def _uploaded_again(scene: _Scene) -> list[Act]:
    return [scene.act, [scene.other(scene.later())]]


def _with_a_forgery(scene: _Scene) -> list[Act]:
    forged = dict(scene.random.choice(scene.body["records"]))
    forged["sequence"] += 100_000
    forged["amount_minor"] += 100
    return [_uploads_also(scene, forged)]


def _with_a_stranger(scene: _Scene) -> list[Act]:
    return [_uploads_also(scene, scene.till.record(_NOBODY, 500, scene.at))]


def _with_the_future(scene: _Scene) -> list[Act]:
    student = scene.body["records"][0]["student_id"]
    return [_uploads_also(scene, scene.till.record(student, 500, 73 * 366 * DAY_S))]


def _with_a_repetition(scene: _Scene) -> list[Act]:
    return [_uploads_also(scene, scene.random.choice(scene.body["records"]))]


def _uploads_also(scene: _Scene, record: dict[str, Any]) -> Act:
    records = list(scene.body["records"])
    records.insert(scene.random.randrange(len(records) + 1), record)
    message = replace(scene.message, body=scene.body | {"records": records})
    return [message, *scene.act[1:]]


def _conflict_of_numbers(scene: _Scene) -> list[Act]:
    # A copied till: another sale under a number that was uploaded already.
    old = scene.random.choice(scene.body["records"])
    record = scene.till.record(
        old["student_id"], old["amount_minor"] + 50, scene.at, old["sequence"]
    )
    return [scene.act, [scene.other(scene.later(), records=[record])]]


# People and their apps.


def _unknown_bill(scene: _Scene) -> list[Act]:
    return [[scene.other(bill_id=f"trip-{scene.random.randrange(100)}")], scene.act]


def _too_much(scene: _Scene) -> list[Act]:
    return [[scene.other(amount_minor=4_999_999)], scene.act]


def _stranger_pays(scene: _Scene) -> list[Act]:
    return [[scene.other(guardian_id=f"f99{scene.random.randrange(10, 99)}-m")], scene.act]


def _cashier_decides(scene: _Scene) -> list[Act]:
    return [[scene.other(officer_id=scene.random.choice(("cashier-lu", "nobody")))], scene.act]


def _too_rich(scene: _Scene) -> list[Act]:
    return [[scene.other(amount_minor=200_000)], scene.act]


def _paid_twice_in_one(scene: _Scene) -> list[Act]:
    items = scene.body["items"]
    return [[scene.other(items=[*items, items[0]])], scene.act]


def _somebody_elses_child(scene: _Scene) -> list[Act]:
    items = [*scene.body["items"], {"student_id": _NOBODY, "bill_id": "x", "amount_minor": 100}]
    return [[scene.other(items=items)], scene.act]


def _meter_backwards(scene: _Scene) -> list[Act]:
    read_at = f"{scene.body['read_at'][:17]}59+08:00"
    lower = scene.body["meter_units"] - scene.random.randrange(1, 15)
    return [scene.act, [scene.other(1, meter_units=lower, read_at=read_at)]]


def _undecodable(scene: _Scene) -> list[Act]:
    body = scene.body
    wrong: list[dict[str, Any]] = [
        {"request_id": ""},
        {"request_id": 7},
        {"request_id": "x" * 65},
        {"extra": 1},
    ]
    if "amount_minor" in body:
        wrong += [{"amount_minor": one} for one in (0, -500, 12.5, "1200", 2**63, None, 2**200)]
    if "student_id" in body:
        wrong += [{"student_id": one} for one in ("no/such*", 42, None, "")]
    if "purchased_at" in body:
        wrong += [{"purchased_at": one} for one in ("2026-03-02T12:00:00", 1772424000, "noon")]
        wrong += [{"signature": "ab"}, {"sequence": 0}]
    if "records" in body:
        wrong += [{"records": []}, {"records": body["records"] * 51}, {"records": [{}]}]
    if "read_at" in body:
        wrong += [{"read_at": "2026-03-02 12:00"}, {"meter_units": -1}]
    # An amount may be left out of some messages, and null there means all of it.
    taken = scene.random.choice(wrong)
    if taken.get("amount_minor", 0) is None and scene.message.subject_tail == "campus.pay_bill":
        taken = {"amount_minor": 0}
    bad = scene.other(fault="invalid_field", **taken)
    if scene.random.random() < 0.2:
        bad = replace(bad, body={"request_id": body["request_id"]})
    return [[bad], scene.act]


def _not_json(scene: _Scene) -> list[Act]:
    raw = scene.random.choice(_NOT_JSON).hex()
    garbled = replace(scene.message, body=None, raw_hex=raw, fault="malformed_message")
    return [[garbled], scene.act]


_ANY: tuple[tuple[float, _Kind], ...] = ((0.012, _undecodable), (0.010, _not_json))
# Share of the acts that go wrong in one way; at most one way for each act.
_RATES: dict[str, tuple[tuple[float, _Kind], ...]] = {
    "campus.buy_online": (
        (0.020, _sold_twice),
        (0.020, _kept_and_uploaded),
        (0.012, _number_used_again),
        (0.012, _changed_on_its_way),
        (0.006, _unknown_till),
        (0.008, _unknown_card),
        (0.006, _clock_ahead),
        *_ANY,
    ),
    "campus.upload_sales": (
        (0.100, _uploaded_again),
        (0.080, _with_a_forgery),
        (0.080, _with_a_stranger),
        (0.060, _with_the_future),
        (0.100, _with_a_repetition),
        (0.100, _conflict_of_numbers),
        *_ANY,
    ),
    "campus.pay_bill": (
        (0.040, _unknown_bill),
        (0.040, _too_much),
        (0.030, _stranger_pays),
        *_ANY,
    ),
    "campus.waive_bill": ((0.100, _cashier_decides), *_ANY),
    "campus.agree_instalments": ((0.100, _cashier_decides), *_ANY),
    "campus.top_up": ((0.060, _too_rich), (0.050, _stranger_pays), *_ANY),
    "campus.pay_family": (
        (0.080, _paid_twice_in_one),
        (0.080, _somebody_elses_child),
        *_ANY,
    ),
    "campus.read_meter": ((0.040, _meter_backwards), *_ANY),
    "campus.top_up_power": _ANY,
}


def _draw(random: Random, message: Message) -> _Kind | None:
    roll = random.random()
    for rate, kind in _RATES.get(message.subject_tail, ()):
        if roll < rate:
            return kind
        roll -= rate
    return None


def _extras(random: Random, ids: Ids, house: House) -> Iterator[Act]:
    """Yield what nobody should do and somebody does: second wallets, second subsidies, ghosts."""
    for _, child in house.children:
        student: dict[str, Any] = {"student_id": child.student_id}
        at = random.randrange(9 * 3_600, 21 * 3_600)
        roll = random.random()
        if roll < 0.03:
            body = student | {"account_id": f"@acct:{house.families[0].payer}"}
            yield [request(house.name, at, "campus.bind_wallet", body, ids)]
        elif roll < 0.09:
            body = student | {
                "grant_id": "living-0",
                "amount_minor": random.randrange(500, 3_000, 100),
                "expires_at": random.choice(("2020-07-10T00:00:00+08:00", "2071-07-10T00:00:00Z")),
            }
            yield [request(house.name, at, "campus.grant_subsidy", body, ids)]
        elif roll < 0.12:
            body = student | {
                "grant_id": "living-0",
                "officer_id": random.choice(("bursar-shen", "clerk-qian")),
                "reason": "发放错误",
            }
            yield [request(house.name, at, "campus.revoke_subsidy", body, ids)]
        elif roll < 0.14:
            # The office takes a student off who still has bills, and pays out what is not there.
            body = student | {
                "guardian_id": house.families[0].payer,
                "balance_minor": random.randrange(100_000, 200_000),
            }
            yield [request(house.name, at, "campus.leave_school", body, ids)]


def _at(at: int) -> int:
    return min(at, DAY_S - 1)
