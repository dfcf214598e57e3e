"""All that goes wrong at a market: what scales, terminals, networks and people really send.

Every kind is put in at a stated rate. Nothing here reaches over to another lane, so the outcome of
a message depends only on those before it in its own lane and on earlier phases.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from msgspec.structs import replace

from plugins.wholesale_market.samples.cast import Buyer, Message, Script, wall
from plugins.wholesale_market.samples.trade import PHASE_BEGINS

__all__ = ("add_mischief", "strangers")

# Bodies that are not JSON: cut off, garbled, of other formats, of another encoding, empty.
_NOT_JSON = (
    b'{"request_id":"wm-x","deal_id":',
    b'{"request_id":"wm-x",,}',
    b"buyer_id=007&gross_g=12000",
    b"<weigh><gross>12000</gross></weigh>",
    b"{'gross_g': 12000}",
    b'{"buyer_id":"\xbb\xc6\xb9\xcf"}',
    b"\x02ST,GS,+00012.50kg\x03",
    b"",
)

_Kind = Callable[[Random, Script, Message], list[Message]]


def add_mischief(
    random: Random, script: Script, buyer: Buyer, messages: list[Message]
) -> list[Message]:
    """Return the lane's messages with what goes wrong in between, in the order of sending."""
    lane: list[Message] = []
    for message in messages:
        kind = _draw(random, message)
        lane += kind(random, script, message) if kind else [message]
    lane += _money(random, script, buyer)
    lane += [echo for message in lane for echo in _echoes(random, message)]
    # Stable: messages of one second stay in the order in which they were put in.
    return sorted(lane, key=lambda message: message.at)


def strangers(random: Random, script: Script, count: int) -> Iterator[Message]:
    """Yield messages about buyers and for operations that nobody knows."""
    for number in range(count):
        name = f"stranger-{number:03d}"
        at = PHASE_BEGINS + random.randrange(1_500)
        verb = random.choice(("weigh", "open_deal", "get_buyer", "haggle", "book_sale"))
        body: dict[str, Any] = {"buyer_id": name}
        if verb == "weigh":
            body |= _weighing("dongjiao-platform-1")
        elif verb == "open_deal":
            body |= {"deal_id": "d-1", "lot_id": "dongjiao-lot-000-0", "unit": "kg"}
            body["price_minor"] = 100
        write = script.read if verb == "get_buyer" else script.write
        message = write(at, name, verb, **body)
        if verb in ("haggle", "book_sale"):
            # The second is there, and is for the pack itself.
            message.fault = "unknown_operation"
        yield message


def _weighing(scale_id: str) -> dict[str, Any]:
    return {
        "deal_id": "d-1",
        "scale_id": scale_id,
        "line": 1,
        "gross_g": 12_000,
        "tare_g": 2_000,
        "weighed_at": wall(PHASE_BEGINS),
    }


def _dropped(_random: Random, _script: Script, _message: Message) -> list[Message]:
    # The network lost it for good.
    return []


def _late(random: Random, _script: Script, message: Message) -> list[Message]:
    # The scale kept it until the network was back, perhaps after the deal was paid.
    return [replace(message, at=message.at + random.randrange(20, 300))]


def _again(random: Random, script: Script, message: Message) -> list[Message]:
    # A scale that saw no acknowledgement reports anew, with an id of its own.
    return [message, _changed(message, script, at=message.at + random.randrange(1, 90))]


def _revised_first(random: Random, script: Script, message: Message) -> list[Message]:
    body = _body(message)
    revised = _changed(message, script, revision=body.get("revision", 1) + 1)
    return [revised, replace(message, at=message.at + random.randrange(1, 30))]


def _other_weights(_random: Random, script: Script, message: Message) -> list[Message]:
    return [message, _changed(message, script, gross_g=_body(message)["gross_g"] + 10_000)]


def _impossible(random: Random, script: Script, message: Message) -> list[Message]:
    body = _body(message)
    market = body["scale_id"].split("-")[0]
    wrong = random.choice(
        (
            {"gross_g": body["gross_g"] + 7},
            {"gross_g": 90_000_000},
            {"gross_g": 1_000, "tare_g": 2_000},
            {"tare_g": body["gross_g"]},
            {"weighed_at": "2099-06-15T03:00:00+08:00"},
            {"weighed_at": "1999-12-31T03:00:00+08:00"},
            {"weighed_at": "2026-06-14T12:30:00+08:00"},
            {"scale_id": f"{market}-old"},
            {"scale_id": f"{market}-kitchen"},
            {"scale_id": "xishan-bench" if market == "dongjiao" else "dongjiao-bench"},
        )
    )
    return [_changed(message, script, **wrong), message]


