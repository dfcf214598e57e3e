"""What outcomes make of attempts and refunds: only the channel's own word ends one."""

from datetime import datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.attempts import (
    RESENDS_MAX,
    RETRY_S_MAX,
    PayStep,
    after_pay,
    after_refund,
    close_decided,
    is_due,
    next_pay_step,
    next_refund_step,
    timer_for,
)
from actors.channels.channel import (
    Closed,
    Failed,
    NotFound,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from actors.channels.orders import ChannelOrder
from schemas.change import TimerFired
from tests.unit.channels.wire import NOON

_GRACE_S = 30
_EXPIRES_S = 300
_DEADLINE = NOON + timedelta(seconds=_EXPIRES_S + _GRACE_S)

_PAID = Succeeded(channel_reference="c-1", amount_minor=1_000)
_SILENT = Unknown(reason="no answer within 5 s")


def _order(kind: str = "pay", token: str = "mandate") -> ChannelOrder:  # noqa: S107 - no secret
    return msgspec.convert(
        {
            "order_id": "cha_1",
            "kind": kind,
            "payment_id": "pay_1",
            "channel": "wechat",
            "reference": "ref-1",
            "amount_minor": 1_000,
            "created_at": NOON,
            "expires_at": NOON + timedelta(seconds=_EXPIRES_S),
            "next_at": NOON,
            "payer_token": token,
        },
        ChannelOrder,
    )


def _run(order: ChannelOrder, outcomes: list[Outcome], first: bool = True) -> tuple[str, datetime]:
    """Feed outcomes one after another, each when it is due; return the last verdict and time."""
    now, verdict = NOON, "wait"
    for outcome in outcomes:
        turn = after_pay(
            order, next_pay_step(order, now), outcome, now, _GRACE_S, first=first and not order.sent
        )
        order, verdict = turn.order, turn.verdict
        if verdict != "wait":
            break
        assert order.next_at is not None
        assert order.next_at > now
        now = order.next_at
    return verdict, now


def test_success_and_confirmed_ends_decide() -> None:
    """Success is paid; a first refusal for good and a confirmed closing are dead."""
    for outcome, verdict in (
        (_PAID, "paid"),
        (Failed(code="X", reason="", final=True), "dead"),
        (Closed(), "dead"),
    ):
        assert _run(_order(), [outcome])[0] == verdict


_NOTHING = st.sampled_from(
    [_SILENT, Pending(), Pending(code_url="weixin://x"), Failed(code="X", reason="", final=False)]
)


@given(outcomes=st.lists(_NOTHING, max_size=60))
def test_age_alone_never_ends_an_attempt(outcomes: list[Outcome]) -> None:
    """However long a channel says nothing for sure, the attempt stays open, and is asked again."""
    verdict, _ = _run(_order(), outcomes)
    assert verdict == "wait"


@given(
    before=st.lists(st.one_of(_NOTHING, st.just(NotFound())), max_size=40),
    last=st.sampled_from([_PAID, Closed()]),
)
def test_whatever_came_before_the_channels_word_decides(
    before: list[Outcome], last: Outcome
) -> None:
    """After any history that decided nothing, success is paid and a closing is dead."""
    order = _order()
    verdict, _ = _run(order, before)
    if verdict == "wait":
        assert _run(order, [*before, last])[0] == ("paid" if last is _PAID else "dead")


@given(pauses=st.lists(st.floats(0, 400), min_size=1, max_size=20))
def test_not_found_ends_an_attempt_only_after_the_channels_deadline(pauses: list[float]) -> None:
    """Not found is dead after the expiry and its grace, and never a moment before."""
    order, now = _order(), NOON
    for pause_s in pauses:
        now += timedelta(seconds=pause_s)
        turn = after_pay(order, "query", NotFound(), now, _GRACE_S)
        assert (turn.verdict == "dead") is (now >= _DEADLINE)
        if turn.verdict == "dead":
            assert turn.order.state == "not_received"
            return
        order = turn.order


def test_a_refusal_of_what_may_be_a_second_sending_is_not_the_end() -> None:
    """When the first request may still be on its way, a refused second one says nothing of it."""
    refused = Failed(code="X", reason="", final=True)
    assert after_pay(_order(), "pay", refused, NOON, _GRACE_S, first=True).verdict == "dead"
    turn = after_pay(_order(), "pay", refused, NOON, _GRACE_S, first=False)
    assert turn.verdict == "wait"
    assert turn.order.closing
    assert next_pay_step(turn.order, NOON) == "close"


def test_a_refusal_that_is_not_final_is_closed_at_once() -> None:
    """What was refused and could be paid all the same is closed next, then asked about."""
    refused = Failed(code="NOT_ENOUGH", reason="", final=False, payer=True)
    turn = after_pay(_order(), "pay", refused, NOON, _GRACE_S, first=True)
    assert turn.order.payers_no
    assert next_pay_step(turn.order, NOON) == "close"
    silent = after_pay(turn.order, "close", _SILENT, NOON, _GRACE_S)
    assert next_pay_step(silent.order, NOON) == "query"
    asked = after_pay(silent.order, "query", Pending(), NOON, _GRACE_S)
    assert next_pay_step(asked.order, NOON) == "close"
    ended = after_pay(asked.order, "close", Closed(), NOON, _GRACE_S)
    assert (ended.verdict, ended.order.state) == ("dead", "failed")


def test_a_closing_that_undoes_is_decided_before_it_is_sent() -> None:
    """Where closing undoes payments it follows a query, stands first, and is gone through with."""
    order = msgspec.structs.replace(_order(), close_undoes=True)
    late = NOON + timedelta(seconds=_EXPIRES_S)
    silent = after_pay(order, "pay", _SILENT, NOON, _GRACE_S).order
    assert next_pay_step(silent, late) == "query"
    # A silent channel may have been paid: nothing is undone on a guess.
    still = after_pay(silent, "query", _SILENT, late, _GRACE_S).order
    assert next_pay_step(still, late) == "query"
    assert after_pay(still, "query", _PAID, late, _GRACE_S).verdict == "paid"
    asked = after_pay(still, "query", Pending(), late, _GRACE_S).order
    assert next_pay_step(asked, late) == "decide_close"
    begun = close_decided(asked, late).order
    assert next_pay_step(begun, late) == "close"
    # From here on a success may be gone in a moment.
    told = after_pay(begun, "query", _PAID, late, _GRACE_S)
    assert told.verdict == "wait"
    assert next_pay_step(told.order, late) == "close"
    assert after_pay(told.order, "close", Closed(), late, _GRACE_S).verdict == "dead"


def test_an_expired_order_is_closed_before_anything_else() -> None:
    """Once an order can no longer be paid, its closing is what makes that certain."""
    turn = after_pay(_order(), "pay", _SILENT, NOON, _GRACE_S)
    late = NOON + timedelta(seconds=_EXPIRES_S)
    assert next_pay_step(turn.order, NOON) == "query"
    assert next_pay_step(turn.order, late) == "close"


def test_an_order_that_got_lost_is_sent_again_a_few_times() -> None:
    """Not found before the deadline sends the same order again, and not without end."""
    order, now, sent = _order(), NOON, 0
    for _ in range(20):
        step: PayStep = next_pay_step(order, now)
        sent += step == "pay"
        outcome: Outcome = _SILENT if step == "pay" else NotFound()
        order = after_pay(order, step, outcome, now, _GRACE_S, first=not order.sent).order
    assert sent == RESENDS_MAX + 1


def test_what_a_payer_would_scan_is_not_sent_again() -> None:
    """Where the payer has to act, an order that got lost waits for its deadline."""
    turn = after_pay(_order(token=""), "pay", _SILENT, NOON, _GRACE_S)
    asked = after_pay(turn.order, "query", NotFound(), NOON, _GRACE_S)
    assert next_pay_step(asked.order, NOON) == "query"


@given(outcomes=st.lists(_NOTHING, min_size=1, max_size=40))
def test_pauses_grow_and_are_bounded(outcomes: list[Outcome]) -> None:
    """A channel is asked again after a moment, later and later, and at least every six minutes."""
    order, now = _order(), NOON
    for outcome in outcomes:
        turn = after_pay(order, next_pay_step(order, now), outcome, now, _GRACE_S)
        assert turn.order.next_at is not None
        pause_s = (turn.order.next_at - now).total_seconds()
        assert 0 < pause_s <= RETRY_S_MAX * 1.2
        order, now = turn.order, turn.order.next_at


def test_a_silent_channel_is_not_flooded() -> None:
    """In an hour of silence a channel is asked some dozens of times, whatever state it was in."""
    refused = Failed(code="X", reason="", final=False)
    beginnings: list[list[Outcome]] = [[_SILENT], [refused], [Pending()], [Pending(), NotFound()]]
    for undoes in (False, True):
        for beginning in beginnings:
            order = msgspec.structs.replace(_order(), close_undoes=undoes)
            now, asked = NOON, 0
            while now < NOON + timedelta(hours=1):
                outcome: Outcome = beginning[asked] if asked < len(beginning) else _SILENT
                order = after_pay(order, next_pay_step(order, now), outcome, now, _GRACE_S).order
                assert order.next_at is not None
                now, asked = order.next_at, asked + 1
            assert asked < 60


def test_the_expiry_is_never_slept_through() -> None:
    """The exchange after a long silence comes at the expiry at the latest."""
    order, now = _order(), NOON
    seen = []
    for _ in range(12):
        turn = after_pay(order, next_pay_step(order, now), _SILENT, now, _GRACE_S)
        assert turn.order.next_at is not None
        order, now = turn.order, turn.order.next_at
        seen.append(now)
    assert NOON + timedelta(seconds=_EXPIRES_S) in seen


def test_orders_are_due_once_and_only_while_open() -> None:
    """A timer that comes early, or for an order that has ended, has nothing to do."""
    order = _order()
    assert is_due(order, NOON)
    assert not is_due(order, NOON - timedelta(milliseconds=1))
    paid = after_pay(order, "pay", _PAID, NOON, _GRACE_S).order
    assert not is_due(paid, NOON + timedelta(days=1))


@given(st.integers(0, 100 * 366 * 86_400 * 10**6))
def test_the_timer_of_an_order_comes_when_the_order_is_due(microseconds: int) -> None:
    """One that came a part of a millisecond early would find nothing to do, and not come again."""
    next_at = NOON + timedelta(microseconds=microseconds)
    order = msgspec.structs.replace(_order(), next_at=next_at)
    timer = timer_for("shop", order)
    fired = TimerFired(timer.timer_id, timer.due_at_ms, 0, timer.body)
    assert is_due(order, fired.due_at)
    assert fired.due_at - next_at < timedelta(milliseconds=1)


# Refunds.


def test_a_refund_waits_until_the_channel_confirms() -> None:
    """Silence, work and a lost refund leave it open; the lost one is asked for again."""
    order = _order("refund")
    assert next_refund_step(order) == "refund"
    for outcome, step in (
        (_SILENT, "query"),
        (Pending(), "query"),
        (NotFound(), "refund"),
        (Failed(code="X", reason="", final=False), "refund"),
    ):
        turn = after_refund(order, "refund", outcome, NOON)
        assert turn.verdict == "wait"
        assert next_refund_step(turn.order) == step


def test_a_refund_ends_by_the_channels_word() -> None:
    """A confirmed refund is paid; one refused for good waits for a person."""
    order = _order("refund")
    assert after_refund(order, "refund", _PAID, NOON).verdict == "paid"
    stuck = after_refund(order, "query", Failed(code="X", reason="", final=True), NOON)
    assert (stuck.verdict, stuck.order.state) == ("stuck", "failed")
