"""Bills: batches, payments in parts, waivers, instalments, reminders, families."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.campus.bill import largest_remainder
from plugins.campus.bill_desk import BILLS_MAX
from plugins.campus.bill_messages import BillDue
from plugins.campus.bill_reminder import REMINDERS_MAX
from tests.unit.plugins.campus_lab import SCHOOL, CampusHost, any_order, day
from zhihui.plugin import InsufficientFunds, InvalidField, InvalidState, NotFound


@pytest.fixture(name="host")
def _host() -> CampusHost:
    host = CampusHost()
    host.balances |= {"acct-mother": 10_000, "acct-father": 10_000, "acct-aunt": 100}
    return host


def pay(host: CampusHost, student: str = "ann", bill: str = "tuition", **fields: Any) -> Any:
    result = host.call(
        "pay_bill", **({"student_id": student, "bill_id": bill, "guardian_id": "mother"} | fields)
    )
    host.deliver()
    return result


def waive(host: CampusHost, officer: str = "bursar", **fields: Any) -> Any:
    result = host.call(
        "waive_bill", student_id="ann", bill_id="tuition", officer_id=officer, reason="hardship",
        **fields,
    )  # fmt: skip
    host.deliver()
    return result


def agree(host: CampusHost, weights: list[int], first: float = 10, every: int = 30) -> Any:
    return host.call(
        "agree_instalments",
        student_id="ann",
        bill_id="tuition",
        officer_id="bursar",
        weights=weights,
        first_due_at=day(first).isoformat(),
        every_days=every,
    )


def family(host: CampusHost, *items: tuple[str, str, int], guardian: str = "mother") -> Any:
    return host.call(
        "pay_family",
        guardian_id=guardian,
        items=[
            {"student_id": student, "bill_id": bill, "amount_minor": amount}
            for student, bill, amount in items
        ],
    )


def late(host: CampusHost) -> list[Any]:
    return [data for type_, data in host.heard if type_ == "campus.bill_late"]


def test_batch_gives_each_student_a_bill(host: CampusHost) -> None:
    """A batch arrives at its students, and its counts follow what becomes of the bills."""
    issued = host.bill({"ann": 5000, "ben": 4000, "kim": 1})
    assert (issued.accepted, issued.accepted_minor) == (2, 9000)
    assert [(one.row, one.code) for one in issued.refused] == [(2, "unknown_student")]
    pay(host, amount_minor=1000)
    view = host.call("get_batch", batch_id="tuition")
    assert (view.sent, view.issued, view.issued_minor, view.paid_minor) == (2, 2, 9000, 1000)
    assert (view.open_minor, view.settled, view.status) == (8000, 0, "open")


def test_student_gets_one_bill_of_a_batch(host: CampusHost) -> None:
    """A second part with the same student bills nobody twice, before and after it is settled."""
    host.bill({"ann": 500})
    host.bill({"ann": 700})
    assert host.student("ann").bills_minor == 500
    pay(host)
    host.bill({"ann": 900})
    assert (host.student("ann").bills_minor, host.batch().refused) == (0, 2)
    assert host.call("get_batch", batch_id="tuition").status == "settled"
    twice = [{"student_id": "ben", "amount_minor": 1}] * 2
    issued = host.call(
        "issue_bills", batch_id="x", school_id=SCHOOL, term_id="2026-autumn", kind="other",
        title="x", due_at=day(1).isoformat(), rows=twice,
    )  # fmt: skip
    assert [one.code for one in issued.refused] == ["duplicate_row"]


def test_parts_of_a_batch_agree(host: CampusHost) -> None:
    """Another date or title under the same batch is a mistake in the file."""
    host.bill({"ann": 500})
    with pytest.raises(InvalidState, match="rows only"):
        host.bill({"ben": 500}, due=31)
    with pytest.raises(NotFound) as caught:
        host.call(
            "issue_bills", batch_id="y", school_id=SCHOOL, term_id="1999-spring", kind="other",
            title="y", due_at=day(1).isoformat(), rows=[{"student_id": "ann", "amount_minor": 1}],
        )  # fmt: skip
    assert caught.value.field == "term_id"


def test_bill_is_paid_in_parts(host: CampusHost) -> None:
    """Parts go to the supervised account; the last one settles the bill and ends its timer."""
    host.bill({"ann": 5000})
    assert pay(host, amount_minor=1999).open_minor == 3001
    with pytest.raises(InvalidField, match="3001 is open"):
        pay(host, amount_minor=3002)
    paid = pay(host, guardian_id="father")
    assert (paid.status, paid.paid_minor, paid.payer) == ("settled", 3001, "acct-father")
    assert host.balances["acct-supervised"] == 5000
    assert host.timers == {}
    with pytest.raises(InvalidState, match="settled"):
        pay(host)
    with pytest.raises(NotFound):
        pay(host, bill="no-such-bill")


def test_bill_is_paid_from_the_wallet(host: CampusHost) -> None:
    """Without a guardian the student's own money pays."""
    host.bill({"ann": 300})
    with pytest.raises(InsufficientFunds):
        pay(host, guardian_id=None)
    with pytest.raises(NotFound):
        pay(host, guardian_id="aunt")
    host.balances["acct-ann"] = 300
    assert pay(host, guardian_id=None).payer == "acct-ann"


