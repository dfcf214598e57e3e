"""Plans as they are billed, repaid, overdue, settled and refunded, with their events and books."""

from datetime import date

import pytest

from actors.credit.rule_set import CREDIT_RULE_SET
from actors.entity import Part, merge
from schemas.change import Change
from schemas.errors import InsufficientFunds, InvalidField, InvalidState, NotFound
from schemas.ledger import Moves
from tests.changes import change, open_account
from tests.unit.credit.credit_desk import CreditDesk, move

pytestmark = pytest.mark.anyio


async def test_a_plan_is_paid_to_its_end_from_the_account() -> None:
    """With automatic repayment each term is billed and paid on its day, and the line is free."""
    desk = await CreditDesk().open(10_000_000)
    line_id = await desk.line()
    await desk.ask("credit.autopay", line_id=line_id, autopay=True)
    plan_id, _ = await desk.pay(line_id, 600_000, 6)
    await desk.run_days(185)
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    assert plan["status"] == "paid"
    assert [term["paid_on"] for term in plan["terms"]] == [
        "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30", "2026-07-31",
    ]  # fmt: skip
    fee = 600_000 * 6_200 * 6 // 10**6
    assert desk.posted("own") == 10_000_000 - 600_000 - fee
    assert desk.posted("income:credit_fee") == fee
    assert (desk.posted(line_id), desk.posted(f"{line_id}:charges")) == (0, 0)
    billed = ["credit.billed"] * 6
    assert desk.event_types(plan_id) == ["credit.drawn", *billed, "credit.ended"]
    assert desk.event_types(line_id).count("credit.repaid") == 6
    assert desk.timers(plan_id) == []
    desk.check_books(line_id)


async def test_without_money_the_plan_falls_overdue_and_is_cured() -> None:
    """Automatic repayment takes all or nothing, tries daily, and a penalty counts after grace."""
    desk = await CreditDesk().open(100_000)
    line_id = await desk.line()
    await desk.ask("credit.autopay", line_id=line_id, autopay=True)
    plan_id, _ = await desk.pay(line_id, 300_000, 3)
    await desk.run_until(date(2026, 3, 5))
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    assert (plan["status"], plan["penalty_minor"]) == ("overdue", 100)
    assert plan["payable"]["total_minor"] == 100_000 + 1_950 + 100
    assert desk.posted("own") == 100_000
    assert desk.event_types(plan_id) == [
        "credit.drawn",
        "credit.billed", "credit.autopay_failed",
        *["credit.autopay_failed"] * 3,
        "credit.penalised", "credit.overdue", "credit.autopay_failed",
        "credit.penalised", "credit.autopay_failed",
    ]  # fmt: skip
    await desk.ask("credit.repay", line_id=line_id, amount_minor=5_000)
    await desk.ask("credit.repay", line_id=line_id, amount_minor=95_000)
    with pytest.raises(InsufficientFunds):
        await desk.ask("credit.repay", line_id=line_id)
    other = await desk.commit(desk.change_of("gift", _gift(50_000)))
    assert other.replies[0].ok
    await desk.run_until(date(2026, 3, 6))
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    assert (plan["status"], plan["payable"]["total_minor"]) == ("active", 0)
    assert "credit.cured" in desk.event_types(plan_id)
    desk.check_books(line_id)


def _gift(amount_minor: int) -> Part:
    return Part(moves=Moves(steps=(move("till", "own", amount_minor),)))


async def test_a_repayment_says_what_it_was_for() -> None:
    """Penalty, then the fee, then principal: each amount in the answer and in the accounts."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    plan_id, _ = await desk.pay(line_id, 300_000, 3)
    await desk.run_until(date(2026, 3, 13))
    before = desk.posted("own")
    repaid = await desk.ask("credit.repay", line_id=line_id, amount_minor=50_000)
    assert repaid["plans"] == [
        {
            "plan_id": plan_id, "status": "overdue", "penalty_minor": 500, "charge_minor": 1_950,
            "principal_minor": 47_550,
        }
    ]  # fmt: skip
    assert (repaid["amount_minor"], repaid["account_id"]) == (50_000, "own")
    assert desk.posted("own") == before - 50_000
    assert desk.posted(line_id) == -300_000 + 47_550
    assert desk.posted("income:credit_penalty") == 500
    desk.check_books(line_id)


async def test_the_oldest_debt_of_a_line_is_repaid_first() -> None:
    """Of two plans the one due before the other takes the money, and the rest goes on."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    first, _ = await desk.pay(line_id, 300_000, 3)
    await desk.run_days(10)
    second, _ = await desk.pay(line_id, 600_000, 3)
    await desk.run_until(date(2026, 3, 12))
    repaid = await desk.ask("credit.repay", line_id=line_id, amount_minor=103_000)
    parts = [
        (plan["plan_id"], plan["charge_minor"], plan["principal_minor"]) for plan in repaid["plans"]
    ]
    assert parts == [(first, 1_950, 100_000), (second, 600, 0)]
    named = await desk.ask("credit.repay", line_id=line_id, plan_id=second)
    assert [plan["plan_id"] for plan in named["plans"]] == [second]
    with pytest.raises(InvalidState, match="nothing is due"):
        await desk.ask("credit.repay", line_id=line_id)
    with pytest.raises(NotFound):
        await desk.ask("credit.repay", line_id=line_id, plan_id="plan_0")
    desk.check_books(line_id)


