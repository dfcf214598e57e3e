"""Payments through channels, from the public door to the channels' books and back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ChannelUnavailable, Ineligible, NotFound, ZhihuiError
from tests.eventually import eventually
from tests.integration.channel_lab import ChannelLab, channel_lab
from zhihui.audit import run_audit
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio

CHANNELS = ("own_bank", "wechat", "alipay", "unionpay", "netsunion")


@pytest.fixture(scope="module")
async def running(
    module_nats_server: EmbeddedNats,
    module_postgres_dsn: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ChannelLab]:
    """One node and one simulator for all tests."""
    folder: Path = tmp_path_factory.mktemp("channels")
    async with channel_lab(folder, module_postgres_dsn, module_nats_server.url, "plain") as lab:
        yield lab


@pytest.fixture
async def lab(running: ChannelLab) -> AsyncIterator[ChannelLab]:
    """Every test ends with an audit, and without a bad mood of the channels."""
    yield running
    await running.simulator.profile({"name": "plain"})
    for channel in CHANNELS:
        await running.simulator.outage(channel, None)
    report = await run_audit(running.dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]


async def _suspense(lab: ChannelLab) -> int:
    return sum([await lab.balance(f"channel:{name}:suspense") for name in CHANNELS])


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_payment_is_taken_and_reconciled(lab: ChannelLab, channel: str) -> None:
    """Each channel pays, its order is in its books, and reconciling leaves nothing expected."""
    payee = await lab.account()
    created = await lab.pay(payee, 1_234, channel=channel)
    assert created["status"] == "processing"
    paid = await lab.ended(created["payment_id"])
    assert paid["status"] == "succeeded"
    assert await lab.balance(payee) == 1_234
    (order,) = await lab.orders(created["payment_id"])
    assert (order["state"], order["channel"], order["amount_minor"]) == ("paid", channel, 1_234)
    lines = await lab.simulator.books(channel)
    (line,) = [one for one in lines if one["reference"] == order["reference"]]
    assert (line["state"], line["amount_minor"]) == ("paid", 1_234)
    code, results = await lab.reconcile("--channel", channel)
    assert (code, results[0]["posted"], results[0]["remarks"]) == (0, 1, [])
    assert (results[0]["suspense_minor"], results[0]["expected_minor"]) == (0, 0)
    assert await lab.balance(f"external:{channel}") < 0


async def test_the_router_chooses_and_says_why(lab: ChannelLab) -> None:
    """Without a channel named one is chosen, and the choice is kept with its reasons."""
    created = await lab.pay(await lab.account(), 500)
    await lab.ended(created["payment_id"])
    (order,) = await lab.orders(created["payment_id"])
    rows = await lab.fetch(
        "SELECT chosen, propensity_ppm FROM zhihui.route_choice WHERE payment_id = $1",
        created["payment_id"],
    )
    assert [row[0] for row in rows] == [order["channel"]]
    assert 0 < rows[0][1] <= 1_000_000


async def test_a_refund_goes_back_the_same_way(lab: ChannelLab) -> None:
    """A part is refunded through the channel that was paid through, once, and reconciled."""
    payee = await lab.account()
    created = await lab.pay(payee, 1_000, channel="wechat")
    await lab.ended(created["payment_id"])
    body = {
        "request_id": lab.shop.new_request_id(),
        "payment_id": created["payment_id"],
        "amount_minor": 400,
        "reason": "returned",
    }
    refund = await lab.shop.call("payment", "refund", body)
    assert refund["status"] == "processing"

    async def is_back() -> bool:
        orders = await lab.orders(created["payment_id"])
        return [one["state"] for one in orders if one["kind"] == "refund"] == ["paid"]

    await eventually(is_back, "the refund is confirmed", within_s=10.0)
    assert await lab.balance(payee) == 600
    assert (await lab.payment(created["payment_id"]))["refunded_minor"] == 400
    lines = await lab.simulator.books("wechat")
    assert [one["amount_minor"] for one in lines if one["kind"] == "refund"] == [400]
    assert await _suspense(lab) == 0
    code, results = await lab.reconcile()
    assert code == 0, results
    assert {one["expected_minor"] for one in results} == {0}


def _mood(**default: Any) -> dict[str, Any]:
    quiet = {"latency_median_s": 0.0, "callback_delay_s": [0.0, 0.0], "settle_delay_s": 0.0}
    return {"name": "mood", "default": quiet | default}


async def test_a_payers_refusal_fails_the_payment(lab: ChannelLab) -> None:
    """A payer without money is refused once, everywhere else is not asked, and nothing moves."""
    await lab.simulator.profile(_mood(decline_ppm=1_000_000))
    payee = await lab.account()
    created = await lab.pay(payee, 700)
    ended = await lab.ended(created["payment_id"])
    assert ended["status"] == "failed"
    (order,) = await lab.orders(created["payment_id"])
    assert order["state"] == "failed"
    assert await lab.balance(payee) == 0
    assert await _suspense(lab) == 0


async def test_a_channels_fault_leads_to_another_channel(lab: ChannelLab) -> None:
    """A refusal of the channel's own is confirmed as closed, and the next one pays, once."""
    profile = _mood()
    profile["channels"] = {
        name: profile["default"] | {"failure_ppm": 1_000_000}
        for name in ("own_bank", "netsunion", "unionpay")
    }
    await lab.simulator.profile(profile)
    seen = set()
    for _ in range(6):
        payee = await lab.account()
        created = await lab.pay(payee, 900)
        ended = await lab.ended(created["payment_id"])
        orders = await lab.orders(created["payment_id"])
        channels = [one["channel"] for one in orders]
        assert len(channels) == len(set(channels))
        paid = [one for one in orders if one["state"] == "paid"]
        assert len(paid) == (ended["status"] == "succeeded")
        assert await lab.balance(payee) == 900 * len(paid)
        seen.add(len(orders))
    assert max(seen) > 1
    assert await _suspense(lab) == 0


