"""Quotes and draws: consent is used once, and no race passes the limit."""

from datetime import date
from typing import Any

import pytest

from actors.credit.records import OPEN_PLANS_MAX
from actors.credit.rule_set import CREDIT_RULE_SET
from actors.entity import Part, merge
from actors.regulation.instalments import CreditRules
from schemas.errors import Ineligible, InsufficientFunds, InvalidField, InvalidState, NotFound
from schemas.ledger import CaptureStep, Moves, PlaceStep
from tests.unit.credit.credit_desk import CreditDesk, move

pytestmark = pytest.mark.anyio


async def test_a_quote_shows_everything_before_consent() -> None:
    """Terms, fee, every due amount and both annual rates are in the quote, and nothing is drawn."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    quote = await desk.quote(line_id, 1_200_000, 12)
    assert [term["total_minor"] for term in quote["terms"]] == [107_200] * 12
    assert quote["terms"][0]["due_on"] == "2026-02-28"
    assert quote["terms"][1]["due_on"] == "2026-03-31"
    assert (quote["charges_minor"], quote["total_minor"]) == (86_400, 1_286_400)
    assert (quote["annual_rate_ppm"], quote["effective_annual_rate_ppm"]) == (130_342, 138_418)
    assert (quote["fee_ppm"], quote["penalty_ppm_per_day"], quote["grace_days"]) == (6_000, 500, 3)
    assert desk.posted(line_id) == 0
    assert desk.event_types(quote["quote_id"]) == ["credit.quoted"]


async def test_the_plan_stands_with_the_payment() -> None:
    """The shop is paid, the line drawn, the plan due as quoted and its timer set, all at once."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    quote = await desk.quote(line_id, 1_200_000, 12)
    draw, _ = await desk.payment(line_id, quote["quote_id"], 1_200_000, payment_id="pay-77")
    assert (await desk.commit(draw)).replies[0].ok
    plan_id = await desk.newest_plan(line_id)
    plan = await desk.ask("credit.plan", plan_id=plan_id)
    shown = [(t["number"], t["due_on"], t["principal_minor"], t["charge_minor"])
             for t in plan["terms"]]  # fmt: skip
    assert shown == [(t["number"], t["due_on"], t["principal_minor"], t["charge_minor"])
                     for t in quote["terms"]]  # fmt: skip
    assert (plan["status"], plan["payment_id"]) == ("active", "pay-77")
    assert plan["annual_rate_ppm"] == quote["annual_rate_ppm"]
    assert (desk.posted("till"), desk.posted(line_id)) == (1_200_000, -1_200_000)
    due_at = desk.timers(plan_id)
    assert [at.isoformat() for at in due_at] == ["2026-02-27T16:00:00+00:00"]
    assert desk.event_types(plan_id) == ["credit.drawn"]
    desk.check_books(line_id)


async def test_a_quote_is_used_once() -> None:
    """Of two payments decided on one quote, the second is refused for good."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    quote = await desk.quote(line_id, 100_000)
    draws = [(await desk.payment(line_id, quote["quote_id"], 100_000))[0] for _ in range(2)]
    answers = await desk.commit(*draws)
    assert (answers[0], answers[1]) == ("{}", "invalid_state")
    assert desk.posted(line_id) == -100_000
    with pytest.raises(InvalidState, match="used already"):
        await desk.payment(line_id, quote["quote_id"], 100_000)
    desk.check_books(line_id)


async def test_a_quote_expires() -> None:
    """It holds for a quarter of an hour, and never beyond its day, whose terms it shows."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    quote = await desk.quote(line_id, 100_000)
    desk.clock.advance(899)
    await desk.payment(line_id, quote["quote_id"], 100_000)
    desk.clock.advance(1)
    with pytest.raises(InvalidState, match="expired"):
        await desk.payment(line_id, quote["quote_id"], 100_000)
    await desk.run_until(date(2026, 2, 1))
    desk.clock.advance(23 * 3_600 - 60)
    late = await desk.quote(line_id, 100_000)
    assert late["expires_at"] == "2026-02-01T16:00:00Z"


