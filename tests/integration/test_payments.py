"""Every method of payment and what may follow it, through the public door of a running node."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
import asyncpg
import pytest

from actors.channels.channel import Failed
from actors.channels.desk import desk_of
from actors.customers.keyring import ensure_keyring
from actors.customers.reference_source import read_reference
from actors.customers.services import DATA_KEYS_SETTING
from kernel.clock import SystemClock
from kernel.randomness import SystemRandomness
from schemas.errors import (
    Conflict,
    Forbidden,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
    Rejected,
    StepUpRequired,
)
from tests.eventually import eventually
from tests.unit.payments.payments_lab import FakeChannel
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

_CASH = "external:cash"
_LARGE = 100_000_001
_READS = ("get", "list", "plans")

# Payments whose state says something else than escrow, their steps, or sense.
_DISAGREES = """
SELECT 'escrow', b.posted_minor::text, s.total::text
  FROM zhihui.balance AS b
  CROSS JOIN (SELECT coalesce(sum((leg->'paid'->>'amount_minor')::numeric
                                  - (leg->'paid'->>'refunded_minor')::numeric), 0) AS total
                FROM zhihui.payment_order, jsonb_array_elements(body::jsonb->'legs') AS leg
               WHERE body::jsonb->>'place' = 'escrow') AS s
 WHERE b.account_id = 'escrow:guaranteed' AND b.posted_minor <> s.total
UNION ALL
SELECT payment_id, body::jsonb->>'captured_minor', body::jsonb->>'refunded_minor'
  FROM zhihui.payment_order
 WHERE (body::jsonb->>'refunded_minor')::numeric > (body::jsonb->>'captured_minor')::numeric
UNION ALL
SELECT o.payment_id, o.status, s.status
  FROM zhihui.payment_order AS o
  JOIN (SELECT DISTINCT ON (payment_id) payment_id, status FROM zhihui.payment_step
         ORDER BY payment_id, change_seq DESC) AS s USING (payment_id)
 WHERE o.status <> s.status
