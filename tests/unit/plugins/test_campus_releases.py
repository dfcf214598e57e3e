"""The supervised account: what leaves it takes two officers."""

from typing import Any

import pytest

from plugins.campus.release_messages import ReleaseLapses
from tests.unit.plugins.campus_lab import SCHOOL, CampusHost
from zhihui.plugin import InsufficientFunds, InvalidField, InvalidState, NotFound


@pytest.fixture(name="host")
def _host() -> CampusHost:
    host = CampusHost()
    host.balances["acct-supervised"] = 10_000
    return host


def ask(host: CampusHost, officer: str = "cashier", release: str = "r1", **fields: Any) -> Any:
    body = {
        "release_id": release,
        "school_id": SCHOOL,
        "payee": "acct-caterer",
        "amount_minor": 6_000,
        "purpose": "catering",
        "reason": "meals of September",
        "officer_id": officer,
    }
    return host.call("request_release", **(body | fields))


def approve(host: CampusHost, officer: str = "bursar", release: str = "r1") -> Any:
    return host.call("approve_release", release_id=release, officer_id=officer)


def refuse(host: CampusHost, officer: str = "bursar") -> Any:
    return host.call("refuse_release", release_id="r1", officer_id=officer, reason="no invoice")


def test_money_leaves_in_two_steps(host: CampusHost) -> None:
    """Asked for it is held, approved it goes to the payee that was named, and to nobody else."""
    asked = ask(host)
    assert (asked.status, host.available("acct-supervised")) == ("requested", 4_000)
    released = approve(host)
    assert (released.status, released.requested_by, released.decided_by) == (
        "released", "cashier", "bursar",
    )  # fmt: skip
    assert host.balances == {"acct-supervised": 4_000, "acct-caterer": 6_000}
    assert (host.holds, host.timers) == ({}, {})


def test_nobody_approves_their_own_request(host: CampusHost) -> None:
    """Who may do both still needs another one; who may do neither does nothing."""
    ask(host, "principal")
    with pytest.raises(InvalidState, match="another officer"):
        approve(host, "principal")
    with pytest.raises(NotFound, match="may approve"):
        approve(host, "cashier")
    with pytest.raises(NotFound, match="may request"):
        ask(host, "bursar", "r2")
    with pytest.raises(NotFound):
        ask(host, "stranger", "r2")
    assert approve(host, "bursar").status == "released"


def test_refused_money_is_free_again(host: CampusHost) -> None:
    """A refusal, or taking one's own request back, gives all of it free."""
    ask(host)
    assert refuse(host).status == "refused"
    assert (host.available("acct-supervised"), host.timers) == (10_000, {})
    for again in (approve, refuse):
        with pytest.raises(InvalidState, match="refused already"):
            again(host)
    with pytest.raises(InvalidState, match="exists"):
        ask(host)


def test_own_request_may_be_taken_back(host: CampusHost) -> None:
    """The one who asked may call it off without being an approver."""
    ask(host)
    assert refuse(host, "cashier").decided_by == "cashier"


def test_undecided_release_lapses(host: CampusHost) -> None:
    """After a week the money is free, and nothing can be approved any more."""
    ask(host)
    host.fire("release", "r1", ReleaseLapses(release_id="r1"))
    assert host.held("acct-supervised") == 6_000
    host.clock.advance(7 * 86_400)
    with pytest.raises(InvalidState, match="lapsed"):
        approve(host)
    host.advance(0)
    assert host.call("get_release", release_id="r1").status == "lapsed"
    assert host.available("acct-supervised") == 10_000
    host.fire("release", "r1", ReleaseLapses(release_id="r1"))
    host.fire("release", "r9", ReleaseLapses(release_id="r9"))


def test_more_than_there_is_cannot_be_asked_for(host: CampusHost) -> None:
    """Two requests share what is there; what is spoken for cannot be asked for again."""
    ask(host)
    with pytest.raises(InsufficientFunds):
        ask(host, release="r2", amount_minor=4_001)
    with pytest.raises(NotFound):
        approve(host, release="r2")
    with pytest.raises(InvalidField):
        ask(host, release="r3", payee="acct-supervised")
    assert ask(host, release="r2", amount_minor=4_000).status == "requested"