async def test_silence_after_the_effect_is_asked_about(lab: ChannelLab) -> None:
    """A channel that takes the money and says nothing is asked until it speaks."""
    await lab.simulator.profile(
        _mood(timeout_after_ppm=1_000_000, hang_s=1.0, callback_lost_ppm=1_000_000)
    )
    payee = await lab.account()
    created = await lab.pay(payee, 300, channel="own_bank")
    ended = await lab.ended(created["payment_id"])
    assert ended["status"] == "succeeded"
    (order,) = await lab.orders(created["payment_id"])
    assert order["asked"] >= 2
    assert await lab.balance(payee) == 300


async def test_silence_before_the_effect_sends_the_same_order_again(lab: ChannelLab) -> None:
    """An order that got lost is sent again under its number, so that there is one at most."""
    await lab.simulator.profile(_mood(timeout_before_ppm=1_000_000, hang_s=1.0))
    payee = await lab.account()
    created = await lab.pay(payee, 300, channel="alipay")

    async def was_asked() -> bool:
        return bool((await lab.orders(created["payment_id"]))[0]["asked"])

    await eventually(was_asked, "the first silence is noted")
    await lab.simulator.profile({"name": "plain"})
    ended = await lab.ended(created["payment_id"])
    assert ended["status"] == "succeeded"
    (order,) = await lab.orders(created["payment_id"])
    lines = [
        one for one in await lab.simulator.books("alipay") if one["reference"] == order["reference"]
    ]
    assert len(lines) == 1


async def test_a_payment_that_nobody_has_heard_of_is_given_up(lab: ChannelLab) -> None:
    """Only after the channel's own deadline does "not found" let the payment fail."""
    await lab.simulator.outage("own_bank", "silent")
    payee = await lab.account()
    created = await lab.pay(payee, 300, channel="own_bank")

    async def is_expired() -> bool:
        (order,) = await lab.orders(created["payment_id"])
        rows = await lab.fetch("SELECT now() > $1::timestamptz + '6 s'", _time(order["created_at"]))
        return bool(rows[0][0])

    await eventually(is_expired, "the order has expired", within_s=15.0)
    # Age alone has decided nothing.
    assert (await lab.payment(created["payment_id"]))["status"] == "processing"
    await lab.simulator.outage("own_bank", None)
    ended = await lab.ended(created["payment_id"])
    assert ended["status"] == "failed"
    assert await _suspense(lab) == 0


