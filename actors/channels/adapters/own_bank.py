"""The own bank (本行): the core banking system, asked to debit a customer's account there.

It is a channel like the others, because the core system is another machine with books of its own,
and may be as silent as any of them. Its interface is the bank's own:

- ``PUT /v1/debits/<reference>`` makes or repeats a debit, ``GET`` reads it, ``DELETE`` cancels what
  is not booked yet; ``PUT /v1/debits/<reference>/returns/<reference>`` gives back;
- JSON, amounts in fen, times in RFC 3339, signed like WeChat Pay v3;
- states RECEIVED, BOOKED, REJECTED (for good), CANCELLED; it costs nothing, takes any amount up to
  the class I ceiling of the bank, and knows no QR code of another wallet.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from actors.channels.adapters.money import rfc3339, unix_seconds
from actors.channels.adapters.references import hex_reference
from actors.channels.adapters.signing import is_recent, request_text, response_text
from actors.channels.adapters.transport import (
    HttpAdapter,
    HttpAnswer,
    HttpRequest,
    NotAnAnswer,
    json_object,
    text_of,
    with_amount,
)
from actors.channels.channel import (
    Callback,
    CallbackRefused,
    Closed,
    Failed,
    NotFound,
    Outcome,
    PayOrder,
    Pending,
    RefundOrder,
    Unknown,
)
from actors.channels.terms import ChannelTerms

__all__ = ("OWN_BANK_TERMS", "OwnBank")

OWN_BANK_TERMS = ChannelTerms(
    name="own_bank",
    methods=frozenset({"quick", "qr_static", "qr_dynamic", "guaranteed", "seamless"}),
    amount_max_minor=100_000_000_00,
    fee_ppm=0,
    order_expires_s=60,
    settle_grace_s=10,
    refund_within_s=5 * 365 * 86_400,
    refunds_max=1_000,
)

_PAYERS_FAULT = frozenset({"INSUFFICIENT_FUNDS", "ACCOUNT_FROZEN", "LIMIT_EXCEEDED", "NO_MANDATE"})


class OwnBank(HttpAdapter):
    """See the module."""

    TERMS: ClassVar[ChannelTerms] = OWN_BANK_TERMS

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return 32 hexadecimal digits."""
        return hex_reference("own_bank", order_id)

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask for the debit."""
        body = {
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "mandate": order.payer_token,
            "description": order.description,
            "expires_at": rfc3339(order.expires_at),
            "notify_url": self.access.notify_url,
        }
        return await self._ask(
            "PUT", f"/v1/debits/{quote(order.reference)}", body, order, timeout_s
        )

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Read the debit."""
        return await self._ask(
            "GET", f"/v1/debits/{quote(order.reference)}", None, order, timeout_s
        )

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Cancel the debit, unless it is booked; also one that was never received."""
        target = f"/v1/debits/{quote(order.reference)}"
        return await self._ask("DELETE", target, None, order, timeout_s)

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask for the return of an amount."""
        body = {
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "description": order.reason,
            "notify_url": self.access.notify_url,
        }
        return await self._ask("PUT", _return_path(order), body, order, timeout_s)

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Read the return."""
        return await self._ask("GET", _return_path(order), None, order, timeout_s)

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Verify signature and time, and read."""
        try:
            told = self._verified(headers, body, int(now.timestamp() * 1000))
        except NotAnAnswer as error:
            raise CallbackRefused(str(error)) from error
        reference, amount = text_of(told, "reference"), told.get("amount_minor")
        if not reference or not isinstance(amount, int):
            raise CallbackRefused("the notice names no debit, or no amount")
        return Callback(
            notice_id=text_of(told, "notice_id"),
            reference=reference,
            refund=text_of(told, "kind") == "return",
            outcome=_state(told, amount),
        )

    async def _ask(
        self,
        method: str,
        target: str,
        body: dict[str, Any] | None,
        order: PayOrder | RefundOrder,
        timeout_s: float,
    ) -> Outcome:
        data = b"" if body is None else msgspec.json.encode(body)
        timestamp, nonce = unix_seconds(self._clock.now()), self._nonce()
        headers = {
            "X-Participant": self.access.merchant_id,
            "X-Timestamp": timestamp,
            "X-Nonce": nonce,
            "X-Signature": self._signer.sign(request_text(method, target, timestamp, nonce, data)),
            "Content-Type": "application/json",
        }
        request = HttpRequest(method=method, target=target, headers=headers, body=data)
        return await self._exchange(request, timeout_s, lambda one: self._read(one, order))

    def _verified(self, headers: Mapping[str, str], body: bytes, now_ms: int) -> dict[str, Any]:
        timestamp = headers.get("x-timestamp", "")
        text = response_text(timestamp, headers.get("x-nonce", ""), body)
        if not self._verifier.verifies(text, headers.get("x-signature", "")):
            raise NotAnAnswer("the signature is not the core system's")
        if not is_recent(timestamp, now_ms):
            raise NotAnAnswer("the message is too old, or from the future")
        return json_object(body)

    def _read(self, answer: HttpAnswer, order: PayOrder | RefundOrder) -> Outcome:
        told = self._verified(answer.headers, answer.body, self._clock.now_ms())
        if answer.status == 404:
            return NotFound()
        code, reason = text_of(told, "code"), text_of(told, "message")
        if answer.status == 409:
            # What was cancelled stays so; anything else stands for something that is not ours.
            return Closed() if code == "CANCELLED" else Unknown(reason=f"a conflict: {code}")
        if answer.status >= 400:
            # Malformed, unauthorised or refused, a request leaves nothing behind.
            return Failed(code=code, reason=reason, final=True)
        if told.get("reference") != order.reference:
            raise NotAnAnswer("the answer is about another debit")
        return _state(told, order.amount_minor)


def _return_path(order: RefundOrder) -> str:
    return f"/v1/debits/{quote(order.pay_reference)}/returns/{quote(order.reference)}"


def _state(told: Mapping[str, Any], asked: int) -> Outcome:
    """Return what the state of a debit or a return comes to."""
    state = text_of(told, "state")
    match state:
        case "BOOKED":
            return with_amount(text_of(told, "booking"), told.get("amount_minor"), asked)
        case "RECEIVED":
            return Pending(code_url=text_of(told, "code_url"))
        case "CANCELLED":
            return Closed()
        case "REJECTED":
            code = text_of(told, "code")
            return Failed(
                code=code,
                reason=text_of(told, "message"),
                final=True,
                payer=code in _PAYERS_FAULT,
            )
        case _:
            return Unknown(reason=f"the core system knows a state that we do not: {state!r}")
