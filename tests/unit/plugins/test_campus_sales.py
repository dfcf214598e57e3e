"""Tills: online sales, uploads of offline ones, numbers, signatures, the overdraft list."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest

from plugins.campus.student import DEBTS_MAX
from plugins.campus.terminal import GAPS_MAX, PRINTS_MAX
from tests.unit.plugins.campus_lab import SCHOOL, CampusHost, Till, any_order, day
from zhihui.plugin import (
    InsufficientFunds,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
)


@pytest.fixture(name="host")
def _host() -> CampusHost:
    host = CampusHost()
    host.balances["acct-ann"] = 5000
    return host


def codes(uploaded: Any) -> list[str]:
    return [one.code for one in uploaded.refused]


def test_online_sale_moves_money_to_the_till(host: CampusHost) -> None:
    """A sale is paid from the wallet, with a reference that names it, and its number is seen."""
    sold = host.canteen.sell("ann", 1200)
    host.deliver()
    assert (sold.status, sold.own_minor, sold.subsidy_minor, sold.owed_minor) == (
        "charged", 1200, 0, 0,
    )  # fmt: skip
    assert host.balances == {"acct-ann": 3800, "acct-canteen-1": 1200}
    assert host.payments[0].reference == "campus sale ann canteen-1:1"
    assert host.terminal(host.canteen).accepted_minor == 1200


def test_online_sale_without_money_is_refused(host: CampusHost) -> None:
    """Online nothing is owed: the answer is no, and the number is free for the next sale."""
    record = host.canteen.sale("ben", 900)
    with pytest.raises(InsufficientFunds):
        host.canteen.buy(record)
    assert host.student("ben").debts == ()
    assert host.canteen.sell("ann", 300, sequence=record["sequence"]).status == "charged"


def test_offline_sale_without_money_is_owed(host: CampusHost) -> None:
    """What is eaten is charged: the overdraft list has it, and an event says so."""
    assert host.canteen.upload(host.canteen.sale("ben", 900)).status == "accepted"
    (debt,) = host.student("ben").debts
    assert (debt.ref, debt.payee, debt.amount_minor) == ("canteen-1:1", "acct-canteen-1", 900)
    assert host.notices == ["campus.sale_charged", "campus.debt_recorded"]
    assert host.balances.get("acct-ben", 0) == 0


def test_next_sale_collects_what_is_owed(host: CampusHost) -> None:
    """With money for both, a sale pays the older debts as well; with less, itself alone."""
    host.canteen.upload(host.canteen.sale("ben", 900))
    host.balances["acct-ben"] = 1000
    sold = host.shop.sell("ben", 400)
    assert (sold.collected_minor, sold.debts_minor) == (0, 900)
    host.balances["acct-ben"] = 1000
    sold = host.shop.sell("ben", 100)
    assert (sold.collected_minor, sold.debts_minor) == (900, 0)
    assert host.notices == ["campus.sale_charged", "campus.debts_collected"]
    assert host.balances == {
        "acct-ann": 5000, "acct-ben": 0, "acct-canteen-1": 900, "acct-shop-1": 500,
    }  # fmt: skip


def test_forged_record_is_refused(host: CampusHost) -> None:
    """Whoever changes a record on its way, or signs with another key, charges nobody."""
    good = host.canteen.sale("ann", 1000)
    forged = [
        good | {"amount_minor": 900},
        good | {"student_id": "ben"},
        good | {"sequence": 2},
        good | {"purchased_at": day(-1).isoformat()},
        host.shop.sale("ann", 1000, sequence=1),
        good | {"signature": "0" * 128},
    ]
    assert codes(host.canteen.upload(*forged)) == ["bad_signature"] * len(forged)
    with pytest.raises(InvalidField, match="signed"):
        host.canteen.buy(forged[0])
    assert host.balances == {"acct-ann": 5000}
    # A fraction of a second and another zone are the same moment.
    same = datetime.fromisoformat(good["purchased_at"]) + timedelta(microseconds=400)
    assert host.canteen.upload(good | {"purchased_at": same.isoformat()}).accepted == 1


def test_same_record_again_changes_nothing(host: CampusHost) -> None:
    """A record that is uploaded twice, in one message or in two, is charged once."""
    record = host.canteen.sale("ann", 1000)
    first = host.canteen.upload(record, record)
    again = host.canteen.upload(record)
    assert (first.accepted, first.duplicates) == (1, 1)
    assert (again.accepted, again.duplicates, again.status) == (0, 1, "nothing_new")
    assert host.balances["acct-ann"] == 4000


def test_unanswered_online_sale_may_be_uploaded(host: CampusHost) -> None:
    """A till that got no answer uploads the sale later, or the other way round: charged once."""
    first, second = host.canteen.sale("ann", 1000), host.canteen.sale("ann", 500)
    host.canteen.buy(first)
    # Before the terminal was told of the online sale, the student knows it.
    assert host.canteen.upload(first).accepted == 1
    host.canteen.upload(second)
    assert host.canteen.buy(second).status == "already_charged"
    assert host.canteen.buy(first).status == "already_charged"
    host.deliver()
    assert host.canteen.upload(first, second).duplicates == 2
    assert host.balances["acct-ann"] == 3500
    assert host.terminal(host.canteen).accepted_minor == 1500


def test_two_sales_under_one_number_are_a_conflict(host: CampusHost) -> None:
    """A terminal that was copied or set back is found out: the second sale is not charged."""
    host.canteen.upload(host.canteen.sale("ann", 1000, sequence=7))
    other = host.canteen.sale("ann", 800, sequence=7)
    assert codes(host.canteen.upload(other, deliver=False)) == ["conflict"]
    assert host.notices == ["campus.sales_uploaded", "campus.terminal_conflict"]
    with pytest.raises(InvalidState, match="another sale"):
        host.canteen.buy(other)
    host.balances["acct-ben"] = 800
    host.canteen.sell("ben", 800, sequence=7)
    host.deliver()
    assert host.notices == ["campus.terminal_conflict"]


def test_refused_record_may_come_again_when_the_cause_is_gone(host: CampusHost) -> None:
    """An unknown student, a clock ahead: the number stays missing until it is put right."""
    stranger = host.canteen.sale("kim", 700)
    early = host.canteen.sale("ann", 600, at=day(1))
    last = host.canteen.sale("ann", 500)
    uploaded = host.canteen.upload(stranger, early, last)
    assert codes(uploaded) == ["unknown_student", "time_out_of_range"]
    assert (uploaded.status, [(one.first, one.last) for one in uploaded.missing]) == (
        "partly", [(1, 2)],
    )  # fmt: skip
    host.enrol("kim", "mother")
    host.advance(86_400)
    again = host.canteen.upload(stranger, early, last)
    assert (again.accepted, again.duplicates, again.missing) == (2, 1, ())
    assert host.student("kim").debts_minor == 700


def test_very_late_upload_is_taken(host: CampusHost) -> None:
    """A terminal that was in a drawer for months has its say, days before one that was not."""
    late = [host.canteen.sale("ann", 100 + number, at=day(-200 + number)) for number in range(9)]
    host.canteen.sell("ann", 50)
    for record in reversed(late):
        assert host.canteen.upload(record).accepted == 1
    host.deliver()
    assert host.balances["acct-ann"] == 5000 - 50 - sum(one["amount_minor"] for one in late)
    assert host.terminal(host.canteen).missing == ()


def test_gaps_are_bounded_and_can_be_written_off(host: CampusHost) -> None:
    """A terminal with too many gaps uploads the missing first, or the school gives them up."""
    for number in range(GAPS_MAX):
        host.canteen.upload(host.canteen.sale("ann", 1, sequence=2 * number + 2))
    beyond = host.canteen.sale("ann", 1, sequence=1000)
    assert codes(host.canteen.upload(beyond)) == ["too_many_gaps"]
    given_up = host.call(
        "write_off_sequence", terminal_id="canteen-1", first=1, last=21, reason="burnt"
    )
    assert given_up.written_off == 11
    assert codes(host.canteen.upload(host.canteen.sale("ann", 1, sequence=3))) == ["written_off"]
    assert host.canteen.upload(beyond).accepted == 1
    view = host.call("get_terminal", terminal_id="canteen-1")
    assert (view.missing[0].first, view.written_off[0].first) == (23, 1)
    with pytest.raises(InvalidField):
        host.call("write_off_sequence", terminal_id="canteen-1", first=5, last=4, reason="x")


def test_old_numbers_are_never_charged_twice(host: CampusHost) -> None:
    """Beyond the prints that are kept a number is taken for the same sale, so nothing happens."""
    old = host.canteen.sale("ann", 1, sequence=1)
    host.canteen.upload(old)
    for start in range(2, PRINTS_MAX + 2, 50):
        numbers = range(start, start + 50)
        host.canteen.upload(*(host.canteen.sale("ann", 1, sequence=one) for one in numbers))
    before = host.balances["acct-ann"]
    assert host.canteen.upload(old).duplicates == 1
    assert host.canteen.upload(host.canteen.sale("ann", 9, sequence=1)).duplicates == 1
    assert host.balances["acct-ann"] == before
    assert len(host.terminal(host.canteen).prints) == PRINTS_MAX


def test_new_key_takes_over_and_the_old_sales_still_come(host: CampusHost) -> None:
    """A terminal with a new key uploads what it signed with the one before, but no older one."""
    records = []
    for seed in (11, 12, 13):
        till = Till(host, "canteen-1", "canteen", seed)
        till.sequence = seed
        records.append(till.sale("ann", 100))
        host.call(
            "register_terminal",
            terminal_id="canteen-1",
            school_id=SCHOOL,
            payee="acct-canteen-1",
            category="canteen",
            public_key=till.public_key,
        )
    assert codes(host.canteen.upload(*records)) == ["bad_signature"]
    with pytest.raises(InvalidState, match="another operator"):
        host.call(
            "register_terminal",
            terminal_id="canteen-1",
            school_id=SCHOOL,
            payee="acct-thief",
            category="canteen",
            public_key=host.canteen.public_key,
        )


def test_cap_refuses_online_and_reports_offline(host: CampusHost) -> None:
    """Beyond the parents' cap of a day no till sells online; what is eaten offline is told."""
    host.call("set_cap", student_id="ann", guardian_id="mother", day_cap_minor=1500)
    host.canteen.sell("ann", 1000)
    with pytest.raises(LimitExceeded, match="1000 of the 1500"):
        host.shop.sell("ann", 501)
    host.shop.upload(host.shop.sale("ann", 600))
    assert host.notices == ["campus.sale_charged", "campus.cap_exceeded"]
    # Another day has a cap of its own, in the zone of the school: 16:00 UTC is midnight there.
    host.advance(12 * 3600)
    assert host.canteen.sell("ann", 1500).status == "charged"
    host.call("set_cap", student_id="ann", guardian_id="mother", day_cap_minor=None)
    assert host.canteen.sell("ann", 100).status == "charged"
    with pytest.raises(NotFound):
        host.call("set_cap", student_id="ann", guardian_id="aunt", day_cap_minor=0)


