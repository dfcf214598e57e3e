"""The channels' books beside ours: each kind of difference, and none that is not one."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.comparison import BookLine, OurOrder, compare
from tests.unit.channels.wire import NOON


def _line(amount: int = 100, state: str = "paid", kind: str = "pay") -> BookLine:
    return BookLine(reference="r", kind=kind, amount_minor=amount, state=state)


def _ours(
    amount: int = 100, state: str = "paid", kind: str = "pay", at: datetime | None = None
) -> OurOrder:
    return OurOrder(
        order_id="cha_1",
        payment_id="pay_1",
        kind=kind,
        reference="r",
        amount_minor=amount,
        state=state,
        reconciled_at=at,
    )


def test_money_on_both_sides_matches() -> None:
    """The same money under the same number matches, once, and is posted once."""
    found = compare([_line()], [_ours()])
    assert len(found.matched) == 1
    assert found.unposted == (_line(),)
    assert found.differences == ()
    assert compare([_line()], [_ours(at=NOON)]).unposted == ()
    assert compare([_line()], [_ours(state="paid_late")]).unposted == (_line(),)


@pytest.mark.parametrize(
    ("line", "order", "kind"),
    [
        (_line(), None, "missing_here"),
        (_line(), _ours(state="open"), "missing_here"),
        (_line(), _ours(state="failed"), "missing_here"),
        (None, _ours(), "missing_there"),
        (_line(state="pending"), _ours(), "missing_there"),
        (_line(state="reversed"), _ours(), "missing_there"),
        (_line(101), _ours(100), "different"),
        (_line(kind="refund"), _ours(), "different"),
    ],
)
def test_what_one_side_has_alone_is_named(
    line: BookLine | None, order: OurOrder | None, kind: str
) -> None:
    """Money that only one side has, or that is not the same, is a difference of its kind."""
    found = compare([line] if line else [], [order] if order else [])
    assert [one.kind for one in found.differences] == [kind]
    assert found.matched == ()


@pytest.mark.parametrize("state", ["failed", "closed", "not_received"])
def test_no_money_on_either_side_is_no_difference(state: str) -> None:
    """Orders that moved nothing agree, whatever each side calls them; open ones are counted."""
    for theirs in ([], [_line(state="declined")], [_line(state="closed")]):
        assert compare(theirs, [_ours(state=state)]).differences == ()
    assert compare([], [_ours(state="open")]).open == (_ours(state="open"),)


def test_asking_again_helps_where_the_channel_has_our_money() -> None:
    """An order that was open or given up can be settled by asking; another amount cannot."""
    assert compare([_line()], [_ours(state="open")]).differences[0].can_settle
    assert compare([_line()], [_ours(state="closed")]).differences[0].can_settle
    assert not compare([_line(99)], [_ours(state="open")]).differences[0].can_settle
    assert not compare([_line()], []).differences[0].can_settle
    assert not compare([], [_ours()]).differences[0].can_settle


_STATES = st.sampled_from(["pending", "paid", "declined", "closed", "reversed"])
_OURS = st.sampled_from(["open", "paid", "failed", "closed", "not_received", "paid_late"])


@given(
    theirs=st.dictionaries(st.integers(0, 20), st.tuples(st.integers(1, 3), _STATES)),
    ours=st.dictionaries(st.integers(0, 20), st.tuples(st.integers(1, 3), _OURS)),
)
def test_every_fen_is_matched_or_named(
    theirs: dict[int, tuple[int, str]], ours: dict[int, tuple[int, str]]
) -> None:
    """Whatever the books hold, all money of both sides is either matched or in a difference."""
    lines = [
        BookLine(reference=f"{n}", kind="pay", amount_minor=amount, state=state)
        for n, (amount, state) in theirs.items()
    ]
    orders = [
        OurOrder(
            order_id=f"o{n}", payment_id="p", kind="pay", reference=f"{n}", amount_minor=amount,
            state=state, reconciled_at=None,
        )
        for n, (amount, state) in ours.items()
    ]  # fmt: skip
    found = compare(lines, orders)
    matched = sum(line.amount_minor for line, _ in found.matched)
    named = found.differences
    there = sum(one.line.amount_minor for one in named if one.line and one.line.moved)
    here = sum(one.order.amount_minor for one in named if one.order and one.order.moved)
    assert matched + there == sum(one.amount_minor for one in lines if one.moved)
    assert matched + here == sum(one.amount_minor for one in orders if one.moved)
