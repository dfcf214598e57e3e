"""Payments that wait: for a channel to pay, or for a person to look at them."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from actors.channels.channel import Failed, Pending, Unknown
from tests.unit.payments.payments_lab import BankLab, FakeChannel, play

_LARGE = 100_000_001
_SEEN = {"verification": {"factors": ["sms"]}}


async def _by_channel(lab: BankLab, account: str, payee: str, **more: Any) -> Any:
    """Ask for 10,000: 4,000 from an account, the rest from a channel."""
    return await lab.ask(
        "payment.create", payee=payee, amount_minor=10_000,
        funding=[
            {"type": "account", "account_id": account, "amount_minor": 4_000},
            {"type": "channel", "payer_reference": "open-id"},
        ],
        **more,
    )  # fmt: skip


def _suspense(lab: BankLab) -> int:
    return lab.balances()["channel:wechat:suspense"]


@pytest.mark.parametrize("method", ["quick", "guaranteed"])
def test_a_channel_pays_a_part(method: str) -> None:
    """The account's part waits in escrow until the channel has paid; then the goal is reached."""

    async def story(lab: BankLab) -> None:
        channel = lab.channel()
        channel.pays = lambda _: Pending(code_url="weixin://pay")
        account, merchant = await lab.account(10_000), await lab.merchant()
        paid = await _by_channel(lab, account, merchant, method=method)
        payment_id = paid["payment_id"]
        assert paid["status"] == "processing"
        assert paid["payer"] == account
        await lab.settle()
        balances = lab.balances()
        assert (balances["escrow:guaranteed"], balances[account]) == (4_000, 6_000)
        assert _suspense(lab) == 6_000
        channel.behave()
        await lab.world.clock.sleep(10)
        done = await lab.get(payment_id)
        goal = "succeeded" if method == "quick" else "guaranteed"
        assert done["status"] == goal
        assert _suspense(lab) == 0
        if method == "guaranteed":
            assert lab.balances()["escrow:guaranteed"] == 10_000
            done = await lab.ask("payment.confirm", payment_id=payment_id)
        assert (done["captured_minor"], done["fee_minor"]) == (10_000, 100)
        assert lab.balances()[merchant] == 9_900
        assert [one["amount_minor"] for one in done["sources"]] == [4_000, 6_000]

    play(story)


def test_a_channel_refuses_and_the_rest_comes_back() -> None:
    """When no channel pays, the payment fails with the reason, and the account has its money."""

    async def story(lab: BankLab) -> None:
        lab.channel().decline()
        account, payee = await lab.account(10_000), await lab.account()
        paid = await _by_channel(lab, account, payee)
        await lab.settle()
        failed = await lab.get(paid["payment_id"])
        assert (failed["status"], failed["failure"]["code"]) == ("failed", "ineligible")
        assert lab.balances()[account] == 10_000
        assert lab.balances()[payee] == 0
        assert _suspense(lab) == 0
        assert lab.events(paid["payment_id"]) == ["payment.processing", "payment.failed"]

    play(story)


def test_without_a_channel_nothing_is_begun() -> None:
    """No channel that could take it: told at once, and the same request may come again."""

    async def story(lab: BankLab) -> None:
        account, payee = await lab.account(10_000), await lab.account()
        assert await lab.refusal(
            "payment.create", payee=payee, amount_minor=5, funding=[{"type": "channel"}],
            request_id="again",
        ) == "channel_unavailable"  # fmt: skip
        lab.channel()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=5, request_id="again",
            funding=[{"type": "channel"}],
        )  # fmt: skip
        assert (paid["status"], paid["payer"]) == ("processing", "channel:wechat")
        await lab.settle()
        done = await lab.get(paid["payment_id"])
        assert (done["status"], done["payer"]) == ("succeeded", "channel:wechat")
        assert lab.balances()[account] == 10_000

    play(story)


def _payers(lab: BankLab, payment_id: str) -> dict[str, str]:
    """Return whom each event about a payment, and its row, call the payer."""
    found = {
        row["type"]: msgspec.json.decode(row["data"])["payer"]
        for row in lab.world.rows("event")
        if row["subject"] == payment_id
    }
    (found["row"],) = [
        row["payer"] for row in lab.world.rows("payment") if row["payment_id"] == payment_id
    ]
    return found


