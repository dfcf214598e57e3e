"""The core banking system's side; see :mod:`actors.channels.adapters.own_bank`."""

import re
from datetime import datetime
from typing import Any

import msgspec

from actors.channels.adapters.signing import is_recent, request_text, response_text
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

__all__ = ("OwnBankDialect",)

_PATH = re.compile(r"/v1/debits/([0-9A-Za-z]{1,64})(?:/returns/([0-9A-Za-z]{1,64}))?")
_STATES = {
    "pending": "RECEIVED",
    "paid": "BOOKED",
    "declined": "REJECTED",
    "closed": "CANCELLED",
}
_ERRORS: dict[Verdict, tuple[int, str]] = {
    "not_found": (404, "NOT_FOUND"),
    "conflict": (409, "CONFLICT"),
    "expired": (422, "EXPIRED"),
    "refused": (422, "RETURN_REFUSED"),
    "paid": (409, "BOOKED"),
    "closed": (409, "CANCELLED"),
}
_OPERATIONS: dict[tuple[str, bool], Operation] = {
    ("PUT", False): "pay",
    ("GET", False): "query",
    ("DELETE", False): "close",
    ("PUT", True): "refund",
    ("GET", True): "query_refund",
}


class OwnBankDialect:
    """See the module."""

    name = "own_bank"

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._replies = 0

    def read(self, request: Incoming, now_ms: int) -> Call:
        """Verify the signature, and tell the paths apart."""
        headers = request.headers
        timestamp, nonce = headers.get("x-timestamp", ""), headers.get("x-nonce", "")
        text = request_text(request.method, request.target, timestamp, nonce, request.body)
        if (
            headers.get("x-participant") != MERCHANT_IDS["own_bank"]
            or not is_recent(timestamp, now_ms)
            or not self._ring.verifier.verifies(text, headers.get("x-signature", ""))
        ):
            raise Refused(self._error(401, "SIGNATURE", now_ms))
        found = _PATH.fullmatch(request.target)
        operation = _OPERATIONS.get((request.method, bool(found and found[2])))
        if found is None or operation is None:
            raise Refused(self._error(400, "PATH", now_ms))
        body: dict[str, Any] = {}
        if request.method == "PUT":
            try:
                body = msgspec.json.decode(request.body, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise Refused(self._error(400, "BODY", now_ms)) from error
        amount = body.get("amount_minor", 0)
        if request.method == "PUT" and not (isinstance(amount, int) and amount > 0):
            raise Refused(self._error(400, "AMOUNT", now_ms))
        return Call(
            operation=operation,
            reference=found[2] or found[1],
            amount_minor=amount,
            payer=body.get("mandate") or "",
            expires_ms=_milliseconds(body.get("expires_at")),
            notify_url=body.get("notify_url") or "",
            pay_reference=found[1] if found[2] else "",
            closing="for_good",
        )

    def answer(self, call: Call, verdict: Verdict, order: Order | None, now_ms: int) -> Reply:
        """Return the signed answer; closing what is booked answers with what is booked."""
        if verdict == "paid" and order is not None:
            verdict = "ok"
        if verdict != "ok" or order is None:
            return self._error(*_ERRORS[verdict], now_ms)
        return self._signed(200, _told(order), now_ms)

    def _error(self, status: int, code: str, now_ms: int) -> Reply:
        return self._signed(status, {"code": code, "message": code.lower()}, now_ms)

    def _signed(self, status: int, told: dict[str, Any], now_ms: int) -> Reply:
        body = msgspec.json.encode(told)
        return Reply(status=status, body=body, headers=self._signature(body, now_ms))

    def _signature(self, body: bytes, now_ms: int) -> dict[str, str]:
        self._replies += 1
        timestamp, nonce = str(now_ms // 1000), f"{self._replies:032d}"
        return {
            "X-Timestamp": timestamp,
            "X-Nonce": nonce,
            "X-Signature": self._ring.signer.sign(response_text(timestamp, nonce, body)),
        }

    def notice(self, order: Order, pay: Order | None, number: int, now_ms: int) -> Notice | None:
        """Return the notice of a final state."""
        if order.state == "pending":
            return None
        kind = "return" if order.kind == "refund" else "debit"
        body = msgspec.json.encode(_told(order) | {"notice_id": f"{number}", "kind": kind})
        headers = self._signature(body, now_ms) | {"Content-Type": "application/json"}
        return Notice(headers=headers, body=body)

    def is_taken(self, status: int, body: bytes) -> bool:
        """Tell whether the status is one of the 200s."""
        return 200 <= status < 300


def _told(order: Order) -> dict[str, Any]:
    return {
        "reference": order.reference,
        "amount_minor": order.amount_minor,
        "currency": "CNY",
        "state": _STATES[order.state],
        "booking": order.channel_reference,
        "code": order.code,
        "message": "",
        "code_url": "" if order.payer else f"zhihui://pay/{order.number}",
    }


def _milliseconds(text: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except ValueError:
        return None
