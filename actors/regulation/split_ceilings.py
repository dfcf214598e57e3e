"""How far a payment may be divided at a channel (分账).

Sources: WeChat Pay's documents (普通服务商分账、电商收付通分账): at most 50 receivers in a request,
and at most 30 % of an order unless more was applied for. Alipay's (``alipay.trade.order.settle``):
at most 5 receivers in the atomic mode, and the same 30 %.
Inside of our own ledger there is no ceiling: a division is part of the payment's change, all
or nothing.
"""

from collections.abc import Sequence

import msgspec

from schemas.errors import Ineligible, InvalidField
from schemas.merchants import PPM, PpmShare, SplitRule

__all__ = ("SPLIT_CEILINGS", "SplitCeiling", "SplitCeilings", "check_division", "check_rule_within")


class SplitCeiling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one channel allows: receivers beside the merchant, and their part of the payment."""

    receivers_max: int
    shared_ppm_max: int = 300_000


class SplitCeilings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ceilings by channel; a channel that is not here divides nothing."""

    channels: dict[str, SplitCeiling] = msgspec.field(
        default_factory=lambda: {
            "wechat": SplitCeiling(receivers_max=50),
            "alipay": SplitCeiling(receivers_max=5),
        }
    )


SPLIT_CEILINGS = SplitCeilings()


def check_rule_within(
    rule: SplitRule, *, partner_ppm: int = 0, ceilings: SplitCeilings = SPLIT_CEILINGS
) -> None:
    """Raise :class:`InvalidField` for a rule that no payment could be divided by at its channels.

    What its fixed shares make of a payment, only the payment tells: see :func:`check_division`.
    """
    receivers = len(rule.shares) + (rule.remainder is not None) + (partner_ppm > 0)
    ppm = sum(share.ppm for share in rule.shares if isinstance(share, PpmShare)) + partner_ppm
    for channel in rule.within:
        ceiling = ceilings.channels.get(channel)
        if ceiling is None:
            known = ", ".join(sorted(ceilings.channels))
            raise InvalidField(
                f"channel {channel!r} divides no payments; those that do are {known}",
                field="within",
            )
        if receivers > ceiling.receivers_max:
            raise InvalidField(
                f"{channel} divides a payment among at most {ceiling.receivers_max} receivers; "
                f"the rule has {receivers}",
                field="shares",
            )
        if rule.remainder is not None and ceiling.shared_ppm_max < PPM:
            raise InvalidField(
                f"at {channel} the merchant keeps the rest; leave the remainder to the merchant",
                field="remainder",
            )
        if ppm > ceiling.shared_ppm_max:
            raise InvalidField(
                f"{channel} divides at most {ceiling.shared_ppm_max} ppm of a payment; the shares "
                f"of the rule sum to {ppm}",
                field="shares",
            )


def check_division(
    amount_minor: int,
    shares_minor: Sequence[int],
    within: Sequence[str],
    ceilings: SplitCeilings = SPLIT_CEILINGS,
) -> None:
    """Raise :class:`Ineligible` when shares of a payment (minor units) pass a channel's ceiling.

    The ceiling is a part of the whole payment, rounded down to the fen.
    """
    shared = sum(shares_minor)
    for channel in within:
        ceiling = ceilings.channels.get(channel, SplitCeiling(receivers_max=0, shared_ppm_max=0))
        allowed = amount_minor * ceiling.shared_ppm_max // PPM
        if len(shares_minor) > ceiling.receivers_max or shared > allowed:
            raise Ineligible(
                f"{channel} lets {ceiling.receivers_max} receivers have at most {allowed} of a "
                f"payment of {amount_minor}; the split rule gives {shared} to {len(shares_minor)}",
                field="amount_minor",
            )