@pytest.mark.parametrize("method", ["quick", "guaranteed"])
@pytest.mark.parametrize("named", [None, "wechat"])
def test_a_channel_is_called_by_its_name(method: str, named: str | None) -> None:
    """Answer, events, row and list say `channel:<name>`, and none of them an account."""

    async def story(lab: BankLab) -> None:
        lab.channel()
        payee = await lab.account()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=5_000, method=method,
            funding=[{"type": "channel", "channel": named, "payer_reference": "open-id"}],
        )  # fmt: skip
        await lab.settle()
        payment_id = paid["payment_id"]
        goal = "succeeded" if method == "quick" else "guaranteed"
        assert paid["payer"] == "channel:wechat"
        assert _payers(lab, payment_id) == dict.fromkeys(
            ("payment.processing", f"payment.{goal}", "row"), "channel:wechat"
        )
        assert (await lab.get(payment_id))["payer"] == "channel:wechat"
        listed = await lab.ask("payment.list", payer="channel:wechat")
        assert [one["payment_id"] for one in listed["payments"]] == [payment_id]

    play(story)


def test_a_payment_is_called_after_the_channel_that_paid() -> None:
    """When another one has to step in, the payment has its name from then on."""

    async def story(lab: BankLab) -> None:
        wechat = lab.channel()
        wechat.pays = lambda _: Pending()
        payee = await lab.account()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=5_000,
            funding=[{"type": "channel", "payer_reference": "open-id"}],
        )  # fmt: skip
        await lab.settle()
        wechat.pays = lambda _: Failed(code="BROKEN", reason="maintenance", final=True)
        lab.channel(wechat, FakeChannel("alipay"))
        await lab.world.clock.sleep(10)
        payment_id = paid["payment_id"]
        assert _payers(lab, payment_id) == {
            "payment.processing": "channel:wechat",
            "row": "channel:wechat",
            "payment.succeeded": "channel:alipay",
        }
        assert (await lab.get(payment_id))["payer"] == "channel:alipay"
        for name, found in (("wechat", []), ("alipay", [payment_id])):
            listed = await lab.ask("payment.list", payer=f"channel:{name}")
            assert [one["payment_id"] for one in listed["payments"]] == found

    play(story)


@pytest.mark.parametrize(("named", "first"), [("wechat", "channel:wechat"), (None, "channel")])
def test_in_review_a_channel_has_the_name_that_was_asked_for(named: str | None, first: str) -> None:
    """While nobody has chosen one, the payer is just a channel; approved, it has a name."""

    async def story(lab: BankLab) -> None:
        lab.channel()
        payee = await lab.account()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=_LARGE,
            funding=[{"type": "channel", "channel": named, "payer_reference": "open-id"}],
            **_SEEN,
        )  # fmt: skip
        payment_id = paid["payment_id"]
        assert (paid["status"], paid["payer"]) == ("in_review", first)
        decided = await lab.ask(
            "payment.review", by=lab.ops, payment_id=payment_id, decision="approve", reason="seen"
        )
        assert decided["payer"] == "channel:wechat"
        await lab.settle()
        assert _payers(lab, payment_id) == {
            "payment.in_review": first,
            "row": first,
            "payment.processing": "channel:wechat",
            "payment.succeeded": "channel:wechat",
        }

    play(story)


def test_what_comes_after_a_void_goes_back() -> None:
    """Voided while the channel was silent: when it turns out to have paid, it gives that back."""

    async def story(lab: BankLab) -> None:
        channel = lab.channel()
        channel.pays = lambda _: Unknown(reason="no answer")
        account, payee = await lab.account(10_000), await lab.account()
        paid = await _by_channel(lab, account, payee)
        await lab.settle()
        voided = await lab.ask("payment.void", payment_id=paid["payment_id"])
        assert (voided["status"], lab.balances()[account]) == ("voided", 10_000)
        assert _suspense(lab) == 6_000
        (attempt,) = [row for row in lab.world.rows("channel_order") if row["kind"] == "pay"]
        channel.paid[attempt["reference"]] = 6_000
        await lab.world.clock.sleep(30)
        assert list(channel.refunded.values()) == [6_000]
        assert _suspense(lab) == 0
        assert (await lab.get(paid["payment_id"]))["status"] == "voided"
        assert lab.balances()[payee] == 0

    play(story)


def test_a_refusal_after_a_void_changes_nothing() -> None:
    """Voided while the channel was silent: when it refuses, only its expectation is taken back."""

    async def story(lab: BankLab) -> None:
        channel = lab.channel()
        channel.pays = lambda _: Unknown(reason="no answer")
        account, payee = await lab.account(10_000), await lab.account()
        paid = await _by_channel(lab, account, payee)
        await lab.settle()
        await lab.ask("payment.void", payment_id=paid["payment_id"])
        channel.decline()
        await lab.world.clock.sleep(30)
        assert _suspense(lab) == 0
        assert lab.events(paid["payment_id"]) == ["payment.processing", "payment.voided"]
        assert lab.balances()[account] == 10_000

    play(story)