def test_sale_needs_a_known_student_and_a_till_of_the_school(host: CampusHost) -> None:
    """Strangers, tills of nowhere, and times of the future are refused with their fields."""
    record = host.canteen.sale("kim", 100)
    with pytest.raises(NotFound) as unknown:
        host.canteen.buy(record)
    assert unknown.value.field == "student_id"
    ghost = Till(host, "ghost", "shop", 9)
    with pytest.raises(NotFound) as nowhere:
        ghost.sell("ann", 100)
    assert nowhere.value.field == "terminal_id"
    with pytest.raises(NotFound):
        ghost.upload(ghost.sale("ann", 100))
    with pytest.raises(InvalidField) as ahead:
        host.canteen.sell("ann", 100, at=day(1))
    assert ahead.value.field == "purchased_at"


def test_sale_that_comes_after_leaving_is_owed(host: CampusHost) -> None:
    """An upload for who has left moves nothing, but the school sees what it has to ask for."""
    record = host.canteen.sale("ann", 700)
    host.call("leave_school", student_id="ann", guardian_id="mother", balance_minor=5000)
    with pytest.raises(InvalidState, match="left"):
        host.canteen.sell("ann", 100)
    host.canteen.upload(record)
    assert host.student("ann").debts_minor == 700
    assert host.balances.get("acct-canteen-1", 0) == 0


