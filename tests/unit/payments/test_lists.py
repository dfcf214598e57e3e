"""Payments found again: one by one, and page by page, each exactly once."""

from typing import Any

import pytest

from actors.payments import PAYMENT_TABLE
from actors.payments.lists import list_payments
from kernel.book import TableRows
from kernel.store import Commit
from schemas.payments import ListPayments
from tests.changes import AT
from tests.memory_store import MemoryStore
from tests.unit.payments.payments_lab import BankLab, play


async def _pages(lab: BankLab, limit: int, **conditions: Any) -> list[Any]:
    """Return all payments that fulfil the conditions, read page by page."""
    found: list[Any] = []
    after = ""
    for _ in range(1_000):
        page = await lab.ask("payment.list", limit=limit, after=after, **conditions)
        found += page["payments"]
        if page["next_after"] is None:
            return found
        after = page["next_after"]
    raise AssertionError("the pages do not end")


async def _some(lab: BankLab) -> tuple[str, str, str, list[Any]]:
    """Make payments of every kind between three accounts, some of them followed up."""
    one, other, payee = await lab.account(50_000), await lab.account(50_000), await lab.account()
    made = []
    for number in range(12):
        method = ("quick", "quick", "guaranteed", "authorized", "qr_static", "quick")[number % 6]
        paid = await lab.pay((one, other)[number % 2], payee, 100 + number, method=method)
        made.append(paid["payment_id"])
    both = [{"type": "account", "account_id": one, "amount_minor": 5},
            {"type": "account", "account_id": other}]  # fmt: skip
    paid = await lab.ask("payment.create", payee=payee, amount_minor=50, funding=both)
    made.append(paid["payment_id"])
    await lab.ask("payment.refund", payment_id=made[0])
    await lab.ask("payment.refund", payment_id=made[1], amount_minor=1)
    await lab.ask("payment.confirm", payment_id=made[2])
    # Entries of the accounts that are no payments, and payments of others.
    for _ in range(3):
        await lab.ask("account.deposit", account_id=one, source="external:cash", amount_minor=5)
    stranger = await lab.account(100, by=lab.gym)
    await lab.ask("payment.create", by=lab.gym, payer=stranger, payee=payee, amount_minor=7)
    return one, other, payee, [await lab.get(one) for one in made]


def _brief(payments: list[Any]) -> list[tuple[str, str]]:
    return [(one["payment_id"], one["status"]) for one in payments]


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_lists_have_each_payment_once(limit: int) -> None:
    """By payer, payee, status and time, in whatever pages: all that fulfil it, in order."""

    async def story(lab: BankLab) -> None:
        one, other, payee, made = await _some(lab)
        assert _brief(await _pages(lab, limit)) == _brief(made)
        for name, account in (("payer", one), ("payer", other), ("payee", payee)):
            wanted = [paid for paid in made if paid[name] == account]
            assert _brief(await _pages(lab, limit, **{name: account})) == _brief(wanted)
            for status in ("succeeded", "refunded", "authorized", "guaranteed", "voided"):
                some = [paid for paid in wanted if paid["status"] == status]
                found = await _pages(lab, limit, status=status, **{name: account})
                assert _brief(found) == _brief(some)
        for status in ("succeeded", "partially_refunded", "authorized"):
            some = [paid for paid in made if paid["status"] == status]
            assert _brief(await _pages(lab, limit, status=status)) == _brief(some)

    play(story)


@pytest.mark.parametrize("conditions", [{}, {"payee": True}, {"status": "authorized"}])
def test_lists_are_bounded_by_time(conditions: dict[str, Any]) -> None:
    """What was made since one time and before another, whichever way it is found."""

    async def story(lab: BankLab) -> None:
        _, _, payee, made = await _some(lab)
        wanted = dict(conditions)
        if "payee" in wanted:
            wanted["payee"] = payee
        since, until = made[3]["created_at"], made[9]["created_at"]
        found = await _pages(lab, 2, since=since, until=until, **wanted)
        status = wanted.get("status")
        some = [paid for paid in made[3:9] if status in (None, paid["status"])]
        assert _brief(found) == _brief(some)

    play(story)


def test_an_app_sees_its_own_and_the_back_office_all() -> None:
    """The payments of another app are not in the list, not even those to one's own account."""

    async def story(lab: BankLab) -> None:
        _, _, payee, made = await _some(lab)
        assert len(await _pages(lab, 50, by=lab.gym)) == 1
        assert len(await _pages(lab, 50, by=lab.ops)) == len(made) + 1
        assert len(await _pages(lab, 50, by=lab.ops, payee=payee)) == len(made) + 1
        assert await lab.refusal("payment.list", payer=payee, payee=payee) == "invalid_field"
        assert await lab.refusal("payment.list", payee=payee, after="pay-1") == "invalid_field"

    play(story)


def test_a_payment_is_found_with_its_history() -> None:
    """By its id or its request's: all its parts, and every step from the first on."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        plain = await lab.pay(payer, payee, 100, request_id="p1")
        await lab.ask("payment.refund", payment_id=plain["payment_id"], amount_minor=30)
        await lab.ask("payment.dispute", payment_id=plain["payment_id"], reason="bad")
        found = await lab.ask("payment.get", request_id="p1")
        steps = [(one["event"], one["status"], one["amount_minor"]) for one in found["history"]]
        assert steps == [
            ("succeeded", "succeeded", 100),
            ("refunded", "partially_refunded", 30),
            ("disputed", "disputed", 70),
        ]
        assert found == await lab.get(plain["payment_id"])
        made = await lab.pay(payer, payee, 100, method="guaranteed", description="a bicycle")
        found = await lab.get(made["payment_id"])
        assert found["description"] == "a bicycle"
        assert [one["event"] for one in found["history"]] == ["guaranteed"]

    play(story)


_CHANGE = ("app", "request_id", "seq", "operation", "digest", "outcome", "answer", "at")
_ENTRY = ("account_id", "number", "change_seq", "amount_minor", "balance_after_minor")


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_payments_of_one_change_are_on_one_page(limit: int) -> None:
    """A scenario made three payments to one account in one change: none is lost between pages."""
    store = MemoryStore({0: 1})
    made = [("pay_1", 1), ("pay_2", 2), ("pay_3", 2), ("pay_4", 2), ("pay_5", 3)]
    changes = [("shop", f"r{seq}", seq, "parking.exit", b"", "committed", "{}", AT)
               for seq in (1, 2, 3)]  # fmt: skip
    payments = [(seq, name, "shop", "r", "seamless", "succeeded", "car", "lot", 5, "CNY", "", AT)
                for name, seq in made]  # fmt: skip
    entries = [("lot", number, seq, 5, 5 * number)
               for number, (_, seq) in enumerate(made, 1)]  # fmt: skip
    tables = [
        TableRows("change", _CHANGE, (), changes),
        TableRows("payment", ("change_seq", *PAYMENT_TABLE.columns), (), payments),
        TableRows("entry", _ENTRY, (), entries),
    ]
    await store.commit(Commit({}, tables))
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        request = ListPayments(payee="lot", after=after, limit=limit)
        page = await list_payments(store, "shop", request)
        found += [one.payment_id for one in page.payments]
        after = page.next_after
    assert found == [name for name, _ in made]
