"""Messages of the risk service: what it is asked about a movement of money, and what it tells."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.change import Alternative, Change
from schemas.identifiers import APP_PATTERN, Identifier, Timestamp
from schemas.money import CNY

__all__ = (
    "REPORT_DAYS_MAX",
    "REVIEWS_LIMIT_MAX",
    "RISK_CHECK_TYPE",
    "RISK_KIND",
    "RISK_REVIEW_TYPE",
    "DecisionTimes",
    "ExplainRisk",
    "GeoPoint",
    "GetRiskReport",
    "ListReviews",
    "Review",
    "Reviews",
    "RiskCheck",
    "RiskExplanation",
    "RiskFacts",
    "RiskReport",
    "RuleHit",
    "RuleReport",
)

# A page of reviews fits well under a NATS message of 1 MiB at about 500 bytes each.
REVIEWS_LIMIT_MAX = 500
# What one report may look at: a month, so that it stays an answer and does not become an archive.
REPORT_DAYS_MAX = 31

RISK_KIND = "risk"
RISK_CHECK_TYPE = "risk.check"
RISK_REVIEW_TYPE = "payment.hold_for_review"


class GeoPoint(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A place on earth, in millionths of a degree (WGS 84): north and east are positive."""

    latitude_udeg: int
    longitude_udeg: int


class RiskFacts(msgspec.Struct, array_like=True, frozen=True):
    """All that the rules may look at; empty texts are what nobody knows.

    ``customer`` is whose history counts: the customer's id, or the debited account where there is
    none. ``payer`` and ``payee`` are accounts, ``amount_minor`` is in minor units of ``currency``,
    ``at_ms`` in Unix milliseconds. ``subject`` is what the decision is kept under, such as the
    payment's id. ``payee_type`` is that of the credited account, ``merchant_category`` the four
    digits of ISO 18245. ``factors`` are the verification factors that the request carried and that
    were found good.
    """

    app: str
    subject: str
    customer: str
    payer: str
    payee: str
    amount_minor: int
    method: str
    at_ms: int
    currency: str = CNY
    payee_type: str = ""
    device_id: str = ""
    geo: GeoPoint | None = None
    merchant_category: str = ""
    factors: tuple[str, ...] = ()


class RiskCheck(msgspec.Struct, array_like=True, frozen=True):
    """Decide about ``change`` and hand it to the journal, which answers the one who asked.

    The key of the message is ``facts.customer``. When the decision is a review, ``reviewed`` takes
    the place of the change's alternatives: what is committed for a payment that waits for a person.
    Without any, the check is handed to the actor ``(reviewer, facts.subject)`` as a message of the
    type :data:`RISK_REVIEW_TYPE`, which makes them and sends the check again; hardly any payment is
    reviewed, and the others need not pay for it. Without a reviewer either, it cannot wait, and a
    review refuses it.
    """

    change: Change
    facts: RiskFacts
    reviewed: tuple[Alternative, ...] = ()
    reviewer: str = ""


class RuleHit(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that fired for a movement; ``effect`` is what it asked for, or would have asked for.

    ``kind`` is ``limit`` for a limit of which the ledger found that it is used up.
    """

    rule_id: str
    kind: str
    stage: str
    action: str
    reason: str
    effect: str


class ListReviews(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the payments that wait for a person, oldest first, those after ``after``."""

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=REVIEWS_LIMIT_MAX)] = 100

    @property
    def place(self) -> str:
        """The key of the actor that answers: any will do."""
        return str(self.after)


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that waits for a person, and the rules that made it wait."""

    payment_id: str
    app: str
    request_id: str
    customer: str
    payer: str
    payee: str
    method: str
    amount_minor: int
    currency: str
    rules_version: int
    hits: list[RuleHit]
    at: Timestamp


class Reviews(msgspec.Struct, frozen=True, kw_only=True):
    """A page of reviews; ``next_after`` is null on the last page."""

    reviews: list[Review]
    next_after: int | None


class ExplainRisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read why a movement was let through or not: by its id, or by the request that asked for it.

    A refused one has no id that anybody was told, so it is found by ``app`` and ``request_id``.
    """

    subject: Identifier | None = None
    app: Annotated[str, Meta(pattern=APP_PATTERN)] | None = None
    request_id: Identifier | None = None

    @property
    def place(self) -> str:
        """The key of the actor that answers: any will do."""
        return self.subject or self.request_id or ""


class RiskExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The decision about a movement.

    ``outcome`` is what risk decided: ``approve``, ``review``, ``step_up`` or ``decline``; ``limit``
    when the ledger found a limit used up. Without hits no rule fired, and ``rules_version`` is what
    was in force at that time.
    """

    subject: str
    app: str
    request_id: str
    outcome: str
    reasons: list[str]
    rules_version: int
    hits: list[RuleHit]
    at: Timestamp


class GetRiskReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what the rules did in a while, at most :data:`REPORT_DAYS_MAX` days."""

    since: Timestamp
    until: Timestamp

    @property
    def place(self) -> str:
        """The key of the actor that answers: any will do."""
        return self.since.isoformat()


class RuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule did; ``amount_minor`` is the sum of the movements for which it fired.

    ``effects`` counts the hits by what the rule asked for, or as a shadow would have asked for;
    ``outcomes`` by what was decided. ``agreed`` are the hits where the decision was at least as
    strict as what the rule asked for: for a shadow rule, those that it would not have changed.
    """

    rule_id: str
    kind: str
    stage: str
    hits: int
    amount_minor: int
    effects: dict[str, int]
    outcomes: dict[str, int]
    agreed: int


class DecisionTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long the decisions of the node that answered took since its start, in microseconds."""

    decisions: int
    p50_us: float
    p99_us: float
    max_us: float


class RiskReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules did; ``truncated`` when there was more than one answer may look at."""

    since: Timestamp
    until: Timestamp
    rules_version: int
    rules: list[RuleReport]
    decision_times: DecisionTimes
    truncated: bool
