"""Two hundred at once: exactly the allowed ones pass, and each request has one effect."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.unit.payments.payments_lab import BankLab, Refused, play

_MANY = 200
# So much at once is seen by a person.
_LARGE = 100_000_001
_SEEN = {"verification": {"factors": ["sms"]}}


async def _at_once(
    lab: BankLab, ask: Callable[[int], Awaitable[Any]], many: int = _MANY
) -> Counter[str]:
    """Ask all at the same time; return how often each outcome came."""
    outcomes: Counter[str] = Counter()

    async def one(number: int) -> None:
        try:
            answer = await ask(number)
        except Refused as refused:
            outcomes[refused.code] += 1
        else:
            outcomes[answer.get("payment_status", answer["status"])] += 1

    async with anyio.create_task_group() as tasks:
        for number in range(many):
            tasks.start_soon(one, number)
    return outcomes


def test_racing_refunds_never_exceed_the_payment() -> None:
    """Of 200 refunds of 100 of a payment of 3,050, thirty pass, and the payee is not robbed."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(10_000), await lab.account(50_000)
        paid = await lab.pay(payer, payee, 3_050)

        async def refund(_: int) -> Any:
            return await lab.ask("payment.refund", payment_id=paid["payment_id"], amount_minor=100)

        outcomes = await _at_once(lab, refund)
        assert outcomes == {"partially_refunded": 30, "limit_exceeded": 170}
        assert lab.balances()[payer] == 10_000 - 50
        assert (await lab.get(paid["payment_id"]))["refunded_minor"] == 3_000

    play(story)


def test_a_payment_has_so_many_refunds() -> None:
    """Of more than fifty refunds of one fen, fifty pass."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(10_000), await lab.account()
        paid = await lab.pay(payer, payee, 3_000)

        async def refund(_: int) -> Any:
            return await lab.ask("payment.refund", payment_id=paid["payment_id"], amount_minor=1)

        outcomes = await _at_once(lab, refund, 60)
        assert outcomes == {"partially_refunded": 50, "limit_exceeded": 10}

    play(story)


def test_racing_payments_share_a_mandate_exactly() -> None:
    """A mandate for 2,000 in all lets 20 of 200 payments of 100 pass, and no more after."""

    async def story(lab: BankLab) -> None:
        owner, payee = await lab.account(100_000), await lab.account()
        mandate = await lab.ask(
            "mandate.create", account_id=owner, per_payment_minor=100, total_minor=2_050
        )
        named = {"mandate_id": mandate["mandate_id"], "method": "seamless"}

        async def pay(_: int) -> Any:
            return await lab.ask("payment.create", payee=payee, amount_minor=100, **named)

        outcomes = await _at_once(lab, pay)
        assert outcomes == {"succeeded": 20, "limit_exceeded": 180}
        assert lab.balances()[payee] == 2_000

    play(story)


def test_a_revocation_lets_nothing_pass_after_it() -> None:
    """Payments race with the end of their mandate: those decided after it are all refused."""

    async def story(lab: BankLab) -> None:
        owner, payee = await lab.account(100_000), await lab.account()
        mandate = await lab.ask("mandate.create", account_id=owner, per_payment_minor=100)
        mandate_id = mandate["mandate_id"]

        async def ask(number: int) -> Any:
            if number == 100:
                return await lab.ask("mandate.revoke", mandate_id=mandate_id)
            return await lab.ask(
                "payment.create", payee=payee, amount_minor=100, method="seamless",
                mandate_id=mandate_id,
            )  # fmt: skip

        outcomes = await _at_once(lab, ask)
        assert outcomes["revoked"] == 1
        assert outcomes["succeeded"] + outcomes["invalid_state"] == _MANY - 1
        seqs = {row["request_id"]: row["seq"] for row in lab.world.rows("change")}
        (ended,) = [row["change_seq"] for row in lab.world.rows("mandate")]
        made = [seqs[row["request_id"]] for row in lab.world.rows("payment")]
        assert all(seq < ended for seq in made)
        assert len(made) == outcomes["succeeded"]

    play(story)


@pytest.mark.parametrize(("method", "most"), [("qr_static", 50_000), ("qr_dynamic", 100_000)])
def test_racing_codes_share_the_day_exactly(method: str, most: int) -> None:
    """At the daily total of a class exactly the payments that fit pass."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000_000), await lab.account()

        async def pay(_: int) -> Any:
            return await lab.pay(payer, payee, 1_900, method=method)

        outcomes = await _at_once(lab, pay)
        fits = most // 1_900
        assert outcomes == {"succeeded": fits, "limit_exceeded": _MANY - fits}
        assert lab.balances()[payee] == fits * 1_900

    play(story)


def test_a_dynamic_code_is_paid_by_one_of_many() -> None:
    """Two hundred payers scan one dynamic code: one of them pays."""

    async def story(lab: BankLab) -> None:
        payers = [await lab.account(100) for _ in range(10)]
        payee = await lab.account()
        code = await lab.ask("qr.create", type="dynamic", account_id=payee, amount_minor=10)
        qr = {"code_id": code["code_id"]}

        async def pay(number: int) -> Any:
            return await lab.pay(payers[number % 10], payee, 10, method="qr_dynamic", qr=qr)

        assert await _at_once(lab, pay) == {"succeeded": 1, "invalid_state": _MANY - 1}

    play(story)


