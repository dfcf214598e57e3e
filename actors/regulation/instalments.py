"""What a customer may owe in instalments, and what it may cost.

Sources, by rule:

- Annualised rate: PBoC announcement 2021 No. 3 (中国人民银行公告〔2021〕第3号). Every loan
  product shows its annualised rate before consent; all costs count, and the compound form is the
  internal rate of return (IRR). An instalment fee is such a cost (分期手续费).
- No interest on fees, and a default charge only as agreed (违约金): PBoC 银发〔2016〕111 on credit
  cards. So penalties are counted on overdue principal alone.
- Order of repayment (冲还顺序): 商业银行信用卡业务监督管理办法 (CBRC order 2011 No. 2): up to 90
  days overdue costs first and principal last, beyond them principal first.
- Days of grace (容时, at least three): 中国银行卡行业自律公约 of the China Banking Association.
- Personal loans made online, unsecured, for consumption: at most ¥200,000 a customer, and at most a
  year when the principal is repaid at the end: 商业银行互联网贷款管理暂行办法 (CBIRC order 2020
  No. 9). What supervision allows beyond is a matter of configuration.
- Penalty interest of a loan (罚息) is 30 to 50 % above the contract's rate: PBoC 银发〔2003〕251.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.credit import CreditKind, FeeMode

__all__ = (
    "CREDIT_RULES",
    "PPM",
    "PRE_APPROVED_MAX",
    "CreditRules",
    "InstalmentRules",
    "LoanRules",
    "PreApproved",
    "RepaymentRules",
    "TermPrice",
)

# Parts per million in the whole: what a rate in ppm is divided by.
PPM = 1_000_000

# A rule document is one request of at most 64 KiB, of which a customer takes about 90 bytes. Longer
# lists are granted one by one, as they are applied for.
PRE_APPROVED_MAX = 500

_Ppm = Annotated[int, Meta(ge=0, le=PPM)]
_AmountMinor = Annotated[int, Meta(ge=1)]


class TermPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fee of a plan of ``terms`` monthly terms: ppm of the principal for each of them."""

    terms: Annotated[int, Meta(ge=1, le=60)]
    fee_ppm: _Ppm


class InstalmentRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit instalment pay (信用卡分期): equal principal and a fee.

    ``fee_mode`` is when the fee is charged: in equal parts with the terms (``per_term``), or whole
    when the plan begins and due with its first term (``up_front``).
    """

    prices: tuple[TermPrice, ...] = (
        TermPrice(terms=3, fee_ppm=6_500),
        TermPrice(terms=6, fee_ppm=6_200),
        TermPrice(terms=9, fee_ppm=6_100),
        TermPrice(terms=12, fee_ppm=6_000),
        TermPrice(terms=18, fee_ppm=6_000),
        TermPrice(terms=24, fee_ppm=6_000),
    )
    fee_mode: FeeMode = "per_term"
    amount_min_minor: _AmountMinor = 10_000
    # The card's own limit counts, not one of the law.
    limit_max_minor: _AmountMinor = 50_000_000
    penalty_ppm_per_day: _Ppm = 500

    def price(self, terms: int) -> TermPrice | None:
        """Return the price of that many terms, or None when they are not on offer."""
        return next((price for price in self.prices if price.terms == terms), None)


class LoanRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Online personal loan (网捷贷, 个人e贷): interest by the day on what is outstanding.

    ``daily_ppm`` is what a day costs; 100 are 3.65 % a year. The penalty rate takes the place of
    the interest on what is overdue.
    """

    terms: tuple[int, ...] = (3, 6, 9, 12, 18, 24)
    terms_max_interest_first: Annotated[int, Meta(ge=1)] = 12
    daily_ppm: _Ppm = 100
    amount_min_minor: _AmountMinor = 100_000
    limit_max_minor: _AmountMinor = 20_000_000
    penalty_ppm_per_day: _Ppm = 150


class RepaymentRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for both kinds once something is due.

    A term that is paid on its due date or within ``grace_days`` after it is in time. After
    ``principal_first_after_days`` past the due date repayments go to principal first.
    """

    grace_days: Annotated[int, Meta(ge=0, le=31)] = 3
    principal_first_after_days: Annotated[int, Meta(ge=0)] = 90
    # A price stands for as long as a customer needs to read it.
    quote_valid_s: Annotated[int, Meta(ge=1, le=86_400)] = 900


class PreApproved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer whom the bank has approved before being asked (预授信名单), and up to what."""

    customer_id: str
    kind: CreditKind
    limit_minor: _AmountMinor


class CreditRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the bank's credit goes by; a plan keeps the conditions under which it began."""

    instalment: InstalmentRules = InstalmentRules()
    loan: LoanRules = LoanRules()
    repayment: RepaymentRules = RepaymentRules()
    pre_approved: Annotated[tuple[PreApproved, ...], Meta(max_length=PRE_APPROVED_MAX)] = ()

    def approved(self, customer_id: str, kind: str) -> int:
        """Return the limit for which a customer is pre-approved, or 0."""
        return max(
            (
                one.limit_minor
                for one in self.pre_approved
                if one.customer_id == customer_id and one.kind == kind
            ),
            default=0,
        )


CREDIT_RULES = CreditRules()
