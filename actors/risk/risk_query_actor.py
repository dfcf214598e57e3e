"""Reads for risk officers: what waits for a person, why a decision was made, what rules do."""

from itertools import groupby
from typing import Any, ClassVar, cast

import msgspec

from actors.risk.decision import OUTCOMES
from actors.risk.hit_row import HIT_COLUMNS, HitRow, public_hit
from actors.risk.limit_message import read_limit_message
from actors.risk.report import LIMIT_KIND, Counted, summarise
from actors.risk.risk_actor import RiskStatus
from actors.risk.rules_in_force import RISK_RULES
from kernel.actor import BatchActor, Delivery
from kernel.store import Query, Store, Where
from schemas.errors import ErrorBody, InvalidField, LimitExceeded, NotFound, ZhihuiError
from schemas.risk import (
    REPORT_DAYS_MAX,
    ExplainRisk,
    GetRiskReport,
    ListReviews,
    Review,
    Reviews,
    RiskExplanation,
    RiskReport,
    RuleHit,
)

__all__ = ("IN_REVIEW", "REPORT_ROWS_MAX", "RiskQueryActor")

# The status of a payment that waits for a person.
IN_REVIEW = "in_review"
# Rows that one report may read, of rules and of limits each: some seconds of a connection.
REPORT_ROWS_MAX = 100_000
# Hits that are read for each review asked for; what a payment has beyond it is read alone.
_HITS_A_REVIEW = 4
_HITS_MIN = 250

_HIT = ("change_seq", *HIT_COLUMNS)
_COUNTED = ("rule_id", "kind", "stage", "effect", "outcome", "amount_minor")
_CHANGE = ("seq", "outcome", "answer", "at")
_STRICTNESS: dict[str, int] = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}
_error_decoder = msgspec.json.Decoder(ErrorBody)