def test_bill_is_waived_by_an_officer_who_may(host: CampusHost) -> None:
    """A waiver makes the bill smaller, by an approver alone, and never below zero."""
    host.bill({"ann": 1000})
    with pytest.raises(NotFound, match="approve"):
        waive(host, "cashier")
    assert waive(host, amount_minor=400).open_minor == 600
    with pytest.raises(InvalidField):
        waive(host, amount_minor=601)
    assert waive(host).status == "waived"
    view = host.call("get_batch", batch_id="tuition")
    assert (view.waived_minor, view.paid_minor, view.status) == (1000, 0, "settled")
    assert host.notices == ["campus.batch_settled"]


def test_reminder_comes_when_the_bill_is_late(host: CampusHost) -> None:
    """At the due date and every week after it an open bill is reminded of; a paid one never."""
    host.bill({"ann": 1000, "ben": 500}, due=30)
    pay(host, student="ben")
    host.advance(29.9 * 86_400)
    assert late(host) == []
    host.advance(0.2 * 86_400)
    pay(host, amount_minor=300)
    host.advance(7 * 86_400)
    assert [(one.student_id, one.overdue_minor, one.reminder) for one in late(host)] == [
        ("ann", 1000, 1), ("ann", 700, 2),
    ]  # fmt: skip
    pay(host)
    host.advance(100 * 86_400)
    assert len(late(host)) == 2


def test_reminders_end(host: CampusHost) -> None:
    """Whoever does not hear twelve reminders is called by people."""
    host.bill({"ann": 1000})
    host.advance(400 * 86_400)
    assert [one.reminder for one in late(host)] == list(range(1, REMINDERS_MAX + 1))
    assert host.timers == {}


def test_bill_issued_late_is_reminded_of_at_once(host: CampusHost) -> None:
    """A bill whose date has passed when it arrives is late from the start."""
    host.bill({"ann": 1000}, due=-1)
    host.advance(0)
    assert [one.overdue_minor for one in late(host)] == [1000]


def test_timer_that_is_not_wanted_any_more_does_nothing(host: CampusHost) -> None:
    """A timer may come in the moment of the payment, or before anything is due."""
    host.bill({"ann": 1000})
    host.fire("student", "ann", BillDue(bill_id="tuition"))
    assert (late(host), len(host.timers)) == ([], 1)
    pay(host)
    host.fire("student", "ann", BillDue(bill_id="tuition"))
    host.fire("student", "nobody", BillDue(bill_id="tuition"))
    assert late(host) == []


def test_instalments_split_what_is_open(host: CampusHost) -> None:
    """The parts follow the weights, sum to what is open, and are due one after another."""
    host.bill({"ann": 1001})
    pay(host, amount_minor=1)
    agreed = agree(host, [1, 1, 1], first=10, every=30)
    assert [part.amount_minor for part in agreed.instalments] == [334, 333, 333]
    dates = [part.due_at - day(0) for part in agreed.instalments]
    assert dates == [timedelta(days=10), timedelta(days=40), timedelta(days=70)]
    assert [part.amount_minor for part in agree(host, [50, 30, 20]).instalments] == [500, 300, 200]


def test_reminder_asks_for_the_part_that_is_due(host: CampusHost) -> None:
    """With instalments only parts whose date has come are overdue, less what was paid on them."""
    host.bill({"ann": 1000}, due=5)
    pay(host, amount_minor=100)
    agree(host, [1, 1, 1], first=10, every=30)
    host.advance(9 * 86_400)
    assert late(host) == []
    pay(host, amount_minor=350)
    host.advance(20 * 86_400)
    assert late(host) == []
    host.advance(12 * 86_400)
    assert [(one.overdue_minor, one.open_minor) for one in late(host)] == [(250, 550)]


def test_instalments_need_an_approver_and_enough_money(host: CampusHost) -> None:
    """A bill of one fen has no two parts, and a cashier agrees to nothing."""
    host.bill({"ann": 1})
    with pytest.raises(InvalidField) as caught:
        agree(host, [1, 1])
    assert caught.value.field == "weights"
    with pytest.raises(NotFound):
        host.call(
            "agree_instalments", student_id="ann", bill_id="tuition", officer_id="cashier",
            weights=[1, 1], first_due_at=day(1).isoformat(),
        )  # fmt: skip


