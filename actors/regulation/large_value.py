"""What has to be reported of large amounts (大额交易报告), and until when."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.regulation.calendar import add_business_days

__all__ = ("LARGE_VALUE", "LargeValueRules", "MoveKind", "PartyKind")

PartyKind = Literal["person", "company"]
MoveKind = Literal["transfer", "cash"]

_Fen = Annotated[int, Meta(ge=1, description="Fen.")]


class LargeValueRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From what sum in a day on a customer's moves are reported; amounts in minor units.

    Source: People's Bank of China, order 〔2016〕 No. 3 (金融机构大额交易和可疑交易报告管理办法),
    as amended in 2018:

    - article 5: in one day, singly or in sum, cash of ¥50,000 and more; domestic transfers of a
      natural person of ¥500,000 and more; transfers of others of ¥2,000,000 and more. The sum is
      taken for each customer, receipts and payments each by themselves. ``以上`` includes the
      number itself.
    - article 7: what need not be reported, among it moves between accounts of one customer in one
      bank, and interest, taxes and corrections of the bank.
    - article 8: within five working days of the transaction.

    Individual businesses (个体工商户) count with companies, so all merchants do. Only CNY is kept,
    so the thresholds in dollars have no use here.
    """

    person_transfer_minor: _Fen = 50_000_000
    company_transfer_minor: _Fen = 200_000_000
    cash_minor: _Fen = 5_000_000
    due_business_days: Annotated[int, Meta(ge=1, le=30)] = 5
    company_account_types: tuple[str, ...] = ("corporate", "merchant")
    cash_accounts: tuple[str, ...] = ("external:cash",)
    exempt_account_prefixes: tuple[str, ...] = ("income:", "expense:")

    def threshold_minor(self, party: PartyKind, what: MoveKind) -> int:
        """Return the sum of a day from which on the party is reported."""
        if what == "cash":
            return self.cash_minor
        return self.person_transfer_minor if party == "person" else self.company_transfer_minor

    def due(self, day: date) -> date:
        """Return the last day on which the report of ``day`` is in time."""
        return add_business_days(day, self.due_business_days)


LARGE_VALUE = LargeValueRules()
