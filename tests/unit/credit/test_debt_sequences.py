"""Whole lives of debts, as the service books them and as a simple model does."""

from datetime import timedelta

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.credit.rule_set import CREDIT_RULE_SET
from tests.unit.credit.credit_desk import CreditDesk
from tests.unit.credit.debt_model import DebtModel

_RULES = st.fixed_dictionaries(
    {
        "instalment": st.fixed_dictionaries(
            {
                "prices": st.integers(0, 20_000).map(
                    lambda ppm: [{"terms": n, "fee_ppm": ppm} for n in (3, 6, 12)]
                ),
                "penalty_ppm_per_day": st.integers(0, 1_000),
            }
        ),
        "loan": st.fixed_dictionaries(
            {
                "daily_ppm": st.integers(0, 700),
                "penalty_ppm_per_day": st.integers(0, 1_000),
                "amount_min_minor": st.just(1),
            }
        ),
        "repayment": st.fixed_dictionaries({"grace_days": st.integers(0, 5)}),
    }
)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 70)),
        st.tuples(st.just("sleep"), st.integers(1, 70)),
        st.tuples(st.just("pay"), st.integers(1, 100)),
        st.tuples(st.just("pay"), st.just(100)),
        st.tuples(st.just("refund"), st.integers(1, 100)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    min_size=1,
    max_size=8,
)


class _Life:
    """A plan and its model, taken through the same steps."""

    def __init__(self, desk: CreditDesk, line_id: str, model: DebtModel, plan_id: str) -> None:
        self.desk = desk
        self.line_id = line_id
        self.model = model
        self.plan_id = plan_id
        self.own = desk.posted("own")
        self.income = 0

    async def step(self, what: str, how: int, leg: object) -> None:
        desk, model = self.desk, self.model
        model.to(desk.today)
        match what:
            case "wait":
                await desk.run_days(how)
                model.to(desk.today)
            case "sleep":
                # As when all nodes are down: what was missed is made up for by whatever is next.
                desk.let_pass(how)
                model.to(desk.today)
            case "pay" if model.payable:
                amount = max(1, model.payable * how // 100)
                await desk.ask("credit.repay", line_id=self.line_id, amount_minor=amount)
                model.pay(amount)
            case "refund" if model.refunds < model.amount:
                amount = max(1, (model.amount - model.refunds) * how // 100)
                assert await desk.refund(self.plan_id, leg, amount) is None  # type: ignore[arg-type]
                model.refund(amount)
            case "settle" if not model.ended:
                total = model.payoff()
                await desk.ask("credit.settle", plan_id=self.plan_id, total_minor=total)
                model.settle()
            case _:
                pass

    def check(self) -> None:
        desk, model = self.desk, self.model
        desk.check_books(self.line_id)
        assert -desk.posted(self.line_id) == model.principal
        assert -desk.posted(f"{self.line_id}:charges") == model.charges
        kinds = ("credit_fee", "credit_interest", "credit_penalty")
        assert sum(desk.posted(f"income:{kind}") for kind in kinds) == model.income
        assert desk.posted("own") == self.own - model.paid_in + model.returned


@settings(max_examples=60, deadline=None)
@given(
    rules=_RULES,
    kind=st.sampled_from(["instalment", "loan"]),
    method=st.sampled_from(["equal_principal", "interest_first"]),
    terms=st.sampled_from([3, 6, 12]),
    amount=st.integers(10_000, 3_000_000),
    steps=_STEPS,
)
def test_every_life_of_a_debt_is_booked_as_the_model_says(
    rules: dict[str, object], kind: str, method: str, terms: int, amount: int,
    steps: list[tuple[str, int]],
) -> None:  # fmt: skip
    """Draws, daily runs, outages, repayments, refunds and payoffs in any order, to the last fen."""

    async def main() -> None:
        desk = await CreditDesk().open()
        desk.rules._current["credit"] = (1, CREDIT_RULE_SET.read(rules))
        line_id = await desk.line(kind)
        how = method if kind == "loan" else "equal_principal"
        quote = await desk.quote(line_id, amount, terms, method=how)
        draw, record = await desk.payment(line_id, quote["quote_id"], amount)
        assert (await desk.commit(draw)).replies[0].ok
        leg = desk.paid_leg(line_id, amount, record)
        model = DebtModel(quote, desk.today)
        life = _Life(desk, line_id, model, await desk.newest_plan(line_id))
        for what, days in steps:
            await life.step(what, days, leg)
            await desk.catch_up()
            life.check()
        # Whatever happened, it can be paid to its end.
        while not model.ended:
            await life.step("pay", 100, leg)
            life.check()
            if not model.ended:
                await life.step("wait", 1 if model.payable else _next_due(model), leg)
                life.check()
        plan = await desk.ask("credit.plan", plan_id=life.plan_id)
        assert plan["status"] in ("paid", "settled", "refunded")
        assert (model.principal, model.charges) == (0, 0)
        assert desk.timers(life.plan_id) == []

    anyio.run(main)


def _next_due(model: DebtModel) -> int:
    due_on = min(term.due_on for term in model.terms if not term.due)
    return max((due_on - model.day) // timedelta(days=1), 1)
