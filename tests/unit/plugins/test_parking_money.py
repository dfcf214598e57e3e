"""Properties of the car park's money: nothing is made, lost, or collected twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.parking.division import divide, refund_payments, shares_of
from plugins.parking.messages import ArrearsSettled, Exited
from plugins.parking.state import ARREARS_MAX, Arrear, Cover, Receipt, Session, Stamp
from plugins.parking.stay import bill_for, stamp_worth_max_minor
from plugins.parking.tariff import fee_minor
from plugins.parking.terms import PPM, LotShare
from tests.unit.plugins.parking_lab import CAR, City, account, at
from tests.unit.plugins.test_parking_tariff import tariffs
from zhihui.plugin import Rejected

amounts = st.integers(1, 60) | st.integers(1, 10**9)
shares = st.lists(st.integers(1, PPM // 4), max_size=4).map(
    lambda parts: tuple(
        LotShare(payee=f"payee-{number}", ppm=ppm) for number, ppm in enumerate(parts)
    )
)


@given(amounts, shares)
def test_parts_sum_to_the_amount_and_are_fair(amount: int, division: tuple[LotShare, ...]) -> None:
    """Each share is within a fen of its exact quota, and so is what the operator keeps."""
    passed_on = {share.payee: share.amount_minor for share in shares_of(amount, division)}
    for share in division:
        assert abs(passed_on.get(share.payee, 0) * PPM - amount * share.ppm) < PPM
    kept = amount - sum(passed_on.values())
    rest = PPM - sum(share.ppm for share in division)
    assert kept >= 0
    assert abs(kept * PPM - amount * rest) < PPM
    assert all(passed_on.values())


@given(st.integers(0, 10**9), st.lists(st.integers(0, PPM), min_size=1, max_size=5))
def test_division_gives_no_more_than_a_fen_too_much(amount: int, weights: list[int]) -> None:
    """Parts are non-negative, sum to the amount, and nobody without weight has any."""
    if not sum(weights):
        return
    parts = divide(amount, weights)
    assert sum(parts) == amount
    assert min(parts) >= 0
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


@given(amounts, st.integers(1, PPM), shares)
def test_a_refund_takes_back_what_was_had_at_most(
    paid: int, part: int, division: tuple[LotShare, ...]
) -> None:
    """The operator is square after it, nobody gives more than its share, all of it gives all."""
    refund = max(1, paid * part // PPM)
    had = {share.payee: share.amount_minor for share in shares_of(paid, division)}
    *takes, give = refund_payments(
        refund, paid, division, operator="operator", payer="payer", reference=""
    )
    assert (give.payer, give.payee, give.amount_minor) == ("operator", "payer", refund)
    for take in takes:
        assert take.payee == "operator"
        assert 0 < take.amount_minor <= had[take.payer]
    kept = paid - sum(had.values())
    assert refund - sum(take.amount_minor for take in takes) <= kept
    if refund == paid:
        assert {take.payer: take.amount_minor for take in takes} == had


def test_a_small_refund_is_divided_by_what_was_had() -> None:
    """Of three fen out of four, shares of the agreed parts would take one that nobody had."""
    division = (LotShare(payee="a", ppm=400_000), LotShare(payee="b", ppm=150_000))
    assert [one.amount_minor for one in shares_of(4, division)] == [2]
    take, give = refund_payments(3, 4, division, operator="op", payer="payer", reference="")
    assert (take.payer, take.amount_minor, give.amount_minor) == ("a", 1, 3)


starts = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001  the strategy adds the zone
    max_value=datetime(2026, 12, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
lengths = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3))


@st.composite
def sessions(draw: Any) -> Session:
    """Draw an open stay with a pass, stamps and a payment inside, or without any of them."""
    entered = draw(starts)
    session = Session(lot_id="lot", payee="op", tariff=draw(tariffs), entered_at=entered)
    if draw(st.booleans()):
        since = entered + draw(lengths)
        cover = Cover(
            pass_id="p",  # noqa: S106 - no password
            state=draw(st.sampled_from(["placed", "asked", "queued"])),
            since=since,
            until=since + draw(lengths),
        )
        session = msgspec.structs.replace(session, cover=cover)
    stamps = []
    for number in range(draw(st.integers(0, 3))):
        minutes = draw(st.integers(1, 300))
        ppm = draw(st.integers(0, PPM))
        held = -(-stamp_worth_max_minor(session, minutes) * ppm // PPM)
        stamps.append(
            Stamp(
                merchant_id=f"m{number}", minutes=minutes, pays_ppm=ppm, hold="h", held_minor=held
            )
        )
    session = msgspec.structs.replace(session, stamps=tuple(stamps))
    if draw(st.booleans()):
        paid_at = entered + draw(lengths)
        paid = bill_for(session, paid_at).due_minor
        if paid:
            session = msgspec.structs.replace(
                session, prepaid_minor=paid, prepaid_at=paid_at, prepaid_by="x"
            )
    return session


@settings(max_examples=300)
@given(sessions(), lengths, lengths)
def test_a_bill_is_borne_by_somebody_and_never_falls(
    session: Session, stay: timedelta, longer: timedelta
) -> None:
    """Fee = paid inside + shops + forgone + due; it never falls with time, nor beats the tariff."""
    left = session.entered_at + stay
    bill = bill_for(session, left)
    assert bill.fee_minor == (
        bill.prepaid_minor + bill.merchant_minor + bill.discount_minor + bill.due_minor
    )
    parts = [bill.due_minor, *(part.paid_minor for part in bill.parts)]
    assert min(parts + [part.discount_minor for part in bill.parts]) >= 0
    assert all(part.paid_minor <= part.stamp.held_minor for part in bill.parts)
    assert bill.without_stamps().due_minor == bill.fee_minor - bill.prepaid_minor
    assert bill.fee_minor <= bill_for(session, left + longer).fee_minor
    whole = fee_minor(session.tariff, session.entered_at, left)
    if session.cover is None and not session.prepaid_minor:
        assert bill.fee_minor == whole


@settings(max_examples=200)
@given(sessions(), st.integers(1, 300), lengths)
def test_a_hold_covers_what_a_stamp_is_worth(
    session: Session, minutes: int, stay: timedelta
) -> None:
    """Whenever the car leaves, the minutes are worth no more than what is held for them."""
    stamp = Stamp(
        merchant_id="m",
        minutes=minutes,
        pays_ppm=PPM,
        hold="h",
        held_minor=stamp_worth_max_minor(session, minutes),
    )
    bill = bill_for(msgspec.structs.replace(session, stamps=(stamp,)), session.entered_at + stay)
    assert bill.discount_minor == 0


@given(sessions())
def test_who_paid_inside_owes_nothing_within_the_minutes(session: Session) -> None:
    """Up to the last of them, whatever pass and stamps there are."""
    if session.prepaid_at is None:
        return
    last = session.prepaid_at + timedelta(minutes=session.in_force.leave_minutes)
    assert bill_for(session, last).due_minor == 0


story = st.lists(
    st.tuples(
        st.sampled_from(
            ["enter", "exit", "exit", "money", "settle", "prepay", "stamp", "dispute", "waive",
             "refund", "uphold", "bind", "unbind"]
        ),
        st.sampled_from(["a", "b"]),
        st.integers(0, 30),
    ),
    max_size=50,
)  # fmt: skip


class _Books:
    """What was charged, waived and given back, as heard; and whose money there is."""

    def __init__(self) -> None:
        self.city = city = City()
        rules = {
            "dispute_days": 30,
            "lost_ticket_minor": 3_000,
            "stamp_minutes_max": 240,
            "wait_entry_minutes": 60,
        }
        city.lot("a", shares=[{"payee": "land", "ppm": 123_456}], rules=rules)
        city.lot("b", rules={"max_stay_hours": 20, "dispute_days": 30, "reentry_hours": 3})
        city.balances["shop"] = 20_000
        city.call(
            "register_merchant",
            merchant_id="shop", account_id="shop", lots=["a"], pays_ppm=700_000,
        )  # fmt: skip
        city.bind(0)
        self.given = 20_000

    def charged(self) -> int:
        """Return what drivers were to bear of all stays that are over."""
        total = 0
        for kind, data in self.city.heard:
            if kind == "parking.exited" and isinstance(data, Exited):
                total += data.fee_minor - data.merchant_minor - data.discount_minor
            if kind in ("parking.exit_lost", "parking.stay_overdue"):
                total += data.fee_minor  # type: ignore[attr-defined]
            if kind == "parking.dispute_decided":
                total -= data.waived_minor + data.refunded_minor  # type: ignore[attr-defined]
        return total

    def paid(self) -> int:
        """Return what drivers have paid in all, refunds taken off, without what is prepaid."""
        shop = 20_000 - self.city.balances["shop"]
        lots = self.given - 20_000 - self.city.balances[account(CAR)]
        assert shop >= 0
        return lots - _prepaid(self.city)


@settings(max_examples=250, deadline=None)
@given(story)
def test_no_story_loses_money_or_takes_it_twice(script: list[tuple[str, str, int]]) -> None:
    """What drivers were charged is what they paid and what they owe, after whatever happens."""
    books = _Books()
    city = books.city
    now, lost_prepaid = 0.0, 0
    for number, (verb, lot, size) in enumerate(script):
        now += size / 4
        lost_prepaid += _prepaid(city)
        city.until(now)
        before = _prepaid(city)
        lost_prepaid -= before
        try:
            _do(books, verb, lot, size, number, now)
        except Rejected:
            continue
        city.deliver()
        after = city.vehicle()
        lost_prepaid += _lost(city, verb, before)
        assert books.charged() + lost_prepaid == books.paid() + after.arrears_minor
        assert sum(city.balances.values()) == books.given
        assert len(after.arrears) <= ARREARS_MAX + 1
        assert all(arrear.amount_minor > 0 for arrear in after.arrears)


def _prepaid(city: City) -> int:
    session = city.vehicle().session
    return 0 if session is None else session.prepaid_minor


def _lost(city: City, verb: str, prepaid: int) -> int:
    """Return what was paid inside of a stay that was lost: its notice tells what is still due."""
    return prepaid if verb == "enter" and "parking.exit_lost" in city.notices else 0


def _do(books: _Books, verb: str, lot: str, size: int, number: int, now: float) -> None:
    city, moment = books.city, {"plate": CAR, "lot_id": lot}
    vehicle = city.vehicle()
    match verb:
        case "enter":
            city.call("enter", **moment, entered_at=at(now))
        case "exit":
            city.call("exit", **moment, left_at=at(now))
        case "money":
            city.balances[account(CAR)] += size * 100
            books.given += size * 100
        case "settle":
            result = city.call("settle", plate=CAR, lot_id=lot)
            assert isinstance(result, ArrearsSettled)
        case "prepay":
            city.call("prepay", **moment, paid_at=at(now))
        case "stamp":
            city.call("stamp", plate=CAR, merchant_id="shop", minutes=1 + size * 4)
        case "dispute":
            charges: tuple[Arrear | Receipt, ...] = (*vehicle.arrears, *vehicle.receipts)
            if charges:
                charge = charges[size % len(charges)]
                city.call(
                    "dispute", plate=CAR, dispute_id=f"d-{number}", lot_id=charge.lot_id,
                    entered_at=charge.entered_at, opened_at=at(now), reason="other",
                )  # fmt: skip
        case "bind":
            mandate = {"session_cap_minor": size * 100, "day_cap_minor": size * 200}
            city.call("bind", plate=CAR, account_id=account(CAR), mandate=mandate)
        case "unbind":
            city.call("unbind", plate=CAR)
        case _:
            if vehicle.disputes:
                found = vehicle.disputes[size % len(vehicle.disputes)]
                city.call(
                    "decide_dispute", plate=CAR, dispute_id=found.dispute_id, decision=verb,
                    fee_minor=0 if verb == "uphold" else size * 10,
                )  # fmt: skip
