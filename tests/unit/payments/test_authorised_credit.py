"""Authorisations on a credit line: held with consent, and drawn capture by capture."""

from typing import Any

import anyio

from actors.regulation.calendar import day_of
from tests.unit.payments.customer_lab import Customer
from tests.unit.payments.payments_lab import BankLab, Refused, play

_DAY_S = 86_400
_LARGE = 100_000_001


async def _authorise(customer: Customer, amount_minor: int, payee: str, **more: Any) -> Any:
    """Hold an amount of the customer's line for a payee."""
    if "funding" not in more:
        more["funding"] = [await _credit(customer, amount_minor)]
    return await customer.lab.ask(
        "payment.create", payee=payee, amount_minor=amount_minor, method="authorized", **more
    )


async def _credit(customer: Customer, amount_minor: int) -> dict[str, Any]:
    """Return the line as a source, with a new quote."""
    quote_id = await customer.quote(amount_minor)
    return {"type": "credit", "line_id": customer.line, "quote_id": quote_id,
            "amount_minor": amount_minor}  # fmt: skip


async def _plans(customer: Customer) -> list[Any]:
    found = await customer.lab.ask("credit.plans", line_id=customer.line)
    plans: list[Any] = found["plans"]
    return plans


async def _available(customer: Customer) -> int:
    line = await customer.lab.ask("credit.get", line_id=customer.line)
    available: int = line["available_minor"]
    return available


def test_each_capture_is_a_plan_of_its_own(settings: dict[str, str]) -> None:
    """Held by the quote, which nobody can use again; each part is a plan from its own day on."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        payee = await lab.account()
        credit = await _credit(customer, 100_000)
        paid = await _authorise(customer, 100_000, payee, funding=[credit])
        named = {"payment_id": paid["payment_id"]}
        assert (lab.held(customer.line), lab.balances()[customer.line]) == (100_000, 0)
        assert await _available(customer) == 900_000
        assert await _plans(customer) == []
        for method in ("quick", "authorized"):
            again = await lab.refusal(
                "payment.create", payee=payee, amount_minor=100_000, method=method,
                funding=[credit],
            )  # fmt: skip
            assert again == "invalid_state"
        days = []
        for amount in (30_000, 50_000):
            # A quote outlives its day for this payment alone.
            await lab.pass_time(3 * _DAY_S)
            days.append(day_of(lab.world.clock.now()).isoformat())
            await lab.ask("payment.capture", **named, amount_minor=amount)
        plans = await _plans(customer)
        assert [plan["principal_minor"] for plan in plans] == [30_000, 50_000]
        assert [plan["started_on"] for plan in plans] == days
        assert {plan["payment_id"] for plan in plans} == {paid["payment_id"]}
        assert {plan["quote_id"] for plan in plans} == {credit["quote_id"]}
        assert (lab.held(customer.line), lab.balances()[customer.line]) == (20_000, -80_000)
        voided = await lab.ask("payment.void", **named)
        assert (voided["status"], voided["captured_minor"]) == ("succeeded", 80_000)
        assert (lab.held(customer.line), lab.balances()[customer.line]) == (0, -80_000)
        assert lab.balances()[payee] == 80_000

    play(story, settings=settings)


def test_a_refund_recomputes_the_plans_of_its_captures(settings: dict[str, str]) -> None:
    """The latest capture's plan gives first; of the other one every open term is smaller."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        payee = await lab.account()
        paid = await _authorise(customer, 100_000, payee)
        named = {"payment_id": paid["payment_id"]}
        for amount in (30_000, 50_000):
            await lab.ask("payment.capture", **named, amount_minor=amount)
        await lab.ask("payment.void", **named)
        first, second = await _plans(customer)
        await lab.ask("payment.refund", **named, amount_minor=40_000)
        assert (await _plans(customer))[0] == first
        (reduced,) = (await _plans(customer))[1:]
        assert (reduced["refunded_minor"], reduced["outstanding_minor"]) == (40_000, 10_000)
        assert sum(term["principal_minor"] for term in reduced["terms"]) == 10_000
        charges = [
            sum(term["charge_minor"] for term in plan["terms"]) for plan in (second, reduced)
        ]
        assert charges[1] < charges[0]
        back = await lab.ask("payment.refund", **named, amount_minor=20_000)
        assert back["payment_status"] == "partially_refunded"
        plans = await _plans(customer)
        assert [plan["outstanding_minor"] for plan in plans] == [20_000, 0]
        assert [plan["status"] for plan in plans] == ["active", "refunded"]
        assert lab.balances()[customer.line] == -20_000
        await lab.ask("payment.refund", **named)
        assert (lab.balances()[customer.line], lab.balances()[payee]) == (0, 0)
        assert [plan["status"] for plan in await _plans(customer)] == ["refunded"] * 2

    play(story, settings=settings)


