"""Scenarios of the tests, and services that answer them as told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
from nats.aio.msg import Msg

from loadtest.harness.plan import RunPlan
from loadtest.harness.result import RunResult
from loadtest.harness.runner import run_load
from loadtest.harness.target import Target

__all__ = ("OK", "answering", "make_run", "refusal")

OK = b'{"ok":true,"result":{}}'

_SCENARIO = """
from loadtest import Flow, User, task, constant


class Probe(Flow):
    service, verb = "probe", "ask"

    def body(self, request_id):
        return b'{"request_id":"%b"}' % request_id.encode()


class Asker(User):
    wait_time = constant(0.02)

    @task
    async def ask(self):
        await self.client.call("probe", "ask")
"""


def refusal(code: str, *, retryable: bool = False) -> bytes:
    """Return the answer of a service that does not do it."""
    error = {
        "code": code, "message": code, "field": None, "retryable": retryable,
        "retry_after_s": 0.1 if retryable else None,
    }  # fmt: skip
    return json.dumps({"ok": False, "error": error}).encode()


@asynccontextmanager
async def answering(
    url: str, decide: Callable[[str, int], bytes | None] = lambda _id, _n: OK
) -> AsyncIterator[list[str]]:
    """Answer every probe as ``decide(request id, how often it came before)`` says; None is silence.

    Yields the ids of all that came, in order.
    """
    came: list[str] = []
    times: dict[str, int] = {}

    async def answer(message: Msg) -> None:
        request_id = json.loads(message.data)["request_id"]
        before = times.get(request_id, 0)
        times[request_id] = before + 1
        came.append(request_id)
        body = decide(request_id, before)
        if body is not None:
            await message.respond(body)

    client = await nats.connect(url)
    try:
        await client.subscribe("zh.v1.*.probe.*", cb=answer)
        await client.flush()
        yield came
    finally:
        await client.close()


async def make_run(
    url: str,
    folder: Path,
    *,
    scenario: str = _SCENARIO,
    observers: tuple[Any, ...] = (),
    **plan: Any,
) -> RunResult:
    """Run a scenario against the NATS at ``url``; nothing is warmed up unless told."""
    path = folder / "probe_scenario.py"
    await asyncio.to_thread(path.write_text, scenario, "utf-8")
    told = {"warmup_s": 0.0, "drain_s": 3.0, **plan}
    return await run_load(
        RunPlan(scenario=str(path), **told), target=Target(url), observers=observers
    )
