"""Two changes of one thing at almost the same moment: each is right about the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from actors.customers.reference_source import read_reference
from actors.customers.services import DATA_KEYS_SETTING
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World
from zhihui.simulation.many import data_keys

# Of the void after the settlement, milliseconds: from well before its commit until well after.
_AFTER_MS = range(-12, 20)


@pytest.fixture(scope="module")
def keys() -> Iterator[Path]:
    """Return a file of data keys."""
    with data_keys() as path:
        yield path


class _Shop:
    """A shop, a customer with a credit line, and the back office."""

    def __init__(self, world: World) -> None:
        self.app, self.office = Caller(world), Caller(world, "ops")
        self._requests = 0

    def request_id(self) -> str:
        self._requests += 1
        return f"r{self._requests}"

    async def do(self, operation: str, **body: Any) -> Any:
        caller = self.office if operation == "credit.grant" else self.app
        return await caller.call(operation, request_id=self.request_id(), **body)

    async def open(self) -> None:
        await self.app.open()
        await self.office.open()
        self.customer, self.payee = [
            (await self.do("account.open", holder="Li Lei", type=kind))["account_id"]
            for kind in ("customer", "merchant")
        ]
        await self.do(
            "account.deposit", account_id=self.customer, amount_minor=10**6, source="external:cash"
        )
        person = read_reference().people[0]
        known = await self.do(
            "customer.register", name=person.name, id_number=person.id_number, phone=person.phone
        )
        line = await self.do(
            "credit.apply", customer_id=known["customer_id"], kind="instalment",
            account_id=self.customer, limit_minor=10**6,
        )  # fmt: skip
        self.line = line["line_id"]
        await self.do("credit.grant", line_id=self.line, limit_minor=10**6, decided_by="clerk")

    async def buy(self) -> str:
        """Pay from the line, and return the payment, which is not confirmed."""
        quote = await self.do("credit.quote", line_id=self.line, amount_minor=10_000, terms=3)
        source = {
            "type": "credit", "amount_minor": 10_000, "line_id": self.line,
            "quote_id": quote["quote_id"],
        }  # fmt: skip
        paid = await self.do(
            "payment.create", payee=self.payee, amount_minor=10_000, method="guaranteed",
            funding=[source],
        )  # fmt: skip
        return str(paid["payment_id"])


def test_a_void_and_an_early_settlement_are_decided_one_after_the_other(keys: Path) -> None:
    """Whichever is first, the payment ends up void; nobody is told of the counter of the plans."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> list[str]:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks, {DATA_KEYS_SETTING: str(keys)})
            for name in ("n1", "n2"):
                await world.start(name)
            shop = _Shop(world)
            await shop.open()
            settled: list[str] = []
            for after_ms in _AFTER_MS:
                payment = await shop.buy()
                plan = world.rows("credit_plan")[-1]["plan_id"]
                owed = await shop.app.call("credit.payoff", plan_id=plan)
                async with anyio.create_task_group() as both:
                    both.start_soon(
                        _settle, shop, plan, owed["total_minor"], settled, max(-after_ms, 0) / 1000
                    )
                    await clock.sleep(max(after_ms, 0) / 1000)
                    answer = await shop.do("payment.void", payment_id=payment)
                assert answer["status"] == "voided"
            counters = {row["tally_id"]: row["count"] for row in world.rows("tally")}
            assert counters[f"credit_plans:{shop.line}"] == 0
            tasks.cancel_scope.cancel()
        return settled

    settled = run_virtual(main, seed=1)
    assert len(settled) == len(_AFTER_MS)
    assert set(settled) == {"settled", "invalid_state"}


async def _settle(
    shop: _Shop, plan: str, owed_minor: int, settled: list[str], after_s: float
) -> None:
    await anyio.sleep(after_s)
    answer = await shop.app.ask(
        "credit.settle", 5.0, request_id=shop.request_id(), plan_id=plan, total_minor=owed_minor
    )
    settled.append("settled" if answer["ok"] else answer["error"]["code"])
