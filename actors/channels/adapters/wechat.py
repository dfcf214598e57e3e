"""WeChat Pay (微信支付), API v3 for direct merchants.

Source: the public documentation at pay.weixin.qq.com/doc/v3/merchant: 付款码支付
(``/v3/pay/transactions/codepay``), Native 下单 (``/native``), 委托代扣受理扣款
(``/v3/papay/pay/transactions/apply``), 商户订单号查询, 关闭订单, 退款申请 and 支付通知.

Its own ways:

- amounts are integers in fen; ``out_trade_no`` has 6 to 32 of ``0-9A-Za-z_-|*``;
- requests, answers and callbacks are signed with RSA-SHA256 over time, nonce and body, and what a
  callback tells is encrypted with AES-256-GCM under the merchant's APIv3 key;
- a deduction under an agreement is only *accepted*; its result comes as a callback or by a query;
- a refusal says nothing about the order: it can be paid until it is closed. Closing a paid order is
  refused with ``ORDERPAID``;
- a refund is asked for with its own number, at most 50 of them within a year of the payment, and
  the same number again is the same refund.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from actors.channels.adapters.money import rfc3339, unix_seconds
from actors.channels.adapters.references import hex_reference
from actors.channels.adapters.signing import is_recent, open_sealed, request_text, response_text
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

__all__ = ("SCHEMA", "WECHAT_TERMS", "WechatPay")

SCHEMA = "WECHATPAY2-SHA256-RSA2048"

# 0.6 % is the standard rate of a merchant; the ceiling of one payment is that of a verified wallet
# paying from a card.
WECHAT_TERMS = ChannelTerms(
    name="wechat",
    methods=frozenset({"quick", "qr_static", "qr_dynamic", "guaranteed", "seamless"}),
    amount_max_minor=5_000_000,
    fee_ppm=6_000,
    order_expires_s=300,
    refund_within_s=365 * 86_400,
    refunds_max=50,
)

# The payer's code (付款码): 18 digits that begin with 10 to 15.
_PAYER_CODE = re.compile(r"1[0-5]\d{16}")

# Refusals that leave no order behind, or one that was closed before.
_NEVER_PAID = frozenset({"PARAM_ERROR", "INVALID_REQUEST", "NO_AUTH", "SIGN_ERROR", "ORDER_CLOSED"})
_PAYERS_FAULT = frozenset(
    {"NOT_ENOUGH", "AUTH_CODE_EXPIRE", "AUTH_CODE_INVALID", "TRADE_ERROR", "CONTRACT_NOT_EXIST"}
)
# No answer to the question: the request was not looked at, or the order stands otherwise.
_ASK_AGAIN = frozenset({"FREQUENCY_LIMITED", "SYSTEM_ERROR", "ORDERPAID", "OUT_TRADE_NO_USED"})

_Read = dict[str, Any]


class WechatPay(HttpAdapter):
    """See the module."""

    TERMS: ClassVar[ChannelTerms] = WECHAT_TERMS
    _secret: bytes | None = None

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return 32 hexadecimal digits."""
        return hex_reference("wechat", order_id)

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Charge the payer's code or agreement, or make an order that the payer scans."""
        body: dict[str, Any] = {
            "appid": self.access.app_id,
            "mchid": self.access.merchant_id,
            "description": order.description or "-",
            "out_trade_no": order.reference,
            "time_expire": rfc3339(order.expires_at),
            "notify_url": self.access.notify_url,
            "amount": {"total": order.amount_minor, "currency": order.currency},
        }
        if not order.payer_token:
            target = "/v3/pay/transactions/native"
        elif _PAYER_CODE.fullmatch(order.payer_token):
            target = "/v3/pay/transactions/codepay"
            body["payer"] = {"auth_code": order.payer_token}
        else:
            target = "/v3/papay/pay/transactions/apply"
            body["contract_id"] = order.payer_token
        request = self._request("POST", target, body)
        return await self._exchange(request, timeout_s, lambda one: self._read_pay(one, order))

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask by our order number."""
        target = f"{_order_path(order)}?mchid={quote(self.access.merchant_id)}"
        request = self._request("GET", target, None)
        return await self._exchange(request, timeout_s, lambda one: self._read_order(one, order))

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Close the order; 204 without a body is a yes."""
        body = {"mchid": self.access.merchant_id}
        request = self._request("POST", f"{_order_path(order)}/close", body)
        return await self._exchange(request, timeout_s, self._read_close)

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask for a refund under our own number."""
        body = {
            "out_trade_no": order.pay_reference,
            "out_refund_no": order.reference,
            "reason": order.reason or None,
            "amount": {
                "refund": order.amount_minor,
                "total": order.paid_minor,
                "currency": order.currency,
            },
        }
        request = self._request("POST", "/v3/refund/domestic/refunds", body)
        return await self._exchange(request, timeout_s, lambda one: self._read_refund(one, order))

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask by our refund number."""
        target = f"/v3/refund/domestic/refunds/{quote(order.reference)}"
        request = self._request("GET", target, None)
        return await self._exchange(request, timeout_s, lambda one: self._read_refund(one, order))

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Verify the signature and the time, decrypt, and read."""
        try:
            self._verify(headers, body, int(now.timestamp() * 1000))
            notice = json_object(body)
            told = json_object(self._opened(_object(notice, "resource")))
        except (NotAnAnswer, ValueError) as error:
            raise CallbackRefused(str(error)) from error
        refund = text_of(notice, "event_type").startswith("REFUND.")
        amount = _object(told, "amount").get("refund" if refund else "total")
        reference = text_of(told, "out_refund_no" if refund else "out_trade_no")
        if not reference or not isinstance(amount, int):
            raise CallbackRefused("the callback names no order or no amount")
        outcome = _refund_state(told, amount) if refund else _trade_state(told, amount)
        return Callback(
            notice_id=text_of(notice, "id"), reference=reference, refund=refund, outcome=outcome
        )

    def _opened(self, resource: _Read) -> bytes:
        if self._secret is None:
            self._secret = Path(self.access.secret_file).read_bytes()
        nonce, associated = text_of(resource, "nonce"), text_of(resource, "associated_data")
        return open_sealed(self._secret, nonce, associated, text_of(resource, "ciphertext"))

    # Requests.

    def _request(self, method: str, target: str, body: dict[str, Any] | None) -> HttpRequest:
        data = b"" if body is None else msgspec.json.encode(body)
        timestamp, nonce = unix_seconds(self._clock.now()), self._nonce()
        signature = self._signer.sign(request_text(method, target, timestamp, nonce, data))
        authorization = (
            f'{SCHEMA} mchid="{self.access.merchant_id}",nonce_str="{nonce}",'
            f'signature="{signature}",timestamp="{timestamp}",serial_no="{self.access.key_id}"'
        )
        headers = {
            "Authorization": authorization,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        return HttpRequest(method=method, target=target, headers=headers, body=data)

    # Answers.

    def _verify(self, headers: Mapping[str, str], body: bytes, now_ms: int) -> None:
        timestamp = headers.get("wechatpay-timestamp", "")
        if headers.get("wechatpay-serial") != self.access.channel_key_id:
            raise NotAnAnswer("the message is signed with a key that we do not know")
        text = response_text(timestamp, headers.get("wechatpay-nonce", ""), body)
        if not self._verifier.verifies(text, headers.get("wechatpay-signature", "")):
            raise NotAnAnswer("the signature is not WeChat Pay's")
        if not is_recent(timestamp, now_ms):
            raise NotAnAnswer("the message is too old, or from the future")

    def _verified(self, answer: HttpAnswer) -> _Read:
        self._verify(answer.headers, answer.body, self._clock.now_ms())
        return json_object(answer.body) if answer.body else {}

    def _read_pay(self, answer: HttpAnswer, order: PayOrder) -> Outcome:
        told = self._verified(answer)
        if answer.status >= 400:
            return _refusal(told)
        if "trade_state" in told:
            return _trade_state(_of_order(told, order), order.amount_minor)
        return Pending(code_url=text_of(told, "code_url"))

    def _read_order(self, answer: HttpAnswer, order: PayOrder) -> Outcome:
        told = self._verified(answer)
        if answer.status >= 400:
            return _refusal(told)
        return _trade_state(_of_order(told, order), order.amount_minor)

    def _read_close(self, answer: HttpAnswer) -> Outcome:
        told = self._verified(answer)
        if answer.status >= 400:
            return _refusal(told)
        return Closed()

    def _read_refund(self, answer: HttpAnswer, order: RefundOrder) -> Outcome:
        told = self._verified(answer)
        if answer.status >= 400:
            return _refusal(told)
        if told.get("out_refund_no") != order.reference:
            raise NotAnAnswer("the answer is about another refund")
        return _refund_state(told, order.amount_minor)


def _object(told: _Read, name: str) -> _Read:
    """Return a field that is an object, or an empty one."""
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _order_path(order: PayOrder) -> str:
    return f"/v3/pay/transactions/out-trade-no/{quote(order.reference)}"


def _of_order(told: _Read, order: PayOrder) -> _Read:
    if told.get("out_trade_no") != order.reference:
        raise NotAnAnswer("the answer is about another order")
    return told


def _refusal(told: _Read) -> Outcome:
    """Return what an answer of the 400s comes to."""
    code = text_of(told, "code")
    reason = text_of(told, "message")
    if code in ("ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS"):
        return NotFound()
    if not code or code in _ASK_AGAIN:
        return Unknown(reason=f"WeChat Pay answered {code or 'an error without a code'}: {reason}")
    return Failed(code=code, reason=reason, final=code in _NEVER_PAID, payer=code in _PAYERS_FAULT)


def _trade_state(told: _Read, asked: int) -> Outcome:
    """Return what the ``trade_state`` of an order comes to."""
    state = text_of(told, "trade_state")
    match state:
        case "SUCCESS" | "REFUND":
            # REFUND: it was paid, and a refund of it was begun.
            total = _object(told, "amount").get("total")
            return with_amount(text_of(told, "transaction_id"), total, asked)
        case "NOTPAY" | "USERPAYING" | "ACCEPT":
            return Pending()
        case "CLOSED" | "REVOKED":
            return Closed()
        case "PAYERROR":
            reason = text_of(told, "trade_state_desc")
            return Failed(code=state, reason=reason, final=False, payer=True)
        case _:
            return Unknown(reason=f"WeChat Pay knows a state of orders that we do not: {state!r}")


def _refund_state(told: _Read, asked: int) -> Outcome:
    """Return what the ``status`` of a refund comes to."""
    state = text_of(told, "status") or text_of(told, "refund_status")
    match state:
        case "SUCCESS":
            amount = _object(told, "amount").get("refund")
            return with_amount(text_of(told, "refund_id"), amount, asked)
        case "PROCESSING":
            return Pending()
        case "CLOSED" | "ABNORMAL":
            # ABNORMAL: the payer's card does not take it; the merchant has to send it by hand.
            return Failed(code=state, reason="the refund came back", final=state == "CLOSED")
        case _:
            return Unknown(reason=f"WeChat Pay knows a state of refunds that we do not: {state!r}")
