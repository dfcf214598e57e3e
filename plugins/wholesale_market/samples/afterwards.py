"""What follows the night's trade: acceptance, disputes, the closes of day and week, repayment.

Who writes this knows what has come of the phases before: the books of the model lie open. Each
phase begins when everything of the one before is answered and has reached whom it concerns, and the
clock was moved on.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import msgspec

from plugins.wholesale_market.samples.cast import Cast, Message, Script, wall
from plugins.wholesale_market.samples.model import Model

__all__ = ("PHASES", "Phase", "Writer")

# What one counter pays out; for more the bank's own rules ask further questions.
_CASH_MAX = 4_000_000

_DAY_S = 86_400
_HOUR_S = 3_600

Writer = Callable[[Random, Script, Cast, Model], Iterator[Message]]


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the story; before it the clock is moved on by ``advance``.

    ``begins`` is the second of the story at which it begins.
    """

    name: str
    advance: timedelta
    begins: int
    write: Writer


def _doubts(random: Random, script: Script, cast: Cast, model: Model) -> Iterator[Message]:
    """Forty minutes later: what was held is accepted, weights are doubted, farmers drive home."""
    begins = 3 * _HOUR_S + 600
    for (buyer, deal_id), sheet in list(model.deals.sheets().items()):
        ids = {"buyer_id": buyer, "deal_id": deal_id}
        at = begins + random.randrange(300)
        if sheet["status"] == "paid" and random.random() < (
            0.5 if sheet["accept_by"] is not None else 0.11
        ):
            if sheet["accept_by"] is not None:
                yield script.read(at, buyer, "get_deal", until=True, **ids)
            by = random.choice(("buyer", "buyer", "seller"))
            if by == "seller" and _is_quiet(cast, sheet):
                by = "buyer"
            dispute = script.write(at, buyer, "dispute", **ids, by=by)
            yield dispute
            if random.random() < 0.1:
                yield script.write(at + 1, buyer, "dispute", **ids, by=by)
        elif sheet["status"] in ("open", "held", "rejected") and random.random() < 0.1:
            yield script.write(at, buyer, "dispute", **ids, by="buyer")
        elif sheet["status"] == "rejected" and random.random() < 0.3:
            yield script.write(at, buyer, "accept", **ids)
        elif sheet["status"] == "open" and not _is_quiet(cast, sheet):
            # The terminal shows the deal again, with what has arrived since, to who has money.
            money = model.bank.available(f"@acct:{buyer}")
            if money > model.deals.amount(**ids) or random.random() < 0.1:
                yield from _pay(script, model, at, ids, "now", else_credit=True)
    for farmer in sorted({lot.farmer_id for lot in cast.lots if lot.quiet}):
        money = model.bank.available(f"@acct:{farmer}")
        while money:
            part = min(money, _CASH_MAX)
            money -= part
            yield script.write(
                begins + 400,
                farmer,
                "payment.create",
                payer=f"@acct:{farmer}",
                payee="@acct:township-bank",
                amount_minor=part,
                reference="cash for the way home",
            )


def _is_quiet(cast: Cast, sheet: dict[str, Any]) -> bool:
    return any(lot.quiet for lot in cast.lots if lot.lot_id == sheet.get("lot"))


def _referee(random: Random, script: Script, cast: Cast, model: Model) -> Iterator[Message]:
    """Twenty minutes later: doubted loads are weighed again."""
    begins = 3 * _HOUR_S + 1_800
    doubted = Counter(
        sheet["lot"] for sheet in model.deals.sheets().values() if sheet["status"] == "disputed"
    )
    for (buyer, deal_id), sheet in list(model.deals.sheets().items()):
        if sheet["status"] != "disputed":
            if sheet["status"] == "paid" and random.random() < 0.02:
                yield _reweigh(script, begins + 5, buyer, deal_id, sheet, sheet["paid_net"])
            continue
        at = begins + random.randrange(300)
        roll = random.random()
        if roll < 0.12:
            # Nobody goes to the referee scale.
            continue
        if 0.62 < roll < 0.7:
            permille = random.choice((-1, 0, 1, 2))
        elif _is_quiet(cast, sheet):
            # His deposit has to do for all of them, but for one alone it may be too little.
            most = 600 if doubted[sheet["lot"]] == 1 else 10
            permille = -random.randrange(3, most)
        else:
            permille = -random.randrange(3, 120) if roll < 0.62 else random.randrange(3, 60)
        net = sheet["paid_net"] * (1_000 + permille) // 1_000
        if roll < 0.2:
            wrong = _reweigh(script, at, buyer, deal_id, sheet, net)
            assert wrong.body is not None
            wrong.body["scale_id"] = wrong.body["scale_id"].replace("referee", "gate")
            wrong.body["gross_g"] -= wrong.body["gross_g"] % 20_000
            wrong.body["tare_g"] = 0
            yield wrong
        yield _reweigh(script, at + 1, buyer, deal_id, sheet, net)
        if random.random() < 0.1:
            yield _reweigh(script, at + 2, buyer, deal_id, sheet, net)
        if random.random() < 0.3:
            yield script.read(at + 3, buyer, "get_deal", buyer_id=buyer, deal_id=deal_id)


