"""The rule engine: rules made ready once, then (facts, history) → decision, and nothing else.

It reads no clock, keeps nothing and waits for nothing. What it needs of the past it names first
(:meth:`Engine.wants`), so that whoever calls it can fetch that for many movements at once; what it
wants to remember it returns as steps for the ledger (:meth:`Engine.steps`).

A live velocity rule that declines is a limit: it is not judged here but reserved. Its step goes
into the same change as the money, and the ledger, which sees one change after the other, refuses
the one that is too much. Nothing else could hold when hundreds of payments race.
"""

import msgspec

from actors.risk._compiled import Compiled, compile_rule
from actors.risk._tiers import Tiers
from actors.risk.decision import Decision, Hit, Outcome, stricter
from actors.risk.history import History
from actors.risk.rules import GeoSpeedRule, ListRule, RiskRules, ScoreThresholds, StepUp
from schemas.ledger import TallyStep
from schemas.risk import RiskFacts

__all__ = ("Engine", "Steps", "Want")

_STRICTEST_FIRST: tuple[Outcome, ...] = ("decline", "step_up", "review")


class Want(msgspec.Struct, frozen=True, gc=False):
    """Something of the past that a decision needs.

    A window (``buckets`` above 0) is the sum of its ``tallies``, whose ids end with the number of
    their bucket; a mark (``buckets`` 0) is whether its one tally is there; a place (no tallies) is
    where the customer ``name`` was last.
    """

    name: str
    tallies: tuple[str, ...] = ()
    buckets: int = 0


class Steps(msgspec.Struct, frozen=True):
    """What the ledger is to count when the movement stands.

    ``marks`` make devices and payees known; they do not belong to one that waits for a review.
    """

    counts: tuple[TallyStep, ...] = ()
    marks: tuple[TallyStep, ...] = ()


_APPROVED = Decision(outcome="approve")


class Engine:
    """A rule document made ready."""

    def __init__(self, rules: RiskRules) -> None:
        self.rules = rules
        mild = frozenset(
            rule.id
            for rule in rules.rules
            if rule.action != "decline" and not isinstance(rule, ListRule)
        )
        compiled = [
            compile_rule(rule, rules.defaults, mild) for rule in rules.rules if rule.stage != "off"
        ]
        self._tiers = Tiers(compiled)
        self._keeps_places = any(isinstance(one.rule, GeoSpeedRule) for one in compiled)
        self._thresholds = rules.defaults.score

    def wants(self, facts: RiskFacts) -> tuple[Want, ...]:
        """Return what of the past the decision needs; nothing for most movements."""
        tier = self._tiers.of(facts.amount_minor)
        wanted = []
        for counter in tier.windows:
            name = counter.name(facts)
            if name:
                wanted.append(Want(name, counter.tallies(name, facts), counter.buckets))
        for marker in tier.markers:
            name = marker.name(facts)
            if name:
                wanted.append(Want(name, (name,)))
        if facts.geo is not None and any(looks is None or looks(facts) for looks in tier.geo):
            wanted.append(Want(facts.customer))
        return tuple(wanted)

    def decide(self, facts: RiskFacts, history: History) -> Decision:
        """Return what the rules come to."""
        judged = self._tiers.of(facts.amount_minor).judged
        fired = [one for fires, one in judged if fires(facts, history)]
        if not fired:
            return _APPROVED
        exempted = frozenset[str]().union(*(one.exempts for one in fired if one.live))
        return _Judgement(facts, self._thresholds, exempted).of(fired)

    def steps(self, facts: RiskFacts, history: History, exempted: frozenset[str]) -> Steps:
        """Return what is to be counted in the same change as the movement."""
        tier = self._tiers.of(facts.amount_minor)
        counts = []
        for counter in tier.counters:
            step = counter.step(facts, exempted)
            if step is not None:
                counts.append(step)
        marks = []
        for marker in tier.markers:
            name = marker.name(facts)
            if name and not history.known(name):
                marks.append(TallyStep(name, name=""))
        return Steps(tuple(counts), tuple(marks))

    def keeps_places(self) -> bool:
        """Tell whether any rule asks where customers are."""
        return self._keeps_places


class _Judgement:
    """What the rules that fired come to together."""

    def __init__(
        self, facts: RiskFacts, thresholds: ScoreThresholds, exempted: frozenset[str]
    ) -> None:
        self._factors = facts.factors
        self._thresholds = thresholds
        self._exempted = exempted

    def of(self, fired: list[Compiled]) -> Decision:
        standing = [one for one in fired if one.rule.id not in self._exempted]
        names = {one.rule.id for one in fired}
        score = sum(
            one.rule.points or 0 for one in standing if one.live and one.rule.action == "score"
        )
        outcome: Outcome = "approve"
        hits: list[Hit] = []
        step_up: StepUp | None = None
        by_effect: dict[Outcome, list[str]] = {}
        for one in standing:
            if one.rule.action == "exempt" and not one.exempts & names:
                # It took nothing back, so there is nothing to tell.
                continue
            effect = self._effect(one, score)
            hits.append(one.hit(effect))
            if not one.live:
                continue
            outcome = stricter(outcome, effect)
            if effect == "step_up" and step_up is None:
                step_up = one.step_up
            reasons = by_effect.setdefault(effect, [])
            if one.rule.reason not in reasons:
                reasons.append(one.rule.reason)
        ordered = [reason for effect in _STRICTEST_FIRST for reason in by_effect.get(effect, ())]
        return Decision(
            outcome=outcome,
            reasons=tuple(dict.fromkeys(ordered)),
            hits=tuple(hits),
            score=score,
            exempted=self._exempted,
            step_up=step_up,
        )

    def _effect(self, one: Compiled, score: int) -> Outcome:
        match one.rule.action:
            case "decline":
                return "decline"
            case "review":
                return "review"
            case "step_up":
                return "approve" if one.satisfied(self._factors) else "step_up"
            case "exempt":
                return "approve"
            case "score":
                return self._scored(score if one.live else score + (one.rule.points or 0), one)

    def _scored(self, score: int, one: Compiled) -> Outcome:
        thresholds = self._thresholds
        if thresholds.decline is not None and score >= thresholds.decline:
            return "decline"
        asks = thresholds.step_up is not None and score >= thresholds.step_up
        if asks and not one.satisfied(self._factors):
            return "step_up"
        if thresholds.review is not None and score >= thresholds.review:
            return "review"
        return "approve"
