"""NetsUnion's side of its messages; see :mod:`actors.channels.adapters.netsunion`."""

import re
from datetime import datetime

from actors.channels.adapters.money import BEIJING, fen, yuan
from actors.channels.adapters.netsunion import read_message, write_message
from actors.channels.adapters.transport import NotAnAnswer
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

__all__ = ("NetsUnionDialect",)

_REFERENCE = re.compile(r"\d{31}")
_OPERATIONS: dict[str, Operation] = {
    "epcc.201.001.01": "pay",
    "epcc.231.001.01": "refund",
    "epcc.301.001.01": "query",
}
_STATES = {"pending": "02", "paid": "00", "declined": "01", "closed": "01"}
_ERRORS: dict[Verdict, tuple[str, str]] = {
    "not_found": ("PS500028", "无此交易"),
    "conflict": ("PS500021", "交易流水号重复"),
    "expired": ("PS500031", "交易已超时"),
    "refused": ("PS500041", "退款金额超限"),
    "paid": ("PS500042", "交易状态不符"),
    "closed": ("PS500042", "交易状态不符"),
}


class NetsUnionDialect:
    """See the module."""

    name = "netsunion"

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def read(self, request: Incoming, now_ms: int) -> Call:
        """Verify the signature behind the document, and tell the messages apart."""
        try:
            document, fields, signature = read_message(request.body)
        except NotAnAnswer as error:
            raise Refused(self._signed({"SysRtnCd": "PS500001"})) from error
        known = fields.get("InstgId") == MERCHANT_IDS["netsunion"]
        if not known or not self._ring.verifier.verifies(document, signature):
            raise Refused(self._signed({"SysRtnCd": "PS500002", "SysRtnDesc": "验签失败"}))
        operation = _OPERATIONS.get(fields.get("MsgTp", ""))
        reference = fields.get("OriTrxId" if operation == "query" else "TrxId", "")
        amount = fen(fields.get("TrxAmt", "").removeprefix("CNY"))
        if operation is None or not _REFERENCE.fullmatch(reference):
            raise Refused(self._signed({"SysRtnCd": "PS500001", "SysRtnDesc": "报文格式错误"}))
        return Call(
            operation=operation,
            reference=reference,
            amount_minor=amount or 0,
            payer=fields.get("SgnNo", ""),
            expires_ms=_milliseconds(fields.get("ExpDtTm", "")),
            notify_url=fields.get("NtfyUrl", ""),
            pay_reference=fields.get("OriTrxId", "") if operation == "refund" else "",
        )

    def answer(self, call: Call, verdict: Verdict, order: Order | None, now_ms: int) -> Reply:
        """Return the signed document."""
        if verdict != "ok" or order is None:
            code, text = _ERRORS[verdict]
            return self._signed({"SysRtnCd": code, "SysRtnDesc": text})
        return self._signed({"SysRtnCd": "00000000", **_told(order)})

    def _signed(self, fields: dict[str, str]) -> Reply:
        return Reply(status=200, body=self._body(fields), content_type="application/xml")

    def _body(self, fields: dict[str, str]) -> bytes:
        document = write_message(fields)
        return document + f"{{S:{self._ring.signer.sign(document)}}}".encode()

    def notice(self, order: Order, pay: Order | None, number: int, now_ms: int) -> Notice | None:
        """Return the notice of a final state (终态通知)."""
        if order.state == "pending":
            return None
        fields = {
            "MsgTp": "epcc.303.001.01",
            "NtfyId": f"{number:031d}",
            "InstgId": MERCHANT_IDS["netsunion"],
            **_told(order),
        }
        return Notice(headers={"Content-Type": "application/xml"}, body=self._body(fields))

    def is_taken(self, status: int, body: bytes) -> bool:
        """Tell whether the status is 200."""
        return status == 200


def _told(order: Order) -> dict[str, str]:
    return {
        "TrxId": order.reference,
        "EpccTrxId": order.channel_reference,
        "TrxAmt": f"CNY{yuan(order.amount_minor)}",
        "TrxStatus": _STATES[order.state],
        "BizStsCd": order.code,
        "OriTrxId": order.pay_reference,
    }


def _milliseconds(text: str) -> int | None:
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None
    return int(at.timestamp() * 1000)