def _wrong_screen(random: Random, script: Script, message: Message) -> list[Message]:
    body = _body(message)
    wrong = random.choice(
        (
            {"amount_minor": body["amount_minor"] + 1},
            {"lines": body["lines"] + 1},
            {"method": "credit", "else_credit": True},
        )
    )
    return [_changed(message, script, **wrong), message]


def _wrong_lot(random: Random, script: Script, message: Message) -> list[Message]:
    wrong: dict[str, Any] = random.choice(
        (
            {"lot_id": "lot-unknown"},
            {"carrier_id": "nobody"},
            {"lot_id": "dongjiao-lot-007-0"},
        )
    )
    return [_changed(message, script, **wrong), message]


def _undecodable(random: Random, script: Script, message: Message) -> list[Message]:
    wrong: dict[str, Any] = random.choice(
        (
            {"temperature": 4},
            {"deal_id": "no/such.deal*"},
            {"deal_id": 12},
            {"buyer_id": None},
            {"gross_g": 12.5},
            {"gross_g": -1},
            {"price_minor": "128"},
            {"unit": "pound"},
            {"weighed_at": "2026-06-15T03:00:00"},
            {"amount_minor": 2**60},
            {"method": "cheque"},
            {"request_id": ""},
            {"request_id": "x" * 65},
        )
    )
    bad = _changed(message, script, **wrong)
    return [replace(bad, fault="invalid_field"), message]


def _not_json(random: Random, _script: Script, message: Message) -> list[Message]:
    raw = random.choice(_NOT_JSON).hex()
    return [replace(message, body=None, raw_hex=raw, fault="malformed_message"), message]


# Share of the messages of a verb that go wrong in one way; at most one way for each message.
_RATES: dict[str, tuple[tuple[float, _Kind], ...]] = {
    "open_deal": (
        (0.010, _dropped),
        (0.020, _again),
        (0.030, _wrong_lot),
        (0.012, _undecodable),
        (0.012, _not_json),
    ),
    "weigh": (
        (0.008, _dropped),
        (0.020, _late),
        (0.040, _again),
        (0.015, _revised_first),
        (0.012, _other_weights),
        (0.050, _impossible),
        (0.012, _undecodable),
        (0.012, _not_json),
    ),
    "pay": (
        (0.040, _wrong_screen),
        (0.020, _again),
        (0.012, _undecodable),
        (0.010, _not_json),
    ),
    "accept": ((0.04, _again), (0.02, _undecodable)),
    "reject": ((0.05, _again),),
}


def _draw(random: Random, message: Message) -> _Kind | None:
    roll = random.random()
    for rate, kind in _RATES.get(message.subject_tail.partition(".")[2], ()):
        if roll < rate:
            return kind
        roll -= rate
    return None


def _money(random: Random, script: Script, buyer: Buyer) -> Iterator[Message]:
    """Yield what a buyer does at the bank's counter meanwhile, and mistakes with it."""
    name = buyer.buyer_id
    at = PHASE_BEGINS + random.randrange(1_500)
    account = f"@acct:{name}"
    if random.random() < (0.5 if buyer.habit == "poor" else 0.05):
        yield script.write(
            at,
            name,
            "account.deposit",
            account_id=account,
            amount_minor=random.randrange(20_000, 400_000, 1_000),
            source="external:wechat",
        )
    if random.random() < 0.06:
        wrong = random.choice((account, "@acct:nobody"))
        pay = script.write(
            at, name, "payment.create", payer=account, payee="@acct:township-bank", amount_minor=500
        )
        body = _body(pay)
        body["payee"] = wrong if wrong == account else "nobody"
        yield pay
    if random.random() < 0.04:
        yield script.write(at, name, "repay", buyer_id=name)


def _echoes(random: Random, message: Message) -> Iterator[Message]:
    """Yield the same id again: at once, or much later, or with another body."""
    if message.fault is not None or "request_id" not in _body(message):
        return
    roll = random.random()
    if roll < 0.04:
        yield replace(message, at=message.at + random.randrange(3))
    elif roll < 0.06:
        yield replace(message, at=message.at + random.randrange(60, 600))
    elif roll < 0.075:
        body = dict(_body(message))
        if "gross_g" in body:
            body["gross_g"] += 1_000
        elif "amount_minor" in body:
            body["amount_minor"] += 1
        else:
            return
        yield replace(message, at=message.at + random.randrange(1, 600), body=body)


def _changed(message: Message, script: Script, *, at: int | None = None, **fields: Any) -> Message:
    """Return another message of the same kind, with an id of its own."""
    body = _body(message) | {"request_id": script.id()} | fields
    return replace(message, at=message.at if at is None else at, body=body)


def _body(message: Message) -> dict[str, Any]:
    assert message.body is not None
    return message.body