class RiskQueryActor(BatchActor):
    """Answer reads from the read pool."""

    kind = "risk_query"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {
        "risk.reviews": ListReviews,
        "risk.explain": ExplainRisk,
        "risk.report": GetRiskReport,
    }

    def __init__(self, store: Store, status: RiskStatus) -> None:
        self._store = store
        self._status = status
        self._decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
            type_: msgspec.msgpack.Decoder(message) for type_, message in self.accepts.items()
        }

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Answer each read."""
        for delivery in deliveries:
            envelope = delivery.envelope
            request = self._decoders[envelope.type].decode(envelope.body)
            try:
                delivery.reply(await self._answer(request))
            except ZhihuiError as error:
                delivery.fail(error)

    async def _answer(self, request: Any) -> msgspec.Struct:
        if isinstance(request, ListReviews):
            return await self._reviews(request)
        if isinstance(request, ExplainRisk):
            return await self._explain(request)
        return await self._report(request)

    async def _hits(self, *where: Where, limit: int | None = None) -> list[HitRow]:
        rows = await self._store.fetch(
            Query(table="risk_hit", columns=_HIT, where=where,
                  order_by=("change_seq", "number"), limit=limit)
        )  # fmt: skip
        return [HitRow(*row) for row in rows]

    async def _reviews(self, request: ListReviews) -> Reviews:
        limit = max(request.limit * _HITS_A_REVIEW, _HITS_MIN)
        rows = await self._hits(
            Where("outcome", "=", "review"), Where("change_seq", ">", request.after), limit=limit
        )
        groups = [list(group) for _, group in groupby(rows, lambda row: row.change_seq)]
        more = len(groups) > request.limit or len(rows) == limit
        if len(rows) == limit and len(groups) > 1:
            # The last one may be cut.
            groups.pop()
        groups = groups[: request.limit]
        waiting = await self._waiting({group[0].subject for group in groups})
        return Reviews(
            reviews=[_review(group) for group in groups if group[0].subject in waiting],
            next_after=groups[-1][0].change_seq if more else None,
        )

    async def _waiting(self, payments: set[str]) -> set[str]:
        """Return those of the payments that still wait."""
        if not payments:
            return set()
        rows = await self._store.fetch(
            Query(table="payment_order", columns=("payment_id", "status"),
                  where=(Where("payment_id", "in", sorted(payments)),))
        )  # fmt: skip
        return {payment_id for payment_id, status in rows if status == IN_REVIEW}

    async def _explain(self, request: ExplainRisk) -> RiskExplanation:
        if request.subject is not None:
            rows = await self._hits(Where("subject", "=", request.subject))
            return _explained(rows) if rows else await self._unremarkable(
                Where("payment_id", "=", request.subject), "subject", request.subject
            )  # fmt: skip
        if request.app is None or request.request_id is None:
            raise InvalidField("give a subject, or both app and request_id", field="subject")
        by_request = (Where("request_id", "=", request.request_id), Where("app", "=", request.app))
        rows = await self._hits(*by_request)
        if rows:
            return _explained(rows)
        changes = await self._store.fetch(Query(table="change", columns=_CHANGE, where=by_request))
        for seq, outcome, answer, at in changes:
            if outcome == LimitExceeded.code:
                limit = _limit_hit(answer)
                if limit is not None:
                    return RiskExplanation(
                        subject="", app=request.app, request_id=request.request_id,
                        outcome="limit", reasons=[limit.reason],
                        rules_version=await self._version_at(at), hits=[limit], at=at,
                    )  # fmt: skip
            return await self._unremarkable(
                Where("change_seq", "=", seq), "request_id", request.request_id
            )
        raise NotFound(f"no request {request.request_id!r} is known", field="request_id")

    async def _unremarkable(self, where: Where, field: str, wanted: str) -> RiskExplanation:
        """Explain a payment for which no rule fired."""
        rows = await self._store.fetch(
            Query(table="payment", columns=("payment_id", "app", "request_id", "created_at"),
                  where=(where,))
        )  # fmt: skip
        if not rows:
            raise NotFound(f"no movement of money with {field} {wanted!r}", field=field)
        payment_id, app, request_id, created_at = min(rows)
        return RiskExplanation(
            subject=payment_id, app=app, request_id=request_id, outcome="approve", reasons=[],
            rules_version=await self._version_at(created_at), hits=[], at=created_at,
        )  # fmt: skip

    async def _version_at(self, at: Any) -> int:
        rows = await self._store.fetch(
            Query(table="rule_set_version", columns=("version",),
                  where=(Where("name", "=", RISK_RULES), Where("put_at", "<=", at)))
        )  # fmt: skip
        return max((int(row[0]) for row in rows), default=0)

    async def _report(self, request: GetRiskReport) -> RiskReport:
        if not 0 < (request.until - request.since).total_seconds() <= REPORT_DAYS_MAX * 86_400:
            raise InvalidField(
                f"a report is about more than nothing and at most {REPORT_DAYS_MAX} days",
                field="until",
            )
        within = (Where("at", ">", request.since), Where("at", "<=", request.until))
        rows: list[Counted] = [
            cast("Counted", row)
            for row in await self._store.fetch(
                Query(table="risk_hit", columns=_COUNTED, where=within, limit=REPORT_ROWS_MAX)
            )
        ]
        refused = await self._store.fetch(
            Query(table="change", columns=("answer",), limit=REPORT_ROWS_MAX,
                  where=(Where("outcome", "=", LimitExceeded.code), *within))
        )  # fmt: skip
        limits = [limit for row in refused if (limit := _limit_hit(row[0])) is not None]
        rows += [(one.rule_id, one.kind, one.stage, "decline", "decline", 0) for one in limits]
        return RiskReport(
            since=request.since,
            until=request.until,
            rules_version=self._status.rules.version,
            rules=summarise(rows),
            decision_times=self._status.decision_times(),
            truncated=REPORT_ROWS_MAX in (len(rows) - len(limits), len(refused)),
        )


def _limit_hit(answer: str) -> RuleHit | None:
    found = read_limit_message(_error_decoder.decode(answer).message)
    if found is None:
        return None
    return RuleHit(
        rule_id=found[0], kind=LIMIT_KIND, stage="live", action="decline", reason=found[1],
        effect="decline",
    )  # fmt: skip


def _explained(rows: list[HitRow]) -> RiskExplanation:
    first = rows[0]
    behind = [row for row in rows if row.stage == "live" and row.effect != "approve"]
    behind.sort(key=lambda row: -_STRICTNESS[row.effect])
    return RiskExplanation(
        subject=first.subject, app=first.app, request_id=first.request_id, outcome=first.outcome,
        reasons=list(dict.fromkeys(row.reason for row in behind)),
        rules_version=first.rules_version, hits=[public_hit(row) for row in rows], at=first.at,
    )  # fmt: skip


def _review(rows: list[HitRow]) -> Review:
    first = rows[0]
    return Review(
        payment_id=first.subject, app=first.app, request_id=first.request_id,
        customer=first.customer, payer=first.payer, payee=first.payee, method=first.method,
        amount_minor=first.amount_minor, currency=first.currency,
        rules_version=first.rules_version, hits=[public_hit(row) for row in rows], at=first.at,
    )  # fmt: skip
