"""The people, places and goods of the story, and the messages that set them up.

Two markets. *Dongjiao* is large: it inspects, advances money, and lowers its fee for large stalls.
*Xishan* is small: it drops the small change, has no money to advance, and its stalls wait for their
customers' money.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

__all__ = (
    "MARKETS",
    "Buyer",
    "Cast",
    "Lot",
    "MarketPlan",
    "Message",
    "Script",
    "make_cast",
    "setup_messages",
    "wall",
)

# The story begins in the night to a Monday; bodies carry this day.
_DAY = "2026-06-15"
_ZONE = "+08:00"


class Message(msgspec.Struct, kw_only=True):
    """One line of the story before its outcome is known.

    ``body`` is sent as JSON unless ``raw_hex`` gives the bytes themselves. ``fault`` is the error
    code of a message that no state can change. ``defines`` names the account that an
    ``account.open`` opens, for the bodies of later messages. ``until`` marks a read that is
    repeated until it is answered as expected, since what it tells travels for a moment.
    """

    at: int
    phase: int
    lane: str
    subject_tail: str
    body: dict[str, Any] | None = None
    raw_hex: str | None = None
    defines: str | None = None
    setup: bool = False
    until: bool = False
    fault: str | None = None


class Script:
    """Writes messages of one phase, with request ids in the order in which they are asked for."""

    def __init__(self) -> None:
        self._last = 0
        self.phase = 0

    def id(self) -> str:
        """Return a request id that was not used before."""
        self._last += 1
        return f"wm-{self._last:06d}"

    def write(self, at: int, lane: str, verb: str, **body: Any) -> Message:
        """Return a message that changes something; ``verb`` is of the pack unless it has a dot."""
        return self.read(at, lane, verb, request_id=self.id(), **body)

    def read(self, at: int, lane: str, verb: str, *, until: bool = False, **body: Any) -> Message:
        """Return a message without a request id."""
        tail = verb if "." in verb else f"wholesale_market.{verb}"
        return Message(
            at=at,
            phase=self.phase,
            lane=lane,
            subject_tail=tail,
            body=body,
            setup=self.phase == 0,
            until=until,
        )


class MarketPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A market, and how much of everything there is in it."""

    market_id: str
    advance_minor: int
    terms: dict[str, Any]
    stalls: int
    farmers: int
    carriers: int
    buyers: int


MARKETS = (
    MarketPlan(
        market_id="dongjiao",
        advance_minor=400_000_000,
        terms={
            "fee_tiers": [
                {"from_minor": 0, "ppm": 25_000},
                {"from_minor": 20_000_000, "ppm": 18_500},
                {"from_minor": 100_000_000, "ppm": 12_000},
            ],
            "opens": "22:00:00",
            "closes": "10:00:00",
            "day_close": "18:00:00",
            "deposit_per_tonne_minor": 15_000,
            "accept_minutes": 30,
            "dispute_minutes": 240,
            "reweigh_minutes": 60,
            "tolerance_ppm": 2_000,
            "interest_ppm": 150,
            "overdue_ppm": 350,
        },
        stalls=24,
        farmers=60,
        carriers=8,
        buyers=150,
    ),
    MarketPlan(
        market_id="xishan",
        advance_minor=0,
        terms={
            "fee_tiers": [{"from_minor": 0, "ppm": 30_000}],
            "fee_basis": "month_to_date",
            "wipe_minor": 10,
            "inspection_required": False,
            "opens": "00:00:00",
            "closes": "09:30:00",
            "day_close": "18:00:00",
            "lot_days": 2,
            "accept_minutes": 30,
            "dispute_minutes": 240,
            "reweigh_minutes": 60,
            "interest_ppm": 100,
        },
        stalls=6,
        farmers=12,
        carriers=2,
        buyers=36,
    ),
)

# Goods with the price of a kilogram in fen, from and to, and what is usually taken off in ppm.
_GOODS = (
    ("Chinese cabbage 大白菜", 60, 140, 30_000),
    ("radish 白萝卜", 80, 160, 20_000),
    ("cucumber 黄瓜", 260, 480, 0),
    ("tomato 番茄", 320, 640, 0),
    ("potato 土豆", 180, 300, 15_000),
    ("garlic 大蒜", 600, 1_100, 5_000),
    ("lettuce 生菜", 300, 700, 50_000),
    ("watermelon 西瓜", 160, 320, 0),
    ("apple 苹果", 500, 1_200, 0),
    ("grass carp 草鱼", 1_100, 1_700, 35_000),
)


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """A load of goods; ``quiet`` ones belong to farmers who will empty their accounts."""

    lot_id: str
    market_id: str
    stall_id: str
    farmer_id: str
    goods: str
    price: int
    loss_ppm: int
    declared_g: int
    quiet: bool
    passed: bool | None


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer, how he pays, and the money he has; ``limit_minor`` is his credit."""

    buyer_id: str
    market_id: str
    habit: str
    deposit_minor: int
    limit_minor: int
    terms: str


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody and everything."""

    stalls: dict[str, list[dict[str, Any]]]
    farmers: dict[str, list[str]]
    carriers: dict[str, list[dict[str, Any]]]
    scales: dict[str, list[dict[str, Any]]]
    lots: list[Lot]
    buyers: list[Buyer]

    def lots_of(self, market_id: str) -> list[Lot]:
        """Return the lots of a market that may be sold."""
        return [lot for lot in self.lots if lot.market_id == market_id and lot.passed is not False]


