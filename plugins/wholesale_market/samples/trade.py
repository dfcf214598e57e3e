"""The night's trade: what scales and terminals report of the deals between two and half past.

Every deal is a small story of its buyer: goods are priced and weighed, in one order or the other,
some lines are corrected, and then it is paid in the buyer's way. What goes wrong on the network is
added by ``mischief``.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from plugins.wholesale_market.samples.cast import (
    Buyer,
    Cast,
    Lot,
    Message,
    Script,
    wall,
)
from plugins.wholesale_market.samples.pencil import cost

__all__ = ("PHASE_BEGINS", "deal_lane")

# The second of the first day at which the trade begins, and how long it lasts.
PHASE_BEGINS = 7_200
_LASTS_S = 1_500
# No scale has weighed after that, whenever its report arrives.
_WEIGHED_UNTIL = 8_999

# No deal of the story is larger: what is, the bank's own rules ask further questions about.
_AMOUNT_MAX = 480_000


class _Deal:
    """One deal while its messages are written."""

    def __init__(
        self, random: Random, script: Script, buyer: Buyer, lot: Lot, number: int, at: int
    ) -> None:
        self.random = random
        self.script = script
        self.buyer = buyer
        self.lot = lot
        self.id = f"{buyer.buyer_id[-3:]}-{number:02d}"
        self.at = at
        self.lines: dict[int, tuple[int, int]] = {}
        self.revisions: dict[int, int] = {}
        jin = random.random() < 0.45
        self.unit = "jin" if jin else "kg"
        self.price = max(1, lot.price // 2 if jin else lot.price)
        self.loss_ppm = lot.loss_ppm if random.random() < 0.8 else 0
        self.wipe = 10 if lot.market_id == "xishan" else 1

    def write(self, verb: str, **body: Any) -> Message:
        """Return the next message of the deal."""
        self.at += self.random.randrange(1, 12)
        body = {"buyer_id": self.buyer.buyer_id, "deal_id": self.id, **body}
        write = self.script.read if verb.startswith("get") else self.script.write
        return write(self.at, self.buyer.buyer_id, verb, **body)

    def price_it(self, carrier_id: str | None, revision: int = 1) -> Message:
        """Return the message with the terms."""
        terms: dict[str, Any] = {
            "lot_id": self.lot.lot_id,
            "unit": self.unit,
            "price_minor": self.price,
            "loss_ppm": self.loss_ppm,
        }
        if carrier_id is not None:
            terms["carrier_id"] = carrier_id
        if revision > 1:
            terms["revision"] = revision
        return self.write("open_deal", **terms)

    def weigh(self, line: int, gross: int, tare: int) -> Message:
        """Return the message of a weighing, a higher revision each time."""
        revision = self.revisions.get(line, 0) + 1
        self.revisions[line] = revision
        self.lines[line] = (gross, tare)
        body: dict[str, Any] = {
            "scale_id": f"{self.lot.market_id}-{self._scale(gross)}",
            "line": line,
            "gross_g": gross,
            "tare_g": tare,
            "weighed_at": wall(min(self.at - self.random.randrange(240), _WEIGHED_UNTIL)),
        }
        if revision > 1:
            body["revision"] = revision
        return self.write("weigh", **body)

    def _scale(self, gross: int) -> str:
        return "platform-1" if gross % 500 == 0 else "platform-2"

    @property
    def net_g(self) -> int:
        """The net of all lines."""
        return sum(gross - tare for gross, tare in self.lines.values())

    @property
    def amount(self) -> int:
        """What the screen shows."""
        return cost(self.net_g, self.price, self.unit, self.loss_ppm, self.wipe)

    def pay(self, method: str, **more: Any) -> Message:
        """Return the payment of what the screen shows."""
        shown = sum(gross > 0 for gross, _ in self.lines.values())
        return self.write(
            "pay", lines=max(1, shown), amount_minor=max(1, self.amount), method=method, **more
        )


def deal_lane(random: Random, script: Script, cast: Cast, buyer: Buyer) -> list[Message]:
    """Return the messages of a buyer's night."""
    lots = cast.lots_of(buyer.market_id)
    if buyer.habit == "cautious":
        # Quiet farmers' goods are paid at once, so that nothing comes after they have left.
        lots = [lot for lot in lots if not lot.quiet]
    lane: list[Message] = []
    at = PHASE_BEGINS + random.randrange(_LASTS_S // 3)
    for number in range(1, random.randrange(4, 13)):
        deal = _Deal(random, script, buyer, random.choice(lots), number, at)
        lane += _story(random, cast, deal)
        at = deal.at + random.randrange(5, 40)
    if random.random() < 0.3:
        lane.append(script.read(at, buyer.buyer_id, "get_buyer", buyer_id=buyer.buyer_id))
    return lane


def _story(random: Random, cast: Cast, deal: _Deal) -> Iterator[Message]:
    carriers = cast.carriers[deal.lot.market_id]
    carrier = random.choice(carriers)["carrier_id"] if random.random() < 0.6 else None
    weighings = list(_weighings(random, deal))
    # One in five scales is quicker than the terminal.
    early = weighings[:1] if random.random() < 0.2 else []
    for gross, tare in early:
        yield deal.weigh(1, gross, tare)
    yield deal.price_it(carrier)
    for line, (gross, tare) in enumerate(weighings[len(early) :], len(early) + 1):
        yield deal.weigh(line, gross, tare)
    yield from _changes(random, deal, carrier)
    if random.random() < 0.04:
        yield deal.write("cancel_deal")
        return
    if random.random() < 0.1:
        yield deal.write("get_deal")
    yield from _payment(random, deal)


def _weighings(random: Random, deal: _Deal) -> Iterator[tuple[int, int]]:
    kilogram = deal.price * (2 if deal.unit == "jin" else 1)
    most_g = min(1_800_000, _AMOUNT_MAX * 1_000 // kilogram)
    count = random.choices((1, 2, 3, 4), (50, 25, 15, 10))[0]
    for _ in range(count):
        # Pallets on the large scale in whole 500 g, crates on the small one in whole 200 g.
        net = random.randrange(most_g // 20, most_g // count)
        tare = random.randrange(1, 40) * 1_000
        division = random.choice((200, 500, 1_000)) if net + tare < 900_000 else 500
        gross = (net + tare) // division * division
        yield max(gross, tare + division), tare


def _changes(random: Random, deal: _Deal, carrier: str | None) -> Iterator[Message]:
    roll = random.random()
    line = random.choice(list(deal.lines))
    gross, tare = deal.lines[line]
    if roll < 0.07:
        # A crate was forgotten: the tare is larger.
        yield deal.weigh(line, gross, min(tare + 2_000, gross - 1_000))
    elif roll < 0.09 and len(deal.lines) > 1:
        yield deal.weigh(line, 0, 0)
    elif roll < 0.12:
        deal.price = max(1, deal.price * 9 // 10)
        yield deal.price_it(carrier, revision=2)


def _payment(random: Random, deal: _Deal) -> Iterator[Message]:
    habit = deal.buyer.habit
    if habit == "cautious" and random.random() < 0.8:
        yield deal.pay("guaranteed")
        yield from _acceptance(random, deal)
    elif habit in ("daily", "weekly") and random.random() < 0.85:
        yield deal.pay("credit")
    elif deal.buyer.limit_minor:
        yield deal.pay("now", else_credit=True)
    elif random.random() < 0.03:
        yield deal.pay("credit")
        yield deal.pay("now")
    else:
        yield deal.pay("now")


def _acceptance(random: Random, deal: _Deal) -> Iterator[Message]:
    roll = random.random()
    if roll < 0.5:
        yield deal.write("accept")
    elif roll < 0.65:
        discount = max(1, deal.amount * random.randrange(1, 12) // 100)
        yield deal.write("accept", discount_minor=discount)
    elif roll < 0.75:
        yield deal.write("reject", reason="叶片腐烂 leaves are rotten")
    # The rest says nothing: the goods are accepted by themselves.
