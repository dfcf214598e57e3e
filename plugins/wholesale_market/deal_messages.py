"""Messages of a deal: terms, weighings, payment, acceptance, and disputes about the weight."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier, RequestId, ShortText, Timestamp
from schemas.money import MAX_AMOUNT_MINOR, AmountMinor

from .division import Parts
from .measures import Grams, LossPpm, PriceMinor, Unit

__all__ = (
    "AcceptDeal",
    "CancelDeal",
    "DealAccepted",
    "DealCancelled",
    "DealOpened",
    "DealPaid",
    "DealRejected",
    "DealView",
    "DisputeDeal",
    "DisputeLapsed",
    "DisputeOpened",
    "GetDeal",
    "LineView",
    "OpenDeal",
    "PayDeal",
    "RejectDeal",
    "ReportWeighing",
    "ReweighDeal",
    "Reweighed",
    "WeighingReported",
)

_Number = Annotated[int, Meta(ge=1, le=10_000)]


class OpenDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agree on a price between a buyer and a stall; weighings may have come before.

    ``price_minor`` is for one ``unit``, ``loss_ppm`` what is taken off for moisture, mud and
    leaves. Until it is paid a deal may be priced anew (议价) with a higher ``revision``, which
    takes the place of lower ones whenever they arrive.
    """

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier
    revision: _Number = 1
    lot_id: Identifier
    carrier_id: Identifier | None = None
    unit: Unit
    price_minor: PriceMinor
    loss_ppm: LossPpm = 0


class DealOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The deal as it stands; ``amount_minor`` is what the weighings so far cost.

    A ``duplicate`` was there already, a ``stale`` one is older than what is there.
    """

    buyer_id: str
    deal_id: str
    lot_id: str
    stall_id: str
    price_minor: int
    fee_ppm: int
    lines: int
    amount_minor: int
    status: Literal["opened", "repriced", "duplicate", "stale"]


class ReportWeighing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report one weighing of a deal, or correct it before the deal is paid.

    A deal may be weighed in several ``line``. A correction has a higher ``revision``; it takes the
    place of lower ones whenever they arrive. Gross and tare of 0 withdraw the line (作废).
    """

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier
    scale_id: Identifier
    line: _Number
    revision: _Number = 1
    gross_g: Grams
    tare_g: Grams
    weighed_at: Timestamp


class WeighingReported(msgspec.Struct, frozen=True, kw_only=True):
    """The deal after the report; ``amount_minor`` is 0 as long as no price is agreed.

    A ``duplicate`` was there already, a ``stale`` one is older than what is there.
    """

    buyer_id: str
    deal_id: str
    line: int
    revision: int
    lines: int
    net_g: int
    amount_minor: int
    status: Literal["weighed", "corrected", "withdrawn", "duplicate", "stale"]


class PayDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay a deal as the buyer sees it on the screen: so many weighings, such an amount.

    ``now`` pays at once; with ``else_credit`` on credit when the account does not cover it.
    ``guaranteed`` holds the money until the goods are accepted. ``credit`` buys now and pays later.
    """

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier
    lines: _Number
    amount_minor: AmountMinor
    method: Literal["now", "guaranteed", "credit"]
    else_credit: bool = False


class DealPaid(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the payment.

    ``source`` tells who has paid the sellers: the buyer's ``account``, the market's ``advance``, or
    nobody yet, and the ``sellers`` wait. ``due_at`` is when credit falls due, or when held goods
    are accepted by themselves.
    """

    buyer_id: str
    deal_id: str
    amount_minor: int
    net_g: int
    parts: Parts
    source: Literal["account", "advance", "sellers"]
    due_at: datetime | None
    status: Literal["paid", "held", "on_credit"]


class AcceptDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accept goods that were paid with a guarantee (验货); a discount is given for quality."""

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier
    discount_minor: Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR)] = 0


class DealAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The sellers have the money; the discount went back to the buyer.

    ``by`` tells whether the buyer accepted or the time was over.
    """

    buyer_id: str
    deal_id: str
    captured_minor: int
    discount_minor: int
    parts: Parts
    by: Literal["buyer", "timer"]
    status: Literal["accepted"] = "accepted"


class RejectDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Refuse goods that were paid with a guarantee: all of the money goes back."""

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier
    reason: Annotated[ShortText, Meta(min_length=1)]


class DealRejected(msgspec.Struct, frozen=True, kw_only=True):
    """The goods stay with the stall, the money with the buyer."""

    buyer_id: str
    deal_id: str
    released_minor: int
    reason: str
    status: Literal["rejected"] = "rejected"


class CancelDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give up a deal that is not paid."""

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier


class DealCancelled(msgspec.Struct, frozen=True, kw_only=True):
    """The deal is given up."""

    buyer_id: str
    deal_id: str
    status: Literal["cancelled"] = "cancelled"


class DisputeDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Doubt the weight of a deal that was paid; within the market's minutes, and once."""

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier
    by: Literal["buyer", "seller"]


class DisputeOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The goods may be weighed again on a referee scale until ``due_at``."""

    buyer_id: str
    deal_id: str
    by: str
    due_at: datetime
    status: Literal["disputed"] = "disputed"


class ReweighDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report the whole load as the referee scale shows it (复秤)."""

    request_id: RequestId
    buyer_id: Identifier
    deal_id: Identifier
    scale_id: Identifier
    gross_g: Grams
    tare_g: Grams
    weighed_at: Timestamp


class Reweighed(msgspec.Struct, frozen=True, kw_only=True):
    """What a dispute has come to.

    ``difference_minor`` is what the buyer pays more, or less when it is negative. Of it,
    ``claimed_minor`` comes out of the deposit of the lot, in a moment.
    """

    buyer_id: str
    deal_id: str
    net_before_g: int
    net_g: int
    amount_minor: int
    difference_minor: int
    claimed_minor: int
    status: Literal["upheld", "refunded", "charged"]


class DisputeLapsed(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody weighed again in time: the deal stands."""

    buyer_id: str
    deal_id: str
    status: Literal["lapsed"] = "lapsed"


class GetDeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a deal of a buyer; finished ones are forgotten after some time."""

    buyer_id: Identifier
    deal_id: Identifier


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """One weighing as it stands."""

    line: int
    revision: int
    gross_g: int
    tare_g: int
    scale_id: str
    weighed_at: datetime


class DealView(msgspec.Struct, frozen=True, kw_only=True):
    """A deal as last committed.

    ``amount_minor`` is what was paid or is held, before that what the weighings cost so far.
    """

    buyer_id: str
    deal_id: str
    lot_id: str | None
    stall_id: str | None
    unit: str | None
    price_minor: int | None
    loss_ppm: int | None
    fee_ppm: int | None
    lines: tuple[LineView, ...]
    net_g: int
    amount_minor: int
    discount_minor: int
    parts: Parts | None
    source: str | None
    dispute: str | None
    status: str
