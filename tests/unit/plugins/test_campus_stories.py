"""Random stories of a campus: whatever happens, in whatever order, the books agree."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.campus.bill_messages import CreditBill
from plugins.campus.student import Grant
from tests.unit.plugins.campus_lab import SCHOOL, CampusHost, Till, any_order, day
from zhihui.plugin import Rejected, Send

STUDENTS = ("ann", "ben", "eve")
GUARDIANS = {"ann": "mother", "ben": "father", "eve": "aunt"}
FUND = 20_000

steps = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "top_up", "deposit", "settle", "cap", "online", "offline", "offline", "upload",
                "grant", "grant", "revoke", "bills", "pay", "pay", "family", "family", "waive",
                "agree", "power", "ask", "approve", "refuse", "wait", "deliver", "one",
            )
        ),
        st.sampled_from(STUDENTS),
        st.integers(0, 40),
    ),
    min_size=20,
    max_size=60,
)  # fmt: skip


class Story(CampusHost):
    """A campus that lives through steps chosen by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.balances |= {f"acct-{one}": 30_000 for one in GUARDIANS.values()}
        self.balances["acct-fund"] = FUND
        self.call(
            "open_room", room_id="r", school_id=SCHOOL, steps=[{"kwh_minor": 57}], meter_units=0
        )
        self.kept: dict[str, list[dict[str, Any]]] = {"canteen-1": [], "shop-1": []}
        self.batches = 0
        self.grants = 0
        self.releases = 0
        self.poured = self.money()

    def step(self, verb: str, student: str, size: int) -> None:
        """Do one thing; what is refused does not happen."""
        try:
            getattr(self, f"_{verb}")(student, size)
        except Rejected:
            return

    def _top_up(self, student: str, size: int) -> None:
        self.top_up(student, GUARDIANS[student], size * 50 + 1)

    def _deposit(self, student: str, size: int) -> None:
        self.balances[f"acct-{student}"] = self.balances.get(f"acct-{student}", 0) + size * 20
        self.poured += size * 20

    def _settle(self, student: str, size: int) -> None:
        self.call("settle_debts", student_id=student)

    def _cap(self, student: str, size: int) -> None:
        cap = size * 100 or None
        self.call("set_cap", student_id=student, guardian_id=GUARDIANS[student], day_cap_minor=cap)

    def _till(self, size: int) -> Till:
        return self.shop if size % 3 == 0 else self.canteen

    def _online(self, student: str, size: int) -> None:
        till = self._till(size)
        record = till.sale(student, size * 30 + 1)
        if size % 5 == 0:
            # No answer came, says the till, and uploads it as well.
            self.kept[till.terminal_id].append(record)
        till.buy(record)

    def _offline(self, student: str, size: int) -> None:
        till = self._till(size)
        moment = self.now - timedelta(days=size % 4)
        self.kept[till.terminal_id].append(till.sale(student, size * 30 + 1, at=moment))

    def _upload(self, student: str, size: int) -> None:
        till = self._till(size)
        records = list(self.kept[till.terminal_id])
        any_order(size).shuffle(records)
        if records:
            till.upload(*records[: size + 1], deliver=False)

    def _grant(self, student: str, size: int) -> None:
        self.grants += 1
        lasts = (self.now - day(0)) / timedelta(days=1) + size / 4
        self.grant(student, f"g-{self.grants}", size * 40 + 1, days=lasts)

    def _revoke(self, student: str, size: int) -> None:
        grant_id = f"g-{size % 3 + self.grants - 2}"
        self.call(
            "revoke_subsidy", student_id=student, grant_id=grant_id, officer_id="bursar",
            reason="chance",
        )  # fmt: skip

    def _bills(self, student: str, size: int) -> None:
        self.batches += 1
        amounts = {one: size * 10 + number + 1 for number, one in enumerate(STUDENTS)}
        self.bill(amounts, f"b-{self.batches}", due=size - 10)

    def _bill_id(self, size: int) -> str:
        return f"b-{max(1, self.batches - size % 3)}"

    def _pay(self, student: str, size: int) -> None:
        guardian = GUARDIANS[student] if size % 2 else None
        amount = None if size % 3 else size + 1
        self.call(
            "pay_bill", student_id=student, bill_id=self._bill_id(size), guardian_id=guardian,
            amount_minor=amount,
        )  # fmt: skip

    def _family(self, student: str, size: int) -> None:
        children = [student] if student == "eve" else ["ann", "ben"]
        bills = [(child, bill) for child in children for bill in self.student(child).bills]
        items = [
            {
                "student_id": child,
                "bill_id": bill.bill_id,
                # All that the parent sees as open, or all but a little.
                "amount_minor": max(1, bill.open_minor - size % 3),
            }
            for child, bill in bills[: size % 5 + 1]
        ]
        if items:
            self.call("pay_family", guardian_id=GUARDIANS[student], items=items)

    def _waive(self, student: str, size: int) -> None:
        self.call(
            "waive_bill", student_id=student, bill_id=self._bill_id(size), officer_id="bursar",
            reason="chance", amount_minor=size + 1,
        )  # fmt: skip

    def _agree(self, student: str, size: int) -> None:
        self.call(
            "agree_instalments", student_id=student, bill_id=self._bill_id(size),
            officer_id="bursar", weights=[size + 1, 2, 3], every_days=size + 1,
            first_due_at=(self.now + timedelta(days=size)).isoformat(),
        )  # fmt: skip

    def _power(self, student: str, size: int) -> None:
        self.call("top_up_power", room_id="r", student_id=student, amount_minor=size * 9 + 1)

    def _ask(self, student: str, size: int) -> None:
        self.releases += 1
        self.call(
            "request_release", release_id=f"r-{self.releases}", school_id=SCHOOL,
            payee="acct-caterer", amount_minor=size * 20 + 1, purpose="catering", reason="chance",
            officer_id="cashier",
        )  # fmt: skip

    def _approve(self, student: str, size: int) -> None:
        self.call(
            "approve_release", release_id=f"r-{size % 2 + self.releases - 1}", officer_id="bursar"
        )

    def _refuse(self, student: str, size: int) -> None:
        self.call(
            "refuse_release",
            release_id=f"r-{size % 2 + self.releases - 1}",
            officer_id="bursar",
            reason="chance",
        )

    def _wait(self, student: str, size: int) -> None:
        self.advance(size * 10_000)

    def _deliver(self, student: str, size: int) -> None:
        self.deliver(any_order(size))

    def _one(self, student: str, size: int) -> None:
        # One message arrives, the others are still on their way.
        if self.sent:
            self.sent.rotate(size)
            rest = list(self.sent)[1:]
            while len(self.sent) > 1:
                self.sent.pop()
            self.deliver()
            self.sent.extend(rest)

    def all(self, event: str) -> list[Any]:
        """Return the data of all events of a type."""
        return [data for type_, data in self.heard if type_ == f"campus.{event}"]


