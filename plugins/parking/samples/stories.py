"""What else happens in a city's car parks that day: one short story for each rule of the trade.

A story is one lane of messages about cars of its own in four lots that are run by rules, so its end
depends on no other lane. Shops, whose accounts many stories use, have more money than all need.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from plugins.parking.samples.city import MIDNIGHT, Ids, Message, clock_text

__all__ = ("STORY_ACCOUNTS", "STORY_LOTS", "stories", "story_setup")

_DAY_S = 86_400
_HOUR_S = 3_600

# An office tower that takes all there is; a hotel with hours and strict about debts; a depot whose
# exits are not watched; a hall that is full of coaches.
TOWER, HOTEL, DEPOT, HALL = "orchard-tower", "lakeside-hotel", "north-depot", "exhibition-hall"

STORY_LOTS: dict[str, dict[str, Any]] = {
    TOWER: {
        "tariff": {
            "free_minutes": 15,
            "hour_minor": 1000,
            "night_hour_minor": 300,
            "daily_cap_minor": 7001,
            "night_from": "20:00:00",
            "night_until": "08:00:00",
            "unit_minutes": 30,
            "steps": [
                {"after_minutes": 60, "hour_minor": 700},
                {"after_minutes": 240, "hour_minor": 501},
            ],
            "night_cap_minor": 1500,
            "new_energy_free_minutes": 60,
        },
        "shares": [
            {"payee": "@acct:landlord", "ppm": 555_555},
            {"payee": "@acct:platform", "ppm": 17_500},
        ],
        "rules": {
            "stamp_minutes_max": 240,
            "wait_entry_minutes": 1440,
            "lost_ticket_minor": 5000,
            "dispute_days": 30,
        },
        "plans": [
            {"plan_id": "month", "months": 1, "price_minor": 88_001},
            {"plan_id": "family", "price_minor": 120_000, "places": 1, "plates_max": 3},
        ],
    },
    HOTEL: {
        "tariff": {
            "free_minutes": 30,
            "hour_minor": 800,
            "night_hour_minor": 800,
            "daily_cap_minor": 4800,
            "cap_from": "entry",
        },
        "shares": [{"payee": "@acct:platform", "ppm": 30_000}],
        "rules": {
            "opens_at": "06:00:00",
            "closes_at": "23:00:00",
            "lost_ticket_minor": 4800,
            "refuse_debt_above_minor": 999,
            "gate_skew_s": 120,
            "reentry_hours": 6,
            "dispute_days": 30,
        },
    },
    DEPOT: {
        "tariff": {"hour_minor": 200, "night_hour_minor": 100, "daily_cap_minor": 2000},
        "rules": {"max_stay_hours": 12, "dispute_days": 30},
    },
    HALL: {
        "tariff": {"hour_minor": 1200, "night_hour_minor": 1200, "daily_cap_minor": 9000},
        "rules": {"capacity": 260},
        "plans": [{"plan_id": "exhibitor", "months": 3, "price_minor": 50_000}],
    },
}

STORY_ACCOUNTS = ("landlord", "platform", "cinema", "noodles")

# lots and parts per million that a shop pays of what its minutes are worth
_SHOPS = {"cinema": (TOWER, 1_000_000), "noodles": (TOWER, 612_345)}
_SHOP_DEPOSIT_MINOR = 50_000_000


def story_setup(ids: Ids) -> Iterator[Message]:
    """Yield what must stand before the stories: accounts, lots, shops, and a full hall."""
    for name in STORY_ACCOUNTS:
        opening = {"holder": name, "type": "merchant"}
        yield _setup(ids, "account.open", opening, defines=f"@acct:{name}")
    for lot, body in STORY_LOTS.items():
        name = f"@acct:lot:{lot}"
        yield _setup(ids, "account.open", {"holder": lot, "type": "merchant"}, defines=name)
        yield _setup(ids, "parking.open_lot", {"lot_id": lot, "payee": name, **body})
    for shop, (lot, ppm) in _SHOPS.items():
        account = f"@acct:{shop}"
        money = {"amount_minor": _SHOP_DEPOSIT_MINOR, "source": "external:unionpay"}
        yield _setup(ids, "account.deposit", {"account_id": account, **money})
        body = {"merchant_id": shop, "account_id": account, "lots": [lot], "pays_ppm": ppm}
        yield _setup(ids, "parking.register_merchant", body)
    counted = {"lot_id": HALL, "casual": 260, "counted_at": clock_text(0)}
    yield _setup(ids, "parking.count_lot", counted)


def _setup(ids: Ids, tail: str, body: dict[str, Any], defines: str | None = None) -> Message:
    return Message(
        at=0,
        # One after another: a shop is opened before it is paid, a lot before it is counted.
        lane="stories",
        subject_tail=tail,
        body={"request_id": ids.next(), **body},
        defines=defines,
        setup=True,
    )


class _Teller:
    """Writes the messages of one story, in their order."""

    def __init__(self, random: Random, ids: Ids, number: int) -> None:
        self.random = random
        self.number = number
        self.messages: list[Message] = []
        self._ids = ids
        self._lane = f"story-{number:04d}"
        self._plates = 0

    def plate(self, *, green: bool = False) -> str:
        """Return a plate that nobody else has."""
        self._plates += 1
        letters = "ABCDEFGHJK"[self._plates - 1]
        return f"渝B{'D' if green else ''}{letters}{self.number:04d}"

    def account(self, plate: str, minor: int, **more: Any) -> str:
        """Open an account with some money in it and bind it to the plate."""
        name = f"@acct:{plate}"
        self.say(0, "account.open", defines=name, holder=f"driver of {plate}")
        self.money(0, name, minor)
        self.say(0, "parking.bind", plate=plate, account_id=name, **more)
        return name

    def money(self, at: float, account: str, minor: int) -> None:
        """Pay money in."""
        if minor:
            self.say(
                at, "account.deposit", account_id=account, amount_minor=minor,
                source="external:wechat",
            )  # fmt: skip

    def say(self, at: float, tail: str, *, defines: str | None = None, **body: Any) -> None:
        """Write a message of the second ``at``, or as soon after as its turn comes."""
        last = self.messages[-1].at if self.messages else 0
        if not tail.startswith("parking.get"):
            body = {"request_id": self._ids.next(), **body}
        self.messages.append(
            Message(
                at=min(max(int(at), last), _DAY_S - 1),
                lane=self._lane,
                subject_tail=tail,
                body=body,
                defines=defines,
            )
        )

    def until(self, tail: str, **body: Any) -> None:
        """Ask until the answer is what it has to become: what is on its way arrives meanwhile."""
        self.say(0, tail, **body)
        self.messages[-1].until = True

    def enter(self, at: float, plate: str, lot: str) -> None:
        """Drive in."""
        body = {"plate": plate, "lot_id": lot, "entered_at": clock_text(at)}
        self.say(at, "parking.enter", **body)

    def exit(self, at: float, plate: str, lot: str) -> None:
        """Drive out."""
        self.say(at, "parking.exit", plate=plate, lot_id=lot, left_at=clock_text(at))

    def morning(self) -> int:
        """Return a second between seven and ten."""
        return self.random.randrange(7 * _HOUR_S, 10 * _HOUR_S)

    def hours(self, least: float, most: float) -> int:
        """Return so many seconds."""
        return self.random.randrange(int(least * _HOUR_S), int(most * _HOUR_S))


def _commuter_with_a_pass(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    account = tell.account(plate, 90_000)
    card = f"card-{plate[1:]}"
    bought: dict[str, Any] = {"pass_id": card, "lot_id": TOWER, "account_id": account}
    bought |= {"plates": [plate], "from_day": "2026-06-01"}
    tell.say(1_800, "parking.buy_pass", plan_id="none", **bought)
    tell.say(1_800, "parking.buy_pass", plan_id="month", **bought)
    tell.until("parking.get", plate=plate)
    tell.enter(begin, plate, TOWER)
    tell.exit(begin + tell.hours(3, 9), plate, TOWER)
    # It is full for who has no pass of it.
    tell.enter(19 * _HOUR_S, plate, HALL)
    tell.say(20 * _HOUR_S, "parking.renew_pass", pass_id=card, account_id=account)


def _exhibitor(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    account = tell.account(plate, tell.random.choice((49_999, 50_000, 80_000)))
    card = f"card-{plate[1:]}"
    tell.say(
        1_800, "parking.buy_pass", pass_id=card, lot_id=HALL, plan_id="exhibitor",
        account_id=account, plates=[plate], from_day="2026-06-10",
    )  # fmt: skip
    tell.until("parking.get", plate=plate)
    tell.enter(begin, plate, HALL)
    tell.exit(begin + tell.hours(4, 8), plate, HALL)


def _family_on_one_place(tell: _Teller) -> None:
    first, second = tell.plate(), tell.plate(green=True)
    account = tell.account(first, 150_000)
    tell.say(0, "parking.bind", plate=second, account_id=account)
    card = f"card-{first[1:]}"
    tell.say(
        1_800, "parking.buy_pass", pass_id=card, lot_id=TOWER, plan_id="family",
        account_id=account, plates=[first, second], from_day="2026-06-15",
    )  # fmt: skip
    for plate in (first, second):
        tell.until("parking.get", plate=plate)
    begin = tell.morning()
    tell.enter(begin, first, TOWER)
    tell.until("parking.get", plate=first)
    tell.enter(begin + tell.hours(0.1, 1), second, TOWER)
    tell.until("parking.get", plate=second)
    gone = begin + tell.hours(2, 4)
    tell.exit(gone, first, TOWER)
    tell.until("parking.get", plate=second)
    tell.exit(gone + tell.hours(1, 5), second, TOWER)
    tell.until("parking.get_pass", pass_id=card)


def _pass_that_ran_out(tell: _Teller) -> None:
    plate = tell.plate()
    account = tell.account(plate, 95_000)
    card = f"card-{plate[1:]}"
    tell.say(
        0, "parking.buy_pass", pass_id=card, lot_id=TOWER, plan_id="month",
        account_id=account, plates=[plate], from_day="2026-05-15",
    )  # fmt: skip
    tell.until("parking.get", plate=plate)
    # Since the evening before; the pass ends at midnight.
    entered_at = clock_text(-tell.hours(1, 6))
    tell.say(60, "parking.enter", plate=plate, lot_id=TOWER, entered_at=entered_at)
    tell.exit(tell.morning(), plate, TOWER)


def _shopper(tell: _Teller) -> None:
    plate, begin = tell.plate(green=tell.random.random() < 0.3), tell.morning()
    tell.account(plate, tell.random.choice((0, 20_000)))
    tell.say(begin, "parking.stamp", plate=plate, merchant_id="cinema", minutes=60)
    tell.enter(begin, plate, TOWER)
    at = begin + tell.hours(0.5, 2)
    stamps = [("cinema", tell.random.randrange(30, 121)), ("noodles", 60)]
    tell.random.shuffle(stamps)
    for shop, minutes in stamps[: tell.random.randrange(1, 3)]:
        tell.say(at, "parking.stamp", plate=plate, merchant_id=shop, minutes=minutes)
    shop = stamps[0][0]
    tell.say(at + 60, "parking.stamp", plate=plate, merchant_id=shop, minutes=30)
    tell.say(at + 60, "parking.stamp", plate=plate, merchant_id="barber", minutes=30)
    tell.exit(at + tell.hours(0.2, 5), plate, TOWER)


def _payer_at_the_machine(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    tell.account(plate, 20_000)
    tell.enter(begin, plate, TOWER)
    at = begin + tell.hours(0.5, 6)
    tell.say(at, "parking.prepay", plate=plate, lot_id=TOWER, paid_at=clock_text(at))
    soon = at + 300
    tell.say(soon, "parking.prepay", plate=plate, lot_id=TOWER, paid_at=clock_text(soon))
    tell.exit(at + tell.random.choice((480, 900, 901, 2_400)), plate, TOWER)


def _lost_ticket(tell: _Teller) -> None:
    plate, at = tell.plate(), tell.morning()
    tell.account(plate, tell.random.choice((0, 10_000)))
    tell.exit(at, plate, HOTEL)
    tell.exit(at + 20, plate, HOTEL)
    doubt = {"plate": plate, "dispute_id": f"doubt-{plate[1:]}"}
    tell.say(
        at + 3_600, "parking.dispute", **doubt, lot_id=HOTEL, entered_at=clock_text(at),
        opened_at=clock_text(at + 3_600), reason="wrong_time", evidence="dashcam 20260615-07",
    )  # fmt: skip
    cost = tell.random.choice((0, 800, 1_600))
    for decision in ("waive", "refund"):
        tell.say(at + 7_200, "parking.decide_dispute", **doubt, decision=decision, fee_minor=cost)
    tell.say(at + 9_000, "parking.decide_dispute", **doubt, decision="uphold")
    tell.say(at + 9_000, "parking.get", plate=plate)


def _exit_before_its_entry(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    tell.account(plate, tell.random.choice((0, 20_000)))
    left = begin + tell.hours(0.1, 6)
    tell.exit(left, plate, TOWER)
    tell.exit(left + 5, plate, TOWER)
    late = {"plate": plate, "lot_id": TOWER, "entered_at": clock_text(begin)}
    tell.say(left + tell.hours(0.1, 1), "parking.enter", **late)
    tell.say(left + 7_200, "parking.get", plate=plate)


def _mandate(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    account = tell.account(plate, 30_000, mandate={"session_cap_minor": 1_500})
    tell.enter(begin, plate, TOWER)
    left = begin + tell.hours(0.3, 4)
    tell.exit(left, plate, TOWER)
    tell.enter(left + 1_800, plate, TOWER)
    tell.say(left + 2_000, "parking.unbind", plate=plate)
    tell.say(left + 2_000, "parking.unbind", plate=plate)
    tell.exit(left + 6_000, plate, TOWER)
    tell.say(left + 7_000, "parking.settle", plate=plate)
    tell.say(left + 7_000, "parking.settle", plate=plate, account_id=account)


def _debtor(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    account = tell.account(plate, 0)
    tell.enter(begin, plate, TOWER)
    left = begin + tell.hours(1, 3)
    tell.exit(left, plate, TOWER)
    tell.enter(left + 600, plate, HOTEL)
    tell.money(left + 700, account, tell.random.choice((500, 9_000)))
    tell.say(left + 800, "parking.settle", plate=plate, lot_id=HOTEL)
    tell.say(left + 800, "parking.settle", plate=plate, lot_id=TOWER)
    tell.enter(left + 900, plate, HOTEL)
    tell.exit(left + 900 + tell.hours(0.2, 3), plate, HOTEL)


def _doubter(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    tell.account(plate, tell.random.choice((0, 7_500)))
    tell.enter(begin, plate, TOWER)
    left = begin + tell.hours(2, 6)
    tell.exit(left, plate, TOWER)
    doubt = {"plate": plate, "dispute_id": f"doubt-{plate[1:]}"}
    at = left + 1_800
    charge = {"lot_id": TOWER, "entered_at": clock_text(begin), "opened_at": clock_text(at)}
    tell.say(at, "parking.dispute", **doubt, **charge, reason="not_there", evidence="photo 3")
    # Nobody collects it meanwhile.
    tell.say(at, "parking.settle", plate=plate)
    decision = tell.random.choice(("uphold", "waive", "refund"))
    tell.say(at + 600, "parking.decide_dispute", **doubt, decision=decision, fee_minor=333)
    tell.say(at + 900, "parking.decide_dispute", **doubt, decision="uphold")
    tell.say(at + 900, "parking.dispute", **doubt, **charge, reason="other")
    tell.say(at + 900, "parking.settle", plate=plate)


def _never_seen_again(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.random.randrange(5 * _HOUR_S, 6 * _HOUR_S)
    tell.account(plate, 5_000)
    tell.enter(begin, plate, DEPOT)
    tell.until("parking.get", plate=plate)
    review = f"review-{int(MIDNIGHT.timestamp()) + begin}"
    at = begin + 13 * _HOUR_S
    tell.exit(at, plate, DEPOT)
    decision, cost = tell.random.choice((("uphold", 0), ("waive", 0), ("waive", 700)))
    tell.say(
        at + 60, "parking.decide_dispute", plate=plate, dispute_id=review, decision=decision,
        fee_minor=cost, evidence="pictures of gate 2",
    )  # fmt: skip
    tell.say(at + 120, "parking.settle", plate=plate)


def _missed_exit(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.random.randrange(6 * _HOUR_S, 7 * _HOUR_S)
    tell.account(plate, 20_000)
    tell.enter(3 * _HOUR_S, plate, HOTEL)
    tell.enter(begin, plate, HOTEL)
    tell.enter(begin + 30, plate, HOTEL)
    again = begin + tell.hours(5, 9)
    tell.enter(again, plate, HOTEL)
    tell.exit(again + tell.hours(0.1, 3), plate, HOTEL)


def _gate_with_a_slow_clock(tell: _Teller) -> None:
    plate, begin = tell.plate(), tell.morning()
    tell.account(plate, 0)
    tell.enter(begin, plate, HOTEL)
    for behind in (tell.random.randrange(121, 400), tell.random.randrange(1, 121)):
        left_at = clock_text(begin - behind)
        tell.say(begin + 60, "parking.exit", plate=plate, lot_id=HOTEL, left_at=left_at)


def _several_days(tell: _Teller) -> None:
    plate = tell.plate()
    tell.account(plate, 50_000)
    lot = tell.random.choice((TOWER, HOTEL))
    # By day, when both let cars in.
    days = tell.random.randrange(1, 6)
    entered_at = clock_text(tell.morning() - days * _DAY_S)
    tell.say(60, "parking.enter", plate=plate, lot_id=lot, entered_at=entered_at)
    tell.exit(tell.random.randrange(_HOUR_S, 23 * _HOUR_S), plate, lot)


_KINDS: tuple[Callable[[_Teller], None], ...] = (
    _commuter_with_a_pass,
    _exhibitor,
    _family_on_one_place,
    _pass_that_ran_out,
    _shopper,
    _payer_at_the_machine,
    _lost_ticket,
    _exit_before_its_entry,
    _mandate,
    _debtor,
    _doubter,
    _never_seen_again,
    _missed_exit,
    _gate_with_a_slow_clock,
    _several_days,
)


def stories(random: Random, ids: Ids, each: int) -> Iterator[Message]:
    """Yield every story so many times, and now and then a message of it again."""
    number = 0
    for kind in _KINDS:
        for _ in range(each):
            tell = _Teller(random, ids, number)
            kind(tell)
            number += 1
            yield from _with_repeats(random, tell.messages)


def _with_repeats(random: Random, messages: list[Message]) -> Iterator[Message]:
    """Yield the messages; some come twice with the same id, at once."""
    for message in messages:
        yield message
        repeatable = message.body is not None and "request_id" in message.body
        if repeatable and message.defines is None and random.random() < 0.05:
            yield message
