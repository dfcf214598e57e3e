"""Points: paid for when granted, spent first to end, given back by refunds, gone at their end."""

from datetime import date, datetime
from typing import Any

import anyio
import msgspec
import pytest

from actors.payments.funding import PaidLeg
from actors.regulation.calendar import SHANGHAI
from actors.rewards import PointsFunding
from actors.rewards.program import RULES, PointsProgram
from actors.rules.rule_sets import StoredRules
from kernel.book import TableRows
from kernel.store import Commit
from schemas.change import Alternative
from schemas.errors import InsufficientFunds, InvalidField, LimitExceeded, NotFound
from schemas.funding import PointsSource
from schemas.ledger import Moves, StatusStep, encode_moves
from schemas.rewards import GetPoints, GrantPoints, Points, PointsGranted
from tests.unit.wealth.bank_lab import Bank

pytestmark = pytest.mark.anyio


class _Wallet(msgspec.Struct):
    batches: list[dict[str, Any]]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


async def _grant(
    bank: Bank, account: str, points: int, sponsor: str | None, app: str = "shop", **how: Any
) -> PointsGranted:
    request = GrantPoints(
        request_id=bank.number("g"), account_id=account, points=points, sponsor_account=sponsor,
        **how,
    )  # fmt: skip
    return await bank.ask(app, request, PointsGranted)


async def _points(bank: Bank, account: str) -> Points:
    return await bank.ask("shop", GetPoints(points_account=f"{account}.points"), Points)


