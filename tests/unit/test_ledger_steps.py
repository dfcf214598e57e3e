"""The ledger's steps one by one: what each does, what it finds, and what it refuses and why."""

from typing import Any
from unittest import mock

import pytest

from actors.accounts import ACCOUNT_TABLE
from actors.ledger import LedgerBook, book
from kernel.book import TableRows
from kernel.store import Commit
from schemas.errors import Rejected
from schemas.ledger import (
    FREEZE,
    CaptureStep,
    Moves,
    NewAccount,
    PlaceStep,
    Posting,
    ReleaseStep,
    StatusStep,
    Step,
    TransferStep,
)
from tests.book_state import serialised
from tests.changes import AT
from tests.memory_store import MemoryStore

pytestmark = pytest.mark.anyio

_CASH = "external:cash"


class _Lab:
    """A book with the accounts a (100), b (100, floor −20) and c (nothing) of one app."""

    def __init__(self) -> None:
        self.store = MemoryStore({0: 1})
        self.book = LedgerBook(self.store)
        self.seq = 0

    async def start(self) -> None:
        opened = tuple(
            NewAccount(name, "shop", "CNY", floor, None)
            for name, floor in (("a", 0), ("b", -20), ("c", 0))
        )
        postings = tuple(Posting(_CASH, name, 100, "CNY") for name in "ab")
        await self.decide(Moves(open=opened, postings=postings))

    async def decide(self, moves: Moves) -> dict[str, int]:
        """Decide and keep one change; return what it found."""
        missing = set(self.book.missing(moves))
        if missing:
            await self.book.load(missing)
        self.seq += 1
        self.book.begin(AT)
        before = serialised(self.book)
        try:
            found = self.book.decide("shop", moves, self.seq)
        except Rejected:
            assert serialised(self.book) == before
            self.book.rollback()
            raise
        await self.store.commit(Commit({}, [*self._opened(moves), *self.book.rows()]))
        self.book.commit()
        return dict(found or {})

    def _opened(self, moves: Moves) -> list[TableRows]:
        """Return the rows that a change brings as facts."""
        rows: list[tuple[Any, ...]] = [
            (self.seq, one.account_id, one.app, "holder", "customer", one.asset, one.floor_minor,
             one.ceiling_minor, "open", AT, "", "")
            for one in moves.open
        ]  # fmt: skip
        columns = ("change_seq", *ACCOUNT_TABLE.columns)
        types = ("bigint", *ACCOUNT_TABLE.types)
        return [TableRows("account", columns, types, rows)] if rows else []

    async def take(self, *steps: Step) -> dict[str, int]:
        """Take steps in one change."""
        return await self.decide(Moves(steps=steps))

    async def refused(self, *steps: Step) -> tuple[str, str | None]:
        """Return the code and the field of the rejection."""
        with pytest.raises(Rejected) as refused:
            await self.take(*steps)
        return refused.value.code, refused.value.field

    def amounts(self, name: str) -> tuple[int, int]:
        """Return what is posted and held, as stored."""
        row = self.store.tables["balance"][name,]
        return row["posted_minor"], row["held_minor"]


@pytest.fixture
async def lab() -> _Lab:
    one = _Lab()
    await one.start()
    return one


def _place(hold_id: str = "h", amount: int = 60, account: str = "a", **how: object) -> PlaceStep:
    given = {"owner": "shop", **how}
    return PlaceStep(hold_id, account, amount, "CNY", AT, **given)  # type: ignore[arg-type] # by the tests


def _capture(amount: int | None = None, payee: str = "c", **how: object) -> CaptureStep:
    given = {"owner": "shop", **how}
    return CaptureStep("h", amount, payee, **given)  # type: ignore[arg-type] # by the tests


async def test_an_account_is_opened_and_used_in_one_change(lab: _Lab) -> None:
    """Postings and steps of a change see the accounts that it opens."""
    moves = Moves(
        open=(NewAccount("new", "shop", "CNY", 0, None),),
        postings=(Posting(_CASH, "new", 50, "CNY"),),
        steps=(_place(account="new", amount=20), TransferStep("new", "c", 100, "CNY")),
    )
    assert await lab.decide(moves) == {"transfer.amount": 30}
    assert lab.amounts("new") == (20, 20)


async def test_a_capture_is_bounded_by_what_is_left(lab: _Lab) -> None:
    """Not the amount of the hold but what earlier captures left of it counts."""
    await lab.take(_place())
    found = await lab.take(_capture(40))
    assert found == {"capture.captured": 40, "capture.released": 0, "capture.remaining": 20}
    assert await lab.refused(_capture(21)) == ("insufficient_funds", "amount_minor")
    found = await lab.take(_capture(5, final=True, name="last"))
    assert found == {"last.captured": 5, "last.released": 15, "last.remaining": 0}
    assert lab.amounts("a") == (55, 0)
    assert lab.amounts("c") == (45, 0)


