"""Each adapter against its simulated channel: what is asked, and what the answers come to."""

from collections.abc import Callable

import pytest

from actors.channels.adapters.transport import HttpAnswer
from actors.channels.channel import (
    CallbackRefused,
    Closed,
    Failed,
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from actors.channels.configuration import ADAPTERS
from tests.unit.channels.wire import NOON, Wire, changed

NAMES = sorted(ADAPTERS)
MakeWire = Callable[..., Wire]

SCANNING = [name for name in NAMES if name != "netsunion"]


def test_a_payment_is_taken_once(wire: Wire) -> None:
    """The money is taken, and the same order sent again is the same payment."""
    order = wire.order()
    first = wire.ask("pay", order)
    assert isinstance(first, Succeeded)
    assert first.amount_minor == 1_050
    assert first.channel_reference
    assert wire.ask("pay", order) == first
    assert wire.ask("query", order) == first
    assert len(list(wire.books.orders(wire.name))) == 1


def test_another_amount_under_the_same_number_is_never_a_success(wire: Wire) -> None:
    """A number that stands for another amount at the channel pays nothing of ours."""
    order = wire.order(1_000)
    wire.ask("pay", order)
    other = wire.order(999)
    stolen = type(order)(
        **{
            name: getattr(order if name == "reference" else other, name)
            for name in order.__struct_fields__
        }
    )
    for method in ("pay", "query"):
        assert not isinstance(wire.ask(method, stolen), Succeeded | Closed)


def test_an_order_that_never_arrived_is_not_found(wire: Wire) -> None:
    """A query for an order that the channel never had says so."""
    assert wire.ask("query", wire.order()) == NotFound()


def test_a_payers_refusal_is_told_from_the_channels_own(wire: Wire) -> None:
    """No money at the payer's and a fault at the channel's are different refusals."""
    wire.refusal = "payer"
    first = wire.ask("pay", wire.order())
    wire.refusal = "channel"
    second = wire.ask("pay", wire.order())
    assert isinstance(first, Failed)
    assert isinstance(second, Failed)
    assert first.payer
    assert not second.payer


def test_only_a_closing_makes_a_refusal_of_wechat_final(make_wire: MakeWire) -> None:
    """WeChat Pay's refusal leaves an order that can be paid; the other channels' does not."""
    for name in NAMES:
        wire = make_wire(name)
        wire.refusal = "payer"
        order = wire.order()
        refused = wire.ask("pay", order)
        assert isinstance(refused, Failed)
        assert refused.final is (name != "wechat")
        if name == "wechat":
            assert wire.ask("close", order) == Closed()
            assert wire.ask("query", order) == Closed()


def test_closing_a_paid_order_does_not_hide_the_payment(wire: Wire) -> None:
    """Closed is only said of what was not paid; UnionPay undoes the payment instead."""
    order = wire.order()
    wire.ask("pay", order)
    outcome = wire.ask("close", order)
    if wire.name == "unionpay":
        assert outcome == Closed()
        assert wire.booked(order.reference).state == "reversed"
        assert wire.ask("query", order) == Closed()
    else:
        assert not isinstance(outcome, Closed)
        assert isinstance(wire.ask("query", order), Succeeded)


@pytest.mark.parametrize("name", SCANNING)
def test_a_payer_who_scans_pays_later(name: str, make_wire: MakeWire) -> None:
    """Without a payer there is a code to scan, and the query says when it was paid."""
    wire = make_wire(name)
    order = wire.order(payer="")
    made = wire.ask("pay", order)
    assert isinstance(made, Pending)
    assert made.code_url
    assert isinstance(wire.ask("query", order), Pending)
    wire.settle(order)
    assert isinstance(wire.ask("query", order), Succeeded)


@pytest.mark.parametrize("name", SCANNING)
def test_a_closed_order_cannot_be_paid(name: str, make_wire: MakeWire) -> None:
    """After the closing the same order is refused for good."""
    wire = make_wire(name)
    order = wire.order(payer="")
    wire.ask("pay", order)
    assert wire.ask("close", order) == Closed()
    again = wire.ask("pay", order)
    assert isinstance(again, Closed) or (isinstance(again, Failed) and again.final)
    assert wire.ask("query", order) == Closed()


def test_wechat_only_accepts_a_deduction_under_an_agreement(make_wire: MakeWire) -> None:
    """An agreement is answered without a result, which the query has later."""
    wire = make_wire("wechat")
    order = wire.order(payer="contract-7")
    assert wire.ask("pay", order) == Pending()
    wire.settle(order, "payer")
    refused = wire.ask("query", order)
    assert isinstance(refused, Failed)
    assert not refused.final


def test_the_own_bank_bars_an_order_that_never_came(make_wire: MakeWire) -> None:
    """Cancelling an unknown debit keeps it from ever being made."""
    wire = make_wire("own_bank")
    order = wire.order()
    assert wire.ask("close", order) == Closed()
    assert wire.ask("pay", order) == Closed()
    assert wire.ask("query", order) == Closed()


def test_an_order_is_not_taken_after_its_time(wire: Wire) -> None:
    """An order that arrives after its expiry is refused, and stays unknown."""
    order = wire.order()
    wire.clock.advance(301)
    assert not isinstance(wire.ask("pay", order), Succeeded | Pending)
    assert wire.ask("query", order) == NotFound()


def _refunded(wire: Wire, amount_minor: int, name: str = "chr_1") -> tuple[object, object]:
    order = wire.order()
    wire.ask("pay", order)
    refund = wire.refund_of(order, amount_minor, name)
    first = wire.ask("refund", refund)
    if wire.booked(refund.reference).state == "pending":
        assert wire.ask("query_refund", refund) == Pending()
        wire.settle(refund)
    return first, wire.ask("query_refund", refund)


def test_a_part_goes_back_once(wire: Wire) -> None:
    """A refund of a part is confirmed with its amount, and again is the same refund."""
    first, second = _refunded(wire, 300)
    assert isinstance(first, Succeeded | Pending)
    assert isinstance(second, Succeeded)
    assert second.amount_minor == 300
    refunds = [one for one in wire.books.orders(wire.name) if one.kind == "refund"]
    assert [one.amount_minor for one in refunds] == [300]


def test_no_more_goes_back_than_was_paid(wire: Wire) -> None:
    """A refund above what is left is refused and never becomes a success."""
    order = wire.order(1_000)
    wire.ask("pay", order)
    wire.ask("refund", wire.refund_of(order, 800, "chr_1"))
    too_much = wire.refund_of(order, 201, "chr_2")
    assert not isinstance(wire.ask("refund", too_much), Succeeded | Pending)
    assert not isinstance(wire.ask("query_refund", too_much), Succeeded)


def test_a_refund_that_never_arrived_is_not_found(wire: Wire) -> None:
    """A query for a refund that the channel never had says so."""
    order = wire.order()
    wire.ask("pay", order)
    assert wire.ask("query_refund", wire.refund_of(order, 10)) == NotFound()


SPOILED: dict[str, Callable[[HttpAnswer], HttpAnswer]] = {
    "garbage": lambda answer: changed(answer, body=b"\xff\x00 nonsense"),
    "empty": lambda answer: changed(answer, body=b"", headers={}),
    "a server's error": lambda answer: changed(answer, status=502),
    "a page": lambda answer: changed(answer, body=b"<html>maintenance</html>"),
}


@pytest.mark.parametrize("method", ["pay", "query", "close"])
@pytest.mark.parametrize("how", sorted(SPOILED))
def test_an_answer_that_makes_no_sense_is_unknown(wire: Wire, method: str, how: str) -> None:
    """Garbage, errors of a server and unsigned pages are neither success nor failure."""
    order = wire.order()
    wire.ask("pay", order)
    wire.fault = SPOILED[how]
    assert isinstance(wire.ask(method, order), Unknown)


def test_a_forged_answer_is_unknown(wire: Wire, make_wire: MakeWire) -> None:
    """An answer signed with another key proves nothing, however good it looks."""
    order = wire.order()
    stranger = make_wire(wire.name, stranger=True)
    wire.dialect._ring.signer = stranger.ring.signer  # type: ignore[attr-defined]
    for method in ("pay", "query", "close"):
        assert isinstance(wire.ask(method, order), Unknown)


def test_an_answer_to_another_order_is_unknown(wire: Wire) -> None:
    """A signed answer about an order that was not asked about proves nothing."""
    paid, other = wire.order(), wire.order()
    wire.ask("pay", paid)
    answers: list[HttpAnswer] = []

    def keep(answer: HttpAnswer) -> HttpAnswer:
        answers.append(answer)
        return answer

    wire.fault = keep
    wire.ask("query", paid)
    wire.fault = lambda _: answers[0]
    assert isinstance(wire.ask("query", other), Unknown)


def test_a_request_signed_with_another_key_takes_nothing(wire: Wire, make_wire: MakeWire) -> None:
    """The channel refuses who cannot sign as the merchant."""
    stranger = make_wire(wire.name, stranger=True)
    wire.adapter._signer = stranger.adapter._signer
    assert not isinstance(wire.ask("pay", wire.order()), Succeeded | Pending)
    assert list(wire.books.orders(wire.name)) == []


# Callbacks.


def _notice(wire: Wire, reference: str) -> tuple[dict[str, str], bytes]:
    notice = wire.dialect.notice(wire.booked(reference), None, 1, wire.clock.now_ms())
    assert notice is not None
    return {name.lower(): value for name, value in notice.headers.items()}, notice.body


def test_a_callback_tells_of_the_payment(wire: Wire) -> None:
    """A success is told with its order number and its amount."""
    order = wire.order()
    wire.ask("pay", order)
    headers, body = _notice(wire, order.reference)
    told = wire.channel.parse_callback(headers, body, wire.clock.now())
    assert told.reference == order.reference
    assert not told.refund
    assert isinstance(told.outcome, Succeeded)
    assert told.outcome.amount_minor == 1_050


def test_a_callback_tells_of_the_refund(wire: Wire) -> None:
    """A refund is told as a refund, by the channels that tell of refunds at all."""
    order = wire.order()
    wire.ask("pay", order)
    refund = wire.refund_of(order, 250)
    wire.ask("refund", refund)
    wire.settle(refund)
    if wire.name == "alipay":
        # It gives back at once, and never tells.
        booked = wire.booked(refund.reference)
        assert booked.state == "paid"
        assert wire.dialect.notice(booked, None, 1, wire.clock.now_ms()) is None
        return
    told = wire.channel.parse_callback(*_notice(wire, refund.reference), wire.clock.now())
    assert told.refund
    assert told.reference == refund.reference
    assert told.outcome == Succeeded(
        channel_reference=wire.booked(refund.reference).channel_reference, amount_minor=250
    )


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_callback_with_one_bit_changed_is_refused(wire: Wire, place: float) -> None:
    """Whatever was tampered with on the way changes nothing."""
    order = wire.order()
    wire.ask("pay", order)
    headers, body = _notice(wire, order.reference)
    at = int(len(body) * place)
    tampered = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    with pytest.raises(CallbackRefused):
        wire.channel.parse_callback(headers, tampered, wire.clock.now())


@pytest.mark.parametrize("name", ["wechat", "own_bank"])
def test_an_old_callback_is_refused_where_the_time_is_signed(
    name: str, make_wire: MakeWire
) -> None:
    """A callback that was recorded is of no use six minutes later."""
    wire = make_wire(name)
    order = wire.order()
    wire.ask("pay", order)
    headers, body = _notice(wire, order.reference)
    wire.clock.advance(360)
    with pytest.raises(CallbackRefused):
        wire.channel.parse_callback(headers, body, wire.clock.now())


def test_a_callback_without_a_signature_is_refused(wire: Wire) -> None:
    """Nothing at all, nonsense and a page are not callbacks."""
    for body in (b"", b"{}", b"a=1&a=2", b"<root></root>{S:AA==}", b"\xff"):
        with pytest.raises(CallbackRefused):
            wire.channel.parse_callback({}, body, NOON)


def test_the_channel_understands_the_answer_to_its_callback(wire: Wire) -> None:
    """Taken ends the callbacks, and anything else makes them come again."""
    taken = wire.channel.callback_answer(accepted=True)
    again = wire.channel.callback_answer(accepted=False)
    assert wire.dialect.is_taken(taken.status, taken.body)
    assert not wire.dialect.is_taken(again.status, again.body)
