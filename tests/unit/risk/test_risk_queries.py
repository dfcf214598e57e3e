"""What risk officers read: reviews, explanations and the report."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.risk.limit_message import limit_message, read_limit_message
from actors.risk.report import summarise
from actors.risk.rule_document import rules_from
from actors.risk.rules import VelocityRule
from schemas.errors import ErrorBody
from schemas.risk import ExplainRisk, GetRiskReport, ListReviews
from tests.unit.risk.facts import MORNING_MS, document, facts, rule
from tests.unit.risk.risk_lab import RiskLab, check_of, memory_lab

pytestmark = pytest.mark.anyio

_MORNING = datetime.fromtimestamp(MORNING_MS / 1000, UTC)


async def _report(lab: RiskLab) -> dict[str, Any]:
    request = GetRiskReport(since=_MORNING - timedelta(hours=1), until=lab.clock.now())
    answer: dict[str, Any] = await lab.ask(request)
    return answer


async def test_reviews_are_those_that_still_wait() -> None:
    """A page holds the waiting ones with their rules; one that was decided is not there."""
    lab = memory_lab(
        rule("amount", "large", "review"), rule("amount", "trial", "decline", stage="shadow")
    )
    await lab.open("acct_a", "acct_b")
    for number in range(5):
        one = facts(amount_minor=5_000, subject=f"pay_{number}")
        status = "declined" if number == 2 else "in_review"
        check = check_of(one, f"r{number}", reviewable=True, status=status)
        assert await lab.pay(check) == ["ok"]
    first = await lab.ask(ListReviews(limit=3))
    assert [one["payment_id"] for one in first["reviews"]] == ["pay_0", "pay_1"]
    rest = await lab.ask(ListReviews(after=first["next_after"], limit=3))
    assert [one["payment_id"] for one in rest["reviews"]] == ["pay_3", "pay_4"]
    assert rest["next_after"] is None
    one = rest["reviews"][0]
    assert (one["customer"], one["amount_minor"], one["rules_version"]) == ("cust_1", 5_000, 1)
    assert [(hit["rule_id"], hit["stage"], hit["effect"]) for hit in one["hits"]] == [
        ("large", "live", "review"), ("trial", "shadow", "decline"),
    ]  # fmt: skip


async def test_a_refusal_is_explained_by_its_request() -> None:
    """A payment that was declined has no id that its caller knows; the request finds it."""
    lab = memory_lab(
        rule("amount", "see", "review"),
        rule("amount", "no", "decline", above_minor=2_000),
        rule("amount", "trial", "decline", stage="shadow"),
    )
    await lab.open("acct_a", "acct_b")
    assert await lab.pay(check_of(facts(amount_minor=5_000))) == ["risk_declined"]
    for request in (ExplainRisk(app="shop", request_id="r1"), ExplainRisk(subject="pay_1")):
        answer = await lab.ask(request)
        assert (answer["outcome"], answer["reasons"], answer["rules_version"]) == (
            "decline", ["no", "see"], 1,
        )  # fmt: skip
        assert [hit["rule_id"] for hit in answer["hits"]] == ["see", "no", "trial"]


async def test_a_plain_payment_is_explained_by_the_rules_of_its_time() -> None:
    """Where no rule fired there is no row; the payment itself and the versions put say the rest."""
    lab = memory_lab()
    await lab.open("acct_a", "acct_b")
    assert await lab.pay(check_of(facts())) == ["ok"]
    database = lab.store.database  # type: ignore[attr-defined]
    for version, hours in ((1, -2), (2, -1), (3, 1)):
        row = {
            "name": "risk", "version": version, "change_seq": version, "body": "{}",
            "put_at": _MORNING + timedelta(hours=hours),
        }  # fmt: skip
        database.put("rule_set_version", ("risk", version), row)
    for request in (ExplainRisk(subject="pay_1"), ExplainRisk(app="shop", request_id="r1")):
        answer = await lab.ask(request)
        assert (answer["outcome"], answer["hits"], answer["rules_version"]) == ("approve", [], 2)
        assert (answer["subject"], answer["request_id"]) == ("pay_1", "r1")


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (ExplainRisk(subject="pay_9"), "not_found", "subject"),
        (ExplainRisk(app="shop", request_id="r9"), "not_found", "request_id"),
        # It is known, and moved no money.
        (ExplainRisk(app="shop", request_id="open-acct_a"), "not_found", "request_id"),
        (ExplainRisk(request_id="r1"), "invalid_field", "subject"),
    ],
)
async def test_what_risk_never_saw_is_not_explained(
    request_: ExplainRisk, code: str, field: str
) -> None:
    """An unknown id, a request about something else and half a name are told apart."""
    lab = memory_lab()
    await lab.open("acct_a")
    error = await lab.ask(request_)
    assert isinstance(error, ErrorBody)
    assert (error.code, error.field) == (code, field)


async def test_a_limit_that_refused_is_explained_and_reported() -> None:
    """The ledger's refusal names the rule, and the report counts it with the others."""
    lab = memory_lab(rule("velocity", "daily", reason="over_daily", count_max=1))
    await lab.open("acct_a", "acct_b")
    assert await lab.pay(check_of(facts())) == ["ok"]
    for number in (2, 3):
        check = check_of(facts(subject=f"pay_{number}"), f"r{number}")
        assert await lab.pay(check) == ["limit_exceeded"]
    answer = await lab.ask(ExplainRisk(app="shop", request_id="r2"))
    assert (answer["outcome"], answer["reasons"]) == ("limit", ["over_daily"])
    (hit,) = answer["hits"]
    assert (hit["rule_id"], hit["kind"]) == ("daily", "limit")
    lab.clock.advance(60)
    (line,) = (await _report(lab))["rules"]
    assert (line["rule_id"], line["kind"], line["hits"]) == ("daily", "limit", 2)