@pytest.mark.parametrize("fails", [False, True])
def test_a_refund_waits_for_the_channel(fails: bool) -> None:
    """A channel's part of a refund is processing until it is sent, or needs a person."""

    async def story(lab: BankLab) -> None:
        channel = lab.channel()
        account, merchant = await lab.account(10_000), await lab.merchant()
        paid = await _by_channel(lab, account, merchant)
        await lab.settle()
        if fails:
            channel.refunds = lambda _: Failed(code="GONE", reason="card closed", final=True)
        back = await lab.ask("payment.refund", payment_id=paid["payment_id"], amount_minor=7_000)
        assert (back["status"], back["payment_status"]) == ("processing", "partially_refunded")
        # The channel was to pay last, so it gets back first.
        assert back["sources"] == [
            {"number": 1, "amount_minor": 1_000},
            {"number": 2, "amount_minor": 6_000},
        ]
        await lab.settle()
        (refund,) = (await lab.get(paid["payment_id"]))["refunds"]
        assert refund["status"] == ("failed" if fails else "succeeded")
        last = lab.events(paid["payment_id"])[-1]
        assert last == ("payment.refund_failed" if fails else "payment.refund_settled")
        assert _suspense(lab) == (6_000 if fails else 0)
        if fails:
            assert refund["failure"]["code"] == "invalid_state"
        by_account = await lab.ask(
            "payment.refund", payment_id=paid["payment_id"], source_order=[1]
        )
        assert by_account["status"] == "succeeded"
        assert lab.balances()[account] == 10_000

    play(story)


@pytest.mark.parametrize("ended", ["refunded", "voided"])
def test_the_back_office_sends_a_failed_refund_again(ended: str) -> None:
    """Under a new number, until the channel takes it: its money waits, and moves once."""

    async def story(lab: BankLab) -> None:
        channel = lab.channel()
        account, payee = await lab.account(10_000), await lab.account()
        method = "quick" if ended == "refunded" else "guaranteed"
        paid = await _by_channel(lab, account, payee, method=method)
        payment_id = paid["payment_id"]
        await lab.settle()
        channel.refunds = lambda _: Failed(code="GONE", reason="card closed", final=True)
        operation = "payment.refund" if ended == "refunded" else "payment.void"
        await lab.ask(operation, payment_id=payment_id)
        await lab.settle()
        (failed,) = _told(lab, "payment.refund_failed")
        retry = {"payment_id": payment_id, "refund_id": failed["refund_id"]}
        assert await lab.refusal("payment.retry_refund", **retry) == "forbidden"
        back = await lab.ask("payment.retry_refund", by=lab.ops, **retry)
        assert (back["status"], "failure" in back) == ("processing", False)
        # One at a time.
        again = await lab.refusal("payment.retry_refund", by=lab.ops, **retry)
        assert again == "invalid_state"
        await lab.settle()
        assert _in_suspense(lab) == _suspense(lab) == 6_000
        channel.behave()
        await lab.ask("payment.retry_refund", by=lab.ops, **retry)
        await lab.settle()
        assert list(channel.refunded.values()) == [6_000]
        assert _in_suspense(lab) == _suspense(lab) == 0
        assert lab.balances()[account] == 10_000
        assert lab.events(payment_id)[-5:] == [
            "payment.refund_failed", "payment.refund_retried", "payment.refund_failed",
            "payment.refund_retried", "payment.refund_settled",
        ]  # fmt: skip
        (settled,) = _told(lab, "payment.refund_settled")
        del failed["failure"]
        assert settled == {**failed, "status": "succeeded"}
        orders = [row for row in lab.world.rows("channel_order") if row["kind"] == "refund"]
        assert sorted(row["state"] for row in orders) == ["paid", "replaced", "replaced"]
        assert len({row["reference"] for row in orders}) == 3
        assert (await lab.get(payment_id))["status"] == ended
        assert await lab.refusal("payment.retry_refund", by=lab.ops, **retry) == "invalid_state"
        other = {"payment_id": payment_id, "refund_id": "rfd-other"}
        assert await lab.refusal("payment.retry_refund", by=lab.ops, **other) == "not_found"

    play(story)


def _told(lab: BankLab, type_: str) -> list[Any]:
    """Return what the events of a type carry."""
    return [
        msgspec.json.decode(row["data"]) for row in lab.world.rows("event") if row["type"] == type_
    ]


def _in_suspense(lab: BankLab) -> int:
    """Return what is not determined, as the reconciliation adds it up."""
    orders = lab.world.rows("channel_order")
    waits = {("pay", "open"), ("refund", "open"), ("refund", "failed")}
    return sum(row["amount_minor"] for row in orders if (row["kind"], row["state"]) in waits)


