"""The router behind the port of the attempts: terms, sentences, and the row that is stored."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from actors.channels.router_port import Choice, Router, RouteRequest
from actors.channels.routing import (
    ROUTE_CHOICE_COLUMNS,
    ROUTE_CHOICE_MEMORY_TABLE,
    ROUTE_CHOICE_TABLE,
    PortRouter,
    choice_fact,
)
from actors.channels.terms import ChannelTerms
from schemas.routing import RouteRecord
from tests.unit.routing.routing_lab import router

# 10:30 in Shanghai.
_NOW = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
_NOW_MS = int(_NOW.timestamp() * 1000)


def _terms(name: str, **changes: Any) -> ChannelTerms:
    usual: dict[str, Any] = {
        "methods": frozenset({"quick"}), "amount_max_minor": 100_000, "fee_ppm": 6_000,
        "refund_within_s": 1, "refunds_max": 1,
    }  # fmt: skip
    return ChannelTerms(name=name, **{**usual, **changes})


_TERMS = (_terms("own_bank", fee_ppm=0), _terms("wechat"), _terms("alipay", amount_max_minor=999))


def _request(**changes: Any) -> RouteRequest:
    usual: dict[str, Any] = {
        "payment_id": "pay_1", "app": "campus", "amount_minor": 5_000, "method": "quick",
    }  # fmt: skip
    return RouteRequest(**{**usual, **changes})


def _choose(request: RouteRequest) -> tuple[Choice, RouteRecord]:
    subject: Router = PortRouter(router())
    choice = subject.choose(request, _TERMS, _NOW_MS)
    return choice, msgspec.json.decode(choice.body, type=RouteRecord)


def test_a_choice_says_why_and_keeps_everything() -> None:
    """The first sentence is about the chosen one, there is one for each, the text has it all."""
    choice, record = _choose(_request())
    assert choice.channel == record.decision.chosen == "own_bank"
    assert choice.reasons[0].startswith("own_bank: score 0.8900 by a success rate of 90.0%")
    assert choice.reasons[0].endswith(f"drawn with probability {choice.propensity:.6f}")
    assert [reason.split(":")[0] for reason in choice.reasons[1:]] == ["wechat", "alipay"]
    assert choice.reasons[2] == "alipay: it does not take 5000 fen by quick"
    assert choice.scores.keys() == {"own_bank", "wechat"}
    assert choice.rules_version == 7
    assert record.payment.hour == 10
    assert [one.cost_minor for one in record.decision.candidates] == [0, 30, 30]


@pytest.mark.parametrize(
    ("changes", "channel", "reasons"),
    [
        ({"wanted": "wechat"}, "wechat", {"own_bank": "the payment names wechat"}),
        ({"excluded": ("own_bank",)}, "wechat", {"own_bank": "the payment excludes it"}),
        ({"currency": "USD"}, None, {"wechat": "it takes CNY only"}),
        ({"wanted": "unionpay"}, None, {"wechat": "the payment names unionpay"}),
        ({"method": "seamless"}, None, {"wechat": "it does not take 5000 fen by seamless"}),
    ],
)
def test_what_the_payment_and_the_terms_rule_out(
    changes: dict[str, Any], channel: str | None, reasons: dict[str, str]
) -> None:
    """A named channel, those tried before, currency, method and amount each leave their reason."""
    choice, record = _choose(_request(**changes))
    assert choice.channel == channel
    assert (choice.propensity > 0) == (channel is not None)
    for name, reason in reasons.items():
        assert f"{name}: {reason}" in choice.reasons
    if channel is None:
        assert choice.reasons[0] == "no channel may be tried"
        assert choice.retry_after_s is None
        assert record.decision.chosen is None


def test_when_all_circuits_are_open_it_says_when_to_come_back() -> None:
    """No channel, and the seconds until the first circuit is half open."""
    subject = PortRouter(router())
    for later_ms, name in ((0, "own_bank"), (5_000, "wechat")):
        for _ in range(8):
            subject.observe(name, "unknown", 8.0, _NOW_MS + later_ms)
    choice = subject.choose(_request(), _TERMS, _NOW_MS + 6_000)
    assert choice.channel is None
    assert choice.retry_after_s == pytest.approx(9.0)
    assert "own_bank: its circuit is open for 9.0 s more" in choice.reasons
    later = subject.choose(_request(), _TERMS, _NOW_MS + 15_100)
    assert (later.channel, later.probe, later.propensity) == ("own_bank", True, 1.0)
    assert "drawn as a probe after an outage" in later.reasons[0]


def test_late_news_count_once() -> None:
    """What a query finds out of an unanswered attempt is no second failure, but a success."""
    subject = PortRouter(router())
    for observation in ("unknown", "failed", "declined", "success"):
        latency_s = 8.0 if observation == "unknown" else None
        subject.observe("wechat", observation, latency_s, _NOW_MS)
    (found,) = subject.statistics().channels
    assert found.samples == 2.0


def test_the_row_follows_the_columns_of_the_table() -> None:
    """The stored row has a value of the right type for each column, and the exact propensity."""
    choice, record = _choose(_request())
    fact = choice_fact(choice, payment_id="pay_1", number=2, app="campus", at=_NOW)
    row = dict(zip(ROUTE_CHOICE_COLUMNS, fact.row, strict=True))
    assert fact.table == ROUTE_CHOICE_TABLE.name
    assert row["propensity_ppm"] == record.decision.propensity_ppm
    stored = ROUTE_CHOICE_MEMORY_TABLE.row({**row, "change_seq": 1})
    assert stored["chosen"] == "own_bank"
    assert stored["body"] == choice.body


def test_no_choice_makes_no_row() -> None:
    """A choice of no channel is an error to store: there is no attempt that it belongs to."""
    choice, _ = _choose(_request(method="seamless"))
    with pytest.raises(ValueError, match="no channel"):
        choice_fact(choice, payment_id="pay_1", number=1, app="campus", at=_NOW)