async def test_the_report_shows_what_a_shadow_rule_would_have_changed() -> None:
    """Hits, amounts, what it would have asked for, and how often the decision agreed anyway."""
    lab = memory_lab(
        rule("amount", "live", "decline", above_minor=9_000),
        rule("amount", "trial", "decline", stage="shadow"),
    )
    await lab.open("acct_a", "acct_b")
    for number, amount in enumerate((500, 5_000, 6_000, 9_500)):
        one = facts(amount_minor=amount, subject=f"pay_{number}")
        await lab.pay(check_of(one, f"r{number}"))
    lab.clock.advance(60)
    report = await _report(lab)
    live, trial = report["rules"]
    assert (live["rule_id"], live["hits"], live["agreed"]) == ("live", 1, 1)
    assert trial == {
        "rule_id": "trial", "kind": "amount", "stage": "shadow", "hits": 3,
        "amount_minor": 20_500, "effects": {"decline": 3},
        "outcomes": {"approve": 2, "decline": 1}, "agreed": 1,
    }  # fmt: skip
    assert (report["rules_version"], report["truncated"]) == (1, False)
    assert report["decision_times"]["decisions"] == 4
    request = GetRiskReport(since=lab.clock.now(), until=lab.clock.now() + timedelta(days=1))
    assert (await lab.ask(request))["rules"] == []


@pytest.mark.parametrize("days", [-1, 0, 32])
async def test_a_report_is_about_a_bounded_while(days: int) -> None:
    """An empty span and one of more than a month are refused."""
    lab = memory_lab()
    request = GetRiskReport(since=_MORNING, until=_MORNING + timedelta(days=days))
    assert (await lab.ask(request)).field == "until"


def test_agreement_is_at_least_as_strict() -> None:
    """A decision stricter than what the rule asked for agrees with it, a milder one does not."""
    outcomes = ["approve", "review", "step_up", "decline"]
    (line,) = summarise([("r", "amount", "shadow", "step_up", one, 10) for one in outcomes])
    assert (line.hits, line.amount_minor, line.agreed) == (4, 40, 2)


def test_a_limits_message_can_be_read_again() -> None:
    """What the ledger answers names the rule; another service's limit is not taken for risk's."""
    (one,) = rules_from(document(rule("velocity", "a-b-1", reason="a_b", amount_max_minor=5))).rules
    assert isinstance(one, VelocityRule)
    assert read_limit_message(limit_message(one)) == ("a-b-1", "a_b")
    assert read_limit_message("6 would pass the limit of 5") is None
