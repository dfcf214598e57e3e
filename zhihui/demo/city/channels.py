"""Payments over channels: pinned and routed, through two outages, and back again."""

from typing import Any

from zhihui.demo.city.market import MERCHANTS, Shop, bought, given_back
from zhihui.demo.city.people import PEOPLE
from zhihui.demo.city.script import Script

__all__ = ("pay_over_channels",)

_CHANNELS = ("own_bank", "wechat", "alipay", "unionpay", "netsunion")
_OUTAGES = (("wechat", "silent"), ("alipay", "error"))


def pay_over_channels(script: Script) -> None:
    """Pay over each channel, then over whichever is chosen while two are down; refund some."""
    script.begin("Payments over channels")
    for number, channel in enumerate(_CHANNELS * 4):
        _pay(script, number, MERCHANTS[number % 4], channel)
    for number in range(20, 40):
        _pay(script, number, MERCHANTS[number % 4], None)
    _mixed(script)
    for channel, kind in _OUTAGES:
        script.act("outage", channel=channel, kind=kind)
    script.begin("Payments while two channels are down")
    for number in range(40, 80):
        _pay(script, number, MERCHANTS[number % 4], None)
    for channel, _ in _OUTAGES:
        script.act("outage", channel=channel, kind=None)
    script.begin("All of them come through")
    for name, shop, amount in script.channel_payments:
        script.ask("payment.get", name, until=True, result={"status": "succeeded"},
                   payment_id=f"@{name}.payment_id")  # fmt: skip
        bought(script, "channels", shop, amount)
    _refunds(script)
    script.act("reconcile")


def _pay(script: Script, number: int, shop: Shop, channel: str | None) -> None:
    name = f"over{number}"
    amount = 1_000 + 37 * number
    source = {"type": "channel", "payer_reference": f"openid-{number}"}
    if channel is not None:
        source["channel"] = channel
    line = script.ask(
        "payment.create", name, keeps=name, payee=shop.account, amount_minor=amount,
        funding=[source],
    )  # fmt: skip
    if number % 10 == 0:
        script.again(line)
    script.channel_payments.append((name, shop, amount))


def _mixed(script: Script) -> None:
    """Pay partly from an account and the rest over a channel, all or nothing."""
    canteen = MERCHANTS[1]
    for person in range(1, PEOPLE, 8):
        name, lane = f"mixed{person}", f"p{person}"
        script.ask(
            "payment.create", lane, keeps=name, payee=canteen.account, amount_minor=3_000,
            funding=[
                {"type": "account", "account_id": f"@{lane}.account_id", "amount_minor": 1_200},
                {"type": "channel", "payer_reference": f"openid-{lane}"},
            ],
        )  # fmt: skip
        script.ask("payment.get", lane, until=True, result={"status": "succeeded"},
                   payment_id=f"@{name}.payment_id")  # fmt: skip
        script.moved("channels", lane, 1_800)
        bought(script, lane, canteen, 3_000)


def _refunds(script: Script) -> None:
    script.begin("Some of them are refunded over their channels")
    for name, shop, amount in script.channel_payments[::7]:
        payment: dict[str, Any] = {"payment_id": f"@{name}.payment_id"}
        script.ask("payment.refund", name, reason="退款", **payment)
        script.ask("payment.get", name, until=True, result={"status": "refunded"}, **payment)
        given_back(script, "channels", shop, amount)
