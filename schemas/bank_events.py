"""What the bank's own events carry; scenario packs name theirs in their manifest."""

import msgspec

from schemas.accounts import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    Deposit,
)
from schemas.catalogue import SERVICES
from schemas.holds import Hold, HoldCapture
from schemas.payments import Payment
from schemas.requests import REQUEST_EVENTS

__all__ = ("BANK_EVENTS",)

# Type → the structs that its `data` may be.
BANK_EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "account.closed": (AccountClosed,),
    "account.frozen": (AccountFrozen,),
    "account.opened": (AccountOpened,),
    "account.unfrozen": (AccountUnfrozen,),
    "deposit.succeeded": (Deposit,),
    "hold.captured": (HoldCapture,),
    "hold.expired": (Hold,),
    "hold.placed": (Hold,),
    "hold.voided": (Hold,),
    "payment.succeeded": (Payment,),
    **REQUEST_EVENTS,
    **{type_: data for service in SERVICES for type_, data in service.EVENTS.items()},
}
