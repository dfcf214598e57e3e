"""What the regulator allows of instant redemption (T+0 快速赎回) of a money-market fund."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.regulation.calendar import day_of
from schemas.errors import Ineligible, InvalidField

__all__ = ("INSTANT_REDEMPTION", "OWN_BANK", "InstantRedemption")

# This bank, as the institution that advances the money.
OWN_BANK = "own_bank"


class InstantRedemption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cap of instant redemption, and who may advance the money.

    Source: guiding opinions of the CSRC and the PBoC on the sale and redemption of money-market
    funds over the internet (关于进一步规范货币市场基金互联网销售、赎回相关服务的指导意见,
    announcement 〔2018〕10, in force since 1 June 2018, new business at once):

    - at most ¥10,000 for one investor, one fund, one sales channel and one calendar day;
    - no institution but a commercial bank that is qualified to sell funds may advance the money;
    - fund units themselves may not pay for anything, so a payment from a holding is a redemption,
      an advance and a payment, in this order.
    """

    per_day_max_minor: Annotated[int, Meta(ge=0, description="Fen of one day.")] = 1_000_000
    qualified_banks: tuple[str, ...] = (OWN_BANK,)
    # Beside the apps, each of which is a channel of its own. A list, since whoever could make up
    # channels would have no cap.
    sales_channels: tuple[str, ...] = ("branch", "mobile_bank")

    def tally_id(self, investor: str, fund: str, sales_channel: str, at: datetime) -> str:
        """Return the counter of one investor, fund and sales channel on the day of ``at``."""
        return f"redeem:{investor}:{fund}:{sales_channel}:{day_of(at).isoformat()}"

    def channel(self, named: str | None, app: str) -> str:
        """Return the sales channel of a redemption: the app, or one of the bank's if named."""
        if named is None or named == app:
            return app
        if named not in self.sales_channels:
            raise InvalidField(
                f"{named!r} is not a sales channel; there are {', '.join(self.sales_channels)},"
                " and the app itself",
                field="sales_channel",
            )
        return named

    def check_advance(self, bank: str) -> None:
        """Raise :class:`~schemas.errors.Ineligible` unless ``bank`` may advance the money."""
        if bank not in self.qualified_banks:
            raise Ineligible(
                f"{bank!r} is not a bank that may advance money for instant redemptions;"
                f" {', '.join(self.qualified_banks)} may",
                field="advanced_by",
            )

    def refusal(self) -> str:
        """Return what a caller over the cap is told."""
        return (
            f"instant redemptions are limited to {self.per_day_max_minor} minor units for one"
            " investor, fund, sales channel and day; what is left of today is less"
        )


INSTANT_REDEMPTION = InstantRedemption()
