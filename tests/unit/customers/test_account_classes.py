"""The limits of account classes: the numbers, and that no sequence of moves passes them."""

from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.customers.parties import bound_source
from actors.customers.sample_people import sample_person
from actors.ledger import LedgerBook
from actors.regulation.account_classes import ACCOUNT_CLASSES, AccountClass, AccountClasses
from schemas.errors import Rejected
from schemas.ledger import Moves, NewAccount, Posting
from tests.memory_store import MemoryStore
from tests.unit.customers.customer_lab import Bank, play, refused

_YUAN = 100
_SHANGHAI = ZoneInfo("Asia/Shanghai")
_START = datetime(2026, 12, 30, 10, 0, tzinfo=UTC)


def test_the_numbers_are_those_of_the_regulator() -> None:
    """Class II ¥10,000 a day and ¥200,000 a year; III ¥2,000, ¥50,000 and ¥2,000 at any moment."""
    second, third = ACCOUNT_CLASSES.class_2, ACCOUNT_CLASSES.class_3
    assert (second.day_max_minor, second.year_max_minor) == (10_000 * _YUAN, 200_000 * _YUAN)
    assert (third.day_max_minor, third.year_max_minor) == (2_000 * _YUAN, 50_000 * _YUAN)
    assert (second.balance_max_minor, third.balance_max_minor) == (None, 2_000 * _YUAN)
    assert (second.accounts_max, third.accounts_max) == (5, 5)
    assert (len(second.elements), len(third.elements)) == (5, 4)
    assert set(second.card_kinds) == {"class_1", "credit"}


def test_unknown_rules_are_refused() -> None:
    """A rule that is misspelt is not silently without effect."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"class_2": {"balance_maximum": 1}}, AccountClasses)


class _Model:
    """What the regulator's words say, counted from all moves that were let through."""

    def __init__(self, account_class: AccountClass) -> None:
        self.rules = ACCOUNT_CLASSES.rules(account_class)
        self.balance = 0
        self.moves: list[tuple[datetime, bool, int]] = []

    def allows(self, at: datetime, amount: int, *, out: bool, bound: bool) -> bool:
        """Tell whether the move may be made, and note it if so."""
        there = at.astimezone(_SHANGHAI)
        same = [(moment, size) for moment, way, size in self.moves if way == out]
        day = sum(size for moment, size in same if moment.date() == there.date())
        year = sum(size for moment, size in same if moment.year == there.year)
        most = self.rules.balance_max_minor
        after = self.balance + (-amount if out else amount)
        if after < 0 or (most is not None and after > most):
            return False
        if not bound:
            if day + amount > self.rules.day_max_minor:
                return False
            if year + amount > self.rules.year_max_minor:
                return False
            self.moves.append((there, out, amount))
        self.balance = after
        return True


class _Ledger:
    """An account of a class in the ledger's book, beside one without limits."""

    def __init__(self, account_class: AccountClass) -> None:
        self.book = LedgerBook(MemoryStore({}))
        self.source = bound_source("a")
        self._first = Moves(
            open=(
                ACCOUNT_CLASSES.new_account(account_class, "a", "shop", "CNY", self.source),
                NewAccount(self.source, "bank", "CNY", None, None),
                NewAccount("other", "bank", "CNY", None, None),
            )
        )

    async def begin(self) -> None:
        """Open the accounts."""
        assert await self.move(_START, self._first)

    async def move(self, at: datetime, moves: Moves) -> bool:
        """Try the moves, and tell whether the book let them through."""
        missing = set(self.book.missing(moves))
        if missing:
            await self.book.load(missing)
        self.book.begin(at)
        try:
            self.book.decide("shop", moves, 1)
        except Rejected:
            self.book.rollback()
            return False
        self.book.commit()
        return True


_MOVES = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 6, 26, 24 * 90]),  # hours since the move before
        st.sampled_from([1, 999, 50_000, 199_999, 200_000, 600_000, 1_000_000, 4_999_999]),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.anyio
@pytest.mark.parametrize("account_class", ["II", "III"])
@given(moves=_MOVES)
@settings(max_examples=150)
async def test_no_sequence_of_moves_passes_a_limit(
    account_class: AccountClass, moves: list[tuple[int, int, bool, bool]]
) -> None:
    """In and out, by day and by year of Shanghai, the ledger allows what the rules do, no more."""
    ledger, model, at = _Ledger(account_class), _Model(account_class), _START
    await ledger.begin()
    for hours, amount, out, bound in moves:
        at += timedelta(hours=hours)
        other = ledger.source if bound else "other"
        debit, credit = ("a", other) if out else (other, "a")
        let_through = await ledger.move(
            at, Moves(postings=(Posting(debit, credit, amount, "CNY"),))
        )
        assert let_through == model.allows(at, amount, out=out, bound=bound)


@pytest.mark.anyio
@pytest.mark.parametrize("account_class", ["II", "III"])
async def test_the_limit_of_a_year_is_met(account_class: AccountClass) -> None:
    """Full days follow each other until the year is used up; the next year begins anew."""
    ledger, rules = _Ledger(account_class), ACCOUNT_CLASSES.rules(account_class)
    await ledger.begin()
    days = deque(_START + timedelta(days=2 + n) for n in range(400))
    full = 0
    into = Moves(postings=(Posting("other", "a", rules.day_max_minor, "CNY"),))
    while days[0].astimezone(_SHANGHAI).year == 2027:
        at = days.popleft()
        full += await ledger.move(at, into)
        back = Moves(postings=(Posting("a", ledger.source, rules.day_max_minor, "CNY"),))
        await ledger.move(at, back)
    assert full == rules.year_max_minor // rules.day_max_minor
    assert await ledger.move(days[0], into)


