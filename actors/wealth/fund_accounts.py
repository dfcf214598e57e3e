"""The ledger accounts of a fund, and what they mean.

========================  ========  =====================================================
``fund:<code>:units``     units     minus what is in issue
``fund:<code>:pledged``   units     redeemed in an instant, the bank's until T+1
``fund:<code>:cash``      CNY       the fund's money, as much as there are units in issue
``fund:<code>:advance``   CNY       minus what the bank has advanced; its floor is the limit
``fund:<code>:income``    CNY       minus what the fund's investments have earned
========================  ========  =====================================================

So at any moment ``cash`` + ``units`` = 0 and ``advance`` + ``pledged`` = 0, since a unit is worth
one yuan.
"""

from datetime import date

import msgspec

from schemas.ledger import NewAccount, Posting
from schemas.money import CNY
from schemas.subjects import PLATFORM_APP

__all__ = ("FundAccounts", "advance_tally", "fund_accounts", "fund_move", "units_account_of")


class FundAccounts(msgspec.Struct, frozen=True):
    """The names of a fund's accounts, and of its asset."""

    asset: str
    units: str
    pledged: str
    cash: str
    advance: str
    income: str

    def to_open(self, advance_limit_minor: int) -> tuple[NewAccount, ...]:
        """Return the accounts as a new fund opens them."""
        return (
            NewAccount(self.units, PLATFORM_APP, self.asset, None, 0),
            NewAccount(self.pledged, PLATFORM_APP, self.asset, 0, None),
            NewAccount(self.cash, PLATFORM_APP, CNY, 0, None),
            NewAccount(self.advance, PLATFORM_APP, CNY, -advance_limit_minor, 0),
            NewAccount(self.income, PLATFORM_APP, CNY, None, None),
        )


def fund_accounts(fund: str) -> FundAccounts:
    """Return the names of a fund's accounts."""
    return FundAccounts(
        f"UNIT.{fund}",
        *(f"fund:{fund}:{name}" for name in ("units", "pledged", "cash", "advance", "income")),
    )


def fund_move(
    debit: str, credit: str, amount_minor: int, asset: str, purpose: str,
    fields: tuple[str, str] = ("payer", "payee"),
) -> Posting:  # fmt: skip
    """Return a move of a fund's money or units; its purpose explains it to the audit.

    Exempt from the limits of account classes: money that goes into the customer's own investment
    and comes back from it is not paid to anybody.
    """
    return Posting(
        debit, credit, amount_minor, asset, fields=fields, exempt=True, purpose=f"fund.{purpose}"
    )


def units_account_of(cash_account: str, fund: str) -> str:
    """Return the units account that belongs to a cash account.

    Made from its name, so that two first orders at once cannot open two.
    """
    return f"{cash_account}.{fund}"


def advance_tally(fund: str, ordered_on: date) -> str:
    """Return the counter of what was advanced for the orders of a business day."""
    return f"advance:{fund}:{ordered_on.isoformat()}"
