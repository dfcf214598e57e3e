"""The wallet: binding, top-ups, the overdraft list, leaving."""

from typing import Any

import pytest

from schemas.errors import BalanceLimit
from tests.unit.plugins.campus_lab import CampusHost, day
from zhihui.plugin import InsufficientFunds, InvalidState, NotFound


@pytest.fixture(name="host")
def _host() -> CampusHost:
    host = CampusHost()
    host.balances |= {"acct-mother": 50_000, "acct-aunt": 1_000}
    return host


def owe(host: CampusHost, *amounts: int) -> None:
    for amount in amounts:
        host.canteen.upload(host.canteen.sale("ann", amount))


def leave(host: CampusHost, balance: int, student: str = "ann") -> Any:
    return host.call(
        "leave_school", student_id=student, guardian_id="mother", balance_minor=balance
    )


def test_wallet_is_bound_once(host: CampusHost) -> None:
    """The same account again is fine; another one would leave money behind."""
    again = host.call("bind_wallet", student_id="ann", account_id="acct-ann")
    assert (again.status, host.notices) == ("unchanged", [])
    with pytest.raises(InvalidState) as caught:
        host.call("bind_wallet", student_id="ann", account_id="acct-other")
    assert caught.value.field == "account_id"
    host.enrol("kim", "mother", wallet=False)
    for verb in ("top_up", "settle_debts"):
        body = {} if verb == "settle_debts" else {"guardian_id": "mother", "amount_minor": 1}
        with pytest.raises(InvalidState, match="bind one"):
            host.call(verb, student_id="kim", **body)


def test_top_up_moves_a_guardians_money(host: CampusHost) -> None:
    """Money goes from the account of a guardian of this student, and of nobody else."""
    topped = host.top_up("ann", "mother", 3000)
    assert (topped.payer, topped.collected_minor, topped.debts_minor) == ("acct-mother", 0, 0)
    assert host.balances["acct-ann"] == 3000
    with pytest.raises(NotFound) as caught:
        host.top_up("ann", "aunt", 100)
    assert caught.value.field == "guardian_id"
    with pytest.raises(InsufficientFunds):
        host.top_up("eve", "aunt", 1001)


def test_top_up_collects_debts_oldest_first(host: CampusHost) -> None:
    """As many debts as the money covers are paid, each whole, to those who sold."""
    owe(host, 800, 500, 300)
    topped = host.top_up("ann", "mother", 1400)
    assert (topped.collected_minor, topped.debts_minor) == (1300, 300)
    assert host.notices == ["campus.topped_up", "campus.debts_collected"]
    assert (host.balances["acct-ann"], host.balances["acct-canteen-1"]) == (100, 1300)
    # What is in the wallet already counts as well.
    assert host.top_up("ann", "mother", 200).collected_minor == 300
    assert host.balances["acct-ann"] == 0


def test_top_up_stands_even_if_no_debt_can_be_paid(host: CampusHost) -> None:
    """A debt larger than the money stays whole, and the money is in the wallet."""
    owe(host, 800)
    topped = host.top_up("ann", "mother", 700)
    assert (topped.collected_minor, topped.debts_minor) == (0, 800)
    assert host.balances["acct-ann"] == 700


def test_ceiling_of_the_wallet_is_the_ledgers(host: CampusHost) -> None:
    """A class III account takes no more than ¥2,000; the reason is the ledger's own."""
    host.ceilings["acct-ann"] = 200_000
    host.balances["acct-mother"] = 400_000
    host.top_up("ann", "mother", 150_000)
    with pytest.raises(BalanceLimit):
        host.top_up("ann", "mother", 60_000)
    assert host.balances["acct-ann"] == 150_000