def test_the_line_is_free_when_nobody_captures(settings: dict[str, str]) -> None:
    """Voided or expired, what was held can be drawn again, and nothing is owed."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        payee = await lab.account()
        voided = await _authorise(customer, 400_000, payee)
        expired = await _authorise(customer, 600_000, payee, expires_in_s=_DAY_S)
        assert await _available(customer) == 0
        await lab.ask("payment.void", payment_id=voided["payment_id"])
        assert await _available(customer) == 400_000
        await lab.pass_time(_DAY_S)
        assert (await lab.get(expired["payment_id"]))["status"] == "expired"
        assert await _available(customer) == 1_000_000
        assert lab.held(customer.line) == 0
        assert await _plans(customer) == []

    play(story, settings=settings)


def test_sources_give_in_the_order_of_the_funding(settings: dict[str, str]) -> None:
    """An account before the line: a capture that goes beyond it begins a plan of what is left."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        merchant = await lab.merchant()
        account = {"type": "account", "account_id": customer.account, "amount_minor": 10_000}
        paid = await _authorise(
            customer, 70_000, merchant, funding=[account, await _credit(customer, 60_000)]
        )
        named = {"payment_id": paid["payment_id"]}
        await lab.ask("payment.capture", **named, amount_minor=10_000)
        assert await _plans(customer) == []
        await lab.ask("payment.capture", **named, amount_minor=5_000)
        last = await lab.ask("payment.capture", **named, amount_minor=40_000, final=True)
        assert (last["status"], last["captured_minor"]) == ("succeeded", 55_000)
        assert [one["amount_minor"] for one in last["sources"]] == [10_000, 45_000]
        assert [plan["principal_minor"] for plan in await _plans(customer)] == [5_000, 40_000]
        assert (lab.held(customer.line), lab.balances()[customer.line]) == (0, -45_000)
        assert lab.balances()[merchant] == 55_000 - 550

    play(story, settings=settings)


def test_racing_captures_draw_no_more_than_is_held(settings: dict[str, str]) -> None:
    """Of ten captures of 10,000 of an authorisation of 65,000 six pass, each with its plan."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        payee = await lab.account()
        paid = await _authorise(customer, 65_000, payee)
        outcomes: list[str] = []

        async def take() -> None:
            named = {"payment_id": paid["payment_id"], "amount_minor": 10_000}
            try:
                outcomes.append((await lab.ask("payment.capture", **named))["status"])
            except Refused as refused:
                outcomes.append(refused.code)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(take)
        assert outcomes.count("partially_captured") == 6
        assert outcomes.count("insufficient_funds") == 4
        assert [plan["principal_minor"] for plan in await _plans(customer)] == [10_000] * 6
        assert (lab.held(customer.line), lab.balances()[customer.line]) == (5_000, -60_000)

    play(story, settings=settings)


def test_a_quote_is_reserved_for_one_payment(settings: dict[str, str]) -> None:
    """Of ten authorisations that race for one quote one passes, and it alone holds the line."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        payee = await lab.account()
        credit = await _credit(customer, 50_000)
        outcomes: list[str] = []

        async def ask() -> None:
            try:
                paid = await _authorise(customer, 50_000, payee, funding=[credit])
            except Refused as refused:
                outcomes.append(refused.code)
            else:
                outcomes.append(paid["status"])

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask)
        assert sorted(outcomes) == ["authorized"] + ["invalid_state"] * 9
        assert lab.held(customer.line) == 50_000

    play(story, settings=settings)


def test_what_is_held_is_paid_though_the_limit_was_cut(settings: dict[str, str]) -> None:
    """The payee was promised it: a lower limit keeps new draws away, and no capture."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        payee = await lab.account()
        paid = await _authorise(customer, 600_000, payee)
        await lab.ask(
            "credit.limit", by=lab.ops, line_id=customer.line, limit_minor=500_000,
            decided_by="clerk",
        )  # fmt: skip
        captured = await lab.ask("payment.capture", payment_id=paid["payment_id"])
        assert captured["status"] == "succeeded"
        assert lab.balances()[customer.line] == -600_000
        new = await _credit(customer, 10_000)
        assert await lab.refusal(
            "payment.create", payee=payee, amount_minor=10_000, funding=[new]
        ) == "insufficient_funds"  # fmt: skip

    play(story, settings=settings)


def test_credit_waits_for_a_review_as_well(settings: dict[str, str]) -> None:
    """A large authorisation holds the line while a person looks; approved, it can be captured."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        payee = await lab.account()
        await lab.ask(
            "account.deposit", account_id=customer.account, source="external:cash",
            amount_minor=3 * _LARGE,
        )  # fmt: skip
        account = {"type": "account", "account_id": customer.account}
        for decision in ("approve", "decline"):
            paid = await _authorise(
                customer, _LARGE, payee, funding=[await _credit(customer, 60_000), account],
                verification={"factors": ["sms"]},
            )  # fmt: skip
            assert (paid["status"], lab.held(customer.line)) == ("in_review", 60_000)
            named = {"payment_id": paid["payment_id"]}
            await lab.ask("payment.review", by=lab.ops, **named, decision=decision, reason="seen")
            if decision == "approve":
                await lab.ask("payment.capture", **named)
            assert lab.held(customer.line) == 0
        assert [plan["principal_minor"] for plan in await _plans(customer)] == [60_000]

    play(story, settings=settings)
