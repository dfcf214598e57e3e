"""WeChat Pay's side of API v3; see :mod:`actors.channels.adapters.wechat` for its sources."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from actors.channels.adapters.signing import is_recent, request_text, response_text, seal
from actors.channels.adapters.wechat import SCHEMA
from zhihui.channel_simulator.books import Order
from zhihui.channel_simulator.dialect import Call, Incoming, Notice, Refused, Reply, Verdict
from zhihui.channel_simulator.keys import APP_IDS, MERCHANT_IDS, KeyRing

__all__ = ("WechatDialect",)

_AUTHORIZATION = re.compile(
    rf'{SCHEMA} mchid="([^"]*)",nonce_str="([^"]*)",signature="([^"]*)",'
    r'timestamp="([^"]*)",serial_no="([^"]*)"'
)
_REFERENCE = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
_PAY_PATHS = {
    "/v3/pay/transactions/codepay": "codepay",
    "/v3/pay/transactions/native": "native",
    "/v3/papay/pay/transactions/apply": "papay",
}
_ORDER_PATH = re.compile(r"/v3/pay/transactions/out-trade-no/([^/]+?)(/close)?")
_REFUND_PATH = "/v3/refund/domestic/refunds"

_ERRORS: dict[Verdict, tuple[int, str, str]] = {
    "not_found": (404, "ORDER_NOT_EXIST", "订单不存在"),
    "conflict": (403, "OUT_TRADE_NO_USED", "商户订单号重复"),
    "paid": (400, "ORDERPAID", "订单已支付"),
    "closed": (400, "ORDER_CLOSED", "订单已关闭"),
    "expired": (400, "PARAM_ERROR", "time_expire已过"),
    "refused": (403, "INVALID_REQUEST", "退款金额或次数超限"),
}


class WechatDialect:
    """See the module."""

    name = "wechat"

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._replies = 0

    def read(self, request: Incoming, now_ms: int) -> Call:
        """Verify the authorization, and tell the paths apart."""
        self._authorize(request, now_ms)
        path = request.target.partition("?")[0]
        if path in _PAY_PATHS and request.method == "POST":
            return self._read_pay(_PAY_PATHS[path], self._object(request, now_ms), now_ms)
        if path == _REFUND_PATH and request.method == "POST":
            return self._read_refund(self._object(request, now_ms), now_ms)
        if path.startswith(f"{_REFUND_PATH}/") and request.method == "GET":
            reference = unquote(path.removeprefix(f"{_REFUND_PATH}/"))
            return Call(operation="query_refund", reference=reference)
        found = _ORDER_PATH.fullmatch(path)
        if found is not None and request.method == ("POST" if found[2] else "GET"):
            operation = "close" if found[2] else "query"
            return msgspec.convert({"operation": operation, "reference": unquote(found[1])}, Call)
        raise Refused(self._error(404, "RESOURCE_NOT_EXISTS", request.target, now_ms))

    def _authorize(self, request: Incoming, now_ms: int) -> None:
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is not None:
            merchant, nonce, signature, timestamp, _serial = found.groups()
            text = request_text(request.method, request.target, timestamp, nonce, request.body)
            if (
                merchant == MERCHANT_IDS["wechat"]
                and is_recent(timestamp, now_ms)
                and self._ring.verifier.verifies(text, signature)
            ):
                return
        raise Refused(self._error(401, "SIGN_ERROR", "签名错误", now_ms))

    def _object(self, request: Incoming, now_ms: int) -> dict[str, Any]:
        try:
            return msgspec.json.decode(request.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Refused(self._error(400, "PARAM_ERROR", "body", now_ms)) from error

    def _read_pay(self, form: str, body: dict[str, Any], now_ms: int) -> Call:
        reference, amount = body.get("out_trade_no"), body.get("amount", {}).get("total")
        sound = isinstance(reference, str) and _REFERENCE.fullmatch(reference)
        if not sound or not isinstance(amount, int) or amount < 1:
            raise Refused(self._error(400, "PARAM_ERROR", "out_trade_no, amount", now_ms))
        payer = {
            "codepay": body.get("payer", {}).get("auth_code"),
            "papay": body.get("contract_id"),
        }
        return Call(
            operation="pay",
            reference=str(reference),
            form=form,
            amount_minor=amount,
            payer=payer.get(form) or "",
            expires_ms=_milliseconds(body.get("time_expire")),
            notify_url=body.get("notify_url") or "",
            settles_later=form == "papay",
        )

    def _read_refund(self, body: dict[str, Any], now_ms: int) -> Call:
        amount = body.get("amount", {}).get("refund")
        if not isinstance(amount, int) or amount < 1:
            raise Refused(self._error(400, "PARAM_ERROR", "amount", now_ms))
        return Call(
            operation="refund",
            reference=str(body.get("out_refund_no")),
            pay_reference=str(body.get("out_trade_no")),
            amount_minor=amount,
            # One in its own console, for all refunds of the merchant.
            notify_url="",
            settles_later=True,
        )

    # Answers.

    def answer(self, call: Call, verdict: Verdict, order: Order | None, now_ms: int) -> Reply:
        """Return the signed answer."""
        if verdict != "ok" or order is None:
            if verdict == "not_found" and call.operation == "query_refund":
                return self._error(404, "RESOURCE_NOT_EXISTS", "退款单不存在", now_ms)
            return self._error(*_ERRORS[verdict], now_ms)
        if call.operation == "close":
            return self._signed(204, b"", now_ms)
        if order.kind == "refund":
            return self._json(200, _refund(order), now_ms)
        if call.operation == "query":
            return self._json(200, _trade(order), now_ms)
        if call.form == "papay":
            return self._signed(202, b"", now_ms)
        if call.form == "native":
            return self._json(
                200, {"code_url": f"weixin://wxpay/bizpayurl?pr={order.number}"}, now_ms
            )
        if order.state == "declined":
            status = 403 if order.by_payer else 400
            return self._error(status, order.code, "支付失败", now_ms)
        return self._json(200, _trade(order), now_ms)

    def _error(self, status: int, code: str, message: str, now_ms: int) -> Reply:
        return self._json(status, {"code": code, "message": message}, now_ms)

    def _json(self, status: int, body: dict[str, Any], now_ms: int) -> Reply:
        return self._signed(status, msgspec.json.encode(body), now_ms)

    def _signed(self, status: int, body: bytes, now_ms: int) -> Reply:
        return Reply(status=status, body=body, headers=self._signature(body, now_ms))

    def _signature(self, body: bytes, now_ms: int) -> dict[str, str]:
        self._replies += 1
        timestamp, nonce = str(now_ms // 1000), f"{self._replies:032d}"
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": "1",
            "Wechatpay-Signature": self._ring.signer.sign(response_text(timestamp, nonce, body)),
        }

    # Callbacks.

    def notice(self, order: Order, pay: Order | None, number: int, now_ms: int) -> Notice | None:
        """Return the encrypted callback of a success; nothing else is ever told."""
        if order.state != "paid":
            return None
        kind = "REFUND.SUCCESS" if order.kind == "refund" else "TRANSACTION.SUCCESS"
        told = _refund(order) if order.kind == "refund" else _trade(order)
        nonce = f"{number:012d}"
        sealed = seal(self._ring.secret, nonce, "transaction", msgspec.json.encode(told))
        body = msgspec.json.encode(
            {
                "id": f"EV-{number:032d}",
                "create_time": datetime.fromtimestamp(now_ms / 1000).astimezone().isoformat(),
                "resource_type": "encrypt-resource",
                "event_type": kind,
                "summary": "支付成功",
                "resource": {
                    "original_type": "transaction",
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": sealed,
                    "associated_data": "transaction",
                    "nonce": nonce,
                },
            }
        )
        headers = self._signature(body, now_ms) | {"Content-Type": "application/json"}
        return Notice(headers=headers, body=body)

    def is_taken(self, status: int, body: bytes) -> bool:
        """Tell whether the status is one of the 200s."""
        return 200 <= status < 300


def _milliseconds(text: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except ValueError:
        return None


def _trade(order: Order) -> dict[str, Any]:
    states = {
        "pending": "USERPAYING",
        "paid": "SUCCESS",
        "declined": "PAYERROR",
        "closed": "CLOSED",
    }
    state = "NOTPAY" if order.state == "pending" and not order.payer else states[order.state]
    told: dict[str, Any] = {
        "appid": APP_IDS["wechat"],
        "mchid": MERCHANT_IDS["wechat"],
        "out_trade_no": order.reference,
        "trade_state": state,
        "trade_state_desc": order.code or state,
        "amount": {"total": order.amount_minor, "currency": "CNY"},
    }
    if order.state == "paid":
        told["transaction_id"] = order.channel_reference
        told["amount"]["payer_total"] = order.amount_minor
    return told


def _refund(order: Order) -> dict[str, Any]:
    states = {
        "pending": "PROCESSING",
        "paid": "SUCCESS",
        "declined": "ABNORMAL",
        "closed": "CLOSED",
    }
    return {
        "refund_id": order.channel_reference,
        "out_refund_no": order.reference,
        "out_trade_no": order.pay_reference,
        "status": states[order.state],
        "refund_status": states[order.state],
        "amount": {"refund": order.amount_minor, "currency": "CNY"},
    }