async def test_a_quote_is_for_its_line_and_its_amount() -> None:
    """Another line's quote is not found; one for more than is to be paid is refused."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    loan_id = await desk.line("loan")
    quote = await desk.quote(line_id, 100_000)
    with pytest.raises(NotFound):
        await desk.payment(loan_id, quote["quote_id"], 100_000)
    for amount in (99_999, 100_001):
        with pytest.raises(InvalidField, match="is for 100000"):
            await desk.payment(line_id, quote["quote_id"], amount)
    wanted = desk.leg_request(line_id, quote["quote_id"], 100_001, "pay-9", strict=False)
    assert (await desk.funding.pay(wanted)).amount_minor == 100_000


async def test_a_line_without_the_money_leaves_it_to_the_next_source() -> None:
    """Where another source may pay, a leg of nothing is given, and it changes nothing."""
    desk = await CreditDesk().open()
    line_id = await desk.line(limit_minor=150_000)
    await desk.pay(line_id, 100_000)
    quote = await desk.quote(line_id, 60_000)
    wanted = desk.leg_request(line_id, quote["quote_id"], 60_000, "pay-9", strict=False)
    leg = await desk.funding.pay(wanted)
    assert (leg.amount_minor, leg.before) == (0, Part())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"terms": 5, "amount_minor": 100_000}, "terms"),
        ({"terms": 3, "amount_minor": 9_999}, "amount_minor"),
        ({"terms": 3, "amount_minor": 100_000, "method": "interest_first"}, "method"),
    ],
)
async def test_only_what_is_on_offer_is_quoted(body: dict[str, Any], field: str) -> None:
    """Terms, least amount and method are those of the rules."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    with pytest.raises(InvalidField) as caught:
        await desk.ask("credit.quote", line_id=line_id, **body)
    assert caught.value.field == field


async def test_a_loan_repaid_at_its_end_lasts_a_year_at_most() -> None:
    """24 terms are offered with equal principal, 12 with the principal at the end."""
    desk = await CreditDesk().open()
    line_id = await desk.line("loan")
    await desk.quote(line_id, 1_000_000, 24)
    await desk.quote(line_id, 1_000_000, 12, method="interest_first")
    with pytest.raises(InvalidField, match="offered are 3, 6, 9, 12"):
        await desk.quote(line_id, 1_000_000, 18, method="interest_first")
    with pytest.raises(InsufficientFunds):
        await desk.quote(line_id, 10_000_001, 12)


async def test_a_loan_is_paid_out_to_the_lines_account() -> None:
    """The draw moves the money and begins the plan; a line for instalments pays nothing out."""
    desk = await CreditDesk().open(1_000)
    line_id = await desk.line("loan")
    quote = await desk.quote(line_id, 1_200_000, 12)
    plan = await desk.ask("credit.draw", line_id=line_id, quote_id=quote["quote_id"])
    assert (plan["kind"], plan["payment_id"]) == ("loan", None)
    assert (desk.posted("own"), desk.posted(line_id)) == (1_201_000, -1_200_000)
    with pytest.raises(InvalidState, match="used already"):
        await desk.ask("credit.draw", line_id=line_id, quote_id=quote["quote_id"])
    card_id = await desk.line()
    card = await desk.quote(card_id, 100_000)
    with pytest.raises(InvalidState, match="instalments"):
        await desk.ask("credit.draw", line_id=card_id, quote_id=card["quote_id"])
    desk.check_books(line_id)


async def test_racing_draws_never_pass_the_limit() -> None:
    """Of 200 payments decided before any stands, exactly those that the limit holds are paid."""
    desk = await CreditDesk().open()
    line_id = await desk.line(limit_minor=400_000)
    draws = []
    for _ in range(200):
        quote = await desk.quote(line_id, 10_000)
        draws.append((await desk.payment(line_id, quote["quote_id"], 10_000))[0])
    answers = await desk.commit(*draws)
    outcomes = [answers[number] for number in range(200)]
    assert outcomes == ["{}"] * 40 + ["insufficient_funds"] * 160
    assert desk.posted(line_id) == -400_000
    assert len(desk.database.rows("credit_plan")) == 40
    desk.check_books(line_id)


