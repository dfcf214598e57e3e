"""Credit lines: applied for, granted, limited, frozen and closed."""

from typing import Any

import pytest

from actors.credit.rule_set import CREDIT_RULE_SET
from schemas.errors import (
    Conflict,
    Ineligible,
    InvalidField,
    InvalidState,
    NotFound,
)
from tests.unit.credit.credit_desk import CreditDesk

pytestmark = pytest.mark.anyio


async def test_a_line_is_granted_by_the_bank() -> None:
    """An application waits, is granted with a limit of the bank's, and can then be drawn."""
    desk = await CreditDesk().open()
    found = await desk.ask(
        "credit.apply", customer_id="cust", kind="loan", account_id="own", limit_minor=9_000_000
    )
    assert (found["status"], found["limit_minor"]) == ("pending", 0)
    line_id = found["line_id"]
    with pytest.raises(InvalidState, match="pending"):
        await desk.quote(line_id, 100_000)
    granted = await desk.ask(
        "credit.grant", app="ops", line_id=line_id, limit_minor=5_000_000, decided_by="clerk"
    )
    assert (granted["status"], granted["limit_minor"]) == ("active", 5_000_000)
    details = await desk.ask("credit.get", line_id=line_id)
    assert (details["drawn_minor"], details["available_minor"]) == (0, 5_000_000)
    assert desk.event_types(line_id) == ["credit.applied", "credit.granted"]


async def test_who_is_pre_approved_gets_the_line_at_once() -> None:
    """The list is data: it gives up to its limit, and no more than was asked for."""
    desk = await CreditDesk().open()
    listed = {"customer_id": "cust", "kind": "loan", "limit_minor": 3_000_000}
    rules = CREDIT_RULE_SET.read({"pre_approved": [listed]})
    desk.rules._current["credit"] = (1, rules)
    asked: dict[str, Any] = {"customer_id": "cust", "account_id": "own"}
    loan = await desk.ask("credit.apply", kind="loan", limit_minor=9_000_000, **asked)
    assert (loan["status"], loan["limit_minor"]) == ("active", 3_000_000)
    card = await desk.ask("credit.apply", kind="instalment", limit_minor=100, **asked)
    assert card["status"] == "pending"
    assert desk.event_types(loan["line_id"]) == ["credit.granted"]


async def test_a_customer_has_one_line_of_a_kind() -> None:
    """A second application is refused until the first is declined or closed."""
    desk = await CreditDesk().open()
    asked: dict[str, Any] = {
        "customer_id": "cust",
        "kind": "loan",
        "account_id": "own",
        "limit_minor": 1_000_000,
    }
    first = await desk.ask("credit.apply", **asked)
    with pytest.raises(InvalidState, match="already"):
        await desk.ask("credit.apply", **asked)
    declined = await desk.ask(
        "credit.decline", app="ops", line_id=first["line_id"], reason="income", decided_by="clerk"
    )
    assert (declined["status"], declined["reason"]) == ("declined", "income")
    again = await desk.ask("credit.apply", **asked)
    closed = await desk.ask("credit.close", line_id=again["line_id"])
    assert closed["status"] == "closed"
    await desk.ask("credit.apply", **asked)


async def test_only_known_customers_and_own_accounts_get_a_line() -> None:
    """Another app's customer, or an account that is not the app's, is not found."""
    desk = await CreditDesk().open()
    asked: dict[str, Any] = {
        "customer_id": "cust",
        "kind": "loan",
        "account_id": "own",
        "limit_minor": 1_000_000,
    }
    for app, changes, field in (
        ("other", {}, "customer_id"),
        ("shop", {"customer_id": "nobody"}, "customer_id"),
        ("shop", {"account_id": "external:cash"}, "account_id"),
    ):
        with pytest.raises(NotFound) as caught:
            await desk.ask("credit.apply", app=app, **{**asked, **changes})
        assert caught.value.field == field


