"""Money on the wire: integers in minor units, with the currency beside them."""

from typing import Annotated

from msgspec import Meta

from schemas.errors import UnsupportedCurrency

__all__ = ("CNY", "MAX_AMOUNT_MINOR", "AmountMinor", "check_currency")

CNY = "CNY"

# One hundred billion yuan in fen. Chosen to be far above any single payment of a city and far
# below 2**53, so that a JavaScript backend reads every amount exactly, and below 2**63 / 10**5,
# so that no sum of a day can overflow a Postgres bigint.
MAX_AMOUNT_MINOR = 10**13

AmountMinor = Annotated[
    int, Meta(ge=1, le=MAX_AMOUNT_MINOR, description="Positive integer in minor units (fen).")
]


def check_currency(currency: str) -> None:
    """Raise :class:`UnsupportedCurrency` unless ``currency`` is one that the service keeps."""
    if currency != CNY:
        raise UnsupportedCurrency(
            f"currency is {currency!r}; only {CNY!r} is kept", field="currency"
        )
