"""What the bank's own events carry; scenario packs name theirs in their manifest."""

import msgspec

from schemas.accounts import AccountOpened, Deposit
from schemas.payments import Payment

__all__ = ("BANK_EVENTS",)

# Type → the structs that its `data` may be.
BANK_EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "account.opened": (AccountOpened,),
    "deposit.succeeded": (Deposit,),
    "payment.succeeded": (Payment,),
}
