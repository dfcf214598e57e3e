"""The actor that every movement of money passes on its way to the journal.

It takes all that waits in one turn: what the rules want of the past is read at once for all, then
each is decided in order. What may go ahead is forwarded with its counters in the same change; what
may not is forwarded as well, as a rejection, so that the journal remembers it under the request's
id and an id that it knows already gets its first answer.
"""

from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from actors.risk._passing import (
    PassedAlternative,
    PassedChange,
    PassedCheck,
    decode_check,
    encode_facts,
    with_counts,
    with_facts,
)
from actors.risk.decision import Decision, Outcome
from actors.risk.engine import Engine, Steps
from actors.risk.hit_row import hit_facts, place_fact
from actors.risk.past import Past, PastStatistics
from actors.risk.rules_in_force import RulesInForce
from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock
from kernel.histogram import Histogram
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.store import Store
from schemas.change import Fact
from schemas.errors import ErrorBody, RiskDeclined, StepUpRequired
from schemas.ledger import TallyStep
from schemas.risk import (
    RISK_CHECK_TYPE,
    RISK_KIND,
    RISK_REVIEW_TYPE,
    DecisionTimes,
    RiskCheck,
)

__all__ = ("RiskActor", "RiskStatistics", "RiskStatus")


class RiskStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start, by outcome; the times are those of the decision alone."""

    rules_version: int
    approved: int
    reviewed: int
    stepped_up: int
    declined: int
    decision_times: DecisionTimes
    past: PastStatistics


class RiskStatus:
    """What outlives a restart of the actor, and what others on the node read of it."""

    def __init__(self) -> None:
        self.rules = RulesInForce()
        # In nanoseconds: a plain decision takes a few thousand of them.
        self.times = Histogram(1e-9, 34)
        self.outcomes: dict[Outcome, int] = dict.fromkeys(
            ("approve", "review", "step_up", "decline"), 0
        )

    def decision_times(self) -> DecisionTimes:
        """Return how long decisions took."""
        times = self.times
        return DecisionTimes(
            decisions=times.count,
            p50_us=round(times.percentile_s(50) * 1e6, 2),
            p99_us=round(times.percentile_s(99) * 1e6, 2),
            max_us=round(times.max_s * 1e6, 2),
        )


class RiskActor(BatchActor):
    """See the module."""

    kind = RISK_KIND
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {RISK_CHECK_TYPE: RiskCheck}

    def __init__(self, store: Store, clock: Clock, status: RiskStatus) -> None:
        self._clock = clock
        self._status = status
        self._past = Past(store)
        self._past_of = status.rules.version

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Decide about each movement in order, and hand it on to the journal."""
        engine, version = self._status.rules.engine, self._status.rules.version
        if version != self._past_of:
            # A rule may have kept its name and got another window.
            self._past.forget()
            self._past_of = version
        checks = [(one, decode_check(one.envelope.body)) for one in deliveries]
        wanted = [want for _, check in checks for want in engine.wants(check.facts)]
        if wanted:
            await self._past.load(wanted, self._clock.now(), self._clock.monotonic_s())
        for delivery, check in checks:
            if not check.change.alternatives:
                # Refused before it came here; only the journal has to remember it.
                change = check.change
            else:
                decision, steps = self._judged(engine, check)
                if decision.outcome == "review" and not check.reviewed and check.reviewer:
                    # Nothing is counted yet: it comes back with the way in which it may wait.
                    kind, key = check.reviewer, check.facts.subject
                    delivery.forward(kind, key, RISK_REVIEW_TYPE, check)
                    continue
                change = self._decided(engine, version, check, decision, steps)
            delivery.forward(JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change)

    def _judged(self, engine: Engine, check: PassedCheck) -> tuple[Decision, Steps]:
        """Return what the rules come to and what is then to be counted."""
        clock = self._clock
        start_s = clock.monotonic_s()
        decision = engine.decide(check.facts, self._past)
        steps = Steps()
        if decision.outcome in ("approve", "review"):
            steps = engine.steps(check.facts, self._past, decision.exempted)
        self._status.times.record(clock.monotonic_s() - start_s)
        return decision, steps

    def _decided(
        self, engine: Engine, version: int, check: PassedCheck, decision: Decision, steps: Steps
    ) -> PassedChange:
        """Return the change as it goes to the journal."""
        change, facts = check.change, check.facts
        if decision.outcome == "review" and not check.reviewed:
            # It cannot wait for a person, so nobody may let it through.
            decision = msgspec.structs.replace(decision, outcome="decline")
        self._status.outcomes[decision.outcome] += 1
        rows: tuple[Fact, ...] = ()
        if decision.hits:
            rows = hit_facts(
                facts, decision, request_id=change.request_id, rules_version=version,
                at=self._clock.now(),
            )  # fmt: skip
        if decision.outcome not in ("approve", "review"):
            return msgspec.structs.replace(
                change, alternatives=(), rejection=_refusal(decision), refused=encode_facts(rows)
            )
        return self._let_through(engine, check, decision, steps, rows)

    def _let_through(
        self,
        engine: Engine,
        check: PassedCheck,
        decision: Decision,
        steps: Steps,
        rows: tuple[Fact, ...],
    ) -> PassedChange:
        facts = check.facts
        counts, alternatives = steps.counts, check.change.alternatives
        self._past.count(counts)
        if decision.outcome == "review":
            # A device is not known by a payment that a person has yet to see.
            alternatives = check.reviewed
        elif steps.marks:
            self._past.mark(steps.marks)
            counts += steps.marks
        if facts.geo is not None and engine.keeps_places():
            self._past.move(facts)
            at = datetime.fromtimestamp(facts.at_ms / 1000, UTC)
            rows += (place_fact(facts.customer, facts.geo, at),)
        return msgspec.structs.replace(
            check.change, alternatives=tuple(_with(one, counts, rows) for one in alternatives)
        )

    def statistics(self) -> RiskStatistics:
        """Return the counts so far."""
        outcomes = self._status.outcomes
        return RiskStatistics(
            rules_version=self._status.rules.version,
            approved=outcomes["approve"],
            reviewed=outcomes["review"],
            stepped_up=outcomes["step_up"],
            declined=outcomes["decline"],
            decision_times=self._status.decision_times(),
            past=self._past.statistics(),
        )


def _with(
    one: PassedAlternative, counts: tuple[TallyStep, ...], rows: tuple[Fact, ...]
) -> PassedAlternative:
    """Return an alternative that also counts, and tells of the rules that fired."""
    moves = with_counts(one.moves, counts) if counts else one.moves
    facts = with_facts(one.facts, rows) if rows else one.facts
    return PassedAlternative(moves, facts, one.events, one.answer, one.timers, one.cancels)


def _refusal(decision: Decision) -> ErrorBody:
    reasons = ", ".join(decision.reasons)
    wanted = decision.step_up
    if decision.outcome == "step_up" and wanted is not None:
        return StepUpRequired(
            f"{reasons}: verify the customer with at least {wanted.at_least} of "
            f"{', '.join(wanted.accepted)}, and send a new request that carries the factors",
            field="factors",
        ).body()
    return RiskDeclined(f"declined by the risk rules: {reasons}").body()