def wall(seconds: int) -> str:
    """Return the RFC 3339 text of a second of the story's first day, as the scales show it."""
    hours, rest = divmod(seconds, 3_600)
    return f"{_DAY}T{hours:02d}:{rest // 60:02d}:{rest % 60:02d}{_ZONE}"


def make_cast(random: Random, size: float) -> Cast:
    """Return everybody; ``size`` 1 is the whole story, less makes it smaller."""
    cast = Cast(stalls={}, farmers={}, carriers={}, scales={}, lots=[], buyers=[])
    for plan in MARKETS:
        name = plan.market_id
        stalls = max(2, int(plan.stalls * size))
        cast.stalls[name] = [_stall(random, plan, number) for number in range(stalls)]
        farmers = max(4, int(plan.farmers * size))
        cast.farmers[name] = [f"{name}-farmer-{number:03d}" for number in range(farmers)]
        cast.carriers[name] = [
            {"carrier_id": f"{name}-carrier-{number}", "per_kg_minor": random.randrange(3, 13)}
            for number in range(plan.carriers)
        ]
        cast.scales[name] = list(_scales(plan))
        cast.lots.extend(_lots(random, cast, plan))
        buyers = max(6, int(plan.buyers * size))
        cast.buyers.extend(_buyer(random, plan, number) for number in range(buyers))
    return cast


def _stall(random: Random, plan: MarketPlan, number: int) -> dict[str, Any]:
    small = plan.advance_minor == 0
    stall = {
        "stall_id": f"{plan.market_id}-stall-{number:02d}",
        "market_id": plan.market_id,
        "commission_ppm": random.choice((0, 30_000, 45_000, 52_500, 60_001)),
        # At the small market all but the last one wait.
        "waits": small and number % 6 != 5,
        "turnover_before_minor": random.choice((0, 8_000_000, 19_999_999, 20_000_000, 140_000_000)),
    }
    return stall if not small else {**stall, "turnover_before_minor": 0}


def _scales(plan: MarketPlan) -> Iterator[dict[str, Any]]:
    kinds = (
        ("gate", 20_000, 60_000_000, "2027-03-31", False),
        ("platform-1", 500, 3_000_000, "2027-03-31", False),
        ("platform-2", 200, 1_000_000, "2026-12-31", False),
        ("bench", 5, 30_000, "2026-12-31", False),
        ("old", 100, 500_000, "2026-06-14", False),
        ("referee", 100, 5_000_000, "2027-05-31", True),
    )
    for name, division, most, until, referee in kinds:
        yield {
            "scale_id": f"{plan.market_id}-{name}",
            "division_g": division,
            "max_g": most,
            "verified_until": until,
            "referee": referee,
        }


def _lots(random: Random, cast: Cast, plan: MarketPlan) -> Iterator[Lot]:
    name = plan.market_id
    inspected = plan.terms.get("inspection_required", True)
    farmers = cast.farmers[name]
    for number, farmer in enumerate(farmers):
        for part in range(random.choice((1, 1, 2))):
            goods, low, high, loss = random.choice(_GOODS)
            failed = inspected and number % 12 == 7
            quiet = inspected and number % 5 == 2
            # Who comes with little has little held.
            most_g = 6_000_000 if quiet else 22_000_000
            yield Lot(
                lot_id=f"{name}-lot-{number:03d}-{part}",
                market_id=name,
                stall_id=random.choice(cast.stalls[name])["stall_id"],
                farmer_id=farmer,
                goods=goods,
                price=random.randrange(low, high),
                loss_ppm=loss,
                declared_g=random.randrange(2_000_000, most_g, 20_000),
                quiet=quiet,
                passed=None if not inspected else not failed,
            )