def check(host: Story) -> None:
    """Check what is true at any time."""
    # Money neither comes nor goes, and nobody is below zero.
    assert host.money() == host.poured
    assert min(host.available(account) for account in host.balances) >= 0
    students = [host.student(one) for one in STUDENTS]
    # Subsidies are held in the fund to the fen, and what was granted is spent, ended or there.
    assert host.held("acct-fund") == sum(one.grants_minor for one in students)
    granted = sum(data.amount_minor for data in host.all("subsidy_granted"))
    ended = sum(data.returned_minor for data in host.all("subsidy_ended"))
    spent = sum(data.subsidy_minor for data in host.all("sale_charged"))
    assert granted == spent + ended + host.held("acct-fund")
    assert host.balances["acct-fund"] == FUND - spent
    # Tills got what was sold, or are owed it.
    sold = sum(data.amount_minor for data in host.all("sale_charged"))
    owed = sum(one.debts_minor for one in students)
    tills = sum(host.balances.get(till.payee, 0) for till in (host.canteen, host.shop))
    assert sold == tills + owed
    # Clearing holds what families paid and no bill has decided on yet.
    in_flight = sum(_credit(message) for message in host.sent)
    assert host.balances.get("acct-clearing", 0) == in_flight
    # Every timer belongs to something that is still open.
    assert {name[2] for name in host.timers if name[0] == "student"} <= {
        name
        for one in students
        for name in (*(bill.timer for bill in one.bills), *(grant.hold for grant in one.grants))
    }


def _credit(message: Send) -> int:
    return message.body.amount_minor if isinstance(message.body, CreditBill) else 0


def check_at_rest(host: Story) -> None:
    """Check what is true once every message has arrived."""
    students = [host.student(one) for one in STUDENTS]
    paid = 0
    for number in range(1, host.batches + 1):
        view = host.call("get_batch", batch_id=f"b-{number}")
        opened = [bill for one in students if (bill := one.bill(f"b-{number}")) is not None]
        assert view.open_minor == sum(bill.open_minor for bill in opened)
        assert view.settled == view.issued - len(opened)
        paid += view.paid_minor
    released = host.balances.get("acct-caterer", 0)
    assert paid == host.balances.get("acct-supervised", 0) + released
    # Each number that a terminal knows was charged once, and nothing else was.
    charged = Counter(f"{one.terminal_id}:{one.sequence}" for one in host.all("sale_charged"))
    assert all(count == 1 for count in charged.values())
    for till in (host.canteen, host.shop):
        seen = host.terminal(till)
        assert seen.accepted == sum(name.startswith(till.terminal_id) for name in charged)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_books_agree_in_any_story(script: list[tuple[str, str, int]]) -> None:
    """Money is conserved, nobody is below zero, and every part of the school's books adds up."""
    host = Story()
    for verb, student, size in script:
        before = {one: host.student(one).grants for one in STUDENTS}
        heard, now = len(host.heard), host.now
        host.step(verb, student, size)
        check(host)
        if verb not in ("wait", "deliver", "one"):
            _check_no_expired(host, before, heard, now)
    host.deliver(any_order(len(script)))
    check(host)
    check_at_rest(host)
    assert host.refused == []