async def test_a_hold_that_cannot_be_captured_is_released(lab: _Lab) -> None:
    """Whatever it is for, a hold placed as not capturable only goes back."""
    await lab.take(_place(capturable=False))
    assert (await lab.refused(_capture()))[0] == "invalid_state"
    found = await lab.take(ReleaseStep("h", "voided", "shop"))
    assert found == {"release.captured": 0, "release.released": 60}


async def test_a_purpose_says_who_may_resolve(lab: _Lab) -> None:
    """A step must name the hold's purpose, or be for any."""
    await lab.take(_place(purpose=FREEZE))
    assert (await lab.refused(_capture()))[0] == "invalid_state"
    assert (await lab.refused(ReleaseStep("h", "voided", "shop")))[0] == "invalid_state"
    await lab.take(_capture(10, purpose=FREEZE))
    assert (await lab.take(ReleaseStep("h", "expired", "shop", "")))["release.captured"] == 10


@pytest.mark.parametrize(("resolves", "amount", "accepted"), [
    (True, 60, True), (True, None, True), (True, 59, False),
    (False, 59, True), (False, 60, False), (False, None, False), (None, 60, True),
])  # fmt: skip
async def test_a_capture_may_insist_on_the_outcome(
    lab: _Lab, resolves: bool | None, amount: int | None, accepted: bool
) -> None:
    """``resolves`` lets it pass only if the hold ends with it, or only if it does not."""
    await lab.take(_place())
    step = _capture(amount, resolves=resolves)
    if accepted:
        await lab.take(step)
    else:
        assert (await lab.refused(step))[0] == "invalid_state"


@pytest.mark.parametrize("resolves", [True, False])
async def test_what_is_wrong_with_a_capture_comes_before_its_outcome(
    lab: _Lab, resolves: bool
) -> None:
    """Whichever outcome it insists on, the caller hears what it can mend."""
    await lab.take(_place())
    refused = await lab.refused(_capture(60, "nobody", resolves=resolves))
    assert refused == ("not_found", "payee")
    await lab.take(StatusStep("a", "frozen", "shop"))
    with pytest.raises(Rejected, match="is frozen"):
        await lab.take(_capture(60, resolves=resolves))


async def test_a_frozen_account_keeps_its_holds(lab: _Lab) -> None:
    """Captures wait for the end of the freeze, releases do not, and credits come in."""
    await lab.take(_place(), _place("other", 10), StatusStep("a", "frozen", "shop"))
    assert (await lab.refused(_capture()))[0] == "invalid_state"
    assert (await lab.refused(_place("late", 1)))[0] == "invalid_state"
    assert (await lab.refused(TransferStep("a", "c", 1, "CNY")))[0] == "invalid_state"
    await lab.take(ReleaseStep("other", "voided", "shop"))
    assert await lab.take(TransferStep("b", "a", 30, "CNY")) == {"transfer.amount": 30}
    await lab.take(StatusStep("a", "open", "shop"), _capture())
    assert lab.amounts("a") == (70, 0)


@pytest.mark.parametrize(
    "steps",
    [
        (StatusStep("a", "closed", "shop"),),
        # Nothing posted, and yet something held: its floor is below zero.
        (TransferStep("b", "c", 100, "CNY"), _place("h", 10, "b"), StatusStep("b", "closed")),
        (StatusStep("c", "frozen"), StatusStep("c", "closed")),
        (StatusStep("c", "closed"), StatusStep("c", "open")),
        (StatusStep("c", "closed"), StatusStep("c", "closed")),
        (StatusStep("c", "closed"), TransferStep("a", "c", 1, "CNY")),
        (StatusStep("c", "open"),),
    ],
)
async def test_statuses_that_do_not_follow(lab: _Lab, steps: tuple[Step, ...]) -> None:
    """Only what is open, empty and not held against is closed, and closed is the end."""
    assert (await lab.refused(*steps))[0] == "invalid_state"
    assert lab.store.tables["account_status"] == {}


async def test_nothing_is_posted_to_a_closed_account(lab: _Lab) -> None:
    """An ordinary payment is refused, and so is a capture."""
    await lab.take(_place(), StatusStep("c", "closed", "shop"))
    with pytest.raises(Rejected, match="closed"):
        await lab.decide(Moves(postings=(Posting("a", "c", 1, "CNY", "shop"),)))
    assert (await lab.refused(_capture()))[0] == "invalid_state"


