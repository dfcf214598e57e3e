"""Which channels may take a payment at all: the operator's rules, made ready to be asked."""

from collections.abc import Callable, Sequence

from schemas.routing import ChannelOffer, EligibilityRule, RoutedPayment

__all__ = ("Eligibility",)

_Condition = Callable[[RoutedPayment], bool]


class Eligibility:
    """The rules in their order; the first that excludes a channel is the reason that is given."""

    __slots__ = ("_rules",)

    def __init__(self, rules: tuple[EligibilityRule, ...]) -> None:
        self._rules = tuple(_Ready(rule) for rule in rules)

    def excluded(self, payment: RoutedPayment, offers: Sequence[ChannelOffer]) -> dict[str, str]:
        """Return the reason by channel, for those offered that the rules exclude."""
        reasons: dict[str, str] = {}
        for rule in self._rules:
            if rule.matches(payment) is rule.excludes_matching:
                for offer in offers:
                    channel = offer.channel
                    if not rule.channels or channel in rule.channels:
                        reasons.setdefault(channel, rule.reason)
        return reasons


class _Ready:
    """One rule, with its conditions as functions and its reason as a text."""

    __slots__ = ("_conditions", "channels", "excludes_matching", "reason")

    def __init__(self, rule: EligibilityRule) -> None:
        self.channels = frozenset(rule.channels)
        self.excludes_matching = rule.effect == "exclude"
        conditions = _conditions(rule)
        self._conditions = tuple(condition for _, condition in conditions)
        said = " and ".join(text for text, _ in conditions) or "any payment"
        verb = "excludes it for" if self.excludes_matching else "allows it only for"
        self.reason = f"rule {rule.name} {verb} {said}"

    def matches(self, payment: RoutedPayment) -> bool:
        # A loop costs less here than `all` over a generator, and runs for every rule and decision.
        for condition in self._conditions:  # noqa: SIM110
            if not condition(payment):
                return False
        return True


def _conditions(rule: EligibilityRule) -> list[tuple[str, _Condition]]:
    """Return what the rule asks of a payment, each in words and as a function."""
    found: list[tuple[str, _Condition]] = []
    if rule.methods:
        methods = frozenset(rule.methods)
        found.append((_one_of("method", rule.methods), lambda asked: asked.method in methods))
    if rule.apps:
        apps = frozenset(rule.apps)
        found.append((_one_of("app", rule.apps), lambda asked: asked.app in apps))
    if rule.payee_types:
        types = frozenset(rule.payee_types)
        found.append(
            (_one_of("payee_type", rule.payee_types), lambda asked: asked.payee_type in types)
        )
    if rule.amount_min_minor is not None:
        least = rule.amount_min_minor
        found.append((f"amount_minor >= {least}", lambda asked: asked.amount_minor >= least))
    if rule.amount_max_minor is not None:
        most = rule.amount_max_minor
        found.append((f"amount_minor <= {most}", lambda asked: asked.amount_minor <= most))
    if rule.hour_from is not None or rule.hour_to is not None:
        found.append(_hours(rule.hour_from or 0, 23 if rule.hour_to is None else rule.hour_to))
    return found


def _one_of(field: str, values: tuple[str, ...]) -> str:
    return f"{field} {' or '.join(values)}"


def _hours(first: int, last: int) -> tuple[str, _Condition]:
    hours = frozenset((first + step) % 24 for step in range((last - first) % 24 + 1))
    return f"hour {first}-{last}", lambda asked: asked.hour in hours
