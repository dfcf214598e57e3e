"""Messages of merchants (商户): fees, profit splitting (分润), and where their money goes."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import AmountMinor

__all__ = (
    "METHODS_MAX",
    "PPM",
    "RULES_MAX",
    "SHARES_MAX",
    "CreateMerchant",
    "Cycle",
    "FeeRate",
    "FixedShare",
    "GetMerchant",
    "Merchant",
    "MerchantId",
    "MerchantTerms",
    "PpmShare",
    "ServicePartner",
    "SettleTo",
    "SettleToAccount",
    "SettleToBank",
    "Share",
    "SplitRule",
    "UpdateMerchant",
)

PPM = 1_000_000

# Each share is a posting of the payment's own change. Inside of our ledger any number would do; a
# hundred is twice what the widest channel takes and keeps one payment from filling a batch.
SHARES_MAX = 100
# One for each kind of goods and partner; more is a table that belongs into the app.
RULES_MAX = 16
# There are six ways to pay, and room for those to come.
METHODS_MAX = 16

Cycle = Literal["T+0", "T+1", "D+1"]

MerchantId = Annotated[
    Identifier,
    Meta(description="The merchant's id, which is that of the account it collects on."),
]
_Ppm = Annotated[int, Meta(ge=0, le=PPM, description="Parts per million; 3800 is 0.38 %.")]
_SharePpm = Annotated[int, Meta(ge=1, le=PPM, description="Parts per million of the net amount.")]
_FeeMinor = Annotated[int, Meta(ge=0, le=10**9, description="Minor units (fen).")]
_Name = Annotated[ShortText, Meta(min_length=1)]


class FeeRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the merchant pays for a payment, rounded half up to the fen.

    At least ``min_minor``, at most ``max_minor``, and never more than the payment.
    """

    ppm: _Ppm
    min_minor: _FeeMinor = 0
    max_minor: _FeeMinor | None = None


class FixedShare(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="fixed"
):
    """A participant who gets the same amount of every payment."""

    account_id: AccountId
    amount_minor: AmountMinor


class PpmShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ppm"):
    """A participant who gets a part of what the fee leaves of every payment."""

    account_id: AccountId
    ppm: _SharePpm


Share = FixedShare | PpmShare


class SplitRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How what the fee leaves of a payment is divided (分润).

    ``remainder`` is the account of the one participant who gets what the shares leave; null is the
    merchant. Shares are exact to the fen by largest remainder. ``within`` names the channels at
    which the merchant has the same division executed, and whose ceilings each payment must respect.
    """

    shares: Annotated[tuple[Share, ...], Meta(max_length=SHARES_MAX)] = ()
    remainder: AccountId | None = None
    within: Annotated[tuple[Identifier, ...], Meta(max_length=8)] = ()


class ServicePartner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who brought the merchant (服务商) and gets a part of what the fee leaves of every payment."""

    partner_id: Identifier
    account_id: AccountId
    ppm: _SharePpm


class SettleToAccount(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="account"
):
    """An account in this bank, of the same app."""

    account_id: AccountId


class SettleToBank(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bank"
):
    """An account in another bank, reached over NetsUnion (网联).

    ``reference`` is what the payout knows that account by, such as the ``source`` of a bound card;
    an account number is refused, since it would stand in every event.
    """

    reference: Identifier


SettleTo = SettleToAccount | SettleToBank


class MerchantTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was agreed with a merchant; an update replaces all of it.

    ``fee`` holds for methods that ``method_fees`` does not name; without it the bank's standard
    rate does. ``refund_fee`` gives the fee back with a refund, in proportion. ``default_split``
    names the rule for payments that name none; without it the merchant keeps what the fee and the
    service partner leave. ``settle_now_from_minor`` is for T+0: a payment of at least as much is
    settled at once, and everything before it.
    """

    cycle: Cycle
    settle_to: SettleTo
    fee: FeeRate | None = None
    method_fees: Annotated[dict[str, FeeRate], Meta(max_length=METHODS_MAX)] = {}
    refund_fee: bool = True
    splits: Annotated[dict[str, SplitRule], Meta(max_length=RULES_MAX)] = {}
    default_split: Identifier | None = None
    partner: ServicePartner | None = None
    settle_now_from_minor: AmountMinor | None = None


class CreateMerchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make an account of the app the collection account of a merchant.

    An account is at most one merchant's, and the merchant has the id of the account. Payments to it
    carry the fee and are split from now on; earlier ones are not settled. ``category`` is the
    merchant category that rules of risk may name.
    """

    request_id: RequestId
    account_id: AccountId
    name: _Name
    terms: MerchantTerms
    category: Identifier | None = None


class UpdateMerchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace what is given; payments follow within a second, settled ones do not change.

    With ``version``, the update stands only if the merchant is still at that version.
    """

    request_id: RequestId
    merchant_id: MerchantId
    name: _Name | None = None
    terms: MerchantTerms | None = None
    category: Identifier | None = None
    version: Annotated[int, Meta(ge=1)] | None = None


class GetMerchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a merchant."""

    merchant_id: MerchantId


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant as it stands; ``version`` counts its changes from 1."""

    merchant_id: str
    app: str
    name: str
    category: str | None
    terms: MerchantTerms
    version: int
    created_at: Timestamp
    updated_at: Timestamp