async def test_no_more_than_what_is_due_is_repaid() -> None:
    """More is refused with what is due, and what is not due has its own operation."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    await desk.pay(line_id, 300_000, 3)
    with pytest.raises(InvalidState):
        await desk.ask("credit.repay", line_id=line_id)
    await desk.run_until(date(2026, 2, 28))
    with pytest.raises(InvalidField, match="101950 are due"):
        await desk.ask("credit.repay", line_id=line_id, amount_minor=101_951)


async def test_somebody_else_may_repay() -> None:
    """Any account of the app may be named; another app's is not found."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    await desk.pay(line_id, 300_000, 3)
    await desk.commit(desk.change_of("x", Part()), _opened("theirs"))
    await desk.run_until(date(2026, 2, 28))
    with pytest.raises(NotFound) as caught:
        await desk.ask("credit.repay", line_id=line_id, account_id="theirs")
    assert caught.value.field == "account_id"
    repaid = await desk.ask("credit.repay", line_id=line_id, account_id="till")
    assert (repaid["account_id"], desk.posted("till")) == ("till", 300_000 - 101_950)


def _opened(name: str) -> Change:
    return change(f"open-{name}", open_account(name, app="other"), app="other")


async def test_an_operation_needs_no_timer_to_be_right() -> None:
    """After weeks without a single timer a repayment finds everything billed and penalised."""
    ran, slept = await CreditDesk().open(), await CreditDesk().open()
    answers = []
    for desk in (ran, slept):
        line_id = await desk.line()
        await desk.pay(line_id, 300_000, 3)
        if desk is ran:
            await desk.run_days(75)
        else:
            desk.let_pass(75)
        repaid = await desk.ask("credit.repay", line_id=line_id)
        repaid.pop("repaid_at")
        repaid["plans"][0].pop("plan_id")
        repaid.pop("line_id")
        answers.append((repaid, desk.posted("own"), desk.posted("income:credit_penalty")))
        desk.check_books(line_id)
    assert answers[0] == answers[1]
    await slept.catch_up()
    assert slept.posted("own") == ran.posted("own")


async def test_a_plan_is_settled_for_what_the_customer_was_told() -> None:
    """The payoff of the day ends the plan; yesterday's, or another sum, is refused."""
    desk = await CreditDesk().open()
    line_id = await desk.line("loan")
    quote = await desk.quote(line_id, 1_200_000, 12)
    plan = await desk.ask("credit.draw", line_id=line_id, quote_id=quote["quote_id"])
    plan_id = plan["plan_id"]
    await desk.run_days(10)
    payoff = await desk.ask("credit.payoff", plan_id=plan_id)
    assert (payoff["charge_minor"], payoff["principal_minor"]) == (10 * 120, 1_200_000)
    await desk.run_days(1)
    with pytest.raises(InvalidState, match="1201320"):
        await desk.ask("credit.settle", plan_id=plan_id, total_minor=payoff["total_minor"])
    settled = await desk.ask("credit.settle", plan_id=plan_id, total_minor=1_201_320)
    assert (settled["charge_minor"], settled["plans"][0]["status"]) == (1_320, "settled")
    assert (desk.posted(line_id), desk.posted("income:credit_interest")) == (0, 1_320)
    assert desk.timers(plan_id) == []
    assert desk.event_types(plan_id)[-1] == "credit.ended"
    with pytest.raises(InvalidState, match="settled"):
        await desk.ask("credit.payoff", plan_id=plan_id)
    desk.check_books(line_id)


