"""Alipay (支付宝), the open platform's gateway.

Source: the public documentation at opendocs.alipay.com: alipay.trade.pay (当面付), .precreate,
.query, .close, .refund, .fastpay.refund.query, 异步通知 and 签名.

Its own ways:

- one path, ``/gateway.do``; the method is a parameter, the order is JSON in ``biz_content``;
- amounts are texts in yuan with two decimals; ``out_trade_no`` has up to 64 of digits, letters and
  ``_``; times are ``yyyy-MM-dd HH:mm:ss`` in Beijing;
- signed (RSA2 = RSA-SHA256) is the sorted ``k=v&k=v`` of all parameters; in an answer, the bytes of
  the object that it wraps;
- code 10000 is success, 10003 waits for the payer, 20000 is *not known* and must be queried, 40004
  is a refusal with a ``sub_code``;
- an order that no payer has opened does not exist yet: closing or querying it is
  ``ACQ.TRADE_NOT_EXIST``;
- a refund is done at once: ``fund_change`` ``Y`` says that money moved now, and the same
  ``out_request_no`` again changes nothing; the last day is the 365th after the payment;
- a callback is a form, signed like a request but without ``sign_type``; the answer is ``success``.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec

from actors.channels.adapters.money import beijing, fen, yuan
from actors.channels.adapters.references import hex_reference
from actors.channels.adapters.signing import sorted_text
from actors.channels.adapters.transport import (
    HttpAdapter,
    HttpAnswer,
    HttpRequest,
    NotAnAnswer,
    form_fields,
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

__all__ = ("ALIPAY_TERMS", "Alipay")

# 0.6 % is the standard rate of the platform's price list.
ALIPAY_TERMS = ChannelTerms(
    name="alipay",
    methods=frozenset({"quick", "qr_static", "qr_dynamic", "guaranteed", "seamless"}),
    amount_max_minor=10_000_000,
    fee_ppm=6_000,
    order_expires_s=300,
    refund_within_s=365 * 86_400,
    refunds_max=50,
)

# The payer's code (付款码): 16 to 24 digits that begin with 25 to 30.
_PAYER_CODE = re.compile(r"(?:2[5-9]|30)\d{14,22}")

# Refusals after which the order can still be paid, or of which the gateway itself is not sure.
_NOT_SURE = frozenset(
    {
        "ACQ.SYSTEM_ERROR",
        "ACQ.TRADE_HAS_SUCCESS",
        "ACQ.TRADE_STATUS_ERROR",
        "ACQ.REASON_TRADE_STATUS_INVALID",
        "ACQ.CONTEXT_INCONSISTENT",
        "ACQ.SELLER_BALANCE_NOT_ENOUGH",
    }
)
_PAYERS_FAULT = frozenset(
    {
        "ACQ.BUYER_BALANCE_NOT_ENOUGH",
        "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH",
        "ACQ.PAYMENT_AUTH_CODE_INVALID",
        "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
        "ACQ.AGREEMENT_INVALID",
    }
)

_Read = dict[str, Any]


class Alipay(HttpAdapter):
    """See the module."""

    TERMS: ClassVar[ChannelTerms] = ALIPAY_TERMS

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return 32 hexadecimal digits."""
        return hex_reference("alipay", order_id)

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Charge the payer's code or agreement, or make an order that the payer scans."""
        content: dict[str, Any] = {
            "out_trade_no": order.reference,
            "total_amount": yuan(order.amount_minor),
            "subject": order.description or "-",
            "time_expire": beijing(order.expires_at),
        }
        method = "alipay.trade.pay"
        if not order.payer_token:
            method = "alipay.trade.precreate"
        elif _PAYER_CODE.fullmatch(order.payer_token):
            content |= {"scene": "bar_code", "auth_code": order.payer_token}
        else:
            content |= {
                "product_code": "GENERAL_WITHHOLDING",
                "agreement_params": {"agreement_no": order.payer_token},
            }
        request = self._request(method, content)
        return await self._exchange(
            request, timeout_s, lambda one: self._read_pay(one, method, order)
        )

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask by our order number."""
        request = self._request("alipay.trade.query", {"out_trade_no": order.reference})
        return await self._exchange(request, timeout_s, lambda one: self._read_order(one, order))

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Close an order that was not paid."""
        request = self._request("alipay.trade.close", {"out_trade_no": order.reference})
        return await self._exchange(request, timeout_s, self._read_close)

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Give money back under our own number."""
        content = {
            "out_trade_no": order.pay_reference,
            "out_request_no": order.reference,
            "refund_amount": yuan(order.amount_minor),
            "refund_reason": order.reason,
        }
        request = self._request("alipay.trade.refund", content)
        return await self._exchange(request, timeout_s, lambda one: self._read_refund(one, order))

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask by our order and refund numbers."""
        content = {"out_trade_no": order.pay_reference, "out_request_no": order.reference}
        request = self._request("alipay.trade.fastpay.refund.query", content)
        return await self._exchange(
            request, timeout_s, lambda one: self._read_refund_query(one, order)
        )

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Verify the signature and read; the gateway signs no time that could be compared."""
        try:
            fields = form_fields(body)
        except NotAnAnswer as error:
            raise CallbackRefused(str(error)) from error
        text = sorted_text(fields, "sign", "sign_type")
        if not self._verifier.verifies(text, fields.get("sign", "")):
            raise CallbackRefused("the signature is not Alipay's")
        reference, amount = fields.get("out_trade_no", ""), fen(fields.get("total_amount"))
        if fields.get("app_id") != self.access.app_id or not reference or amount is None:
            raise CallbackRefused("the callback names no order of ours, or no amount")
        return Callback(
            notice_id=fields.get("notify_id", ""),
            reference=reference,
            refund=False,
            outcome=_trade_status(fields, amount),
        )

    # Requests.

    def _request(self, method: str, content: dict[str, Any]) -> HttpRequest:
        fields = {
            "app_id": self.access.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": beijing(self._clock.now()),
            "version": "1.0",
            "notify_url": self.access.notify_url,
            "biz_content": msgspec.json.encode(content).decode(),
        }
        fields["sign"] = self._signer.sign(sorted_text(fields, "sign"))
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
        return HttpRequest(
            method="POST",
            target="/gateway.do",
            headers=headers,
            body=urlencode(fields).encode(),
        )

    # Answers.

    def _verified(self, answer: HttpAnswer, method: str) -> _Read:
        """Return the object that an answer wraps, once its very bytes are verified."""
        name = method.replace(".", "_") + "_response"
        try:
            told = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
            sign = msgspec.json.decode(told.get("sign", b'""'), type=str)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NotAnAnswer("the answer is not a JSON object") from error
        wrapped = bytes(told.get(name) or told.get("error_response") or b"")
        if not self._verifier.verifies(wrapped, sign):
            raise NotAnAnswer("the signature is not Alipay's")
        return json_object(wrapped)

    def _read_pay(self, answer: HttpAnswer, method: str, order: PayOrder) -> Outcome:
        told = self._verified(answer, method)
        match text_of(told, "code"):
            case "10000" if method == "alipay.trade.precreate":
                return Pending(code_url=text_of(told, "qr_code"))
            case "10000":
                _check_order(told, order.reference)
                amount = fen(told.get("total_amount"))
                return with_amount(text_of(told, "trade_no"), amount, order.amount_minor)
            case "10003":
                return Pending()
        return _refusal(told)

    def _read_order(self, answer: HttpAnswer, order: PayOrder) -> Outcome:
        told = self._verified(answer, "alipay.trade.query")
        if text_of(told, "code") != "10000":
            return _refusal(told)
        _check_order(told, order.reference)
        return _trade_status(told, order.amount_minor)

    def _read_close(self, answer: HttpAnswer) -> Outcome:
        told = self._verified(answer, "alipay.trade.close")
        return Closed() if text_of(told, "code") == "10000" else _refusal(told)

    def _read_refund(self, answer: HttpAnswer, order: RefundOrder) -> Outcome:
        told = self._verified(answer, "alipay.trade.refund")
        if text_of(told, "code") != "10000":
            return _refusal(told)
        if text_of(told, "fund_change") != "Y":
            # Either it was done by an earlier request with this number, or not yet: the query says.
            return Pending()
        _check_order(told, order.pay_reference)
        return with_amount(
            text_of(told, "trade_no"), fen(told.get("send_back_fee")), order.amount_minor
        )

    def _read_refund_query(self, answer: HttpAnswer, order: RefundOrder) -> Outcome:
        told = self._verified(answer, "alipay.trade.fastpay.refund.query")
        if text_of(told, "code") != "10000":
            return _refusal(told)
        if text_of(told, "refund_status") != "REFUND_SUCCESS":
            # The documentation: without the status there is no such refund, or it failed.
            return NotFound()
        if text_of(told, "out_request_no") != order.reference:
            raise NotAnAnswer("the answer is about another refund")
        return with_amount(
            text_of(told, "trade_no"), fen(told.get("refund_amount")), order.amount_minor
        )


def _check_order(told: _Read, reference: str) -> None:
    if told.get("out_trade_no") != reference:
        raise NotAnAnswer("the answer is about another order")


def _refusal(told: _Read) -> Outcome:
    """Return what an answer other than 10000 comes to."""
    code, sub_code = text_of(told, "code"), text_of(told, "sub_code")
    if sub_code == "ACQ.TRADE_NOT_EXIST":
        return NotFound()
    if sub_code == "ACQ.TRADE_HAS_CLOSE":
        return Closed()
    reason = text_of(told, "sub_msg") or text_of(told, "msg")
    if code != "40004" or sub_code in _NOT_SURE or not sub_code:
        return Unknown(reason=f"Alipay answered {code} {sub_code}: {reason}")
    return Failed(code=sub_code, reason=reason, final=True, payer=sub_code in _PAYERS_FAULT)


def _trade_status(told: Mapping[str, Any], asked: int) -> Outcome:
    """Return what the ``trade_status`` of an order comes to."""
    status = text_of(told, "trade_status")
    match status:
        case "TRADE_SUCCESS" | "TRADE_FINISHED":
            return with_amount(text_of(told, "trade_no"), fen(told.get("total_amount")), asked)
        case "WAIT_BUYER_PAY":
            return Pending()
        case "TRADE_CLOSED" if text_of(told, "gmt_refund") or text_of(told, "send_pay_date"):
            # Also the state of an order that was paid and given back as a whole.
            return with_amount(text_of(told, "trade_no"), fen(told.get("total_amount")), asked)
        case "TRADE_CLOSED":
            return Closed()
        case _:
            return Unknown(reason=f"Alipay knows a status of orders that we do not: {status!r}")