@pytest.mark.anyio
@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize("account_class", ["II", "III"])
async def test_the_limit_of_a_day_is_met_to_the_fen(account_class: AccountClass, out: bool) -> None:
    """One fen below the limit and one more pass, the next one does not before the next day."""
    ledger, most = _Ledger(account_class), ACCOUNT_CLASSES.rules(account_class).day_max_minor
    await ledger.begin()
    # Filled from the bound card, or emptied to it, which counts for nothing.
    await ledger.move(_START, Moves(postings=(Posting(ledger.source, "a", most, "CNY"),)))
    other = ("a", "other") if out else ("other", "a")
    back = (ledger.source, "a") if out else ("a", ledger.source)

    async def move(at: datetime, amount: int) -> bool:
        return await ledger.move(at, Moves(postings=(Posting(*other, amount, "CNY"),)))

    async def reset() -> None:
        await ledger.move(_START, Moves(postings=(Posting(*back, most, "CNY"),)))

    if not out:
        await reset()
    assert await move(_START, most - 1)
    assert await move(_START, 1)
    await reset()
    assert not await move(_START, 1)
    assert await move(_START + timedelta(days=1), 1)


def _count(bank: Bank, account_class: str) -> int:
    return sum(row["class"] == account_class for row in bank.world.rows("account"))


def test_of_many_openings_at_once_exactly_five_stand(tmp_path: Path) -> None:
    """Eighteen openings of one person race through two apps: five of each class, no more."""
    person = sample_person(1)

    async def story(bank: Bank) -> None:
        customers = {
            bank.app: await bank.register(person),
            bank.other: await bank.register(person, bank.other),
        }
        cases = []
        for number in range(18):
            caller = bank.app if number % 2 else bank.other
            account_class = "II" if number % 3 else "III"
            case_id = await bank.begin(
                customers[caller], person.cards[0].number, account_class, caller
            )
            cases.append((case_id, caller))
        for case_id, caller in cases:
            await bank.prove(case_id, "pass", caller)
        ended = [
            await bank.until(case_id, "opened", "rejected", caller=caller)
            for case_id, caller in cases
        ]
        assert (_count(bank, "II"), _count(bank, "III")) == (5, 5)
        reasons = [case["reasons"] for case in ended if case["status"] == "rejected"]
        assert reasons == [["account_count"]] * 8

    play(story, tmp_path)


def test_a_closed_account_makes_room_for_another(tmp_path: Path) -> None:
    """The sixth is refused at once, and allowed when one of the five was closed, once."""
    person = sample_person(1)

    async def story(bank: Bank) -> None:
        accounts = [(await bank.opened(person))["account_id"] for _ in range(5)]
        customer_id = await bank.register(person)
        body: dict[str, Any] = {
            "customer_id": customer_id, "account_class": "II",
            "card_number": person.cards[0].number,
        }  # fmt: skip
        assert refused(await bank.app.ask("account.open_personal", request_id="6", **body)) == (
            "limit_exceeded"
        )
        await bank.app.call("account.close", request_id="c1", account_id=accounts[0])
        again = await bank.app.ask("account.close", request_id="c2", account_id=accounts[0])
        assert refused(again) == "invalid_state"
        assert (await bank.opened(person))["status"] == "opened"
        assert refused(await bank.app.ask("account.open_personal", request_id="7", **body)) == (
            "limit_exceeded"
        )
        # Another person is not concerned.
        assert (await bank.opened(sample_person(2)))["status"] == "opened"

    play(story, tmp_path)


def test_guessing_has_an_end(tmp_path: Path) -> None:
    """A person has only so many cases a day: nobody finds out a card by trying numbers."""
    person = sample_person(1)

    async def story(bank: Bank) -> None:
        customer_id = await bank.register(person)
        for number in range(20):
            await bank.begin(customer_id, sample_person(100 + number).cards[0].number)
        body: dict[str, Any] = {
            "customer_id": customer_id, "account_class": "II",
            "card_number": person.cards[0].number,
        }  # fmt: skip
        answer = await bank.app.ask("account.open_personal", request_id="one-more", **body)
        assert refused(answer) == "limit_exceeded"

    play(story, tmp_path)


def test_frozen_classed_accounts_still_take_money(tmp_path: Path) -> None:
    """Freeze, unfreeze, deposits up to the limit and statements work as with any account."""
    person = sample_person(1)

    async def story(bank: Bank) -> None:
        account_id = (await bank.opened(person, "III"))["account_id"]
        own: dict[str, Any] = {"account_id": account_id, "source": f"external:card:{account_id}"}
        unbound: dict[str, Any] = {"account_id": account_id, "source": "external:unionpay"}
        freeze = {"account_id": account_id, "reason": "court order"}
        frozen = await bank.app.call("account.freeze", request_id="f", **freeze)
        assert frozen["status"] == "frozen"
        await bank.app.call("account.deposit", request_id="d1", amount_minor=150_000, **unbound)
        await bank.app.call("account.unfreeze", request_id="u", account_id=account_id)
        over = await bank.app.ask("account.deposit", request_id="d2", amount_minor=50_001, **own)
        assert refused(over) == "balance_limit"
        await bank.app.call("account.deposit", request_id="d3", amount_minor=50_000, **own)
        statement = await bank.app.call("account.statement", account_id=account_id)
        assert [one["amount_minor"] for one in statement["entries"]] == [150_000, 50_000]
        foreign: dict[str, Any] = {**own, "source": "external:card:acct_0"}
        answer = await bank.app.ask("account.deposit", request_id="d4", amount_minor=1, **foreign)
        assert (refused(answer), answer["error"]["field"]) == ("not_found", "source")
        full = await bank.app.ask("account.close", request_id="c", account_id=account_id)
        assert refused(full) == "invalid_state"

    play(story, tmp_path)
