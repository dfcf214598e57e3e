"""UnionPay's side of 全渠道 5.1.0; see :mod:`actors.channels.adapters.unionpay` for its sources."""

import re
from datetime import datetime
from urllib.parse import urlencode

from actors.channels.adapters.money import BEIJING
from actors.channels.adapters.signing import unionpay_text
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
from zhihui.channel_simulator.keys import MERCHANT_IDS, KeyRing

__all__ = ("UnionPayDialect",)

_REFERENCE = re.compile(r"[0-9A-Za-z]{8,40}")
_FORM = "application/x-www-form-urlencoded"
_OPERATIONS: dict[str, Operation] = {"00": "query", "01": "pay", "04": "refund", "99": "close"}
_ERRORS: dict[Verdict, tuple[str, str]] = {
    "not_found": ("34", "查无此交易"),
    "conflict": ("12", "重复交易"),
    "closed": ("35", "原交易状态不正确"),
    "expired": ("36", "交易已超时"),
    "refused": ("36", "退货金额超限"),
    "paid": ("35", "原交易状态不正确"),
}
_QUERY_CODES = {"pending": "05", "paid": "00", "closed": "35", "reversed": "35"}


class UnionPayDialect:
    """See the module."""

    name = "unionpay"

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def read(self, request: Incoming, now_ms: int) -> Call:
        """Verify the signature over all fields, and tell the types apart."""
        try:
            fields = form_fields(request.body)
        except NotAnAnswer as error:
            raise Refused(self._signed({"respCode": "10", "respMsg": "报文格式错误"})) from error
        known = fields.get("merId") == MERCHANT_IDS["unionpay"]
        signature = fields.get("signature", "")
        if not known or not self._ring.verifier.verifies(unionpay_text(fields), signature):
            raise Refused(self._signed({"respCode": "11", "respMsg": "验证签名失败"}))
        operation = _OPERATIONS.get(fields.get("txnType", ""))
        reference, amount = fields.get("orderId", ""), fields.get("txnAmt", "")
        if operation is None or not _REFERENCE.fullmatch(reference):
            raise Refused(self._signed({"respCode": "10", "respMsg": "报文格式错误"}))
        payer = fields.get("qrNo") or fields.get("tokenPayData") or ""
        return Call(
            operation=operation,
            form=fields.get("txnSubType", ""),
            reference=reference,
            amount_minor=int(amount) if amount.isdecimal() else 0,
            payer=payer,
            expires_ms=_milliseconds(fields.get("payTimeout", "")),
            notify_url=fields.get("backUrl", ""),
            channel_reference=fields.get("origQryId", ""),
            at_text=fields.get("txnTime", ""),
            settles_later=operation == "refund",
            closing="reverse",
        )

    # Answers.

    def answer(self, call: Call, verdict: Verdict, order: Order | None, now_ms: int) -> Reply:
        """Return the signed form."""
        told = {
            "orderId": call.reference,
            "txnTime": call.at_text,
            "txnAmt": str(call.amount_minor),
        }
        if verdict != "ok" or order is None:
            code, text = _ERRORS[verdict]
            return self._signed(told | {"respCode": code, "respMsg": text})
        told |= {"txnAmt": str(order.amount_minor), "respCode": "00", "respMsg": "成功"}
        if call.operation == "close":
            return self._signed(told)
        if call.operation == "query":
            code = order.code if order.state == "declined" else _QUERY_CODES[order.state]
            told |= {"origRespCode": code, "origRespMsg": "", "queryId": order.channel_reference}
            return self._signed(told)
        told["queryId"] = order.channel_reference
        if order.kind == "refund":
            return self._signed(told)
        if not order.payer:
            told["qrCode"] = f"https://qr.95516.com/{order.number:016d}"
        elif order.state == "declined":
            told |= {"respCode": order.code, "respMsg": "交易失败"}
        elif order.state != "paid":
            told |= {"respCode": _QUERY_CODES[order.state]}
        return self._signed(told)

    def _signed(self, told: dict[str, str]) -> Reply:
        return Reply(status=200, body=self._body(told), content_type=_FORM)

    def _body(self, told: dict[str, str]) -> bytes:
        fields = {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "certId": "1",
            "signMethod": "01",
            "merId": MERCHANT_IDS["unionpay"],
            **told,
        }
        fields = {name: value for name, value in fields.items() if value}
        fields["signature"] = self._ring.signer.sign(unionpay_text(fields))
        return urlencode(fields).encode()

    # Callbacks.

    def notice(self, order: Order, pay: Order | None, number: int, now_ms: int) -> Notice | None:
        """Return the form that tells of a payment or a refund that stands."""
        if order.state != "paid":
            return None
        told = {
            "txnType": "04" if order.kind == "refund" else "01",
            "orderId": order.reference,
            "txnTime": order.at_text,
            "txnAmt": str(order.amount_minor),
            "queryId": order.channel_reference,
            "respCode": "00",
            "respMsg": "成功",
            "traceNo": f"{number % 1_000_000:06d}",
        }
        return Notice(headers={"Content-Type": _FORM}, body=self._body(told))

    def is_taken(self, status: int, body: bytes) -> bool:
        """Tell whether the status is 200: nothing else counts."""
        return status == 200


def _milliseconds(text: str) -> int | None:
    try:
        at = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None
    return int(at.timestamp() * 1000)
