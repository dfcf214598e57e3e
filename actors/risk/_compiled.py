"""One rule, made ready: when it looks, when it fires, and what it keeps."""

import msgspec

from actors.risk._conditions import (
    Fires,
    Looks,
    Named,
    amount_test,
    category_test,
    geo_test,
    list_test,
    looks_at,
    mark_test,
    night_test,
    subject_of,
    velocity_test,
)
from actors.risk.decision import Hit, Outcome
from actors.risk.limit_message import limit_message
from actors.risk.rules import (
    AmountRule,
    Defaults,
    GeoSpeedRule,
    ListRule,
    MerchantCategoryRule,
    NewDeviceRule,
    NewPayeeRule,
    NightRule,
    Rule,
    StepUp,
    VelocityRule,
)
from actors.risk.windows import bucket_of
from schemas.errors import LimitExceeded
from schemas.ledger import TallyStep
from schemas.risk import RiskFacts

__all__ = ("Compiled", "Counter", "Marker", "compile_rule")


class Counter:
    """The tallies of a velocity rule: one for each subject and bucket."""

    __slots__ = ("_bounds", "_looks", "_message", "_named", "buckets", "rule_id", "width_s")

    def __init__(self, rule: VelocityRule, looks: Looks | None, *, reserves: bool) -> None:
        self.rule_id = rule.id
        self.buckets = rule.buckets
        self.width_s = rule.window_s // rule.buckets
        self._looks = looks
        self._named = _window_name(rule)
        self._bounds = (rule.count_max, rule.amount_max_minor) if reserves else None
        self._message = limit_message(rule)

    def name(self, facts: RiskFacts) -> str:
        """Return the name of the window that the movement belongs to; empty when to none."""
        if self._looks is not None and not self._looks(facts):
            return ""
        return self._named(facts)

    def tallies(self, name: str, facts: RiskFacts) -> tuple[str, ...]:
        """Return the ids of all tallies of the window, the one of this moment last."""
        bucket = bucket_of(facts.at_ms // 1000, self.width_s)
        return tuple(f"{name}:{one}" for one in range(bucket - self.buckets + 1, bucket + 1))

    def step(self, facts: RiskFacts, exempted: frozenset[str]) -> TallyStep | None:
        """Return what counts the movement, and refuses it when it is one too many."""
        name = self.name(facts)
        if not name:
            return None
        bucket = bucket_of(facts.at_ms // 1000, self.width_s)
        amount = facts.amount_minor
        if self._bounds is None or self.rule_id in exempted:
            return TallyStep(f"{name}:{bucket}", 1, amount, name="")
        count_max, amount_max = self._bounds
        window: tuple[str, ...] = ()
        if self.buckets > 1:
            # The next bucket, too: another node's clock may be ahead, and what it has counted
            # there shares a window with this movement.
            window = (*self.tallies(name, facts)[:-1], f"{name}:{bucket + 1}")
        return TallyStep(
            f"{name}:{bucket}", 1, amount, count_max, amount_max, window,
            code=LimitExceeded.code, message=self._message, name="",
        )  # fmt: skip


class Marker:
    """The tallies that say what a customer has used before."""

    __slots__ = ("_looks", "_named")

    def __init__(self, rule: NewDeviceRule | NewPayeeRule, looks: Looks | None) -> None:
        self._looks = looks
        self._named = _mark_name(rule)

    def name(self, facts: RiskFacts) -> str:
        """Return the name of what the movement uses; it is its tally's id as well."""
        if self._looks is not None and not self._looks(facts):
            return ""
        return self._named(facts)


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with its tests; ``fires`` is None for a limit, which the ledger decides."""

    rule: Rule
    live: bool
    fires: Fires | None
    exempts: frozenset[str] = frozenset()
    counter: Counter | None = None
    marker: Marker | None = None
    looks: Looks | None = None
    step_up: StepUp
    needed: frozenset[str]

    def satisfied(self, factors: tuple[str, ...]) -> bool:
        """Tell whether the factors of a request are what the rule wants."""
        return len(self.needed.intersection(factors)) >= self.step_up.at_least

    def hit(self, effect: Outcome) -> Hit:
        """Return the record of its firing."""
        rule = self.rule
        return Hit(rule.id, _kind_of(rule), rule.stage, rule.action, rule.reason, effect)


def _kind_of(rule: Rule) -> str:
    """Return the kind of a rule as its document says it."""
    return str(type(rule).__struct_config__.tag)


def _window_name(rule: VelocityRule) -> Named:
    of, prefix = subject_of(rule.per), f"risk:{rule.id}:"

    def name(facts: RiskFacts) -> str:
        subject = of(facts)
        return prefix + subject if subject else ""

    return name


def _mark_name(rule: NewDeviceRule | NewPayeeRule) -> Named:
    prefix = f"risk:{rule.id}:"
    # What comes after the last slash has none in it, so two pairs never share a name.
    if isinstance(rule, NewDeviceRule):
        return lambda facts: (
            f"{prefix}{facts.customer}/{facts.device_id}" if facts.device_id else ""
        )
    return lambda facts: f"{prefix}{facts.customer}/{facts.payee}" if facts.payee else ""


def _test(rule: Rule) -> Fires:
    match rule:
        case ListRule():
            return list_test(rule)
        case VelocityRule():
            return velocity_test(rule, _window_name(rule))
        case AmountRule():
            return amount_test(rule)
        case NewDeviceRule() | NewPayeeRule():
            return mark_test(_mark_name(rule))
        case NightRule():
            return night_test(rule)
        case MerchantCategoryRule():
            return category_test(rule)
        case GeoSpeedRule():
            return geo_test(rule)


def _guarded(looks: Looks | None, fires: Fires) -> Fires:
    if looks is None:
        return fires
    return lambda facts, history: looks(facts) and fires(facts, history)


def compile_rule(rule: Rule, defaults: Defaults, mild: frozenset[str]) -> Compiled:
    """Return a rule made ready; ``mild`` are the ids of all rules that do not decline."""
    looks = looks_at(rule.when)
    live = rule.stage == "live"
    step_up = rule.step_up or defaults.step_up
    counter = marker = None
    reserves = False
    exempts: frozenset[str] = frozenset()
    if isinstance(rule, VelocityRule):
        reserves = live and rule.action == "decline"
        counter = Counter(rule, looks, reserves=reserves)
    elif isinstance(rule, NewDeviceRule | NewPayeeRule):
        marker = Marker(rule, looks)
    elif isinstance(rule, ListRule) and rule.mode == "allow":
        exempts = frozenset(rule.exempts) or mild
    return Compiled(
        rule=rule, live=live, fires=None if reserves else _guarded(looks, _test(rule)),
        exempts=exempts, counter=counter, marker=marker, looks=looks, step_up=step_up,
        needed=frozenset(step_up.accepted),
    )  # fmt: skip
