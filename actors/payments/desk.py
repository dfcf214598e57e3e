"""What the actors of payments share on one node."""

import msgspec

from actors.parts import Parts
from actors.payments.profiles import Profiles
from actors.payments.sharing import Sharing
from actors.payments.sources import Sources, make_sources
from actors.rules import RuleSets
from actors.settlement.merchants import MerchantBook
from kernel.randomness import IdFactory
from kernel.store import Store

__all__ = ("PaymentDesk", "open_desk")


class PaymentDesk(msgspec.Struct, frozen=True, kw_only=True):
    """The sources, and what is known of accounts and merchants."""

    store: Store
    ids: IdFactory
    rules: RuleSets
    profiles: Profiles
    merchants: MerchantBook
    sharing: Sharing
    sources: Sources


def open_desk(parts: Parts) -> PaymentDesk:
    """Return the desk of a node."""
    profiles = Profiles(parts.store)
    merchants = MerchantBook(parts.store, parts.clock)
    return PaymentDesk(
        store=parts.store,
        ids=parts.ids,
        rules=parts.rules,
        profiles=profiles,
        merchants=merchants,
        sharing=Sharing(parts.store, merchants, profiles),
        sources=make_sources(parts, profiles),
    )
