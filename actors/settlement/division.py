"""What becomes of a payment to a merchant: the bank's fee, the participants' shares, the rest.

A payment's own change moves the fee and the shares out of the merchant's account, right after the
payment has come in; so the ledger is right at every moment, a share can be spent in the next
instant, and a settlement has only the net left to move. A refund takes all of it back in
proportion, exact over any number of partial refunds.
"""

from typing import Any

import msgspec

from actors.regulation.split_ceilings import check_division
from actors.settlement.fees import fee_of, fee_rate_for
from actors.settlement.splitting import refund_split, split
from schemas.errors import InvalidField
from schemas.merchants import FeeRate, MerchantTerms, PpmShare, SplitRule

__all__ = ("DividedShare", "Division", "GivenBack", "divide", "give_back")

_KEEP_ALL = SplitRule()


class DividedShare(msgspec.Struct, frozen=True, kw_only=True):
    """What a participant got, and has given back of it; minor units."""

    account_id: str
    amount_minor: int
    returned_minor: int = 0


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """How ``gross_minor`` was divided, for the state of the payment; amounts in minor units.

    ``fee_minor`` is what the bank took, ``fee_returnable_minor`` the part of it that goes back with
    refunds. The merchant, whose account is ``merchant_id``, has what the fee and the shares leave.
    ``returned_minor`` is what was refunded in all, ``fee_returned_minor`` what the bank gave of it.
    """

    merchant_id: str
    gross_minor: int
    fee_minor: int
    fee_returnable_minor: int
    shares: tuple[DividedShare, ...] = ()
    returned_minor: int = 0
    fee_returned_minor: int = 0

    @property
    def shared_minor(self) -> int:
        """What the participants got."""
        return sum(share.amount_minor for share in self.shares)

    @property
    def kept_minor(self) -> int:
        """What the merchant kept."""
        return self.gross_minor - self.fee_minor - self.shared_minor

    def plus(self, other: "Division") -> "Division":
        """Return both as one: of a payment that was captured in parts."""
        if other.merchant_id != self.merchant_id:
            raise ValueError("the divisions are of different merchants")
        shares = {share.account_id: share for share in self.shares}
        for share in other.shares:
            before = shares.get(share.account_id)
            shares[share.account_id] = share if before is None else _sum(before, share)
        amounts: dict[str, Any] = {
            name: getattr(self, name) + getattr(other, name)
            for name in self.__struct_fields__
            if name.endswith("_minor")
        }
        return Division(merchant_id=self.merchant_id, shares=tuple(shares.values()), **amounts)


def _sum(one: DividedShare, other: DividedShare) -> DividedShare:
    return DividedShare(
        account_id=one.account_id,
        amount_minor=one.amount_minor + other.amount_minor,
        returned_minor=one.returned_minor + other.returned_minor,
    )


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What each gives of one refund, minor units; ``shares`` are ``(account, amount)``.

    ``after`` is the division with this refund in it.
    """

    after: Division
    refund_minor: int
    fee_minor: int
    shares: tuple[tuple[str, int], ...]

    @property
    def shared_minor(self) -> int:
        """What the participants give."""
        return sum(amount for _, amount in self.shares)


def divide(
    amount_minor: int,
    merchant_id: str,
    terms: MerchantTerms,
    *,
    method: str,
    rule_name: str | None = None,
    standard_fee: FeeRate | None = None,
) -> Division:
    """Return how a payment, or one capture of it, is divided.

    The fee is of the whole amount; the shares are of what it leaves, with that of the service
    partner first. ``rule_name`` is the split rule that the payment asks for. ``standard_fee`` is
    the bank's rate where the terms have none. Raises :class:`InvalidField` when the merchant has no
    such rule or the amount does not carry its shares, and :class:`Ineligible` above a channel's
    ceiling.
    """
    rate = fee_rate_for(method, terms.method_fees, terms.fee or standard_fee)
    fee = fee_of(amount_minor, rate)
    rule = _with_partner(_rule(terms, rule_name, merchant_id), terms)
    parts = split(amount_minor - fee, rule)
    accounts = [share.account_id for share in rule.shares]
    accounts.append(rule.remainder or merchant_id)
    shares = tuple(
        DividedShare(account_id=account, amount_minor=part)
        for account, part in zip(accounts, parts, strict=True)
        if account != merchant_id and part
    )
    if rule.within:
        check_division(amount_minor, [share.amount_minor for share in shares], rule.within)
    return Division(
        merchant_id=merchant_id,
        gross_minor=amount_minor,
        fee_minor=fee,
        fee_returnable_minor=fee if terms.refund_fee else 0,
        shares=shares,
    )


def _rule(terms: MerchantTerms, name: str | None, merchant_id: str) -> SplitRule:
    name = name or terms.default_split
    if name is None:
        return _KEEP_ALL
    rule = terms.splits.get(name)
    if rule is None:
        raise InvalidField(f"merchant {merchant_id!r} has no split rule {name!r}", field="split")
    return rule


def _with_partner(rule: SplitRule, terms: MerchantTerms) -> SplitRule:
    if terms.partner is None:
        return rule
    share = PpmShare(account_id=terms.partner.account_id, ppm=terms.partner.ppm)
    return msgspec.structs.replace(rule, shares=(share, *rule.shares))


def give_back(division: Division, refund_minor: int) -> GivenBack:
    """Return what each gives of a refund, in proportion to what it got.

    What the merchant gives is the rest: it pays the refund out of its account, into which the
    others' parts go first. Raises ``ValueError`` when more is refunded than is left.
    """
    shares = division.shares
    original = [division.fee_returnable_minor, *(share.amount_minor for share in shares)]
    returned = [division.fee_returned_minor, *(share.returned_minor for share in shares)]
    original.append(division.gross_minor - sum(original))
    returned.append(division.returned_minor - sum(returned))
    fee, *parts, _ = refund_split(original, returned, refund_minor)
    after = msgspec.structs.replace(
        division,
        returned_minor=division.returned_minor + refund_minor,
        fee_returned_minor=division.fee_returned_minor + fee,
        shares=tuple(
            msgspec.structs.replace(share, returned_minor=share.returned_minor + part)
            for share, part in zip(shares, parts, strict=True)
        ),
    )
    return GivenBack(
        after=after,
        refund_minor=refund_minor,
        fee_minor=fee,
        shares=tuple(
            (share.account_id, part) for share, part in zip(shares, parts, strict=True) if part
        ),
    )