def _reweigh(
    script: Script, at: int, buyer: str, deal_id: str, sheet: dict[str, Any], net: int
) -> Message:
    market = buyer.split("-", maxsplit=1)[0]
    tare = 12_300
    gross = max(100, net // 100 * 100) + tare
    return script.write(
        at,
        buyer,
        "reweigh",
        buyer_id=buyer,
        deal_id=deal_id,
        scale_id=f"{market}-referee",
        gross_g=gross,
        tare_g=tare,
        weighed_at=wall(at - 60),
    )


def _morning(random: Random, script: Script, cast: Cast, model: Model) -> Iterator[Message]:
    """Two hours later: disputes have lapsed, and the office looks at lots and stalls."""
    begins = 5 * _HOUR_S + 1_800
    for (buyer, deal_id), sheet in list(model.deals.sheets().items()):
        if sheet["disputed"] == "lapsed":
            ids = {"buyer_id": buyer, "deal_id": deal_id}
            yield script.read(begins, buyer, "get_deal", until=True, **ids)
            yield _reweigh(script, begins + 1, buyer, deal_id, sheet, sheet["paid_net"])
            yield script.write(begins + 2, buyer, "dispute", **ids, by="buyer")
    for stalls in cast.stalls.values():
        for stall in stalls:
            name = stall["stall_id"]
            yield script.read(begins, name, "get_stall", until=True, stall_id=name)
    for lot in cast.lots:
        at = begins + random.randrange(600)
        yield script.read(at, lot.lot_id, "get_lot", until=True, lot_id=lot.lot_id)
        roll = random.random()
        if lot.passed is False:
            if roll < 0.7:
                penalty = random.randrange(10_000, 40_000)
                yield script.write(
                    at + 1,
                    lot.lot_id,
                    "default_lot",
                    lot_id=lot.lot_id,
                    reason="农残超标 residues above the limit",
                    penalty_minor=penalty,
                )
                yield script.write(at + 2, lot.lot_id, "close_lot", lot_id=lot.lot_id)
        elif roll < 0.15:
            yield script.write(at + 1, lot.lot_id, "close_lot", lot_id=lot.lot_id)
        elif roll < 0.2:
            yield script.write(
                at + 1, lot.lot_id, "inspect_lot", lot_id=lot.lot_id, passed=True, report="复检"
            )


def _evening(random: Random, script: Script, cast: Cast, model: Model) -> Iterator[Message]:
    """After the close of the day: some are overdue and have no more credit."""
    begins = 18 * _HOUR_S + 1_800
    for market in cast.stalls:
        yield script.read(begins, market, "list_arrears", until=True, market_id=market)
    for buyer in cast.buyers:
        if not buyer.limit_minor:
            continue
        name = buyer.buyer_id
        yield script.read(begins, name, "get_buyer", until=True, buyer_id=name)
        for message in _unpaid_deals(script, model, name, begins + 1):
            yield message
            break


def _unpaid_deals(script: Script, model: Model, name: str, at: int) -> Iterator[Message]:
    for (buyer, deal_id), sheet in list(model.deals.sheets().items()):
        if buyer == name and sheet["status"] == "open":
            yield from _pay(script, model, at, {"buyer_id": buyer, "deal_id": deal_id}, "credit")


def _pay(
    script: Script, model: Model, at: int, ids: dict[str, str], method: str, **more: Any
) -> Iterator[Message]:
    amount = model.deals.amount(**ids)
    if amount:
        lines = model.deals.weighed(**ids)
        how = {"lines": lines, "amount_minor": amount, "method": method, **more}
        yield script.write(at, ids["buyer_id"], "pay", **ids, **how)


def _next_day(random: Random, script: Script, cast: Cast, model: Model) -> Iterator[Message]:
    """The next morning: debts are paid back, in part or as a whole, and lots are closed."""
    begins = _DAY_S + 10 * _HOUR_S + 1_800
    for buyer in cast.buyers:
        name, book = buyer.buyer_id, model.credit.buyers[buyer.buyer_id]
        owed = model.credit.used(book)
        if not owed:
            continue
        at = begins + random.randrange(600)
        if random.random() < 0.6:
            yield script.write(
                at,
                name,
                "account.deposit",
                account_id=f"@acct:{name}",
                amount_minor=random.choice((owed // 2 + 1, owed + 50_000, owed + 300_000)),
                source="external:unionpay",
            )
        if random.random() < 0.5:
            part = random.choice((1, 77, owed // 3 + 1, owed * 2))
            yield script.write(at + 1, name, "repay", buyer_id=name, amount_minor=part)
        if random.random() < 0.7:
            yield script.write(at + 2, name, "repay", buyer_id=name)
        yield script.read(at + 3, name, "get_buyer", buyer_id=name)
        for message in _unpaid_deals(script, model, name, at + 4):
            yield message
            break
    # What may still be sold of a lot this morning must not be closed at the same time.
    wanted = {
        sheet.get("lot")
        for sheet in model.deals.sheets().values()
        if sheet["status"] in ("weighing", "open")
    }
    for lot in cast.lots:
        if lot.lot_id not in wanted and random.random() < 0.5:
            at = begins + random.randrange(600)
            yield script.write(at, lot.lot_id, "close_lot", lot_id=lot.lot_id)
            yield script.read(at + 1, lot.lot_id, "get_lot", lot_id=lot.lot_id)


def _next_week(_random: Random, script: Script, cast: Cast, _model: Model) -> Iterator[Message]:
    """A week after: Sunday's close has collected what was bought by the week."""
    begins = 8 * _DAY_S + 18 * _HOUR_S + 1_800
    for market in cast.stalls:
        yield script.read(begins, market, "list_arrears", until=True, market_id=market)
    for buyer in cast.buyers:
        if buyer.limit_minor:
            name = buyer.buyer_id
            yield script.read(begins, name, "get_buyer", until=True, buyer_id=name)
    for lot in cast.lots:
        yield script.read(begins, lot.lot_id, "get_lot", until=True, lot_id=lot.lot_id)


def _last_debts(_random: Random, script: Script, cast: Cast, model: Model) -> Iterator[Message]:
    """In the same hour: who still owes pays with borrowed money."""
    begins = 8 * _DAY_S + 19 * _HOUR_S
    for buyer in cast.buyers:
        name, book = buyer.buyer_id, model.credit.buyers[buyer.buyer_id]
        owed = model.credit.used(book)
        if owed and _number_of(name) % 3:
            yield script.write(
                begins,
                name,
                "account.deposit",
                account_id=f"@acct:{name}",
                amount_minor=owed + 100_000,
                source="external:cash",
            )
            yield script.write(begins + 1, name, "repay", buyer_id=name)
            yield script.read(begins + 2, name, "get_buyer", buyer_id=name)


def _number_of(name: str) -> int:
    return int(name.rpartition("-")[2])


PHASES = (
    Phase(
        name="Held goods are accepted, weights are doubted",
        advance=timedelta(minutes=40),
        begins=3 * _HOUR_S + 600,
        write=_doubts,
    ),
    Phase(
        name="The referee scale",
        advance=timedelta(minutes=20),
        begins=3 * _HOUR_S + 1_800,
        write=_referee,
    ),
    Phase(
        name="Disputes have lapsed",
        advance=timedelta(hours=2),
        begins=5 * _HOUR_S + 1_800,
        write=_morning,
    ),
    Phase(
        name="The day is closed",
        advance=timedelta(hours=13),
        begins=18 * _HOUR_S + 1_800,
        write=_evening,
    ),
    Phase(
        name="The next morning",
        advance=timedelta(hours=16),
        begins=_DAY_S + 10 * _HOUR_S + 1_800,
        write=_next_day,
    ),
    Phase(
        name="A week later",
        advance=timedelta(days=7, hours=8),
        begins=8 * _DAY_S + 18 * _HOUR_S + 1_800,
        write=_next_week,
    ),
    Phase(
        name="The last debts are paid",
        advance=timedelta(minutes=30),
        begins=8 * _DAY_S + 19 * _HOUR_S,
        write=_last_debts,
    ),
)