def test_guaranteed_money_of_a_channel_is_voided() -> None:
    """Out of escrow the channel's part goes back through the channel."""

    async def story(lab: BankLab) -> None:
        channel = lab.channel()
        account, payee = await lab.account(10_000), await lab.account()
        paid = await _by_channel(lab, account, payee, method="guaranteed")
        await lab.settle()
        voided = await lab.ask("payment.void", payment_id=paid["payment_id"])
        assert voided["status"] == "voided"
        await lab.settle()
        assert list(channel.refunded.values()) == [6_000]
        assert _suspense(lab) == 0
        events = lab.events(paid["payment_id"])
        assert events[-2:] == ["payment.voided", "payment.refund_settled"]

    play(story)


# Reviews: more than a million yuan at once is seen by a person.


async def _plain(lab: BankLab, payer: str, payee: str) -> Any:
    return await lab.pay(payer, payee, _LARGE, **_SEEN)


async def _guaranteed(lab: BankLab, payer: str, payee: str) -> Any:
    return await lab.pay(payer, payee, _LARGE, method="guaranteed", **_SEEN)


async def _authorized(lab: BankLab, payer: str, payee: str) -> Any:
    return await lab.pay(payer, payee, _LARGE, method="authorized", **_SEEN)


async def _channel(lab: BankLab, payer: str, payee: str) -> Any:
    lab.channel()
    return await lab.ask(
        "payment.create", payee=payee, amount_minor=_LARGE,
        funding=[{"type": "account", "account_id": payer, "amount_minor": 1},
                 {"type": "channel"}],
        **_SEEN,
    )  # fmt: skip


_Ask = Callable[[BankLab, str, str], Awaitable[Any]]
_ASKS: list[tuple[_Ask, str, int]] = [
    (_plain, "succeeded", _LARGE),
    (_guaranteed, "guaranteed", _LARGE),
    (_authorized, "authorized", _LARGE),
    (_channel, "processing", 1),
]


@pytest.mark.parametrize(("ask", "goal", "kept"), _ASKS)
@pytest.mark.parametrize("decision", ["approve", "decline", "void", "nobody"])
def test_a_review_holds_a_payment_up(ask: _Ask, goal: str, kept: int, decision: str) -> None:
    """Money in review is kept; approved, the payment goes its way, and else it comes back."""

    async def story(lab: BankLab) -> None:
        payer, merchant = await lab.account(2 * _LARGE), await lab.merchant()
        paid = await ask(lab, payer, merchant)
        payment_id = paid["payment_id"]
        assert paid["status"] == "in_review"
        assert "review_until" in paid
        free = lab.balances()[payer] - lab.held(payer)
        assert free == 2 * _LARGE - kept
        assert lab.balances()[merchant] == 0
        await lab.settle()
        assert lab.world.rows("channel_order") == []
        # Nobody was told to begin what has not been written.
        asked = {row["operation"] for row in lab.world.rows("change")}
        assert not [operation for operation in asked if operation.startswith("channel.")]
        assert await lab.refusal("payment.confirm", payment_id=payment_id) == "invalid_state"
        decides = {"payment_id": payment_id, "reason": "seen"}
        assert await lab.refusal("payment.review", decision="approve", **decides) == "forbidden"
        if decision == "nobody":
            await lab.pass_time(86_400)
        elif decision == "void":
            await lab.ask("payment.void", payment_id=payment_id)
        else:
            await lab.ask("payment.review", by=lab.ops, decision=decision, **decides)
        now = await lab.get(payment_id)
        if decision == "approve":
            assert goal in [one["status"] for one in now["history"]]
            if goal == "succeeded":
                assert lab.balances()[merchant] == _LARGE - 1_000_000
            await lab.settle()
        else:
            assert now["status"] == ("voided" if decision == "void" else "failed")
            assert lab.balances()[payer] - lab.held(payer) == 2 * _LARGE
        again = await lab.refusal("payment.review", by=lab.ops, decision="approve", **decides)
        assert again == "invalid_state"

    play(story)


def test_a_review_is_only_for_what_is_in_review() -> None:
    """Nobody can approve a payment that waits for a channel, and so pay it out of escrow."""

    async def story(lab: BankLab) -> None:
        lab.channel().pays = lambda _: Pending()
        account, payee = await lab.account(10_000), await lab.account()
        paid = await _by_channel(lab, account, payee)
        for decision in ("approve", "decline"):
            refused = await lab.refusal(
                "payment.review", by=lab.ops, payment_id=paid["payment_id"], decision=decision,
                reason="r",
            )  # fmt: skip
            assert refused == "invalid_state"

    play(story)


def test_a_step_up_asks_for_factors() -> None:
    """A first large payment to somebody is refused until it comes with a verification factor."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(_LARGE), await lab.account()
        assert await lab.refusal(
            "payment.create", payer=payer, payee=payee, amount_minor=6_000_000
        ) == "step_up_required"  # fmt: skip
        for method in ("quick", "guaranteed"):
            await lab.pay(payer, payee, 6_000_000, method=method, **_SEEN)

    play(story)