def test_frozen_fund_does_not_stop_an_offline_sale(host: CampusHost) -> None:
    """When the fund's account takes no captures the whole sale is owed, and the subsidy stays."""
    host.balances["acct-fund"] = 1000
    host.grant("ben", "living", 400)
    host.closed.add("acct-fund")
    host.canteen.upload(host.canteen.sale("ben", 500))
    ben = host.student("ben")
    assert (ben.debts_minor, ben.grants_minor) == (500, 400)


def test_sale_collects_all_debts_at_once(host: CampusHost) -> None:
    """A sale with enough money in the wallet clears the whole overdraft list."""
    host.canteen.upload(host.canteen.sale("ben", 300), host.canteen.sale("ben", 200))
    host.balances["acct-ben"] = 600
    sold = host.shop.sell("ben", 100)
    assert (sold.collected_minor, sold.debts_minor, host.balances["acct-ben"]) == (500, 0, 0)


def test_debts_are_listed_by_the_time_of_the_sale(host: CampusHost) -> None:
    """An older sale that is uploaded later is collected first."""
    host.canteen.upload(host.canteen.sale("ben", 300, at=day(-1)))
    host.shop.upload(host.shop.sale("ben", 400, at=day(-2)))
    host.balances["acct-mother"] = 400
    assert host.top_up("ben", "mother", 400).debts_minor == 300
    assert host.balances["acct-shop-1"] == 400


