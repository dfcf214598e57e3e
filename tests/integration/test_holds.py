"""Holds, freezes and closing through the public door of a running node."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from schemas.errors import (
    Conflict,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    NotFound,
    Rejected,
    SelfPayment,
    UnsupportedCurrency,
)
from schemas.holds import HOLD_S_MAX
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

_FUNDS = 1_000
_CASH = "external:cash"

_names = itertools.count(1)


class _Lab:
    """A node and two apps; each test opens accounts of its own."""

    def __init__(self, dsn: str, shop: Client, gym: Client) -> None:
        self.dsn = dsn
        self.shop = shop
        self.gym = gym

    async def account(self, funds: int = _FUNDS, *, client: Client | None = None) -> str:
        """Return a new account with money in it."""
        client = client or self.shop
        opened = await client.accounts.open(holder=f"holder {next(_names)}")
        if funds:
            await client.accounts.deposit(opened.account_id, funds, source=_CASH)
        return opened.account_id

    async def amounts(self, account_id: str, client: Client | None = None) -> tuple[int, int, int]:
        """Return what is posted, held and available, as the account says."""
        found = await (client or self.shop).accounts.get(account_id)
        assert found.available_minor == found.posted_minor - found.held_minor
        return found.posted_minor, found.held_minor, found.available_minor

    async def fetch(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def events(self, subject: str) -> list[str]:
        """Return the types of the events about something, in order."""
        rows = await self.fetch(
            "SELECT type FROM zhihui.event WHERE subject = $1 ORDER BY seq", subject
        )
        return [row[0] for row in rows]

    async def check(self) -> None:
        """The books are whole."""
        report = await run_audit(self.dsn)
        assert report.ok, [one.offences for one in report.checks if not one.ok]


@pytest.fixture(scope="module")
async def running(
    module_nats_server: EmbeddedNats, module_postgres_dsn: str
) -> AsyncIterator[_Lab]:
    """One node for all tests."""
    nats, dsn = module_nats_server, module_postgres_dsn
    config = NodeConfig(name="n1", nats_url=nats.url, postgres_dsn=dsn)
    async with (
        running_node(config),
        Client(app="shop", url=nats.url) as shop,
        Client(app="gym", url=nats.url) as gym,
    ):
        yield _Lab(dsn, shop, gym)


@pytest.fixture
async def lab(running: _Lab) -> AsyncIterator[_Lab]:
    """Every test ends with an audit."""
    yield running
    await running.check()


async def _refused(attempt: Awaitable[Any], kind: type[Rejected]) -> str | None:
    with pytest.raises(kind) as refused:
        await attempt
    return refused.value.field


async def test_a_hold_keeps_money_that_is_still_there(lab: _Lab) -> None:
    """What is held stays posted and cannot be spent; the hold reads back as it was answered."""
    payer, payee = await lab.account(), await lab.account(0)
    hold = await lab.shop.holds.place(payer, 600, payee=payee, reference="押金", expires_in_s=600)
    assert (hold.status, hold.purpose, hold.amount_minor, hold.remaining_minor) == (
        "open", "hold", 600, 600,
    )  # fmt: skip
    assert await lab.shop.holds.get(hold.hold_id) == hold
    assert await lab.amounts(payer) == (1_000, 600, 400)
    over = lab.shop.payments.create(payer=payer, payee=payee, amount_minor=401)
    assert await _refused(over, InsufficientFunds) == "payer"
    assert await _refused(lab.shop.holds.place(payer, 401), InsufficientFunds) == "account_id"
    await lab.shop.payments.create(payer=payer, payee=payee, amount_minor=400)
    assert await lab.amounts(payer) == (600, 600, 0)
    await lab.shop.holds.void(hold.hold_id)


async def test_a_hold_is_captured_in_parts_and_resolved_once(lab: _Lab) -> None:
    """Parts add up, the last one resolves the hold, and after that nothing moves any more."""
    payer, payee = await lab.account(), await lab.account(0)
    hold_id = (await lab.shop.holds.place(payer, 500, payee=payee)).hold_id
    first = await lab.shop.holds.capture(hold_id, 200)
    assert (first.status, first.payee, first.captured_minor, first.remaining_minor) == (
        "open", payee, 200, 300,
    )  # fmt: skip
    assert await lab.amounts(payer) == (800, 300, 500)
    over = lab.shop.holds.capture(hold_id, 301)
    assert await _refused(over, InsufficientFunds) == "amount_minor"
    last = await lab.shop.holds.capture(hold_id, 300)
    assert (last.status, last.captured_minor, last.remaining_minor) == ("captured", 300, 0)
    again: tuple[Awaitable[Any], ...] = (
        lab.shop.holds.capture(hold_id), lab.shop.holds.capture(hold_id, 1),
        lab.shop.holds.void(hold_id),
    )  # fmt: skip
    for attempt in again:
        with pytest.raises(InvalidState, match="captured"):
            await attempt
    hold = await lab.shop.holds.get(hold_id)
    assert (hold.status, hold.captured_minor, hold.released_minor) == ("captured", 500, 0)
    assert await lab.amounts(payer) == (500, 0, 500)
    assert await lab.amounts(payee) == (500, 0, 500)
    assert await lab.events(hold_id) == ["hold.placed", "hold.captured", "hold.captured"]
    entry = (await lab.shop.accounts.statement(payer)).entries[-1]
    assert (entry.amount_minor, entry.operation) == (-300, "hold.capture")


async def test_a_final_capture_gives_back_the_rest(lab: _Lab) -> None:
    """A final part and a capture of everything resolve the hold; a void after parts keeps them."""
    payer, payee = await lab.account(), await lab.account(0)
    final = await lab.shop.holds.place(payer, 300)
    told = await lab.shop.holds.capture(final.hold_id, 100, payee=payee, final=True)
    assert (told.status, told.captured_minor, told.released_minor, told.remaining_minor) == (
        "captured", 100, 200, 0,
    )  # fmt: skip
    whole = await lab.shop.holds.place(payer, 50, payee=payee)
    assert (await lab.shop.holds.capture(whole.hold_id)).captured_minor == 50
    parted = await lab.shop.holds.place(payer, 40, payee=payee)
    await lab.shop.holds.capture(parted.hold_id, 10)
    void = await lab.shop.holds.void(parted.hold_id)
    assert (void.status, void.captured_minor, void.released_minor, void.remaining_minor) == (
        "voided", 10, 30, 0,
    )  # fmt: skip
    assert await lab.shop.holds.get(parted.hold_id) == void
    assert await lab.amounts(payer) == (1_000 - 160, 0, 840)
    assert (await lab.amounts(payee))[0] == 160


async def test_the_payee_is_the_one_of_the_hold(lab: _Lab) -> None:
    """A capture goes where the hold says, or where it says itself; never nowhere or elsewhere."""
    payer, payee, other = await lab.account(), await lab.account(0), await lab.account(0)
    bound = (await lab.shop.holds.place(payer, 10, payee=payee)).hold_id
    free = (await lab.shop.holds.place(payer, 10)).hold_id
    assert await _refused(lab.shop.holds.capture(bound, payee=other), InvalidField) == "payee"
    assert await _refused(lab.shop.holds.capture(free), InvalidField) == "payee"
    assert await _refused(lab.shop.holds.capture(free, payee=payer), SelfPayment) == "payee"
    assert await _refused(lab.shop.holds.capture(free, payee=_CASH), NotFound) == "payee"
    assert await _refused(lab.shop.holds.place(payer, 10, payee=payer), SelfPayment) == "payee"
    assert await _refused(lab.shop.holds.place(payer, 10, payee="acct_no"), NotFound) == "payee"
    await lab.shop.holds.capture(bound, payee=payee)
    await lab.shop.holds.capture(free, payee=other)


async def test_a_hold_expires_by_its_timer(lab: _Lab) -> None:
    """What was not captured in time is given back without anybody asking, and told as an event."""
    payer, payee = await lab.account(), await lab.account(0)
    hold = await lab.shop.holds.place(payer, 300, payee=payee, expires_in_s=1)
    await lab.shop.holds.capture(hold.hold_id, 100)

    async def is_expired() -> bool:
        return (await lab.shop.holds.get(hold.hold_id)).status == "expired"

    await eventually(is_expired, "the hold expires", within_s=30.0)
    ended = await lab.shop.holds.get(hold.hold_id)
    assert (ended.captured_minor, ended.released_minor) == (100, 200)
    assert await lab.amounts(payer) == (900, 0, 900)
    with pytest.raises(InvalidState, match="expired"):
        await lab.shop.holds.capture(hold.hold_id)
    assert (await lab.events(hold.hold_id))[-1] == "hold.expired"


async def _timers(lab: _Lab, hold_id: str) -> int:
    return len(await lab.fetch("SELECT 1 FROM zhihui.timer WHERE key = $1", hold_id))


@pytest.mark.parametrize("how", ["void", "capture", "part", "final"])
async def test_what_resolves_a_hold_cancels_its_timer(lab: _Lab, how: str) -> None:
    """The timer goes with the commit that resolves the hold, and a part leaves it."""
    payer, payee = await lab.account(), await lab.account(0)
    placed = await lab.shop.holds.place(payer, 30, payee=payee, expires_in_s=HOLD_S_MAX)
    hold_id = placed.hold_id
    assert placed.expires_at is not None
    assert (placed.expires_at - placed.created_at).total_seconds() == HOLD_S_MAX
    await lab.shop.holds.capture(hold_id, 10)
    assert await _timers(lab, hold_id) == 1
    if how == "void":
        await lab.shop.holds.void(hold_id)
    elif how == "part":
        await lab.shop.holds.capture(hold_id, 20)
    else:
        await lab.shop.holds.capture(hold_id, 5 if how == "final" else None, final=how == "final")
    assert await _timers(lab, hold_id) == 0


async def test_a_request_about_a_hold_has_one_effect(lab: _Lab) -> None:
    """Sent again it is answered with the first answer; with another body it is a conflict."""
    payer, payee = await lab.account(), await lab.account(0)
    places = [await lab.shop.holds.place(payer, 100, request_id=f"p-{payer}") for _ in range(2)]
    assert places[0] == places[1]
    hold_id = places[0].hold_id
    captures = [
        await lab.shop.holds.capture(hold_id, 30, payee=payee, request_id=f"c-{payer}")
        for _ in range(2)
    ]
    assert captures[0] == captures[1]
    assert await lab.amounts(payer) == (970, 70, 900)
    with pytest.raises(Conflict):
        await lab.shop.holds.capture(hold_id, 31, payee=payee, request_id=f"c-{payer}")
    with pytest.raises(Conflict):
        await lab.shop.holds.void("hold_nowhere", request_id=f"c-{payer}")
    # What was refused stays refused, though it would be accepted now.
    for _ in range(2):
        refused = lab.shop.holds.place(payer, 901, request_id=f"r-{payer}")
        assert await _refused(refused, InsufficientFunds) == "account_id"
        if not (await lab.shop.holds.get(hold_id)).released_minor:
            await lab.shop.holds.void(hold_id)


_STRANGE: dict[str, tuple[Callable[[_Lab, str, str], Awaitable[Any]], str]] = {
    "place": (lambda lab, account, _: lab.shop.holds.place(account, 1), "account_id"),
    "capture": (lambda lab, _, hold: lab.shop.holds.capture(hold), "hold_id"),
    "void": (lambda lab, _, hold: lab.shop.holds.void(hold), "hold_id"),
    "get": (lambda lab, _, hold: lab.shop.holds.get(hold), "hold_id"),
    "freeze": (lambda lab, account, _: lab.shop.accounts.freeze(account, reason="x"), "account_id"),
    "freeze an amount": (
        lambda lab, account, _: lab.shop.accounts.freeze(account, reason="x", amount_minor=1),
        "account_id",
    ),
    "unfreeze": (lambda lab, account, _: lab.shop.accounts.unfreeze(account), "account_id"),
    "unfreeze an amount": (
        lambda lab, _, hold: lab.shop.accounts.unfreeze(hold_id=hold), "hold_id",
    ),
    "close": (lambda lab, account, _: lab.shop.accounts.close(account), "account_id"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(_STRANGE))
async def test_another_apps_holds_do_not_exist(lab: _Lab, name: str) -> None:
    """What belongs to another app is refused in the very words in which nothing is."""
    theirs = await lab.account(client=lab.gym)
    hold_id = (await lab.gym.holds.place(theirs, 10)).hold_id
    attempt, field = _STRANGE[name]
    said = []
    for account, hold in ((theirs, hold_id), ("acct_nobody", "hold_nobody")):
        with pytest.raises(NotFound) as refused:
            await attempt(lab, account, hold)
        assert refused.value.field == field
        said.append(refused.value.message.replace(account, "*").replace(hold, "*"))
    assert said[0] == said[1]
    assert await lab.amounts(theirs, lab.gym) == (1_000, 10, 990)
    for bank in (_CASH,):
        with pytest.raises(NotFound):
            await attempt(lab, bank, hold_id)


async def test_a_frozen_account_takes_and_does_not_give(lab: _Lab) -> None:
    """Credits are booked; payments, new holds and captures are refused until it is unfrozen."""
    account, other = await lab.account(), await lab.account()
    hold_id = (await lab.shop.holds.place(account, 100, payee=other)).hold_id
    voided = (await lab.shop.holds.place(account, 5)).hold_id
    frozen = await lab.shop.accounts.freeze(account, reason="court order 7")
    assert (frozen.status, frozen.hold_id, frozen.amount_minor) == ("frozen", None, None)
    assert (await lab.shop.accounts.get(account)).status == "frozen"
    refused: tuple[Awaitable[Any], ...] = (
        lab.shop.payments.create(payer=account, payee=other, amount_minor=1),
        lab.shop.holds.place(account, 1),
        lab.shop.holds.capture(hold_id, 1),
        lab.shop.accounts.freeze(account, reason="again"),
        lab.shop.accounts.freeze(account, reason="a part", amount_minor=1),
        lab.shop.accounts.close(account, transfer_to=other),
    )
    for attempt in refused:
        with pytest.raises(InvalidState, match="frozen"):
            await attempt
    await lab.shop.accounts.deposit(account, 10, source=_CASH)
    await lab.shop.payments.create(payer=other, payee=account, amount_minor=20)
    # Giving back what is held takes nothing out of the account.
    await lab.shop.holds.void(voided)
    assert await lab.amounts(account) == (1_030, 100, 930)
    await lab.shop.accounts.unfreeze(account)
    await lab.shop.holds.capture(hold_id)
    with pytest.raises(InvalidState, match="open"):
        await lab.shop.accounts.unfreeze(account)
    assert [one for one in await lab.events(account) if "frozen" in one] == [
        "account.frozen", "account.unfrozen",
    ]  # fmt: skip


async def test_a_frozen_amount_is_only_unfrozen(lab: _Lab) -> None:
    """It cannot be spent, captured or voided; the rest of the account works on."""
    account, other = await lab.account(), await lab.account(0)
    frozen = await lab.shop.accounts.freeze(account, reason="dispute", amount_minor=700)
    assert frozen.status == "open"
    assert frozen.hold_id is not None
    hold_id = frozen.hold_id
    assert await lab.amounts(account) == (1_000, 700, 300)
    over = lab.shop.accounts.freeze(account, reason="more", amount_minor=301)
    assert await _refused(over, InsufficientFunds) == "account_id"
    await lab.shop.payments.create(payer=account, payee=other, amount_minor=300)
    for attempt in (lab.shop.holds.capture(hold_id, payee=other), lab.shop.holds.void(hold_id)):
        with pytest.raises(InvalidState, match="freeze"):
            await attempt
    assert (await lab.shop.holds.get(hold_id)).purpose == "freeze"
    unfrozen = await lab.shop.accounts.unfreeze(hold_id=hold_id)
    assert (unfrozen.account_id, unfrozen.amount_minor) == (account, 700)
    with pytest.raises(InvalidState, match="voided"):
        await lab.shop.accounts.unfreeze(hold_id=hold_id)
    assert await lab.amounts(account) == (700, 0, 700)
    ordinary = (await lab.shop.holds.place(account, 1)).hold_id
    with pytest.raises(InvalidState):
        await lab.shop.accounts.unfreeze(hold_id=ordinary)
    both = lab.shop.accounts.unfreeze(account, hold_id=hold_id)
    assert await _refused(both, InvalidField) == "account_id"
    assert await _refused(lab.shop.accounts.unfreeze(), InvalidField) == "account_id"


async def test_only_an_empty_account_is_closed(lab: _Lab) -> None:
    """Money and holds prevent it; with a target the balance goes there in the same commit."""
    account, target = await lab.account(), await lab.account(0)
    hold_id = (await lab.shop.holds.place(account, 100)).hold_id
    for to in (None, target):
        with pytest.raises(InvalidState, match="held"):
            await lab.shop.accounts.close(account, transfer_to=to)
    assert await lab.amounts(account) == (1_000, 100, 900)
    assert await lab.amounts(target) == (0, 0, 0)
    await lab.shop.holds.void(hold_id)
    closed = await lab.shop.accounts.close(account, transfer_to=target)
    assert (closed.status, closed.transferred_minor) == ("closed", 1_000)
    assert await lab.amounts(target) == (1_000, 0, 1_000)
    found = await lab.shop.accounts.get(account)
    assert (found.status, found.posted_minor) == ("closed", 0)
    entry = (await lab.shop.accounts.statement(target)).entries[-1]
    assert (entry.amount_minor, entry.operation) == (1_000, "account.close")
    # Final: nothing comes in, nothing goes out, and nothing opens it again.
    refused: tuple[Awaitable[Any], ...] = (
        lab.shop.accounts.deposit(account, 1, source=_CASH),
        lab.shop.payments.create(payer=target, payee=account, amount_minor=1),
        lab.shop.holds.place(account, 1),
        lab.shop.accounts.freeze(account, reason="late"),
        lab.shop.accounts.unfreeze(account),
        lab.shop.accounts.close(account),
    )
    for attempt in refused:
        with pytest.raises(InvalidState, match="closed"):
            await attempt


async def test_an_empty_account_closes_with_and_without_a_target(lab: _Lab) -> None:
    """Nothing to move is no move: no entry is made, and the answer says zero."""
    target = await lab.account(0)
    for to in (None, target):
        account = await lab.account(0)
        closed = await lab.shop.accounts.close(account, transfer_to=to)
        assert closed.transferred_minor == 0
        assert (await lab.shop.accounts.statement(account)).entries == []
    assert (await lab.shop.accounts.statement(target)).entries == []
    account = await lab.account(0)
    same = lab.shop.accounts.close(account, transfer_to=account)
    assert await _refused(same, SelfPayment) == "transfer_to"
    nobody = lab.shop.accounts.close(account, transfer_to="acct_nobody")
    assert await _refused(nobody, NotFound) == "transfer_to"


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("place", {"account_id": "a", "amount_minor": 0}, "amount_minor"),
        ("place", {"account_id": "a", "amount_minor": 1, "expires_in_s": 0}, "expires_in_s"),
        (
            "place", {"account_id": "a", "amount_minor": 1, "expires_in_s": HOLD_S_MAX + 1},
            "expires_in_s",
        ),
        ("place", {"account_id": "a", "amount_minor": 1, "more": 1}, "more"),
        ("capture", {"hold_id": "h", "amount_minor": -1}, "amount_minor"),
        ("capture", {"hold_id": "h", "final": "yes"}, "final"),
        ("void", {"hold_id": ""}, "hold_id"),
    ],
)  # fmt: skip
async def test_a_field_out_of_range_is_named(
    lab: _Lab, verb: str, body: dict[str, Any], field: str
) -> None:
    """What no hold can be is refused at the door."""
    attempt = lab.shop.call("hold", verb, {"request_id": lab.shop.new_request_id(), **body})
    assert await _refused(attempt, InvalidField) == field


async def test_other_currencies_are_not_held(lab: _Lab) -> None:
    """A hold in a currency that is not kept is refused."""
    body = {
        "request_id": lab.shop.new_request_id(), "account_id": "a", "amount_minor": 1,
        "currency": "USD",
    }  # fmt: skip
    assert await _refused(lab.shop.call("hold", "place", body), UnsupportedCurrency) == "currency"