def _check(bank: Bank) -> None:
    """The reserve holds what the points are worth, and each asset balances."""
    worth = 0
    for row in bank.rows("points_wallet"):
        batches = bank.state("points_wallet", row["points_account"], _Wallet).batches
        assert sum(one["points"] for one in batches) == bank.posted(row["points_account"])
        worth += sum(one["points"] // one["points_per_fen"] for one in batches)
    assert bank.posted("points:reserve") == worth
    sums: dict[str, int] = {}
    for row in bank.rows("account"):
        sums[row["asset"]] = sums.get(row["asset"], 0) + bank.posted(row["account_id"])
    assert set(sums.values()) == {0}


async def _status(bank: Bank, account_id: str, status: Any) -> None:
    moves = encode_moves(Moves(steps=(StatusStep(account_id, status),)))
    await bank.change("shop", Alternative(moves, (), (), "{}"))


async def test_a_grant_is_paid_for_at_once() -> None:
    """The sponsor's money goes to the reserve; grants with one end and sponsor share a batch."""
    bank = Bank()
    sponsor, account = await bank.account(10_000), await bank.account()
    granted = await _grant(bank, account, 300, sponsor, ends_on=date(2026, 12, 31))
    assert (granted.points_account, granted.worth_minor) == (f"{account}.points", 300)
    again = await _grant(bank, account, 200, sponsor, ends_on=date(2026, 12, 31))
    await _grant(bank, account, 50, sponsor)
    assert again.batch_id == granted.batch_id
    assert bank.posted(sponsor) == 10_000 - 550
    points = await _points(bank, account)
    assert [(one.points, one.ends_on) for one in points.batches] == [
        (500, date(2026, 12, 31)), (50, None),
    ]  # fmt: skip
    assert (points.points, points.worth_minor) == (550, 550)
    _check(bank)


async def test_the_bank_itself_grants_out_of_marketing() -> None:
    """The back office needs no sponsor; an app does, and one of its own."""
    bank = Bank()
    account, stranger = await bank.account(), await bank.account(100, app="gym")
    await _grant(bank, account, 70, None, app="ops")
    assert bank.posted("expense:marketing") == -70
    (event,) = [row for row in bank.rows("event") if row["type"] == "points.granted"]
    assert event["app"] == "shop"
    with pytest.raises(InvalidField):
        await _grant(bank, account, 70, None)
    with pytest.raises(NotFound) as refused:
        await _grant(bank, account, 70, stranger)
    assert refused.value.field == "sponsor_account"
    with pytest.raises(NotFound):
        await _grant(bank, account, 70, stranger, app="gym")
    poor = await bank.account(10)
    with pytest.raises(InsufficientFunds):
        await _grant(bank, account, 11, poor)
    with pytest.raises(InvalidField, match="is over"):
        await _grant(bank, account, 1, poor, ends_on=date(2026, 11, 24))
    _check(bank)


async def test_points_pay_and_come_back() -> None:
    """The reserve pays the payee; refunds give points back in proportion, the last one the rest."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 100, sponsor, ends_on=date(2026, 12, 31))
    await _grant(bank, account, 200, sponsor)
    source = PointsSource(account_id=f"{account}.points", amount_minor=250)
    paid = await bank.pay("shop", payee, 250, source)
    assert bank.posted(payee) == 250
    assert [one.points for one in (await _points(bank, account)).batches] == [50]
    _check(bank)
    # 100 fen of the first batch and 150 of the second; a third of each to the fen.
    paid = await bank.refund("shop", paid, [83], whole=False)
    assert [one.points for one in (await _points(bank, account)).batches] == [33, 100]
    paid = await bank.refund("shop", paid, [167], whole=True)
    assert [one.points for one in (await _points(bank, account)).batches] == [100, 200]
    assert paid.legs[0].returned_minor == 250
    assert bank.posted(payee) == 0
    _check(bank)


async def test_what_ends_is_given_back_to_the_sponsor() -> None:
    """Points can be spent through their last day; then what is left is gone, and its worth back."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 400, sponsor, ends_on=date(2026, 11, 26))
    await bank.move_to(_at("2026-11-26T23:59:59"))
    await bank.pay("shop", payee, 150, PointsSource(account_id=f"{account}.points"))
    await bank.move_to(_at("2026-11-27T00:00:00"))
    assert (await _points(bank, account)).batches == ()
    assert bank.posted(sponsor) == 1_000 - 150
    assert bank.posted("points:expired") == 250
    (told,) = bank.events("points.expired")
    assert (told["points"], told["worth_minor"]) == (250, 250)
    _check(bank)


async def test_what_has_ended_cannot_pay_even_before_its_timer() -> None:
    """A batch whose end has come counts for nothing, however late its timer is."""
    bank = Bank()
    sponsor, account = await bank.account(1_000), await bank.account()
    await _grant(bank, account, 400, sponsor, ends_on=date(2026, 11, 25))
    bank.clock.advance(86_400)
    payee = await bank.account()
    assert (await _points(bank, account)).points == 0
    with pytest.raises(InsufficientFunds):
        await bank.pay("shop", payee, 1, PointsSource(account_id=f"{account}.points"))


async def test_points_of_a_batch_that_ended_come_back_for_a_while() -> None:
    """A refund after the end makes a new batch of thirty days, for the same sponsor."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 100, sponsor, ends_on=date(2026, 11, 26))
    paid = await bank.pay("shop", payee, 100, PointsSource(account_id=f"{account}.points"))
    await bank.move_to(_at("2026-12-01T10:00:00"))
    await bank.refund("shop", paid, [60], whole=False)
    (batch,) = (await _points(bank, account)).batches
    assert (batch.points, batch.ends_on) == (60, date(2026, 12, 31))
    await bank.move_to(_at("2027-01-01T00:00:00"))
    assert bank.posted(sponsor) == 1_000 - 100 + 60
    _check(bank)


async def test_a_closed_points_account_gets_money_instead() -> None:
    """When there is nowhere for points to go back to, the customer's account is credited."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 100, sponsor)
    paid = await bank.pay("shop", payee, 100, PointsSource(account_id=f"{account}.points"))
    await _status(bank, f"{account}.points", "closed")
    await bank.refund("shop", paid, [100], whole=True)
    assert bank.posted(account) == 100
    _check(bank)


async def test_a_batch_ends_although_its_sponsor_is_gone() -> None:
    """The worth goes to the bank when the sponsor's account is closed; a frozen wallet waits."""
    bank = Bank()
    sponsor, account = await bank.account(100), await bank.account()
    await _grant(bank, account, 100, sponsor, ends_on=date(2026, 11, 26))
    await _status(bank, sponsor, "closed")
    await _status(bank, f"{account}.points", "frozen")
    await bank.move_to(_at("2026-11-28T12:00:00"))
    assert bank.posted(f"{account}.points") == 100
    await _status(bank, f"{account}.points", "open")
    await bank.move_to(_at("2026-11-29T00:00:00"))
    assert bank.posted(f"{account}.points") == 0
    assert bank.posted("expense:marketing") == 100
    _check(bank)


async def test_racing_payments_spend_no_point_twice() -> None:
    """Two payments at once from one account: the later is decided anew on what is left."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 100, sponsor)
    refused = 0

    async def pay() -> None:
        nonlocal refused
        try:
            await bank.pay("shop", payee, 40, PointsSource(account_id=f"{account}.points"))
        except InsufficientFunds:
            refused += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(pay)
    assert refused == 1
    assert bank.posted(payee) == 80
    _check(bank)


async def test_two_first_grants_at_once_open_one_account() -> None:
    """Both stand, in one points account."""
    bank = Bank()
    sponsor, account = await bank.account(1_000), await bank.account()
    async with anyio.create_task_group() as tasks:
        for points in (100, 50):
            tasks.start_soon(_grant, bank, account, points, sponsor)
    assert (await _points(bank, account)).points == 150
    _check(bank)


async def test_the_programme_is_a_rule_set() -> None:
    """With five points a fen, grants come in fives and pay a fifth; old points keep their worth."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 10, sponsor)
    program = StoredRules({"points_per_fen": 5, "batches_max": 2})
    row = (RULES, 1, 1, "ops", msgspec.json.encode(program).decode())
    columns = ("name", "version", "change_seq", "app", "body")
    await bank.store.commit(Commit({}, [TableRows("rule_set", columns, (), [row])]))
    await bank.rules.load()
    assert isinstance(bank.rules.current(RULES), PointsProgram)
    with pytest.raises(InvalidField, match="multiples of 5"):
        await _grant(bank, account, 7, sponsor)
    await _grant(bank, account, 50, sponsor)
    with pytest.raises(LimitExceeded):
        await _grant(bank, account, 5, sponsor, ends_on=date(2026, 12, 1))
    assert (await _points(bank, account)).worth_minor == 20
    paid = await bank.pay("shop", payee, 15, PointsSource(account_id=f"{account}.points"))
    assert paid.legs[0].charged_minor == 10 + 25
    _check(bank)


async def test_points_of_another_app_do_not_exist() -> None:
    """Neither to be read nor to pay with."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 10, sponsor)
    with pytest.raises(NotFound):
        await bank.ask("gym", GetPoints(points_account=f"{account}.points"), Points)
    with pytest.raises(NotFound):
        await bank.pay("gym", payee, 1, PointsSource(account_id=f"{account}.points"))


async def test_more_than_was_paid_cannot_come_back() -> None:
    """A refund beyond the leg is a fault, not a gift."""
    bank = Bank()
    sponsor, account, payee = await bank.account(1_000), await bank.account(), await bank.account()
    await _grant(bank, account, 10, sponsor)
    paid = await bank.pay("shop", payee, 10, PointsSource(account_id=f"{account}.points"))
    leg: PaidLeg = paid.legs[0]
    with pytest.raises(ValueError, match="cannot go back"):
        await PointsFunding(bank.parts).refund(
            leg, 11, app="shop", payment_id=paid.payment_id, refund_id="r", whole=True,
            now=bank.clock.now(), ids=bank.ids,
        )  # fmt: skip