def test_of_what_ends_a_payment_one_wins() -> None:
    """Confirmations, voids and disputes race for one guaranteed payment: the first decides."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 600, method="guaranteed")

        async def ask(number: int) -> Any:
            operation = ("payment.confirm", "payment.void")[number % 2]
            return await lab.ask(operation, payment_id=paid["payment_id"])

        outcomes = await _at_once(lab, ask, 40)
        assert outcomes["invalid_state"] == 39
        assert outcomes["succeeded"] + outcomes["voided"] == 1

    play(story)


def test_captures_never_exceed_what_is_held() -> None:
    """Of 40 captures of 30 of an authorisation of 500, sixteen pass."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 500, method="authorized")

        async def take(_: int) -> Any:
            return await lab.ask("payment.capture", payment_id=paid["payment_id"], amount_minor=30)

        outcomes = await _at_once(lab, take, 40)
        assert outcomes == {"partially_captured": 16, "insufficient_funds": 24}
        assert (lab.held(payer), lab.balances()[payee]) == (20, 480)

    play(story)


def test_a_source_that_was_emptied_is_stepped_in_for() -> None:
    """Two accounts, the first emptied by a race: the next one pays, and nothing fails."""

    async def story(lab: BankLab) -> None:
        first, second = await lab.account(1_000), await lab.account(100_000)
        payee = await lab.account()
        funding = [{"type": "account", "account_id": one} for one in (first, second)]

        async def pay(_: int) -> Any:
            return await lab.ask("payment.create", payee=payee, amount_minor=300, funding=funding)

        assert await _at_once(lab, pay, 50) == {"succeeded": 50}
        assert lab.balances()[payee] == 15_000
        assert 0 <= lab.balances()[first] < 300

    play(story)


def test_what_was_decided_too_early_is_decided_again() -> None:
    """An approval is still being written when the next one is decided: that one hears of it."""

    async def story(lab: BankLab) -> None:
        lab.channel()
        payee = await lab.account()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=_LARGE, funding=[{"type": "channel"}],
            **_SEEN,
        )  # fmt: skip
        answers: list[str] = []

        async def approve() -> None:
            try:
                decided = await lab.ask(
                    "payment.review", by=lab.ops, payment_id=paid["payment_id"],
                    decision="approve", reason="seen",
                )  # fmt: skip
            except Refused as refused:
                answers.append(refused.code)
            else:
                answers.append(decided["status"])

        # Longer than the first one waits for its answer, and not than the second one does.
        lab.slow_down_a_commit(8.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(approve)
            await lab.world.clock.sleep(4.0)
            tasks.start_soon(approve)
        assert sorted(answers) == ["invalid_state", "processing"]
        assert lab.world.rows("dead_letter") == []
        await lab.settle()
        assert (await lab.get(paid["payment_id"]))["status"] == "succeeded"
        assert len(lab.world.rows("route_choice")) == 1

    play(story)


# What may be sent twice: an operation and its body, given a payment made for it.
_TWICE: list[tuple[str, dict[str, Any], str | None, dict[str, Any]]] = [
    ("payment.confirm", {}, None, {"method": "guaranteed"}),
    ("payment.void", {}, None, {"method": "guaranteed"}),
    ("payment.capture", {"amount_minor": 50}, None, {"method": "authorized"}),
    ("payment.refund", {"amount_minor": 50}, None, {}),
    ("payment.dispute", {"reason": "bad"}, None, {}),
    ("payment.reverse", {"reason": "bad"}, "ops", {}),
]


@pytest.mark.parametrize(("operation", "body", "by", "made"), _TWICE)
def test_the_same_request_is_done_once(
    operation: str, body: dict[str, Any], by: str | None, made: dict[str, Any]
) -> None:
    """Sent again, now or later, it has the same answer; with another body it is a conflict."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 100, **made)
        caller = lab.ops if by else lab.shop
        full = {"payment_id": paid["payment_id"], "request_id": "once", **body}
        answers = []

        async def ask() -> None:
            answers.append(await lab.ask(operation, by=caller, **full))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        await ask()
        assert answers == [answers[0]] * 6
        other = full | {"payment_id": "pay-other"}
        assert await lab.refusal(operation, by=caller, **other) == "conflict"
        assert len(lab.events(paid["payment_id"])) == 2

    play(story)


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"method": "guaranteed"},
        {"method": "authorized"},
        {"method": "qr_static"},
        {"description": "tea"},
    ],
)
def test_a_payment_is_made_once(made: dict[str, Any]) -> None:
    """The same request makes one payment, and one that was refused stays refused."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(100), await lab.account()
        first = await lab.pay(payer, payee, 60, request_id="p1", **made)
        assert await lab.pay(payer, payee, 60, request_id="p1", **made) == first
        more = {"payer": payer, "payee": payee, "amount_minor": 60, **made}
        assert await lab.refusal("payment.create", request_id="p2", **more) == (
            "insufficient_funds"
        )
        await lab.ask("account.deposit", account_id=payer, source="external:cash", amount_minor=500)
        assert await lab.refusal("payment.create", request_id="p2", **more) == (
            "insufficient_funds"
        )
        other = more | {"amount_minor": 61}
        assert await lab.refusal("payment.create", request_id="p1", **other) == "conflict"
        assert len(lab.world.rows("payment")) == 1

    play(story)