@pytest.mark.parametrize(
    ("step", "moved"),
    [
        (TransferStep("a", "c", 70, "CNY"), 70),
        (TransferStep("a", "c", 170, "CNY"), 100),
        (TransferStep("a", "c", 170, "CNY", keep_minor=30), 70),
        # The floor holds whatever the step would leave.
        (TransferStep("a", "c", 170, "CNY", keep_minor=-50), 100),
        (TransferStep("b", "c", 170, "CNY"), 120),
        (TransferStep("b", "c", 170, "CNY", keep_minor=0), 100),
        (TransferStep("c", "a", 170, "CNY"), 0),
        (TransferStep(_CASH, "a", 170, "CNY"), 170),
        (TransferStep("a", "c", 170, "CNY", at_least_minor=100), 100),
    ],
)
async def test_a_transfer_moves_what_there_is(lab: _Lab, step: TransferStep, moved: int) -> None:
    """At most what is asked, at most what is available; and nothing makes no entry."""
    before = len(lab.store.tables["entry"])
    assert await lab.take(step) == {"transfer.amount": moved}
    rows = list(lab.store.tables["transfer"].values())
    assert [row["amount_minor"] for row in rows] == [moved] * bool(moved)
    assert len(lab.store.tables["entry"]) == before + 2 * bool(moved)


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ((TransferStep("a", "c", 9, "CNY", 101),), ("insufficient_funds", "payer")),
        ((TransferStep("a", "c", 0, "CNY"),), ("invalid_field", "amount_minor")),
        ((TransferStep("a", "a", 1, "CNY"),), ("self_payment", "payee")),
        ((TransferStep("a", "c", 1, "POINTS"),), ("invalid_state", None)),
        ((TransferStep("a", _CASH, 1, "CNY", owner="shop"),), ("not_found", "payee")),
        ((TransferStep("a", "c", 1, "CNY", owner="gym"),), ("not_found", "payer")),
        ((TransferStep("a", "c", 1, "CNY", credit_owner="gym"),), ("not_found", "payee")),
        ((_place(amount=0),), ("invalid_field", "amount_minor")),
        ((_place(amount=101),), ("insufficient_funds", "account_id")),
        ((_place(), _place()), ("invalid_state", None)),
        ((_place(), _place("k", 41)), ("insufficient_funds", "account_id")),
        ((_place(payee="a"),), ("self_payment", "payee")),
        ((_place(payee="no"),), ("not_found", "payee")),
        ((_place(payee=_CASH),), ("not_found", "payee")),
        ((_place(owner="gym"),), ("not_found", "account_id")),
        ((_place(payee="b"), _capture(payee="c")), ("invalid_field", "payee")),
        ((_place(), _capture(payee="")), ("invalid_field", "payee")),
        ((_place(), _capture(payee="a")), ("self_payment", "payee")),
        ((_place(), _capture(payee=_CASH)), ("not_found", "payee")),
        ((_place(), _capture(0)), ("invalid_field", "amount_minor")),
        ((_place(), _capture(owner="gym")), ("not_found", "hold_id")),
        ((_place(), _capture(), _capture()), ("invalid_state", None)),
        ((ReleaseStep("h", "voided", "shop"),), ("not_found", "hold_id")),
        ((StatusStep("no", "frozen"),), ("not_found", "account_id")),
        ((StatusStep("a", "frozen", "gym"),), ("not_found", "account_id")),
        # Whatever came before it in the same change is taken back.
        ((StatusStep("c", "frozen"), _place(), _capture(10), StatusStep("no", "open")),
         ("not_found", "account_id")),
    ],
)  # fmt: skip
async def test_what_may_not_be_is_refused(
    lab: _Lab, steps: tuple[Step, ...], error: tuple[str, str | None]
) -> None:
    """Each rule has its code and names the field; nothing of the change stays."""
    assert await lab.refused(*steps) == error
    assert (lab.amounts("a"), lab.amounts("c")) == ((100, 0), (0, 0))
    assert lab.store.tables["hold"] == {}


async def test_a_resolved_hold_is_told_from_one_that_never_was(lab: _Lab) -> None:
    """A book that starts anew reads what became of a hold from the store."""
    await lab.take(_place(), ReleaseStep("h", "expired", "shop", ""))
    lab.book.forget()
    with pytest.raises(Rejected, match="expired"):
        await lab.take(_capture())


async def test_a_hold_is_resolved_by_a_book_that_knows_nothing(lab: _Lab) -> None:
    """The hold comes from the store together with its account and its payee."""
    await lab.take(_place(payee="c"))
    lab.book.forget()
    await lab.take(_capture(10, payee=""))
    assert lab.amounts("a") == (90, 50)
    # The accounts are dropped before the hold is.
    with mock.patch.object(book, "ACCOUNTS_MAX", 4):
        for number in range(8):
            await lab.decide(Moves(open=(NewAccount(f"n{number}", "shop", "CNY", 0, None),)))
    assert "a" not in lab.book._accounts
    assert "h" in lab.book._holds
    await lab.take(_capture(20, payee=""))
    assert lab.amounts("c") == (30, 0)
    assert lab.book.statistics().holds == 1
