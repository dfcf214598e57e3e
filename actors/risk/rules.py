"""The rule document: what risk officers write, as TOML or JSON.

Rules of one kind share a shape, told apart by ``kind``. A rule says when it looks at a movement at
all (``when``), when it fires (the fields of its kind), and what it asks for (``action``). Amounts
are in minor units (fen), windows in seconds, hours in Asia/Shanghai.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import ShortText
from schemas.money import AmountMinor
from schemas.payments import PaymentMethod, VerificationFactor

__all__ = (
    "BUCKETS_MAX",
    "LIST_MAX",
    "RULES_MAX",
    "WINDOW_S_MAX",
    "Action",
    "AmountRule",
    "Defaults",
    "GeoSpeedRule",
    "ListRule",
    "MerchantCategoryRule",
    "Method",
    "NewDeviceRule",
    "NewPayeeRule",
    "NightRule",
    "RiskRules",
    "Rule",
    "ScoreThresholds",
    "Stage",
    "StepUp",
    "Subject",
    "VelocityRule",
    "When",
)

# Each rule costs every payment about a quarter of a microsecond.
RULES_MAX = 200
# A set of this many texts is a megabyte on every node; longer lists belong to a screening provider.
LIST_MAX = 10_000
# Every bucket of a window is one counter to read.
BUCKETS_MAX = 60
# A year: counters are kept as long as anybody may ask for them.
WINDOW_S_MAX = 366 * 86_400

Stage = Literal["live", "shadow", "off"]
Action = Literal["decline", "step_up", "review", "score", "exempt"]
Subject = Literal["customer", "account", "device", "payee", "app"]

# What is checked: payments by any method, holds, and the payments of scenario packs.
Method = Literal[PaymentMethod, "hold", "scenario"]

_RuleId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}(?!\n)$")]
_Reason = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}(?!\n)$")]
_Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x20\x7f]+(?!\n)$")]
_Words = Annotated[tuple[_Word, ...], Meta(max_length=100)]
_Listed = Annotated[tuple[_Word, ...], Meta(max_length=LIST_MAX)]
_Category = Annotated[str, Meta(pattern=r"^[0-9]{4}(?!\n)$")]
_Points = Annotated[int, Meta(ge=1, le=1_000)]
_Hour = Annotated[int, Meta(ge=0, le=23)]


class StepUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a customer proves who he is: ``at_least`` of the ``accepted`` verification factors."""

    accepted: Annotated[tuple[VerificationFactor, ...], Meta(min_length=1, max_length=10)] = (
        "password",
        "sms",
        "biometric",
        "certificate",
    )
    at_least: Annotated[int, Meta(ge=1, le=10)] = 1


class ScoreThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From how many points on the sum of all scoring rules asks for something; null is never."""

    review: _Points | None = None
    step_up: _Points | None = None
    decline: _Points | None = None


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for every rule that says nothing else."""

    step_up: StepUp = StepUp()
    score: ScoreThresholds = ScoreThresholds()


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The movements that a rule looks at: all that meet every condition given.

    Both amounts belong to the range. An empty list is no condition.
    """

    methods: tuple[Method, ...] = ()
    apps: _Words = ()
    payee_types: _Words = ()
    amount_min_minor: AmountMinor | None = None
    amount_max_minor: AmountMinor | None = None


class _Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What all rules say. ``reason`` is the code that callers and reports see."""

    id: _RuleId
    action: Action
    reason: _Reason
    stage: Stage = "live"
    when: When = When()
    points: _Points | None = None
    step_up: StepUp | None = None
    note: ShortText = ""


class ListRule(_Rule, frozen=True, kw_only=True, tag="list"):
    """Fire for a subject that is on the list (block, allow), or that is not (only).

    An ``allow`` list has the action ``exempt``: it takes back what the rules named in ``exempts``
    ask for, or, when none is named, what all rules ask for that do not decline. It never takes back
    a block list.
    """

    subject: Subject
    mode: Literal["block", "allow", "only"]
    values: _Listed
    exempts: _Words = ()


class VelocityRule(_Rule, frozen=True, kw_only=True, tag="velocity"):
    """Fire when a window, with this movement in it, holds more than is allowed.

    The window is cut into ``buckets`` of equal length, which begin at midnight in Asia/Shanghai for
    lengths that divide a day; it is the bucket of this moment and the ``buckets`` − 1 before it. So
    a window of 86,400 seconds in one bucket is the calendar day, and in 24 it is the last 24 hours,
    to the hour.
    """

    per: Subject
    window_s: Annotated[int, Meta(ge=1, le=WINDOW_S_MAX)]
    buckets: Annotated[int, Meta(ge=1, le=BUCKETS_MAX)] = 1
    count_max: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    amount_max_minor: Annotated[int, Meta(ge=1, le=10**16)] | None = None


class AmountRule(_Rule, frozen=True, kw_only=True, tag="amount"):
    """Fire for a single movement of more than ``above_minor``."""

    above_minor: AmountMinor


class NewDeviceRule(_Rule, frozen=True, kw_only=True, tag="new_device"):
    """Fire when the customer has not paid from this device before.

    Before means: in a movement that met the conditions of this rule and stands. So small payments
    do not make a device known to a rule about large ones.
    """


class NewPayeeRule(_Rule, frozen=True, kw_only=True, tag="new_payee"):
    """Fire when the customer has not paid this payee before; before is as with new devices."""


class NightRule(_Rule, frozen=True, kw_only=True, tag="night"):
    """Fire from ``from_hour`` until just before ``to_hour``, past midnight too (Asia/Shanghai)."""

    from_hour: _Hour
    to_hour: _Hour


class MerchantCategoryRule(_Rule, frozen=True, kw_only=True, tag="merchant_category"):
    """Fire for payees of these categories (ISO 18245)."""

    categories: Annotated[tuple[_Category, ...], Meta(min_length=1, max_length=1_000)]


class GeoSpeedRule(_Rule, frozen=True, kw_only=True, tag="geo_speed"):
    """Fire when the customer would have had to travel faster than ``kmh_max``.

    Compared are the places of this movement and of the one before it, if that lies at most
    ``within_s`` back and at least ``distance_min_km`` away: positions are not exact.
    """

    kmh_max: Annotated[int, Meta(ge=1, le=100_000)]
    distance_min_km: Annotated[int, Meta(ge=0, le=20_000)] = 5
    within_s: Annotated[int, Meta(ge=60, le=86_400)] = 86_400


Rule = (
    ListRule
    | VelocityRule
    | AmountRule
    | NewDeviceRule
    | NewPayeeRule
    | NightRule
    | MerchantCategoryRule
    | GeoSpeedRule
)


class RiskRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole document; rules are evaluated in its order. ``version`` is the officers' own."""

    version: Annotated[int, Meta(ge=1, le=10**9)]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=RULES_MAX)]
    defaults: Defaults = Defaults()