"""

_names = itertools.count(1)


class _Lab:
    """A node with one channel, two apps and the back office."""

    def __init__(
        self, dsn: str, channel: FakeChannel, shop: Client, gym: Client, ops: Client
    ) -> None:
        self.dsn = dsn
        self.channel = channel
        self.shop = shop
        self.gym = gym
        self.ops = ops

    async def call(self, operation: str, *, by: Any = None, **body: Any) -> Any:
        """Return the result of a request; what changes something gets an id."""
        service, verb = operation.split(".")
        if verb not in _READS:
            body.setdefault("request_id", f"p-{next(_names)}")
        return await (by or self.shop).call(service, verb, body)

    async def account(self, funds: int = 0, *, by: Client | None = None) -> str:
        """Return a new account with money in it."""
        client = by or self.shop
        opened = await client.accounts.open(holder=f"holder {next(_names)}")
        if funds:
            await client.accounts.deposit(opened.account_id, funds, source=_CASH)
        return opened.account_id

    async def merchant(self) -> tuple[str, str]:
        """Return a merchant with a fee of one percent, and who gets a quarter of the rest."""
        account, partner = await self.account(), await self.account()
        rule = {"shares": [{"type": "ppm", "account_id": partner, "ppm": 250_000}]}
        await self.call(
            "merchant.create", account_id=account, name="Mall",
            terms={
                "cycle": "T+1", "settle_to": {"type": "bank", "reference": "card-1"},
                "fee": {"ppm": 10_000}, "splits": {"deal": rule}, "default_split": "deal",
            },
        )  # fmt: skip
        return account, partner

    async def line(self) -> str:
        """Return a customer's credit line for instalments."""
        person = read_reference().people[0]
        customer = await self.call(
            "customer.register", name=person.name, id_number=person.id_number, phone=person.phone
        )
        line = await self.call(
            "credit.apply", customer_id=customer["customer_id"], kind="instalment",
            account_id=await self.account(), limit_minor=1_000_000,
        )  # fmt: skip
        await self.call(
            "credit.grant", by=self.ops, line_id=line["line_id"], limit_minor=1_000_000,
            decided_by="clerk",
        )  # fmt: skip
        return str(line["line_id"])

    async def posted(self, *accounts: str) -> list[int]:
        """Return what stands in accounts, those of the bank included."""
        rows = await self.fetch(
            "SELECT account_id, posted_minor FROM zhihui.balance WHERE account_id = ANY ($1)",
            list(accounts),
        )
        found = dict(rows)
        return [found[account] for account in accounts]

    async def events(self, subject: str) -> list[str]:
        """Return what was told about a payment, without the name of the service."""
        rows = await self.fetch(
            "SELECT type FROM zhihui.event WHERE subject = $1 ORDER BY seq", subject
        )
        return [row[0].removeprefix("payment.") for row in rows]

    async def fetch(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def until(self, payment_id: str, status: str) -> Any:
        """Wait for a payment to have a status, and return it."""

        async def there() -> bool:
            found = await self.call("payment.get", payment_id=payment_id)
            return bool(found["status"] == status)

        await eventually(there, f"the payment is {status}")
        return await self.call("payment.get", payment_id=payment_id)


@pytest.fixture(scope="module")
async def running(
    module_nats_server: EmbeddedNats,
    module_postgres_dsn: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[_Lab]:
    """One node for all tests."""
    nats, dsn = module_nats_server, module_postgres_dsn
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    ensure_keyring(keys, SystemRandomness(), SystemClock().now())
    settings = {DATA_KEYS_SETTING: str(keys)}
    config = NodeConfig(name="n1", nats_url=nats.url, postgres_dsn=dsn, settings=settings)
    channel = FakeChannel()
    async with (
        running_node(config) as node,
        Client(app="shop", url=nats.url) as shop,
        Client(app="gym", url=nats.url) as gym,
        Client(app="ops", url=nats.url) as ops,
    ):
        desk_of(node._parts).use({"wechat": channel})  # type: ignore[dict-item]
        yield _Lab(dsn, channel, shop, gym, ops)


@pytest.fixture
async def lab(running: _Lab) -> AsyncIterator[_Lab]:
    """Every test ends with an audit, and with a look at what the states say."""
    running.channel.behave()
    yield running
    assert await running.fetch(_DISAGREES) == []
    report = await run_audit(running.dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]


async def _refused(attempt: Any, kind: type[Rejected]) -> None:
    with pytest.raises(kind):
        await attempt


async def test_a_plain_payment_is_shared_out_and_refunded(lab: _Lab) -> None:
    """Fee and share leave the merchant in the payment's change, and come back with refunds."""
    payer = await lab.account(50_000)
    merchant, partner = await lab.merchant()
    paid = await lab.call("payment.create", payer=payer, payee=merchant, amount_minor=10_000)
    assert (paid["status"], paid["fee_minor"]) == ("succeeded", 100)
    assert await lab.posted(merchant, partner) == [7_425, 2_475]
    named = {"payment_id": paid["payment_id"]}
    assert await lab.call("payment.get", **named) == paid
    for amount in (3_333, 3_333, None):
        await lab.call("payment.refund", **named, amount_minor=amount)
    assert await lab.posted(payer, merchant, partner) == [50_000, 0, 0]
    done = await lab.call("payment.get", **named)
    assert (done["status"], len(done["refunds"]), len(done["history"])) == ("refunded", 3, 4)
    assert await lab.events(paid["payment_id"]) == ["succeeded"] + ["refunded"] * 3
    await _refused(lab.call("payment.refund", **named), InvalidState)


async def test_guaranteed_pay(lab: _Lab) -> None:
    """Kept by the bank, then confirmed, voided, or disputed and resolved."""
    one, other = await lab.account(10_000), await lab.account(10_000)
    merchant, _ = await lab.merchant()
    funding = [{"type": "account", "account_id": one, "amount_minor": 600},
               {"type": "account", "account_id": other}]  # fmt: skip
    body = {"payee": merchant, "amount_minor": 1_000, "method": "guaranteed", "funding": funding}
    paid = await lab.call("payment.create", **body)
    assert (paid["status"], await lab.posted(merchant, one)) == ("guaranteed", [0, 9_400])
    confirmed = await lab.call("payment.confirm", payment_id=paid["payment_id"])
    assert (confirmed["status"], confirmed["fee_minor"]) == ("succeeded", 10)
    voided = await lab.call("payment.create", **body)
    await lab.call("payment.void", payment_id=voided["payment_id"])
    disputed = {"payment_id": (await lab.call("payment.create", **body))["payment_id"]}
    await lab.call("payment.dispute", **disputed, reason="not delivered")
    await _refused(lab.call("payment.confirm", **disputed), InvalidState)
    await lab.call("payment.resolve", by=lab.ops, **disputed, decision="refund", reason="proved")
    assert await lab.events(disputed["payment_id"]) == ["guaranteed", "disputed", "voided"]
    assert await lab.posted(one, other, "escrow:guaranteed") == [9_400, 9_600, 0]


async def test_authorised_pay(lab: _Lab) -> None:
    """Held, captured in parts, the rest given back; and what nobody captures expires by itself."""
    payer, payee = await lab.account(10_000), await lab.account()
    body = {"payer": payer, "payee": payee, "amount_minor": 1_000, "method": "authorized"}
    named = {"payment_id": (await lab.call("payment.create", **body))["payment_id"]}
    assert (await lab.shop.accounts.get(payer)).held_minor == 1_000
    await lab.call("payment.capture", **named, amount_minor=300)
    last = await lab.call("payment.capture", **named, amount_minor=200, final=True)
    assert (last["status"], last["captured_minor"]) == ("succeeded", 500)
    short = await lab.call("payment.create", **body, expires_in_s=1)
    await lab.until(short["payment_id"], "expired")
    account = await lab.shop.accounts.get(payer)
    assert (account.held_minor, account.available_minor) == (0, 9_500)


async def test_authorised_credit(lab: _Lab) -> None:
    """Each capture of a held line is a plan; voids and expiries free it, refunds shrink a plan."""
    line, payee = await lab.line(), await lab.account()

    async def authorise(**more: Any) -> Any:
        quote = await lab.call("credit.quote", line_id=line, amount_minor=100_000, terms=3)
        source = {"type": "credit", "line_id": line, "quote_id": quote["quote_id"]}
        return await lab.call(
            "payment.create", payee=payee, amount_minor=100_000, method="authorized",
            funding=[source], **more,
        )  # fmt: skip

    named = {"payment_id": (await authorise())["payment_id"]}
    assert (await lab.call("credit.get", line_id=line))["available_minor"] == 900_000
    for amount in (30_000, 50_000):
        await lab.call("payment.capture", **named, amount_minor=amount)
    await lab.call("payment.void", **named)
    assert (await lab.call("credit.get", line_id=line))["available_minor"] == 920_000
    await lab.call("payment.refund", **named, amount_minor=60_000)
    plans = (await lab.call("credit.plans", line_id=line))["plans"]
    assert [plan["principal_minor"] for plan in plans] == [30_000, 50_000]
    assert [plan["outstanding_minor"] for plan in plans] == [20_000, 0]
    assert await lab.posted(line, payee) == [-20_000, 20_000]
    short = await authorise(expires_in_s=1)
    await lab.until(short["payment_id"], "expired")
    assert (await lab.call("credit.get", line_id=line))["available_minor"] == 980_000


async def test_codes_of_all_kinds(lab: _Lab) -> None:
    """Static, dynamic and shown by the customer, each within the limits of its class."""
    payer, payee = await lab.account(500_000), await lab.account(by=lab.gym)
    static = await lab.call("qr.create", by=lab.gym, type="static", account_id=payee)
    scanned = {"payer": payer, "payee": payee, "method": "qr_static",
               "qr": {"code_id": static["code_id"]}}  # fmt: skip
    paid = await lab.call("payment.create", **scanned, amount_minor=50_000)
    assert paid["qr_class"] == "D"
    await _refused(lab.call("payment.create", **scanned, amount_minor=1), LimitExceeded)
    dynamic = await lab.call(
        "qr.create", by=lab.gym, type="dynamic", account_id=payee, amount_minor=70
    )
    seen = await lab.call("qr.get", code_id=dynamic["code_id"])
    assert (seen["account_id"], seen["amount_minor"], seen["used"]) == (payee, 70, False)
    once = scanned | {"method": "qr_dynamic", "qr": {"code_id": dynamic["code_id"]}}
    await lab.call("payment.create", **once, amount_minor=70)
    await _refused(lab.call("payment.create", **once, amount_minor=70), InvalidState)
    shown = await lab.call("qr.create", type="customer", account_id=payer)
    charged = await lab.call(
        "payment.create", by=lab.gym, payee=payee, amount_minor=30, method="qr_dynamic",
        qr={"code_id": shown["code_id"]},
    )  # fmt: skip
    assert charged["payer"] == payer


async def test_seamless_pay(lab: _Lab) -> None:
    """A plate pays within its mandate, until the mandate is revoked."""
    owner, garage = await lab.account(10_000), await lab.account()
    plate = {"type": "plate", "value": f"京A{next(_names):05}"}
    mandate = await lab.call(
        "mandate.create", account_id=owner, payee=garage, per_payment_minor=500,
        per_day_minor=800, token=plate,
    )  # fmt: skip
    body = {"payee": garage, "method": "seamless", "mandate_token": plate}
    await lab.call("payment.create", **body, amount_minor=500)
    await _refused(lab.call("payment.create", **body, amount_minor=301), LimitExceeded)
    named = {"mandate_id": mandate["mandate_id"]}
    assert (await lab.call("mandate.get", **named))["used_today_minor"] == 500
    await lab.call("mandate.revoke", **named)
    await _refused(lab.call("payment.create", **body, amount_minor=1), NotFound)


async def test_a_channel_among_the_sources(lab: _Lab) -> None:
    """Processing until the channel has paid; refunded through it; failed when it refuses."""
    account, merchant = await lab.account(10_000), (await lab.merchant())[0]
    funding = [{"type": "account", "account_id": account, "amount_minor": 400},
               {"type": "channel", "payer_reference": "open-id"}]  # fmt: skip
    body = {"payee": merchant, "amount_minor": 1_000, "funding": funding}
    paid = await lab.call("payment.create", **body)
    assert paid["status"] == "processing"
    await lab.until(paid["payment_id"], "succeeded")
    back = await lab.call("payment.refund", payment_id=paid["payment_id"])
    assert back["status"] == "processing"

    async def settled() -> bool:
        return (await lab.events(paid["payment_id"]))[-1] == "refund_settled"

    await eventually(settled, "the channel has sent the refund")
    assert await lab.posted(account, merchant, "channel:wechat:suspense") == [10_000, 0, 0]
    lab.channel.decline()
    failed = await lab.call("payment.create", **body)
    done = await lab.until(failed["payment_id"], "failed")
    assert done["failure"]["code"] == "ineligible"
    assert await lab.posted(account, "escrow:guaranteed") == [10_000, 0]


async def test_a_refund_that_a_channel_refused_is_sent_again(lab: _Lab) -> None:
    """By the back office, under a new number: what waited in suspense leaves it once."""
    payee = await lab.account()
    paid = await lab.call(
        "payment.create", payee=payee, amount_minor=700,
        funding=[{"type": "channel", "payer_reference": "open-id"}],
    )  # fmt: skip
    assert paid["payer"] == "channel:wechat"
    await lab.until(paid["payment_id"], "succeeded")
    sent = len(lab.channel.refunded)
    lab.channel.refunds = lambda _: Failed(code="GONE", reason="card closed", final=True)
    back = await lab.call("payment.refund", payment_id=paid["payment_id"])
    named = {"payment_id": paid["payment_id"], "refund_id": back["refund_id"]}

    async def came_to(event: str) -> None:
        async def there() -> bool:
            return (await lab.events(paid["payment_id"]))[-1] == event

        await eventually(there, f"the last event is {event}")

    await came_to("refund_failed")
    assert await lab.posted(payee, "channel:wechat:suspense") == [0, 700]
    await _refused(lab.call("payment.retry_refund", **named), Forbidden)
    lab.channel.behave()
    again = await lab.call("payment.retry_refund", by=lab.ops, **named)
    assert again["status"] == "processing"
    await came_to("refund_settled")
    assert await lab.posted("channel:wechat:suspense") == [0]
    assert len(lab.channel.refunded) == sent + 1
    await _refused(lab.call("payment.retry_refund", by=lab.ops, **named), InvalidState)


async def test_a_person_looks_at_large_payments(lab: _Lab) -> None:
    """Without factors it is refused; with them it waits, and the back office decides."""
    payer, payee = await lab.account(3 * _LARGE), await lab.account()
    body = {"payer": payer, "payee": payee, "amount_minor": _LARGE}
    await _refused(lab.call("payment.create", **body), StepUpRequired)
    seen = body | {"verification": {"factors": ["sms"]}}
    decides = {"reason": "called the customer"}
    for decision, status in (("approve", "succeeded"), ("decline", "failed")):
        paid = await lab.call("payment.create", **seen)
        assert paid["status"] == "in_review"
        named = {"payment_id": paid["payment_id"], "decision": decision, **decides}
        await _refused(lab.call("payment.review", **named), Forbidden)
        done = await lab.call("payment.review", by=lab.ops, **named)
        assert done["status"] == status
    assert await lab.posted(payer, payee) == [2 * _LARGE, _LARGE]


async def test_disputes_and_reversals_of_what_was_paid(lab: _Lab) -> None:
    """A dispute freezes at the payee, also at another app's; the back office ends and reverses."""
    payer, payee = await lab.account(10_000), await lab.account(by=lab.gym)
    paid = await lab.call("payment.create", payer=payer, payee=payee, amount_minor=1_000)
    named = {"payment_id": paid["payment_id"]}
    await lab.call("payment.dispute", **named, reason="broken", amount_minor=400)
    spend = lab.gym.payments.create(payer=payee, payee=payer, amount_minor=601)
    await _refused(spend, InsufficientFunds)
    await lab.call("payment.resolve", by=lab.ops, **named, decision="release", reason="mended")
    await lab.call("payment.reverse", by=lab.ops, **named, reason="booked twice")
    assert await lab.posted(payer, payee) == [10_000, 0]
    assert await lab.events(paid["payment_id"]) == [
        "succeeded", "disputed", "dispute_released", "reversed",
    ]  # fmt: skip


async def test_two_hundred_refunds_at_once(lab: _Lab) -> None:
    """Of 200 refunds of 100 of a payment of 2,050, twenty pass; the same id is answered once."""
    payer, payee = await lab.account(10_000), await lab.account(100_000)
    paid = await lab.call("payment.create", payer=payer, payee=payee, amount_minor=2_050)
    outcomes: Counter[str] = Counter()

    async def refund(number: int) -> None:
        body = {"request_id": f"race-{number}", "payment_id": paid["payment_id"]}
        try:
            done = await lab.call("payment.refund", **body, amount_minor=100)
        except LimitExceeded:
            outcomes["refused"] += 1
        else:
            outcomes["passed"] += 1
            assert await lab.call("payment.refund", **body, amount_minor=100) == done
            await _refused(lab.call("payment.refund", **body, amount_minor=99), Conflict)

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(refund, number)
    assert outcomes == {"passed": 20, "refused": 180}
    assert await lab.posted(payer) == [10_000 - 50]


async def test_payments_are_listed(lab: _Lab) -> None:
    """By account, status and time, page by page, each once and in order."""
    payer, payee = await lab.account(10_000), await lab.account()
    made = []
    for number in range(9):
        method = ("quick", "guaranteed", "quick")[number % 3]
        body = {"payer": payer, "payee": payee, "amount_minor": 10, "method": method}
        made.append((await lab.call("payment.create", **body))["payment_id"])
    await lab.call("payment.refund", payment_id=made[0])

    async def listed(**conditions: Any) -> list[str]:
        found: list[str] = []
        after = ""
        while True:
            page = await lab.call("payment.list", limit=2, after=after, **conditions)
            found += [one["payment_id"] for one in page["payments"]]
            if page["next_after"] is None:
                return found
            after = page["next_after"]

    assert await listed(payer=payer) == made
    assert await listed(payee=payee, status="guaranteed") == made[1::3]
    assert await listed(payee=payee, status="refunded") == made[:1]
    since = (await lab.call("payment.get", payment_id=made[4]))["created_at"]
    assert await listed(since=since) == made[4:]
    assert await listed(payer=payer, since=since) == made[4:]
    both = lab.call("payment.list", payer=payer, payee=payee)
    await _refused(both, InvalidField)
