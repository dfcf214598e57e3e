"""NetsUnion (网联), the clearing house of non-bank payments, as a bank sees it: agreement payments.

Source: the message names of the platform (``epcc.201.001.01`` 协议支付, ``epcc.231.001.01`` 退款,
``epcc.301.001.01`` 交易状态查询 and their answers) and the layout of its numbers are known from
public material; the full specification is given to members only, so field lists here are the short
ones that the flow needs. There is no public tariff: the fee below is an assumption to configure.

Its own ways:

- messages are XML with the signature behind the document, ``{S:<base64>}``, over its very bytes;
- ``TrxId`` has 31 digits: date, 16, one reserved, 6 of control; amounts are ``CNY`` and a text in
  yuan with two decimals; times are ``yyyy-MM-ddTHH:mm:ss`` in Beijing;
- ``SysRtnCd`` is about the message, ``TrxStatus`` about the transaction: 00 success, 01 failure,
  02 in work, 03 *presumed success* (推定成功), which is settled like a success;
- there is no closing: an order that is not paid by its own deadline is dead, and only the query
  tells;
- there are no QR codes of ours: an agreement or nothing;
- a final state that came late is told by the platform on its own (终态通知, ``epcc.303.001.01``).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar
from xml.sax.saxutils import escape, unescape

from actors.channels.adapters.money import fen, iso_beijing, yuan
from actors.channels.adapters.references import digits_reference
from actors.channels.adapters.transport import (
    HttpAdapter,
    HttpAnswer,
    HttpRequest,
    NotAnAnswer,
    with_amount,
)
from actors.channels.channel import (
    Callback,
    CallbackRefused,
    Failed,
    NotFound,
    Outcome,
    PayOrder,
    Pending,
    RefundOrder,
    Unknown,
)
from actors.channels.terms import ChannelTerms

__all__ = ("NETSUNION_TERMS", "NetsUnion", "read_message", "write_message")

NETSUNION_TERMS = ChannelTerms(
    name="netsunion",
    methods=frozenset({"quick", "guaranteed", "seamless"}),
    amount_max_minor=20_000_000,
    fee_ppm=1_000,
    order_expires_s=120,
    refund_within_s=365 * 86_400,
    refunds_max=20,
    shows_code=False,
)

# The documents are flat: one element for each field. Anything else is not one of them, and no
# general parser ever sees what came from outside.
_MESSAGE = re.compile(
    rb'(<\?xml version="1\.0" encoding="UTF-8"\?><root>(.*)</root>)'
    rb"\{S:([A-Za-z0-9+/=]+)\}",
    re.DOTALL,
)
_FIELD = re.compile(r"<([A-Za-z]{1,32})>([^<>]{0,512})</\1>")

_PAYERS_FAULT = frozenset({"PB520011", "PB520012", "PB520013"})
_NO_SUCH_TRANSACTION = "PS500028"


class NetsUnion(HttpAdapter):
    """See the module."""

    TERMS: ClassVar[ChannelTerms] = NETSUNION_TERMS

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return 31 digits that begin with the date."""
        return digits_reference("netsunion", order_id, created_at)

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Charge the payer's agreement."""
        fields = {
            "MsgTp": "epcc.201.001.01",
            "TrxId": order.reference,
            "TrxDtTm": iso_beijing(order.created_at),
            "TrxAmt": f"CNY{yuan(order.amount_minor)}",
            "SgnNo": order.payer_token,
            "ExpDtTm": iso_beijing(order.expires_at),
            "TrxDesc": order.description,
            "NtfyUrl": self.access.notify_url,
        }
        return await self._ask("/preSvr", fields, order, timeout_s)

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask by the number."""
        return await self._ask("/qrySvr", _query(order.reference), order, timeout_s)

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask what became of the order: nothing can be closed here, only waited for."""
        return await self.query(order, timeout_s)

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Give money back under a number of its own."""
        fields = {
            "MsgTp": "epcc.231.001.01",
            "TrxId": order.reference,
            "TrxDtTm": iso_beijing(order.created_at),
            "TrxAmt": f"CNY{yuan(order.amount_minor)}",
            "OriTrxId": order.pay_reference,
            "TrxDesc": order.reason,
            "NtfyUrl": self.access.notify_url,
        }
        return await self._ask("/preSvr", fields, order, timeout_s)

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask by the refund's own number."""
        return await self._ask("/qrySvr", _query(order.reference), order, timeout_s)

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Verify the signature and read; a notice carries no time that could be compared."""
        try:
            fields = self._verified(body)
        except NotAnAnswer as error:
            raise CallbackRefused(str(error)) from error
        reference, amount = fields.get("TrxId", ""), _amount(fields)
        if fields.get("InstgId") != self.access.merchant_id or not reference or amount is None:
            raise CallbackRefused("the notice names no transaction of ours, or no amount")
        return Callback(
            notice_id=fields.get("NtfyId", ""),
            reference=reference,
            refund=bool(fields.get("OriTrxId")),
            outcome=_status(fields, amount),
        )

    async def _ask(
        self, target: str, fields: dict[str, str], order: PayOrder | RefundOrder, timeout_s: float
    ) -> Outcome:
        document = write_message({"InstgId": self.access.merchant_id, **fields})
        signature = self._signer.sign(document)
        request = HttpRequest(
            method="POST",
            target=target,
            headers={"Content-Type": "application/xml;charset=utf-8"},
            body=document + f"{{S:{signature}}}".encode(),
        )
        return await self._exchange(request, timeout_s, lambda one: self._read(one, order))

    def _verified(self, body: bytes) -> dict[str, str]:
        document, fields, signature = read_message(body)
        if not self._verifier.verifies(document, signature):
            raise NotAnAnswer("the signature is not NetsUnion's")
        return fields

    def _read(self, answer: HttpAnswer, order: PayOrder | RefundOrder) -> Outcome:
        fields = self._verified(answer.body)
        code = fields.get("SysRtnCd", "")
        if code == _NO_SUCH_TRANSACTION:
            return NotFound()
        if code != "00000000":
            return Unknown(reason=f"NetsUnion answered {code}: {fields.get('SysRtnDesc', '')}")
        if fields.get("TrxId") != order.reference:
            raise NotAnAnswer("the answer is about another transaction")
        return _status(fields, order.amount_minor)


def write_message(fields: Mapping[str, str]) -> bytes:
    """Return a document of flat fields, those that are empty left out."""
    inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items() if value)
    return f'<?xml version="1.0" encoding="UTF-8"?><root>{inside}</root>'.encode()


def read_message(body: bytes) -> tuple[bytes, dict[str, str], str]:
    """Return the document as it was signed, its fields, and the signature."""
    found = _MESSAGE.fullmatch(body)
    if found is None:
        raise NotAnAnswer("the message is not a signed document")
    try:
        inside = found[2].decode()
    except UnicodeDecodeError as error:
        raise NotAnAnswer("the document is not UTF-8") from error
    fields = {name: unescape(value) for name, value in _FIELD.findall(inside)}
    if _FIELD.sub("", inside):
        raise NotAnAnswer("the document is not a flat list of fields")
    return found[1], fields, found[3].decode()


def _query(reference: str) -> dict[str, str]:
    return {"MsgTp": "epcc.301.001.01", "OriTrxId": reference}


def _amount(fields: Mapping[str, str]) -> int | None:
    text = fields.get("TrxAmt", "")
    return fen(text.removeprefix("CNY")) if text.startswith("CNY") else None


def _status(fields: Mapping[str, str], asked: int) -> Outcome:
    """Return what the ``TrxStatus`` of a transaction comes to."""
    status = fields.get("TrxStatus", "")
    match status:
        case "00" | "03":
            return with_amount(fields.get("EpccTrxId", ""), _amount(fields), asked)
        case "02":
            return Pending()
        case "01":
            code = fields.get("BizStsCd", "")
            return Failed(
                code=code,
                reason=fields.get("BizStsDesc", ""),
                final=True,
                payer=code in _PAYERS_FAULT,
            )
        case _:
            return Unknown(reason=f"NetsUnion knows a status that we do not: {status!r}")
