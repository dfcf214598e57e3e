"""Payments in a world that loses messages, connections and nodes: each request is done once."""

from random import Random
from typing import Any

import anyio
import pytest

from tests.unit.payments.payments_lab import BankLab, Refused, play


async def _answer(lab: BankLab, operation: str, body: dict[str, Any]) -> Any:
    by = lab.ops if operation in ("payment.reverse", "payment.resolve") else lab.shop
    try:
        return await lab.ask(operation, by=by, **body)
    except Refused as refused:
        return refused.code


async def _life(lab: BankLab, number: int, payers: list[str], payee: str) -> list[Any]:
    """Make a payment and follow it up; return all that was asked, with the answers."""
    chance = Random(number)  # noqa: S311 - nobody has to guess it
    method = ("quick", "guaranteed", "authorized", "qr_dynamic")[number % 4]
    funding = [{"type": "account", "account_id": one} for one in chance.sample(payers, 2)]
    asked: list[Any] = []

    async def ask(operation: str, **body: Any) -> Any:
        body["request_id"] = f"h{number}.{len(asked)}"
        answer = await _answer(lab, operation, body)
        asked.append((operation, body, answer))
        return answer

    made = await ask(
        "payment.create", payee=payee, amount_minor=100 + number, method=method, funding=funding
    )
    assert isinstance(made, dict), made
    named = {"payment_id": made["payment_id"]}
    if method == "guaranteed":
        await ask(chance.choice(("payment.confirm", "payment.void")), **named)
    if method == "authorized":
        await ask("payment.capture", **named, amount_minor=30)
        await ask("payment.capture", **named, final=True, amount_minor=20)
    await ask("payment.refund", **named, amount_minor=10)
    await ask("payment.refund", **named)
    return asked


@pytest.mark.parametrize("seed", range(4))
def test_each_request_is_done_once(seed: int) -> None:
    """Nodes die and messages are lost in the middle; asked again, every answer is the same."""

    async def story(lab: BankLab) -> None:
        world = lab.world
        for name in ("n2", "n3"):
            await world.start(name)
        payers = [await lab.account(1_000_000) for _ in range(3)]
        payee = await lab.account()
        asked: list[Any] = []
        world.hostile = True

        async def live(number: int) -> None:
            asked.extend(await _life(lab, number, payers, payee))

        async with anyio.create_task_group() as tasks:
            for number in range(24):
                tasks.start_soon(live, number)
            await world.clock.sleep(0.4)
            world.kill(f"n{2 + seed % 2}")
        world.hostile = False
        await lab.settle()
        lab.check()
        for operation, body, answer in asked:
            assert await _answer(lab, operation, body) == answer
        assert len(world.rows("payment")) == 24

    play(story, seed=seed)