def _check_no_expired(
    host: Story, before: dict[str, tuple[Grant, ...]], heard: int, now: Any
) -> None:
    """What a sale took from subsidies was there, and had not expired."""
    for type_, data in host.heard[heard:]:
        if type_ == "campus.sale_charged":
            sale: Any = data
            valid = sum(
                grant.left_minor for grant in before[sale.student_id] if grant.expires_at > now
            )
            assert sale.subsidy_minor == min(sale.amount_minor, valid) or sale.terminal_id != (
                host.canteen.terminal_id
            )


@settings(max_examples=100, deadline=None)
@given(steps, st.integers(0, 9))
def test_leaving_pays_out_exactly_what_was_there(
    script: list[tuple[str, str, int]], seed: int
) -> None:
    """After any story a student leaves with the balance less the debts, and nothing is left."""
    host = Story()
    for step in script:
        host.step(*step)
    host.deliver(any_order(seed))
    for student in STUDENTS:
        known = host.student(student)
        for bill in known.bills:
            host.call(
                "waive_bill", student_id=student, bill_id=bill.bill_id, officer_id="bursar",
                reason="leaving",
            )  # fmt: skip
        wallet, payee = f"acct-{student}", f"acct-{GUARDIANS[student]}"
        balance, before = host.balances.get(wallet, 0), host.balances[payee]
        body = {
            "student_id": student, "guardian_id": GUARDIANS[student], "balance_minor": balance,
        }  # fmt: skip
        if balance < known.debts_minor:
            with pytest.raises(Rejected):
                host.call("leave_school", **body)
            continue
        left = host.call("leave_school", **body)
        assert left.paid_out_minor == balance - known.debts_minor
        assert host.balances.get(wallet, 0) == 0
        assert host.balances[payee] == before + left.paid_out_minor
        assert (host.student(student).debts, host.student(student).grants) == ((), ())
    host.deliver()
    check(host)
    check_at_rest(host)


sales = st.lists(
    st.tuples(
        st.sampled_from(["canteen", "shop"]),
        st.sampled_from(STUDENTS),
        st.integers(1, 800),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=100, deadline=None)
@given(sales, st.integers(0, 2_000), st.integers(1, 2_000), st.randoms(use_true_random=False))
def test_uploads_in_any_order_end_the_same(
    sold: list[tuple[str, str, int, int]], own: int, subsidy: int, random: Any
) -> None:
    """Shuffled, cut into other uploads, repeated, delivered in another order: the same end."""
    ends = []
    for shuffled in (False, True):
        host = Story()
        for student in STUDENTS:
            host.balances[f"acct-{student}"] = own
            host.grant(student, "living", subsidy)
        records: list[tuple[Till, dict[str, Any]]] = []
        for category, student, amount, ago in sold:
            till = host.canteen if category == "canteen" else host.shop
            moment = host.now - timedelta(days=ago)
            records.append((till, till.sale(student, amount, at=moment)))
        if shuffled:
            records = records + records[: len(records) // 2]
            random.shuffle(records)
        for till, record in records:
            till.upload(record, deliver=shuffled and random.random() < 0.5)
        host.deliver(random if shuffled else None)
        ends.append(_end(host))
        for student in STUDENTS:
            host.balances[f"acct-{student}"] += 20_000
            host.call("settle_debts", student_id=student)
        ends[-1]["settled"] = dict(sorted(host.balances.items()))
    assert ends[0] == ends[1]


def _end(host: Story) -> dict[str, Any]:
    """Return what may not depend on the order: net money, subsidies, dues, days, numbers."""
    students = {one: host.student(one) for one in STUDENTS}
    owed: Counter[str] = Counter()
    for student in students.values():
        for debt in student.debts:
            owed[debt.payee] += debt.amount_minor
    return {
        "net": {one: host.balances[f"acct-{one}"] - students[one].debts_minor for one in STUDENTS},
        "subsidies": {one: students[one].grants_minor for one in STUDENTS},
        "dues": {
            till.payee: host.balances.get(till.payee, 0) + owed[till.payee]
            for till in (host.canteen, host.shop)
        },
        "days": {one: (students[one].spent, students[one].charged) for one in STUDENTS},
        "tills": [
            (host.terminal(till).seen, host.terminal(till).prints)
            for till in (host.canteen, host.shop)
        ],
    }