async def test_a_line_has_a_bounded_number_of_open_plans() -> None:
    """One more than the limit is refused; once a plan has ended there is room for another."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    draws = []
    for _ in range(OPEN_PLANS_MAX + 1):
        quote = await desk.quote(line_id, 10_000)
        draws.append((await desk.payment(line_id, quote["quote_id"], 10_000))[0])
    answers = await desk.commit(*draws)
    assert answers[OPEN_PLANS_MAX - 1] == "{}"
    assert answers[OPEN_PLANS_MAX] == "limit_exceeded"
    plan_id = await desk.newest_plan(line_id)
    total = (await desk.ask("credit.payoff", plan_id=plan_id))["total_minor"]
    await desk.ask("credit.settle", plan_id=plan_id, total_minor=total)
    await desk.pay(line_id, 10_000)


async def test_an_overdue_line_takes_no_draw() -> None:
    """What is overdue has to be repaid first; then the line can be drawn on again."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    await desk.pay(line_id, 300_000)
    await desk.run_days(40)
    with pytest.raises(Ineligible, match="overdue"):
        await desk.quote(line_id, 100_000)
    await desk.ask("credit.repay", line_id=line_id)
    await desk.pay(line_id, 100_000)


async def test_a_quote_keeps_what_it_said_when_the_rules_change() -> None:
    """The plan has the conditions that were shown, whatever the rules say by then."""
    desk = await CreditDesk().open()
    line_id = await desk.line()
    quote = await desk.quote(line_id, 300_000)
    rules: CreditRules = CREDIT_RULE_SET.read({"instalment": {"fee_mode": "up_front"}})
    desk.rules._current["credit"] = (1, rules)
    draw, _ = await desk.payment(line_id, quote["quote_id"], 300_000)
    assert (await desk.commit(draw)).replies[0].ok
    assert desk.posted(f"{line_id}:charges") == 0
    other = await desk.quote(line_id, 300_000)
    draw, _ = await desk.payment(line_id, other["quote_id"], 300_000)
    assert (await desk.commit(draw)).replies[0].ok
    assert desk.posted(f"{line_id}:charges") == -5_850
    assert desk.posted("income:credit_fee") == 5_850
    desk.check_books(line_id)


async def test_an_authorised_payment_keeps_its_quote_for_the_captures() -> None:
    """Days after consent each capture becomes a plan of its own, within what was held."""
    desk = await CreditDesk().open()
    line_id = await desk.line(limit_minor=300_000)
    quote = await desk.quote(line_id, 300_000)
    leg = await desk.funding.reserve(
        desk.leg_request(line_id, quote["quote_id"], 300_000, "pay-1", "authorized")
    )
    hold = PlaceStep("hold-1", leg.pay_from, leg.amount_minor, "CNY", desk.clock.now())
    held = desk.change_of("authorize", merge(leg.before, Part(moves=Moves(steps=(hold,)))))
    assert (await desk.commit(held)).replies[0].ok
    assert (await desk.ask("credit.get", line_id=line_id))["available_minor"] == 0
    await desk.run_days(5)
    record = ""
    for number, amount in enumerate((100_000, 150_000)):
        capture = await desk.funding.pay(
            desk.leg_request(line_id, quote["quote_id"], amount, "pay-1", "authorized")
        )
        record = capture.record
        step = CaptureStep("hold-1", amount, "till", name=f"capture{number}")
        one = merge(capture.before, Part(moves=Moves(steps=(step,))))
        assert (await desk.commit(desk.change_of(f"capture-{number}", one))).replies[0].ok
    plans = (await desk.ask("credit.plans", line_id=line_id))["plans"]
    assert [plan["principal_minor"] for plan in plans] == [100_000, 150_000]
    assert {plan["started_on"] for plan in plans} == {"2026-02-05"}
    desk.check_books(line_id)
    back = await desk.funding.refund(
        desk.paid_leg(line_id, 250_000, record), 200_000, app="shop", payment_id="pay-1",
        refund_id="refund-1", whole=False, now=desk.clock.now(), ids=desk.ids,
    )  # fmt: skip
    assert back.credit_to == line_id
    moved = Part(moves=Moves(steps=(move("till", line_id, 200_000),)))
    refund = desk.change_of("refund", merge(moved, back.after))
    assert (await desk.commit(refund)).replies[0].ok
    plans = (await desk.ask("credit.plans", line_id=line_id))["plans"]
    assert [plan["outstanding_minor"] for plan in plans] == [50_000, 0]
    desk.check_books(line_id)
    with pytest.raises(InvalidState, match="used already"):
        await desk.funding.pay(
            desk.leg_request(line_id, quote["quote_id"], 1, "pay-2", "authorized")
        )
