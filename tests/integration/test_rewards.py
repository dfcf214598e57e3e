"""Points and coupons through the public door of a running node."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from actors.regulation.calendar import day_of
from kernel.clock import SystemClock
from schemas.errors import InvalidField, InvalidState, NotFound
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

# However busy the machine is that runs the tests.
_PATIENCE_S = 50.0

_names = itertools.count(1)


class _Lab:
    """A node, two apps and the back office."""

    def __init__(self, dsn: str, shop: Client, gym: Client, staff: Client) -> None:
        self.dsn = dsn
        self.shop = shop
        self.gym = gym
        self.staff = staff

    async def account(self, funds: int = 0) -> str:
        """Return a new account with money in it."""
        opened = await self.shop.accounts.open(holder=f"holder {next(_names)}")
        if funds:
            await self.shop.accounts.deposit(opened.account_id, funds, source="external:cash")
        return opened.account_id


@pytest.fixture(scope="module")
async def running(
    module_nats_server: EmbeddedNats, module_postgres_dsn: str
) -> AsyncIterator[_Lab]:
    """One node for all tests."""
    nats, dsn = module_nats_server, module_postgres_dsn
    async with (
        running_node(NodeConfig(name="n1", nats_url=nats.url, postgres_dsn=dsn)),
        Client(app="shop", url=nats.url, timeout_s=_PATIENCE_S) as shop,
        Client(app="gym", url=nats.url, timeout_s=_PATIENCE_S) as gym,
        Client(app="ops", url=nats.url, timeout_s=_PATIENCE_S) as staff,
    ):
        yield _Lab(dsn, shop, gym, staff)


@pytest.fixture
async def lab(running: _Lab) -> AsyncIterator[_Lab]:
    """Every test ends with an audit."""
    yield running
    report = await run_audit(running.dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]


async def test_points_are_granted_and_read(lab: _Lab) -> None:
    """A sponsor of the app pays for them, or the bank when the back office grants them."""
    sponsor, account = await lab.account(1_000), await lab.account()
    last_day = (day_of(SystemClock().now()) + timedelta(days=30)).isoformat()
    body: dict[str, Any] = {"account_id": account, "points": 300, "reason": "Welcome"}
    granted = await lab.shop.call(
        "points", "grant",
        {"request_id": "g1", **body, "sponsor_account": sponsor, "ends_on": last_day},
    )  # fmt: skip
    await lab.staff.call("points", "grant", {"request_id": "g2", **body})
    assert (await lab.shop.accounts.get(sponsor)).posted_minor == 700
    found = await lab.shop.call("points", "get", {"points_account": granted["points_account"]})
    assert (found["points"], found["worth_minor"]) == (600, 600)
    assert [one["ends_on"] for one in found["batches"]] == [last_day, None]
    account_read = await lab.shop.accounts.get(granted["points_account"])
    assert (account_read.currency, account_read.posted_minor) == ("POINTS", 600)
    with pytest.raises(InvalidField):
        await lab.shop.call("points", "grant", {"request_id": "g3", **body})
    with pytest.raises(NotFound):
        await lab.gym.call("points", "get", {"points_account": granted["points_account"]})


async def test_coupons_are_issued_and_revoked(lab: _Lab) -> None:
    """A coupon belongs to its app, and is revoked once."""
    sponsor, now = await lab.account(1_000), SystemClock().now()
    body: dict[str, Any] = {
        "campaign": "spring", "budget_minor": 10_000, "discount": {"face_minor": 500},
        "starts_at": now.isoformat(), "ends_at": (now + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    issued = await lab.shop.call(
        "coupon", "issue", {"request_id": "c1", **body, "sponsor_account": sponsor}
    )
    assert await lab.shop.call("coupon", "get", {"coupon_id": issued["coupon_id"]}) == issued
    with pytest.raises(NotFound):
        await lab.gym.call("coupon", "get", {"coupon_id": issued["coupon_id"]})
    revoke = {"request_id": "v1", "coupon_id": issued["coupon_id"]}
    assert (await lab.shop.call("coupon", "revoke", revoke))["status"] == "revoked"
    with pytest.raises(InvalidState):
        await lab.shop.call("coupon", "revoke", {**revoke, "request_id": "v2"})
    with pytest.raises(InvalidField):
        await lab.shop.call("coupon", "issue", {"request_id": "c2", **body})


async def test_an_app_grants_to_its_own_customers(lab: _Lab) -> None:
    """The account of another app does not exist for it, neither to give to nor to pay from."""
    account = await lab.account(100)
    body = {"request_id": "g9", "account_id": account, "points": 1, "sponsor_account": account}
    with pytest.raises(NotFound):
        await lab.gym.call("points", "grant", body)


async def test_a_coupon_points_and_an_account_pay_together(lab: _Lab) -> None:
    """Each gives its part in one payment, and a refund of all brings each back."""
    shop, now = lab.shop, SystemClock().now()
    sponsor, account, payee = await lab.account(10_000), await lab.account(5_000), (
        await lab.account()
    )  # fmt: skip
    coupon = await shop.call(
        "coupon", "issue",
        {
            "request_id": "c7", "campaign": "mix", "budget_minor": 10_000,
            "discount": {"rate_ppm": 100_000, "cap_minor": 400}, "sponsor_account": sponsor,
            "starts_at": now.isoformat(), "ends_at": (now + timedelta(days=1)).isoformat(),
        },
    )  # fmt: skip
    granted = await shop.call(
        "points", "grant",
        {"request_id": "g7", "account_id": account, "points": 1_200, "sponsor_account": sponsor},
    )  # fmt: skip
    points = granted["points_account"]
    funding = [
        {"type": "coupon", "coupon_id": coupon["coupon_id"]},
        {"type": "points", "account_id": points},
        {"type": "account", "account_id": account},
    ]
    create = {"request_id": "p7", "payee": payee, "amount_minor": 5_000, "funding": funding}
    paid = await shop.call("payment", "create", create)
    assert [one["amount_minor"] for one in paid["sources"]] == [400, 1_200, 3_400]
    assert (await shop.accounts.get(payee)).posted_minor == 5_000
    assert (await shop.accounts.get(points)).posted_minor == 0
    used = await shop.call("coupon", "get", {"coupon_id": coupon["coupon_id"]})
    assert (used["status"], used["payment_id"]) == ("used", paid["payment_id"])
    with pytest.raises(InvalidState):
        await shop.call("payment", "create", {**create, "request_id": "p8"})

    refund = {"request_id": "r7", "payment_id": paid["payment_id"], "amount_minor": 4_000}
    await shop.call("payment", "refund", refund)
    assert (await shop.accounts.get(account)).posted_minor == 5_000
    assert (await shop.accounts.get(points)).posted_minor == 600
    await shop.call("payment", "refund", {"request_id": "r8", "payment_id": paid["payment_id"]})
    assert (await shop.accounts.get(points)).posted_minor == 1_200
    assert (await shop.accounts.get(sponsor)).posted_minor == 10_000 - 1_200
    restored = await shop.call("coupon", "get", {"coupon_id": coupon["coupon_id"]})
    assert restored["status"] == "issued"


async def test_the_order_of_refunds_does_not_keep_a_coupon(lab: _Lab) -> None:
    """When the coupon's part came back first, the end of the payment still brings it back."""
    shop, now = lab.shop, SystemClock().now()
    sponsor, account, payee = await lab.account(500), await lab.account(5_000), await lab.account()
    coupon = await shop.call(
        "coupon", "issue",
        {
            "request_id": "c9", "campaign": "order", "budget_minor": 500,
            "discount": {"face_minor": 500}, "sponsor_account": sponsor,
            "starts_at": now.isoformat(), "ends_at": (now + timedelta(days=1)).isoformat(),
        },
    )  # fmt: skip
    funding = [
        {"type": "coupon", "coupon_id": coupon["coupon_id"]},
        {"type": "account", "account_id": account},
    ]
    create = {"request_id": "p9", "payee": payee, "amount_minor": 2_000, "funding": funding}
    paid = await shop.call("payment", "create", create)
    back = {"payment_id": paid["payment_id"], "amount_minor": 500, "source_order": [1]}
    await shop.call("payment", "refund", {**back, "request_id": "r9"})
    read = {"coupon_id": coupon["coupon_id"]}
    assert (await shop.call("coupon", "get", read))["status"] == "used"
    await shop.call("payment", "refund", {"request_id": "r10", "payment_id": paid["payment_id"]})
    assert (await shop.call("coupon", "get", read))["status"] == "issued"