async def test_a_refund_shortens_the_plan() -> None:
    """The shop's money reduces the plan from its end, and the rest is billed at the lower fee."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    plan_id, leg = await desk.pay(line_id, 600_000, 6)
    assert await desk.refund(plan_id, leg, 350_000) is None
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    assert [term["principal_minor"] for term in plan["terms"]] == [100_000, 100_000, 50_000]
    assert {term["charge_minor"] for term in plan["terms"]} == {250_000 * 6_200 // 10**6}
    assert (desk.posted(line_id), desk.posted("till")) == (-250_000, 250_000)
    assert desk.event_types(plan_id) == ["credit.drawn", "credit.refunded"]
    desk.check_books(line_id)


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_refund_returns_what_was_paid_already(*, frozen: bool) -> None:
    """Two terms were paid: a full refund ends the plan and returns their principal."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    plan_id, leg = await desk.pay(line_id, 300_000, 3)
    for day in (date(2026, 2, 28), date(2026, 3, 31)):
        await desk.run_until(day)
        await desk.ask("credit.repay", line_id=line_id)
    before = desk.posted("own")
    if frozen:
        await desk.ask(
            "credit.status", app="ops", line_id=line_id, status="frozen", reason="x",
            decided_by="clerk",
        )  # fmt: skip
    assert await desk.refund(plan_id, leg, 120_000) is None
    assert desk.posted("own") == before + 20_000
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    assert (plan["status"], plan["returned_minor"]) == ("paid", 20_000)
    assert await desk.refund(plan_id, leg, 180_000) is None
    assert desk.posted("own") == before + 200_000
    assert desk.posted(line_id) == 0
    assert desk.timers(plan_id) == []
    desk.check_books(line_id)
    with pytest.raises(InvalidState, match="can take back 0 of 1"):
        await desk.refund(plan_id, leg, 1)


async def test_a_refund_and_a_repayment_of_one_moment_do_not_both_stand() -> None:
    """What was decided on a plan that another change moved meanwhile is refused, to be redone."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    plan_id, leg = await desk.pay(line_id, 300_000, 3)
    await desk.run_until(date(2026, 2, 28))
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    back = await desk.funding.refund(
        leg, 300_000, app="shop", payment_id=plan["payment_id"], refund_id="r", whole=True,
        now=desk.clock.now(), ids=desk.ids,
    )  # fmt: skip
    await desk.ask("credit.repay", line_id=line_id)
    moved = Part(moves=Moves(steps=(move("till", back.credit_to, 300_000),)))
    answers = await desk.commit(desk.change_of("late", merge(moved, back.after)))
    assert answers[0] == "stale_owner"
    assert await desk.refund(plan_id, leg, 300_000) is None
    desk.check_books(line_id)


async def test_charges_do_not_need_the_limit() -> None:
    """A line drawn to its limit is billed all the same, and its principal stays within it."""
    desk = await CreditDesk().open()
    rules = CREDIT_RULE_SET.read({"instalment": {"fee_mode": "up_front"}})
    desk.rules._current["credit"] = (1, rules)
    line_id = await desk.line(limit_minor=300_000)
    await desk.pay(line_id, 300_000, 3)
    await desk.run_days(60)
    assert desk.posted(line_id) == -300_000
    assert desk.posted(f"{line_id}:charges") < -5_850
    details = await desk.ask("credit.get", line_id=line_id)
    assert details["charges_minor"] == -desk.posted(f"{line_id}:charges")
    assert (details["overdue_plans"], details["available_minor"]) == (1, 0)
    desk.check_books(line_id)


async def test_plans_are_listed_page_by_page() -> None:
    """Pages follow each other without a gap, and another app finds none of the plans."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    made = [(await desk.pay(line_id, 10_000))[0] for _ in range(5)]
    first = await desk.ask("credit.plans", line_id=line_id, limit=3)
    rest = await desk.ask("credit.plans", line_id=line_id, limit=3, after=first["next_after"])
    listed = [plan["plan_id"] for plan in (*first["plans"], *rest["plans"])]
    assert (listed, rest["next_after"]) == (made, None)
    for operation in ("credit.plan", "credit.payoff"):
        with pytest.raises(NotFound):
            await desk.ask(operation, app="other", plan_id=made[0])


async def test_repayments_are_idempotent() -> None:
    """The same id is answered with the same repayment, and moves nothing again."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    await desk.pay(line_id, 300_000, 3)
    await desk.run_until(date(2026, 2, 28))
    first = await desk.ask("credit.repay", request_id="once", line_id=line_id)
    left = desk.posted("own")
    assert await desk.ask("credit.repay", request_id="once", line_id=line_id) == first
    assert desk.posted("own") == left


async def test_an_outage_costs_nobody_who_repays_automatically() -> None:
    """After three months without a node all terms are paid as on their days, without a penalty."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    await desk.ask("credit.autopay", line_id=line_id, autopay=True)
    plan_id, _ = await desk.pay(line_id, 300_000, 3)
    desk.let_pass(100)
    await desk.catch_up()
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    assert (plan["status"], plan["penalty_minor"]) == ("paid", 0)
    assert [term["paid_on"] for term in plan["terms"]] == [t["due_on"] for t in plan["terms"]]
    assert desk.posted("own") == 10**9 - 305_850
    assert desk.event_types(plan_id) == ["credit.drawn", "credit.billed", "credit.ended"]
    desk.check_books(line_id)
