"""The judge of the proof sees what it is there for: money taken twice, kept, or gone."""

from typing import Any

from loadtest.channels_proof import _judge


def _order(reference: str, payment_id: str = "pay_1", kind: str = "pay") -> dict[str, Any]:
    return {
        "channel": "wechat",
        "reference": reference,
        "payment_id": payment_id,
        "kind": kind,
        "amount_minor": 100,
        "state": "paid",
    }


def _lines(*found: tuple[str, str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        ("wechat", reference): {"kind": kind, "amount_minor": 100, "state": state}
        for reference, kind, state in found
    }


def _verdict(
    status: str, orders: list[dict[str, Any]], *found: tuple[str, str, str]
) -> tuple[int, int, int]:
    return _judge([("pay_1", status, 100)], orders, _lines(*found))[:3]


def test_what_is_right_is_not_objected_to() -> None:
    """Taken once and succeeded, never taken and failed, taken and given back: all are right."""
    a, b, back = _order("a"), _order("b"), _order("r", kind="refund")
    assert _verdict("succeeded", [a], ("a", "pay", "paid")) == (0, 0, 0)
    assert _verdict("failed", [a], ("a", "pay", "declined")) == (0, 0, 0)
    both = [a, b, back]
    late = (("a", "pay", "paid"), ("b", "pay", "paid"), ("r", "refund", "paid"))
    assert _verdict("succeeded", both, *late) == (0, 0, 0)


def test_money_taken_twice_is_seen() -> None:
    """Two orders that were paid for one payment, and none given back, are one paid twice."""
    orders = [_order("a"), _order("b")]
    assert _verdict("succeeded", orders, ("a", "pay", "paid"), ("b", "pay", "paid")) == (1, 0, 0)


def test_lost_money_is_seen() -> None:
    """Succeeded without money, failed with it, given back once too often: each is lost."""
    a, back = _order("a"), _order("r", kind="refund")
    assert _verdict("succeeded", [a], ("a", "pay", "reversed")) == (0, 1, 0)
    assert _verdict("failed", [a], ("a", "pay", "paid")) == (0, 1, 0)
    refunded = (("a", "pay", "paid"), ("r", "refund", "paid"))
    assert _verdict("succeeded", [a, back], *refunded) == (0, 1, 0)


def test_a_line_of_nobody_is_seen() -> None:
    """Money at a channel under a number that is none of ours is named."""
    assert _verdict("failed", [], ("x", "pay", "paid")) == (0, 0, 1)