def test_subsidy_pays_for_a_student_without_a_wallet(host: CampusHost) -> None:
    """What a subsidy covers is paid offline, wallet or not; what it does not is owed."""
    host.enrol("kim", "mother", wallet=False)
    host.balances["acct-fund"] = 500
    host.grant("kim", "living", 500)
    host.canteen.upload(host.canteen.sale("kim", 400))
    assert (host.student("kim").debts, host.student("kim").grants_minor) == ((), 100)
    host.canteen.upload(host.canteen.sale("kim", 400))
    assert host.student("kim").debts_minor == 300
    with pytest.raises(InvalidState, match="no wallet"):
        host.canteen.sell("kim", 1)


def test_wallet_of_who_has_left_is_not_touched(host: CampusHost) -> None:
    """Money that came in after leaving is the next payout's, not a late till's."""
    host.call("leave_school", student_id="ann", guardian_id="mother", balance_minor=4000)
    host.canteen.upload(host.canteen.sale("ann", 700))
    assert (host.balances["acct-ann"], host.student("ann").debts_minor) == (1000, 700)


def test_till_of_another_school_is_unknown(host: CampusHost) -> None:
    """A till sells to students of its own school only, online and by upload."""
    host.call("open_school", **host.school(school_id="lowland"))
    till = Till(host, "lowland-1", "canteen", 5)
    host.call(
        "register_terminal",
        terminal_id="lowland-1",
        school_id="lowland",
        payee="acct-lowland",
        category="canteen",
        public_key=till.public_key,
    )
    with pytest.raises(NotFound):
        till.sell("ann", 100)
    assert codes(till.upload(till.sale("ann", 100))) == ["other_school"]


def test_overdraft_list_stays_short(host: CampusHost) -> None:
    """A month offline fills the list; further sales of a payee join its newest entry."""
    for start in range(0, 60, 20):
        numbers = range(start + 1, start + 21)
        host.canteen.upload(
            *(host.canteen.sale("ben", 10, sequence=one, at=day(-one)) for one in numbers)
        )
    ben = host.student("ben")
    assert (len(ben.debts), ben.debts_minor) == (DEBTS_MAX, 600)
    assert sum(debt.sales for debt in ben.debts) == 60
    assert ben.debts[-1].sales == 60 - DEBTS_MAX + 1
    host.balances["acct-mother"] = 600
    assert host.top_up("ben", "mother", 600).debts_minor == 0
    assert host.balances["acct-canteen-1"] == 600


def test_uploads_in_any_order_end_the_same(host: CampusHost) -> None:
    """Three uploads in all their orders, delivered in any order: the same money, debts, numbers."""
    ends = []
    for order in permutations(range(3)):
        for seed in range(3):
            host = CampusHost()
            host.balances |= {"acct-ben": 900, "acct-fund": 700}
            host.grant("ben", "living", 700)
            batches = [
                (host.canteen, [host.canteen.sale("ben", 600, at=day(-2))]),
                (host.shop, [host.shop.sale("ben", 500), host.shop.sale("ben", 250)]),
                (host.canteen, [host.canteen.sale("ben", 450), host.canteen.sale("ben", 80)]),
            ]
            for number in order:
                till, records = batches[number]
                till.upload(*records, deliver=False)
                if seed:
                    host.deliver(any_order(seed))
            host.deliver(any_order(seed))
            ends.append(_end(host, "ben"))
            host.balances["acct-mother"] = 2000
            host.top_up("ben", "mother", 2000)
            ends[-1] += (tuple(sorted(host.balances.items())), host.student("ben").debts)
    assert len({msgspec.json.encode(end) for end in ends}) == 1


def _end(host: CampusHost, student_id: str) -> tuple[Any, ...]:
    """Return what may not depend on the order in which sales are charged."""
    student = host.student(student_id)
    dues: dict[str, int] = {}
    for till in (host.canteen, host.shop):
        owed = sum(debt.amount_minor for debt in student.debts if debt.payee == till.payee)
        dues[till.payee] = host.balances.get(till.payee, 0) + owed
    return (
        host.balances[f"acct-{student_id}"] - student.debts_minor,
        student.grants_minor,
        dues,
        student.spent,
        student.charged,
        host.terminal(host.canteen).seen,
        host.terminal(host.shop).accepted_minor,
    )