def _time(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


async def test_a_success_after_giving_up_goes_back(lab: ChannelLab) -> None:
    """A channel that pays what it had refused gets the money back, and the payee gets it once."""
    await lab.simulator.profile(_mood(decline_ppm=1_000_000, broken_word_ppm=1_000_000,
                                      broken_word_s=0.3))  # fmt: skip
    payee = await lab.account()
    created = await lab.pay(payee, 800, channel="unionpay")
    assert (await lab.ended(created["payment_id"]))["status"] == "failed"

    async def is_back() -> bool:
        orders = await lab.orders(created["payment_id"])
        return [(one["kind"], one["state"]) for one in orders] == [
            ("pay", "paid_late"),
            ("refund", "paid"),
        ]

    await eventually(is_back, "the late money is back", within_s=10.0)
    assert await lab.balance(payee) == 0
    assert await _suspense(lab) == 0
    code, results = await lab.reconcile()
    assert code == 0, results
    assert {one["expected_minor"] for one in results} == {0}


async def test_reconciling_finds_what_no_callback_told(lab: ChannelLab) -> None:
    """Money that came after giving up, untold, is found in the channel's books and sent back."""
    await lab.simulator.profile(_mood(decline_ppm=1_000_000, broken_word_ppm=1_000_000,
                                      broken_word_s=0.2, callback_lost_ppm=1_000_000))  # fmt: skip
    created = await lab.pay(await lab.account(), 650, channel="netsunion")
    assert (await lab.ended(created["payment_id"]))["status"] == "failed"
    (order,) = await lab.orders(created["payment_id"])

    async def is_paid_there() -> bool:
        lines = await lab.simulator.books("netsunion")
        return [one["state"] for one in lines if one["reference"] == order["reference"]] == ["paid"]

    await eventually(is_paid_there, "the channel has broken its word")
    await lab.simulator.profile({"name": "plain"})
    code, results = await lab.reconcile("--channel", "netsunion", "--no-post")
    assert (code, results[0]["missing_here"]) == (1, 1)
    await lab.reconcile("--channel", "netsunion")

    async def is_back() -> bool:
        return [one["state"] for one in await lab.orders(created["payment_id"])] == [
            "paid_late",
            "paid",
        ]

    await eventually(is_back, "the money is back", within_s=10.0)
    code, results = await lab.reconcile()
    assert code == 0, results
    assert {one["expected_minor"] for one in results} == {0}


@pytest.mark.parametrize("channel", ["own_bank", "wechat", "alipay", "unionpay"])
async def test_a_payer_who_scans_pays_when_he_does(lab: ChannelLab, channel: str) -> None:
    """Without a known payer there is a code to scan; the payment succeeds once it was paid."""
    await lab.simulator.profile(_mood(payer_leaves_ppm=1_000_000))
    payee = await lab.account()
    created = await lab.pay(payee, 250, channel=channel, payer=None)

    async def has_code() -> bool:
        return bool((await lab.orders(created["payment_id"]))[0]["code_url"])

    await eventually(has_code, "there is a code")
    (order,) = await lab.orders(created["payment_id"])
    assert (await lab.payment(created["payment_id"]))["status"] == "processing"
    assert await lab.simulator.pay(channel, order["reference"])
    assert (await lab.ended(created["payment_id"]))["status"] == "succeeded"
    assert await lab.balance(payee) == 250


async def test_a_payer_who_never_scans_pays_nothing(lab: ChannelLab) -> None:
    """An order that nobody pays is closed at its expiry, and the payment fails."""
    await lab.simulator.profile(_mood(payer_leaves_ppm=1_000_000))
    created = await lab.pay(await lab.account(), 250, channel="wechat", payer=None)
    assert (await lab.ended(created["payment_id"]))["status"] == "failed"
    (order,) = await lab.orders(created["payment_id"])
    assert order["state"] == "closed"
    assert await _suspense(lab) == 0


async def test_what_no_channel_takes_is_refused(lab: ChannelLab) -> None:
    """An amount above a channel's limit is refused at once, and leaves nothing behind."""
    payee = await lab.account()
    with pytest.raises(Ineligible):
        await lab.pay(payee, 5_000_001, channel="wechat")
    with pytest.raises((Ineligible, ChannelUnavailable)):
        await lab.pay(payee, 100, channel="netsunion", payer=None)
    assert await _suspense(lab) == 0


async def test_another_app_sees_nothing_of_it(lab: ChannelLab) -> None:
    """The attempts of a payment are its app's own."""
    from zhihui.client import Client

    created = await lab.pay(await lab.account(), 100, channel="own_bank")
    await lab.ended(created["payment_id"])
    async with Client(app="gym", url=lab.nats_url) as gym:
        with pytest.raises(NotFound):
            await gym.call("channel", "get", {"payment_id": created["payment_id"]})
        with pytest.raises(ZhihuiError, match=r"back office|forbidden|operator"):
            await gym.call(
                "channel",
                "recheck",
                {
                    "request_id": "r-1",
                    "payment_id": created["payment_id"],
                    "order_id": "cha_1",
                },
            )