async def test_another_app_finds_no_line() -> None:
    """A line is answered to another app like one that does not exist."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    for operation, body in (
        ("credit.get", {}),
        ("credit.plans", {}),
        ("credit.close", {}),
        ("credit.quote", {"amount_minor": 100_000, "terms": 3}),
        ("credit.repay", {}),
    ):
        with pytest.raises(NotFound):
            await desk.ask(operation, app="other", line_id=line_id, **body)


async def test_a_limit_is_never_above_the_rules() -> None:
    """Neither a grant nor a change nor a list may pass the highest limit of the kind."""
    desk = await CreditDesk().open()
    line_id = await desk.line("loan", 1_000_000)
    with pytest.raises(InvalidField, match="at most 20000000"):
        await desk.ask(
            "credit.limit", app="ops", line_id=line_id, limit_minor=20_000_001, decided_by="clerk"
        )
    listed = {"customer_id": "cust", "kind": "loan", "limit_minor": 20_000_001}
    with pytest.raises(InvalidField, match="pre_approved"):
        CREDIT_RULE_SET.read({"pre_approved": [listed]})


async def test_a_lower_limit_keeps_what_is_drawn() -> None:
    """Below what is drawn nothing more is available, until it is repaid or raised again."""
    desk = await CreditDesk().open()
    line_id = await desk.line(limit_minor=1_000_000)
    await desk.pay(line_id, 600_000)
    change: dict[str, Any] = {"app": "ops", "line_id": line_id, "decided_by": "clerk"}
    await desk.ask("credit.limit", limit_minor=500_000, **change)
    details = await desk.ask("credit.get", line_id=line_id)
    assert (details["drawn_minor"], details["available_minor"]) == (600_000, 0)
    quote = await desk.quote(line_id, 10_000)
    draw, _ = await desk.payment(line_id, quote["quote_id"], 10_000)
    assert (await desk.commit(draw))[0] == "insufficient_funds"
    await desk.ask("credit.limit", limit_minor=610_000, **change)
    draw, _ = await desk.payment(line_id, quote["quote_id"], 10_000)
    assert (await desk.commit(draw)).replies[0].ok
    desk.check_books(line_id)


async def test_a_frozen_line_takes_repayments_only() -> None:
    """A draw that was decided before the freeze is refused by the ledger after it."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    plan_id, _ = await desk.pay(line_id, 300_000)
    quote = await desk.quote(line_id, 100_000)
    draw, _ = await desk.payment(line_id, quote["quote_id"], 100_000)
    status: dict[str, Any] = {
        "app": "ops",
        "line_id": line_id,
        "reason": "lost card",
        "decided_by": "clerk",
    }
    await desk.ask("credit.status", status="frozen", **status)
    assert (await desk.commit(draw))[0] == "invalid_state"
    with pytest.raises(InvalidState, match="frozen"):
        await desk.quote(line_id, 100_000)
    await desk.run_days(35)
    repaid = await desk.ask("credit.repay", line_id=line_id)
    assert repaid["plans"][0]["plan_id"] == plan_id
    await desk.ask("credit.status", status="active", **status)
    await desk.quote(line_id, 100_000)
    assert desk.event_types(line_id)[-2:] == ["credit.repaid", "credit.unfrozen"]


async def test_a_line_closes_when_nothing_is_owed() -> None:
    """With an open plan it stays; afterwards it closes for good and takes no draw."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    plan_id, _ = await desk.pay(line_id, 300_000)
    with pytest.raises(InvalidState, match="open plans"):
        await desk.ask("credit.close", line_id=line_id)
    total = (await desk.ask("credit.payoff", plan_id=plan_id))["total_minor"]
    await desk.ask("credit.settle", plan_id=plan_id, total_minor=total)
    closed = await desk.ask("credit.close", line_id=line_id)
    assert closed["status"] == "closed"
    statuses = {
        name: row["status"] for (name,), row in desk.database.rows("account").items()
        if name.startswith(line_id)
    }  # fmt: skip
    assert statuses == {line_id: "closed", f"{line_id}:charges": "closed"}


async def test_no_app_can_touch_the_accounts_of_a_line() -> None:
    """They are the bank's, so an app that names one finds nothing there to pay from."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    for name in (line_id, f"{line_id}:charges"):
        assert desk.database.rows("account")[(name,)]["app"] == "bank"


async def test_requests_about_lines_are_idempotent() -> None:
    """The same id gives the same line, and with another body a conflict."""
    desk = await CreditDesk().open()
    asked: dict[str, Any] = {
        "request_id": "a-1", "customer_id": "cust", "kind": "loan", "account_id": "own",
        "limit_minor": 1_000_000,
    }  # fmt: skip
    first = await desk.ask("credit.apply", **asked)
    assert await desk.ask("credit.apply", **asked) == first
    with pytest.raises(Conflict):
        await desk.ask("credit.apply", **{**asked, "limit_minor": 2_000_000})


async def test_a_company_gets_no_personal_line() -> None:
    """Lines are for persons."""
    desk = await CreditDesk().open()
    row = desk.database.rows("customer")[("cust",)]
    body = str(row["body"]).replace('"person"', '"company"')
    desk.database.put("customer", ("cust",), {"body": body})
    with pytest.raises(Ineligible, match="company"):
        await desk.ask(
            "credit.apply", customer_id="cust", kind="loan", account_id="own", limit_minor=1
        )
