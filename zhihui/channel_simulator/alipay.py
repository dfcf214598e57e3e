"""Alipay's side of its gateway; see :mod:`actors.channels.adapters.alipay` for its sources."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from actors.channels.adapters.money import BEIJING, fen, yuan
from actors.channels.adapters.signing import CLOCK_SKEW_S_MAX, sorted_text
from actors.channels.adapters.transport import NotAnAnswer, form_fields
from zhihui.channel_simulator.books import Order
from zhihui.channel_simulator.dialect import (
    Call,
    Incoming,
    Notice,
    Operation,
    Refused,
    Reply,
    Verdict,
)
from zhihui.channel_simulator.keys import APP_IDS, KeyRing

__all__ = ("AlipayDialect",)

_REFERENCE = re.compile(r"[0-9A-Za-z_]{1,64}")
_TIME = "%Y-%m-%d %H:%M:%S"
_OPERATIONS: dict[str, Operation] = {
    "alipay.trade.pay": "pay",
    "alipay.trade.precreate": "pay",
    "alipay.trade.query": "query",
    "alipay.trade.close": "close",
    "alipay.trade.refund": "refund",
    "alipay.trade.fastpay.refund.query": "query_refund",
}
_ERRORS: dict[Verdict, tuple[str, str]] = {
    "not_found": ("ACQ.TRADE_NOT_EXIST", "交易不存在"),
    "conflict": ("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改"),
    "paid": ("ACQ.TRADE_STATUS_ERROR", "交易状态不合法"),
    "closed": ("ACQ.TRADE_HAS_CLOSE", "交易已经关闭"),
    "expired": ("ACQ.INVALID_PARAMETER", "time_expire已过"),
    "refused": ("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限"),
}
_STATES = {
    "pending": "WAIT_BUYER_PAY",
    "declined": "WAIT_BUYER_PAY",
    "paid": "TRADE_SUCCESS",
    "closed": "TRADE_CLOSED",
}


class AlipayDialect:
    """See the module."""

    name = "alipay"

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def read(self, request: Incoming, now_ms: int) -> Call:
        """Verify the signature over all parameters, and read ``biz_content``."""
        try:
            fields = form_fields(request.body)
            content = msgspec.json.decode(fields.get("biz_content", ""), type=dict[str, Any])
        except (NotAnAnswer, msgspec.MsgspecError) as error:
            raise Refused(self._refusal("error", "isv.invalid-signature")) from error
        signed = self._ring.verifier.verifies(sorted_text(fields, "sign"), fields.get("sign", ""))
        known = fields.get("app_id") == APP_IDS["alipay"] and fields.get("method") in _OPERATIONS
        if not signed or not known or not _is_recent(fields.get("timestamp", ""), now_ms):
            raise Refused(self._refusal("error", "isv.invalid-signature"))
        method = fields["method"]
        operation = _OPERATIONS[method]
        refund = operation in ("refund", "query_refund")
        reference = str(content.get("out_request_no" if refund else "out_trade_no"))
        amount = fen(content.get("refund_amount" if refund else "total_amount"))
        if not _REFERENCE.fullmatch(reference) or (operation in ("pay", "refund") and not amount):
            raise Refused(self._refusal(method, "ACQ.INVALID_PARAMETER"))
        agreement = content.get("agreement_params", {}).get("agreement_no")
        return Call(
            operation=operation,
            form=method,
            reference=reference,
            amount_minor=amount or 0,
            payer=str(content.get("auth_code") or agreement or ""),
            expires_ms=_milliseconds(content.get("time_expire")),
            notify_url=fields.get("notify_url", ""),
            pay_reference=str(content.get("out_trade_no")) if refund else "",
        )

    # Answers.

    def answer(self, call: Call, verdict: Verdict, order: Order | None, now_ms: int) -> Reply:
        """Return the object that the method wraps its answer in, and its signature."""
        if call.operation == "query_refund" and verdict == "not_found":
            # As documented: a success without a status is a refund that does not exist.
            return self._wrapped(call.form, {"code": "10000", "msg": "Success"})
        if verdict != "ok" or order is None:
            return self._refusal(call.form, *_ERRORS[verdict])
        told: dict[str, Any] = {"code": "10000", "msg": "Success", "out_trade_no": order.reference}
        if order.kind == "refund":
            return self._wrapped(call.form, told | _refund(call, order, now_ms))
        match call.form:
            case "alipay.trade.precreate":
                told["qr_code"] = f"https://qr.alipay.com/{order.number:016d}"
            case "alipay.trade.pay" if order.state == "pending":
                told |= {"code": "10003", "msg": "order success pay inprocess"}
            case "alipay.trade.pay" if order.state == "declined":
                return self._refusal(call.form, order.code, "支付失败")
            case "alipay.trade.pay" | "alipay.trade.query":
                told |= _trade(order)
        return self._wrapped(call.form, told)

    def _refusal(self, method: str, sub_code: str, text: str = "") -> Reply:
        told = {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": text}
        if method == "error":
            told["code"] = "40002"
        return self._wrapped(method, told)

    def _wrapped(self, method: str, told: dict[str, Any]) -> Reply:
        inner = msgspec.json.encode(told)
        name = method.replace(".", "_") + "_response"
        sign = self._ring.signer.sign(inner)
        body = b'{"%s":%s,"sign":"%s"}' % (name.encode(), inner, sign.encode())
        return Reply(status=200, body=body)

    # Callbacks.

    def notice(self, order: Order, pay: Order | None, number: int, now_ms: int) -> Notice | None:
        """Return the form that tells of a payment; a refund is never told on its own."""
        if order.kind == "refund" or order.state not in ("paid", "closed"):
            return None
        fields = {
            "notify_id": f"{number:034d}",
            "notify_type": "trade_status_sync",
            "notify_time": _beijing(now_ms),
            "app_id": APP_IDS["alipay"],
            "charset": "utf-8",
            "version": "1.0",
            "sign_type": "RSA2",
            "out_trade_no": order.reference,
            "trade_no": order.channel_reference,
            "trade_status": _STATES[order.state],
            "total_amount": yuan(order.amount_minor),
        }
        fields["sign"] = self._ring.signer.sign(sorted_text(fields, "sign", "sign_type"))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Notice(headers=headers, body=urlencode(fields).encode())

    def is_taken(self, status: int, body: bytes) -> bool:
        """Tell whether the seven characters came that the documentation asks for."""
        return status == 200 and body == b"success"


def _is_recent(text: str, now_ms: int) -> bool:
    at = _milliseconds(text)
    return at is not None and abs(at - now_ms) <= CLOCK_SKEW_S_MAX * 1000


def _milliseconds(text: object) -> int | None:
    try:
        at = datetime.strptime(str(text), _TIME).replace(tzinfo=BEIJING)
    except ValueError:
        return None
    return int(at.timestamp() * 1000)


def _beijing(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, BEIJING).strftime(_TIME)


def _trade(order: Order) -> dict[str, Any]:
    told = {"trade_status": _STATES[order.state], "total_amount": yuan(order.amount_minor)}
    if order.state == "paid":
        told |= {"trade_no": order.channel_reference, "send_pay_date": _beijing(order.changed_ms)}
    return told


def _refund(call: Call, order: Order, now_ms: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "out_trade_no": order.pay_reference,
        "trade_no": order.channel_reference,
    }
    if call.operation == "query_refund":
        told |= {"out_request_no": order.reference, "refund_amount": yuan(order.amount_minor)}
        if order.state == "paid":
            told["refund_status"] = "REFUND_SUCCESS"
        return told
    # "Y" only in the answer to the request that moved the money.
    moved_now = order.state == "paid" and order.changed_ms == now_ms
    return told | {
        "fund_change": "Y" if moved_now else "N",
        "send_back_fee": yuan(order.amount_minor),
        "refund_fee": yuan(order.amount_minor),
    }
