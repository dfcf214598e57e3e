"""What the simulated channels do with a request that reached them: their books, and nothing else.

No wire and no waiting: the server decides by the fate of a request when it gets here.
"""

from typing import Literal

from zhihui.channel_simulator.books import Books, Order, OrderKind
from zhihui.channel_simulator.dialect import Call, Verdict

__all__ = ("CHANNEL_FAULTS", "PAYER_FAULTS", "REFUNDS_MAX", "Engine", "Refusal")

REFUNDS_MAX = 50

# What each channel calls a refusal for the payer's reasons, and one for its own.
PAYER_FAULTS = {
    "own_bank": "INSUFFICIENT_FUNDS",
    "wechat": "NOT_ENOUGH",
    "alipay": "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    "unionpay": "64",
    "netsunion": "PB520011",
}
CHANNEL_FAULTS = {
    "own_bank": "CORE_BUSY",
    "wechat": "BANK_ERROR",
    "alipay": "ACQ.PAYMENT_FAIL",
    "unionpay": "96",
    "netsunion": "PS500099",
}

Refusal = Literal["", "payer", "channel"]


class Engine:
    """The rules of the channels' books."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def apply(
        self, channel: str, call: Call, refusal: Refusal, now_ms: int
    ) -> tuple[Verdict, Order | None]:
        """Do what is asked, and return what came of it.

        ``refusal`` is what a new order comes to that the payer need not confirm, unless the call
        settles later: then :meth:`settle` has to be called.
        """
        match call.operation:
            case "pay":
                return self._pay(channel, call, refusal, now_ms)
            case "refund":
                return self._refund(channel, call, now_ms)
            case "close":
                return self._close(channel, call, now_ms)
            case "query" | "query_refund":
                order = self.books.get(channel, call.reference)
                return ("ok", order) if order is not None else ("not_found", None)

    def settle(self, order: Order, refusal: Refusal, now_ms: int) -> None:
        """Decide an order that waits: it is paid, or refused for somebody's reasons."""
        if order.state != "pending":
            return
        if not refusal:
            self.books.change(order, "paid", now_ms)
            return
        order.by_payer = refusal == "payer"
        faults = PAYER_FAULTS if order.by_payer else CHANNEL_FAULTS
        order.code = faults[order.channel]
        self.books.change(order, "declined", now_ms)

    def pay_after_all(self, order: Order, now_ms: int) -> bool:
        """Break the channel's word: an order that was refused or closed is paid. Tell whether."""
        if order.state not in ("declined", "closed") or not order.amount_minor:
            return False
        self.books.change(order, "paid", now_ms)
        return True

    def expire(self, order: Order, now_ms: int) -> None:
        """Close an order whose time is over."""
        if order.state == "pending" and _is_over(order.expires_ms, now_ms):
            self.books.change(order, "closed", now_ms)

    def _pay(
        self, channel: str, call: Call, refusal: Refusal, now_ms: int
    ) -> tuple[Verdict, Order | None]:
        known = self.books.get(channel, call.reference)
        if known is not None:
            if known.state == "closed" and not known.amount_minor:
                return "closed", known
            if known.kind != "pay" or known.amount_minor != call.amount_minor:
                return "conflict", known
            return ("closed" if known.state in ("closed", "reversed") else "ok"), known
        if _is_over(call.expires_ms, now_ms):
            return "expired", None
        order = self._new(channel, "pay", call, now_ms)
        if order.payer and not call.settles_later:
            self.settle(order, refusal, now_ms)
        return "ok", order

    def _refund(self, channel: str, call: Call, now_ms: int) -> tuple[Verdict, Order | None]:
        known = self.books.get(channel, call.reference)
        if known is not None:
            same = known.kind == "refund" and known.amount_minor == call.amount_minor
            return ("ok" if same else "conflict"), known
        reference = call.pay_reference or call.channel_reference.partition("-")[2]
        pay = self.books.get(channel, reference)
        if pay is None or pay.state != "paid":
            return "not_found", None
        made = self.books.refunds_of(pay)
        standing = [one for one in made if one.state in ("pending", "paid")]
        refunded = sum(one.amount_minor for one in standing)
        if refunded + call.amount_minor > pay.amount_minor or len(standing) >= REFUNDS_MAX:
            return "refused", None
        order = self._new(channel, "refund", call, now_ms, pay)
        if not call.settles_later:
            self.books.change(order, "paid", now_ms)
        return "ok", order

    def _close(self, channel: str, call: Call, now_ms: int) -> tuple[Verdict, Order | None]:
        order = self.books.get(channel, call.reference)
        if order is None:
            if call.closing != "for_good":
                return "not_found", None
            barred = self._new(channel, "pay", call, now_ms)
            self.books.change(barred, "closed", now_ms)
            return "ok", barred
        if order.state == "paid" and call.closing == "reverse":
            self.books.change(order, "reversed", now_ms)
        elif order.state == "paid":
            return "paid", order
        elif order.state in ("pending", "declined"):
            self.books.change(order, "closed", now_ms)
        return "ok", order

    def _new(
        self, channel: str, kind: OrderKind, call: Call, now_ms: int, pay: Order | None = None
    ) -> Order:
        number = self.books.number(channel, call.reference)
        order = Order(
            channel=channel,
            number=number,
            reference=call.reference,
            kind=kind,
            amount_minor=call.amount_minor,
            state="pending",
            channel_reference=f"{number:012d}-{call.reference}",
            created_ms=now_ms,
            changed_ms=now_ms,
            notify_url=call.notify_url or (pay.notify_url if pay else ""),
            at_text=call.at_text,
            payer=call.payer,
            expires_ms=call.expires_ms,
            pay_reference=pay.reference if pay else "",
        )
        self.books.add(order)
        return order


def _is_over(expires_ms: int | None, now_ms: int) -> bool:
    return expires_ms is not None and now_ms > expires_ms