def _buyer(random: Random, plan: MarketPlan, number: int) -> Buyer:
    habit = random.choices(("cash", "cautious", "daily", "weekly", "poor"), (30, 20, 30, 14, 6))[0]
    limit, terms, deposit = 0, "day", random.randrange(2_500_000, 6_000_000, 10_000)
    if habit in ("daily", "weekly"):
        terms = "week" if habit == "weekly" else "day"
        limit = random.choice((500_000, 1_500_000, 2_000_000, 2_900_000))
        # Some can pay at the close, some in part, some not at all.
        deposit = random.choice((0, 150_000, 900_000, 3_200_000, 3_200_000))
    elif habit == "poor":
        deposit = random.randrange(1_000, 60_000)
    elif random.random() < 0.15:
        limit, deposit = 600_000, random.randrange(50_000, 400_000)
    return Buyer(
        buyer_id=f"{plan.market_id}-buyer-{number:03d}",
        market_id=plan.market_id,
        habit=habit,
        deposit_minor=deposit,
        limit_minor=limit,
        terms=terms,
    )


def setup_messages(script: Script, cast: Cast) -> Iterator[Message]:
    """Yield what must stand before the trade: accounts, money, market, people, goods."""
    yield _account(script, "bank", "township-bank", "merchant")
    for plan in MARKETS:
        yield from _market(script, cast, plan)
    for lot in cast.lots:
        yield from _lot(script, lot)
    for buyer in cast.buyers:
        yield from _buyer_messages(script, buyer)


def _account(script: Script, lane: str, name: str, kind: str = "customer") -> Message:
    message = script.write(0, lane, "account.open", holder=name, type=kind)
    message.defines = f"@acct:{name}"
    return message


def _money(script: Script, lane: str, name: str, amount: int) -> Message:
    return script.write(
        0,
        lane,
        "account.deposit",
        account_id=f"@acct:{name}",
        amount_minor=amount,
        source="external:unionpay",
    )


def _market(script: Script, cast: Cast, plan: MarketPlan) -> Iterator[Message]:
    name = plan.market_id
    for purse in ("fees", "advance", "interest"):
        yield _account(script, name, f"{name}-{purse}", "merchant")
    if plan.advance_minor:
        yield _money(script, name, f"{name}-advance", plan.advance_minor)
    accounts = {f"{purse}_account": f"@acct:{name}-{purse}" for purse in ("advance", "interest")}
    accounts["fee_account"] = f"@acct:{name}-fees"
    yield script.write(0, name, "open_market", market_id=name, **accounts, terms=plan.terms)
    for scale in cast.scales[name]:
        yield script.write(0, name, "register_scale", market_id=name, **scale)
    for stall in cast.stalls[name]:
        yield _account(script, name, stall["stall_id"], "merchant")
        account = f"@acct:{stall['stall_id']}"
        yield script.write(0, name, "open_stall", **stall, account_id=account)
    for farmer in cast.farmers[name]:
        yield _account(script, name, farmer)
        if plan.terms.get("deposit_per_tonne_minor"):
            # Enough for the deposits of two of the largest loads.
            yield _money(script, name, farmer, 700_000)
        account = f"@acct:{farmer}"
        yield script.write(0, name, "register_farmer", farmer_id=farmer, account_id=account)
    for carrier in cast.carriers[name]:
        yield _account(script, name, carrier["carrier_id"], "merchant")
        account = f"@acct:{carrier['carrier_id']}"
        yield script.write(0, name, "register_carrier", **carrier, account_id=account)


def _lot(script: Script, lot: Lot) -> Iterator[Message]:
    # In the lane of the market, which has to stand before.
    yield script.write(
        0,
        lot.market_id,
        "register_lot",
        lot_id=lot.lot_id,
        market_id=lot.market_id,
        stall_id=lot.stall_id,
        farmer_id=lot.farmer_id,
        goods=lot.goods,
        declared_g=lot.declared_g,
        certificate=f"CERT-{lot.lot_id}",
    )
    if lot.passed is not None:
        yield script.write(0, lot.market_id, "inspect_lot", lot_id=lot.lot_id, passed=lot.passed)


def _buyer_messages(script: Script, buyer: Buyer) -> Iterator[Message]:
    lane, name = buyer.market_id, buyer.buyer_id
    yield _account(script, lane, name)
    if buyer.deposit_minor:
        yield _money(script, lane, name, buyer.deposit_minor)
    account = f"@acct:{name}"
    entry = {"buyer_id": name, "market_id": buyer.market_id, "account_id": account}
    yield script.write(0, lane, "register_buyer", **entry)
    if buyer.limit_minor:
        limit = {"buyer_id": name, "limit_minor": buyer.limit_minor, "terms": buyer.terms}
        yield script.write(0, lane, "set_credit", **limit)