def test_debts_are_settled_from_money_that_came_by_other_ways(host: CampusHost) -> None:
    """A deposit past the pack is collected on request, as far as it goes."""
    owe(host, 800, 500)
    with pytest.raises(InsufficientFunds):
        host.call("settle_debts", student_id="ann")
    host.balances["acct-ann"] = 900
    settled = host.call("settle_debts", student_id="ann")
    assert (settled.status, settled.collected_minor, settled.debts_minor) == (
        "partly_settled", 800, 500,
    )  # fmt: skip
    host.balances["acct-ann"] = 500
    assert host.call("settle_debts", student_id="ann").status == "settled"
    assert host.call("settle_debts", student_id="ann").collected_minor == 0


def test_leaving_pays_out_what_is_there(host: CampusHost) -> None:
    """Debts first, the rest to the guardian, subsidies back to the fund; then nothing is left."""
    host.balances["acct-fund"] = 900
    host.grant("ann", "living", 900)
    host.balances["acct-ann"] = 0
    owe(host, 1200)
    assert host.student("ann").grants_minor == 0
    host.balances["acct-fund"] += 400
    host.grant("ann", "extra", 400)
    host.balances["acct-ann"] = 5000
    left = leave(host, 5000)
    assert (left.status, left.debts_paid_minor, left.paid_out_minor) == ("left", 300, 4700)
    assert left.subsidies_returned_minor == 400
    assert (host.balances["acct-ann"], host.balances["acct-mother"]) == (0, 54_700)
    assert (host.available("acct-fund"), host.held("acct-fund")) == (400, 0)
    assert host.timers == {}
    view = host.call("get_student", student_id="ann")
    assert (view.status, view.debts, view.grants) == ("left", (), ())


def test_leaving_is_refused_while_bills_are_open(host: CampusHost) -> None:
    """An open bill is named; waived or paid, the student may go."""
    host.bill({"ann": 400})
    with pytest.raises(InvalidState, match="tuition"):
        leave(host, 0)
    host.call("pay_bill", student_id="ann", bill_id="tuition", guardian_id="mother")
    assert leave(host, 0).status == "left"
    assert host.bill({"ann": 400}, "books").refused[0].code == "has_left"


def test_leaving_with_too_little_for_the_debts_is_refused(host: CampusHost) -> None:
    """Debts are settled before anything is paid out, or nothing happens."""
    owe(host, 800)
    host.balances["acct-ann"] = 799
    with pytest.raises(InsufficientFunds, match="top it up"):
        leave(host, 799)
    assert host.student("ann").status == "active"


def test_leaving_with_a_balance_that_is_not_there_moves_nothing(host: CampusHost) -> None:
    """A balance read wrongly is refused by the ledger; one read too early is paid out later."""
    host.balances["acct-ann"] = 1000
    with pytest.raises(InsufficientFunds):
        leave(host, 1001)
    assert host.student("ann").status == "active"
    assert leave(host, 900).paid_out_minor == 900
    rest = leave(host, 100)
    assert (rest.status, rest.paid_out_minor, host.balances["acct-ann"]) == ("rest_paid", 100, 0)


def test_who_has_left_neither_pays_nor_gets_anything(host: CampusHost) -> None:
    """Top-ups, caps, subsidies and bills end with leaving."""
    leave(host, 0)
    with pytest.raises(InvalidState):
        host.top_up("ann", "mother", 100)
    with pytest.raises(InvalidState):
        host.grant("ann", "late", 100)
    with pytest.raises(InvalidState):
        host.call("set_cap", student_id="ann", guardian_id="mother", day_cap_minor=1)
    with pytest.raises(InvalidState):
        host.call("pay_bill", student_id="ann", bill_id="x")


def test_who_comes_back_starts_with_a_new_wallet(host: CampusHost) -> None:
    """After leaving, the roster takes a student back, and another account may be bound."""
    leave(host, 0)
    host.enrol("ann", "mother", wallet=False)
    assert host.heard[-1][1].status == "returned"  # type: ignore[attr-defined]
    assert host.call("bind_wallet", student_id="ann", account_id="acct-new").status == "bound"
    host.top_up("ann", "mother", 100)
    assert host.balances["acct-new"] == 100
    assert host.now < day(1)
