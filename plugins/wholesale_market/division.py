"""Who gets what of a deal: farmer, stall, market and carrier.

1. Stall and market have their parts per million of the amount (佣金, 市场管理费), the farmer has
   the rest of the million. The amount is divided by largest remainder, so the parts sum to it: each
   has the whole fen of its exact quota, and the fen left over go to the largest fractions; of equal
   ones farmer before stall before market.
2. The carrier has a fixed price for each kilogram (运费), which the farmer pays out of his part. It
   is at most that part: no deal leaves a farmer with a debt.
"""

from collections import Counter

import msgspec

from zhihui.plugin import Pay, Share

from .measures import PPM, Unit, freight_minor

__all__ = ("Parts", "Terms", "divide", "pay_parts", "payouts", "shares_of", "transfers")


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one amount, in minor units."""

    farmer_minor: int
    stall_minor: int
    market_minor: int
    carrier_minor: int

    @property
    def total_minor(self) -> int:
        """Return the amount that was divided."""
        return self.farmer_minor + self.stall_minor + self.market_minor + self.carrier_minor


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was agreed for a deal, with the fee and the accounts that were in force then.

    Without a carrier its fields are empty and ``per_kg_minor`` is 0. A stall that ``waits`` sells
    on credit even when the market's advance is used up.
    """

    lot_id: str
    stall_id: str
    carrier_id: str = ""
    farmer_account: str
    stall_account: str
    market_account: str
    carrier_account: str = ""
    unit: Unit
    price_minor: int
    loss_ppm: int = 0
    commission_ppm: int = 0
    fee_ppm: int = 0
    per_kg_minor: int = 0
    wipe_minor: int = 1
    waits: bool = False


def divide(amount_minor: int, net_g: int, terms: Terms) -> Parts:
    """Return the parts of an amount by the rule at the top of this module."""
    weights = (PPM - terms.commission_ppm - terms.fee_ppm, terms.commission_ppm, terms.fee_ppm)
    quotas = [divmod(amount_minor * weight, PPM) for weight in weights]
    parts = [whole for whole, _ in quotas]
    # `sorted` is stable: equal fractions keep the order of the parties.
    by_fraction = sorted(range(len(quotas)), key=lambda place: -quotas[place][1])
    for place in by_fraction[: amount_minor - sum(parts)]:
        parts[place] += 1
    farmer, stall, market = parts
    carrier = min(freight_minor(net_g, terms.per_kg_minor), farmer)
    return Parts(
        farmer_minor=farmer - carrier,
        stall_minor=stall,
        market_minor=market,
        carrier_minor=carrier,
    )


def payouts(terms: Terms, parts: Parts) -> Counter[str]:
    """Return what each account has of the parts; one that plays two roles is there once."""
    found: Counter[str] = Counter()
    found[terms.farmer_account] += parts.farmer_minor
    found[terms.stall_account] += parts.stall_minor
    found[terms.market_account] += parts.market_minor
    if terms.carrier_account:
        found[terms.carrier_account] += parts.carrier_minor
    return found


def shares_of(terms: Terms, parts: Parts) -> tuple[Share, ...]:
    """Return what the farmer passes on of a deal that was paid to him, in the same change."""
    return tuple(
        Share(payee=account, amount_minor=amount)
        for account, amount in payouts(terms, parts).items()
        if account != terms.farmer_account and amount
    )


def pay_parts(payer: str, terms: Terms, parts: Parts, reference: str) -> Pay:
    """Return the payment of a deal: the farmer is paid, and pays the others at once."""
    return Pay(
        payer=payer,
        payee=terms.farmer_account,
        amount_minor=parts.total_minor,
        reference=reference,
        shares=shares_of(terms, parts),
    )


def transfers(
    before: Counter[str], after: Counter[str], against: str, reference: str
) -> tuple[Pay, ...]:
    """Return the payments that turn what accounts had of a deal into what they are to have.

    All go between them and ``against``, those towards it first, so that it can pass them on.
    """
    changes = {
        account: after[account] - before[account]
        for account in dict.fromkeys((*before, *after))
        if account != against
    }
    back = [(account, against, -change) for account, change in changes.items() if change < 0]
    forth = [(against, account, change) for account, change in changes.items() if change > 0]
    return tuple(
        Pay(payer=payer, payee=payee, amount_minor=amount, reference=reference)
        for payer, payee, amount in (*back, *forth)
    )
