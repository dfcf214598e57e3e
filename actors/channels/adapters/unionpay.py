"""UnionPay (银联), the online platform 全渠道 with version 5.1.0 of its interface.

Source: the public interface pages at open.unionpay.com (消费, 消费被扫, 申请二维码, 交易状态查询,
冲正, 退货, 应答码). The fee: 发改价格〔2016〕557: 0.35 % for the issuer of a debit card, at most 13
yuan, and 0.0325 % for the network, at most 3.25 yuan, both borne by the acquirer.

Its own ways:

- amounts are texts in fen; ``orderId`` has 8 to 40 digits and letters, without ``-`` and ``_``, and
  names an order only together with ``txnTime``, ``YYYYMMDDhhmmss`` in Beijing;
- messages and answers are forms; signed is the hexadecimal SHA-256 of the sorted ``k=v&k=v``;
- ``respCode`` 00 of a payment says *accepted*, and with a card it is the result; 03, 04 and 05 are
  *not known*: ask. In the answer to a query, ``respCode`` is about the query, ``origRespCode``
  about the order, and 34 says that there is no such order;
- there is no closing. What is not known can be reversed (冲正, 99) on the same day: the order then
  never stands, whether it was paid or not;
- a refund is an order of its own and names the payment by UnionPay's number ``queryId``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlencode

from actors.channels.adapters.money import compact
from actors.channels.adapters.references import hex_reference
from actors.channels.adapters.signing import unionpay_text
from actors.channels.adapters.transport import (
    HttpAdapter,
    HttpAnswer,
    HttpRequest,
    NotAnAnswer,
    form_fields,
    with_amount,
)
from actors.channels.channel import (
    Callback,
    CallbackAnswer,
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

__all__ = ("UNIONPAY_TERMS", "UnionPay")

UNIONPAY_TERMS = ChannelTerms(
    name="unionpay",
    methods=frozenset({"quick", "qr_static", "qr_dynamic", "guaranteed", "seamless"}),
    amount_max_minor=50_000_000,
    fee_ppm=3_825,
    fee_max_minor=1_625,
    order_expires_s=300,
    refund_within_s=330 * 86_400,
    refunds_max=50,
    close_undoes=True,
)

_CNY = "156"
_SUCCESS = frozenset({"00", "A6"})
# 通讯超时, 状态未明, 已受理 and 系统繁忙 of the documentation's table say nothing for sure.
_NOT_KNOWN = frozenset({"03", "04", "05", "06"})
_NO_SUCH_ORDER = "34"
# 余额不足, 密码错误, 超出限额 and the like: the issuer's no to this payer.
_PAYERS_FAULT = frozenset({"60", "61", "63", "64", "65", "66", "67"})


class UnionPay(HttpAdapter):
    """See the module."""

    TERMS: ClassVar[ChannelTerms] = UNIONPAY_TERMS

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return 32 hexadecimal digits."""
        return hex_reference("unionpay", order_id)

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Charge the payer's code or token, or make an order that the payer scans."""
        fields = {
            "txnType": "01",
            "orderId": order.reference,
            "txnTime": compact(order.created_at),
            "txnAmt": str(order.amount_minor),
            "currencyCode": _CNY,
            "payTimeout": compact(order.expires_at),
            "orderDesc": order.description,
            "backUrl": self.access.notify_url,
        }
        if not order.payer_token:
            fields |= {"txnSubType": "07", "bizType": "000000"}
        elif order.payer_token.startswith("62") and order.payer_token.isdecimal():
            # The payer's code (被扫): 19 digits that begin with 62.
            fields |= {"txnSubType": "06", "bizType": "000000", "qrNo": order.payer_token}
        else:
            fields |= {"txnSubType": "01", "bizType": "000902", "tokenPayData": order.payer_token}
        request = self._request("/gateway/api/backTransReq.do", fields)
        return await self._exchange(request, timeout_s, lambda one: self._read_pay(one, order))

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask by order number and time."""
        request = self._query(order.reference, order.created_at)
        return await self._exchange(request, timeout_s, lambda one: self._read_query(one, order))

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Reverse the order (冲正), so that it never stands."""
        fields = {
            "txnType": "99",
            "txnSubType": "01",
            "bizType": "000000",
            "orderId": order.reference,
            "txnTime": compact(order.created_at),
        }
        request = self._request("/gateway/api/backTransReq.do", fields)
        return await self._exchange(request, timeout_s, self._read_reversal)

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask for a refund (退货) of the payment that UnionPay knows by its own number."""
        fields = {
            "txnType": "04",
            "txnSubType": "00",
            "bizType": "000000",
            "orderId": order.reference,
            "txnTime": compact(order.created_at),
            "txnAmt": str(order.amount_minor),
            "currencyCode": _CNY,
            "origQryId": order.channel_reference,
            "backUrl": self.access.notify_url,
        }
        request = self._request("/gateway/api/backTransReq.do", fields)
        return await self._exchange(request, timeout_s, self._read_accepted)

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask by the refund's own number and time."""
        request = self._query(order.reference, order.created_at)
        return await self._exchange(request, timeout_s, lambda one: self._read_query(one, order))

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Verify the signature and read; a callback carries no time that could be compared."""
        try:
            fields = self._verified(form_fields(body))
        except NotAnAnswer as error:
            raise CallbackRefused(str(error)) from error
        reference, amount = fields.get("orderId", ""), _amount(fields)
        if fields.get("merId") != self.access.merchant_id or not reference or amount is None:
            raise CallbackRefused("the callback names no order of ours, or no amount")
        outcome = _result(fields, fields.get("respCode", ""), fields.get("respMsg", ""), amount)
        return Callback(
            notice_id=fields.get("queryId", ""),
            reference=reference,
            refund=fields.get("txnType") == "04",
            outcome=outcome,
        )

    def callback_answer(self, *, accepted: bool) -> CallbackAnswer:
        """Return the answer: the status alone counts, and anything but 200 comes again."""
        return CallbackAnswer(
            status=200 if accepted else 500,
            content_type="text/plain",
            body=b"ok" if accepted else b"",
        )

    # Requests.

    def _query(self, reference: str, at: datetime) -> HttpRequest:
        fields = {
            "txnType": "00",
            "txnSubType": "00",
            "bizType": "000000",
            "orderId": reference,
            "txnTime": compact(at),
        }
        return self._request("/gateway/api/queryTrans.do", fields)

    def _request(self, target: str, more: dict[str, str]) -> HttpRequest:
        fields = {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "certId": self.access.key_id,
            "signMethod": "01",
            "accessType": "0",
            "channelType": "07",
            "merId": self.access.merchant_id,
            **more,
        }
        fields = {name: value for name, value in fields.items() if value}
        fields["signature"] = self._signer.sign(unionpay_text(fields))
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
        body = urlencode(fields).encode()
        return HttpRequest(method="POST", target=target, headers=headers, body=body)

    # Answers.

    def _verified(self, fields: dict[str, str]) -> dict[str, str]:
        if fields.get("certId") != self.access.channel_key_id:
            raise NotAnAnswer("the message is signed with a key that we do not know")
        if not self._verifier.verifies(unionpay_text(fields), fields.get("signature", "")):
            raise NotAnAnswer("the signature is not UnionPay's")
        return fields

    def _read_pay(self, answer: HttpAnswer, order: PayOrder) -> Outcome:
        fields = self._verified(form_fields(answer.body))
        if fields.get("orderId") != order.reference:
            raise NotAnAnswer("the answer is about another order")
        code = fields.get("respCode", "")
        if code in _SUCCESS and not order.payer_token:
            return Pending(code_url=fields.get("qrCode", ""))
        return _result(fields, code, fields.get("respMsg", ""), order.amount_minor)

    def _read_query(self, answer: HttpAnswer, order: PayOrder | RefundOrder) -> Outcome:
        fields = self._verified(form_fields(answer.body))
        code = fields.get("respCode", "")
        if code == _NO_SUCH_ORDER:
            return NotFound()
        if code not in _SUCCESS:
            return Unknown(reason=f"the query was answered with {code}")
        if fields.get("orderId") != order.reference:
            raise NotAnAnswer("the answer is about another order")
        told = fields.get("origRespCode", "")
        return _result(fields, told, fields.get("origRespMsg", ""), order.amount_minor)

    def _read_reversal(self, answer: HttpAnswer) -> Outcome:
        fields = self._verified(form_fields(answer.body))
        code = fields.get("respCode", "")
        if code in _SUCCESS:
            return Closed()
        if code == _NO_SUCH_ORDER:
            return NotFound()
        return Unknown(reason=f"the reversal was answered with {code}")

    def _read_accepted(self, answer: HttpAnswer) -> Outcome:
        """Read the answer to a refund: accepted at best, and the result comes later."""
        fields = self._verified(form_fields(answer.body))
        code = fields.get("respCode", "")
        if code in _SUCCESS or code in _NOT_KNOWN:
            return Pending()
        return Failed(code=code, reason=fields.get("respMsg", ""), final=True)


def _amount(fields: Mapping[str, str]) -> int | None:
    text = fields.get("txnAmt", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 14 else None


def _result(fields: Mapping[str, str], code: str, reason: str, asked: int) -> Outcome:
    """Return what a response code says of an order."""
    if code in _SUCCESS:
        return with_amount(fields.get("queryId", ""), _amount(fields), asked)
    if code in _NOT_KNOWN:
        return Pending()
    if not code:
        return Unknown(reason="UnionPay answered without a code")
    if code == "35":
        # 原交易状态不正确: it was reversed.
        return Closed()
    return Failed(code=code, reason=reason, final=True, payer=code in _PAYERS_FAULT)