def test_family_pays_all_children_at_once(host: CampusHost) -> None:
    """One request takes one payment for each bill, and each bill gets its own."""
    host.bill({"ann": 5000, "ben": 4000})
    host.bill({"ann": 300}, "books", kind="books")
    paid = family(host, ("ann", "tuition", 5000), ("ben", "tuition", 1000), ("ann", "books", 300))
    assert (paid.paid_minor, host.balances["acct-mother"]) == (6300, 3700)
    assert host.balances["acct-clearing"] == 6300
    assert [one.amount_minor for one in host.payments] == [5000, 1000, 300]
    host.deliver(any_order(3))
    assert (host.balances["acct-clearing"], host.balances["acct-supervised"]) == (0, 6300)
    assert (host.student("ann").bills, host.student("ben").bills_minor) == ((), 3000)
    assert host.batch().paid_minor == 6000


def test_family_pays_all_or_nothing(host: CampusHost) -> None:
    """When the money is short by a fen, no child's bill gets any."""
    host.bill({"ann": 5000, "ben": 5001})
    with pytest.raises(InsufficientFunds):
        family(host, ("ann", "tuition", 5000), ("ben", "tuition", 5001))
    assert (host.balances["acct-mother"], len(host.sent)) == (10_000, 0)


@pytest.mark.parametrize(
    ("item", "error", "field"),
    [
        (("eve", "tuition", 1), NotFound, "items[1].student_id"),
        (("kim", "tuition", 1), NotFound, "items[1].student_id"),
        (("ben", "books", 1), NotFound, "items[1].bill_id"),
        (("ben", "old", 1), InvalidState, "items[1].bill_id"),
        (("ben", "tuition", 501), InvalidField, "items[1].amount_minor"),
        (("ann", "tuition", 1), InvalidField, "items[1]"),
    ],
)
def test_mistake_of_a_family_is_named(
    host: CampusHost, item: tuple[str, str, int], error: type[Exception], field: str
) -> None:
    """Somebody else's child, a settled bill, too much: the item says which, and nothing moves."""
    host.bill({"ben": 1}, "old")
    pay(host, student="ben", bill="old")
    host.bill({"ann": 500, "ben": 500, "eve": 500})
    before = dict(host.balances)
    with pytest.raises(error) as caught:
        family(host, ("ann", "tuition", 500), item)
    assert caught.value.field == field  # type: ignore[attr-defined]
    assert host.balances == before


def test_both_parents_pay_in_the_same_second(host: CampusHost) -> None:
    """The bill takes what it needs from who came first, and the other one's money goes back."""
    host.bill({"ann": 5000, "ben": 4000})
    family(host, ("ann", "tuition", 5000), ("ben", "tuition", 3000))
    family(host, ("ann", "tuition", 5000), ("ben", "tuition", 4000), guardian="father")
    host.deliver()
    told: list[Any] = [data for type_, data in host.heard if type_ == "campus.family_credited"]
    assert [(one.status, one.taken_minor, one.returned_minor) for one in told] == [
        ("taken", 5000, 0), ("taken", 3000, 0), ("returned", 0, 5000),
        ("partly_returned", 1000, 3000),
    ]  # fmt: skip
    assert host.balances == {
        "acct-mother": 2000, "acct-father": 9000, "acct-aunt": 100, "acct-clearing": 0,
        "acct-supervised": 9000,
    }  # fmt: skip


def test_money_that_can_go_nowhere_waits_in_clearing(host: CampusHost) -> None:
    """If the payer's account is closed meanwhile, the surplus stays and an event tells of it."""
    host.bill({"ann": 5000})
    family(host, ("ann", "tuition", 5000))
    pay(host, guardian_id="father", amount_minor=2000)
    assert host.balances["acct-mother"] == 7000
    host.bill({"ben": 700})
    family(host, ("ben", "tuition", 700))
    host.call("pay_bill", student_id="ben", bill_id="tuition", guardian_id="father")
    host.closed.add("acct-mother")
    host.deliver()
    told = [data for type_, data in host.heard if type_ == "campus.family_credited"]
    waited: Any = told[-1]
    assert (waited.status, waited.waiting_minor) == ("waiting", 700)
    assert host.balances["acct-clearing"] == 700


def test_student_with_too_many_open_bills_gets_no_more(host: CampusHost) -> None:
    """The document is bounded, and the batch knows that the bill was refused."""
    for number in range(BILLS_MAX + 1):
        host.bill({"ann": 1}, f"b-{number:02}")
    assert len(host.student("ann").bills) == BILLS_MAX
    assert host.batch(f"b-{BILLS_MAX:02}").refused == 1


@given(st.integers(1, 10**7), st.lists(st.integers(1, 1000), min_size=1, max_size=12))
def test_largest_remainder_loses_nothing(amount: int, weights: list[int]) -> None:
    """Parts sum to the whole, and none is a fen or more away from its exact share."""
    parts = largest_remainder(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - amount * weight) < sum(weights)


def test_largest_remainder_prefers_the_largest_and_then_the_first() -> None:
    """Of one fen too many the part with the larger remainder gets it; among equals the first."""
    assert largest_remainder(10, [1, 1, 1]) == (4, 3, 3)
    assert largest_remainder(10, [10, 15, 5]) == (3, 5, 2)
    assert largest_remainder(100, [1, 2, 4]) == (14, 29, 57)
