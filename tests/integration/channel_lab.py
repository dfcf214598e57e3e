"""A node, its channels in a process of their own, and the command that reconciles them."""

import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import asyncpg
import orjson

from tests.eventually import eventually
from zhihui.client import Client
from zhihui.embedded.child import Child
from zhihui.node import NodeConfig, running_node

__all__ = ("ChannelLab", "channel_lab", "free_port", "running_simulator")

_READY_S_MAX = 20.0


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class RunningSimulator:
    """The simulator's process: where it is, and what is in its books."""

    def __init__(self, ready: dict[str, Any], child: Child) -> None:
        self.url: str = ready["url"]
        self.channels_file = Path(ready["channels_file"])
        self.child = child

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}{path}", data=orjson.dumps(body)) as reply,
        ):
            assert reply.status == 200, await reply.text()
            return orjson.loads(await reply.read())

    async def books(self, channel: str) -> list[dict[str, Any]]:
        """Return the lines of a channel's books."""
        found = await self._ask("GET", f"/admin/statement?channel={channel}")
        lines: list[dict[str, Any]] = found["lines"]
        return lines

    async def statistics(self) -> dict[str, Any]:
        """Return its counts."""
        found: dict[str, Any] = await self._ask("GET", "/admin/statistics")
        return found

    async def profile(self, profile: dict[str, Any]) -> None:
        """Behave otherwise from now on."""
        await self._ask("PUT", "/admin/profile", profile)

    async def outage(self, channel: str, kind: str | None) -> None:
        """Begin or end an outage."""
        await self._ask("POST", "/admin/outage", {"channel": channel, "kind": kind})

    async def pay(self, channel: str, reference: str) -> bool:
        """Let a payer who scanned pay."""
        found = await self._ask("POST", "/admin/pay", {"channel": channel, "reference": reference})
        paid: bool = found["paid"]
        return paid


@contextlib.asynccontextmanager
async def running_simulator(
    folder: Path,
    profile: str,
    *,
    callbacks_port: int = 0,
    timeout_s: float = 0.5,
    order_expires_s: int = 4,
    port: int = 0,
) -> AsyncIterator[RunningSimulator]:
    """Run the simulator; it answers when entered."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "zhihui.channel_simulator", "--profile", profile,
        "--data-dir", str(folder), "--callbacks-port", str(callbacks_port), "--port", str(port),
        "--timeout", str(timeout_s), "--order-expires", str(order_expires_s),
    ]  # fmt: skip
    child = Child.spawn(command, log=folder / "log", death_signal=signal.SIGKILL, pipe_output=True)
    try:
        with anyio.fail_after(_READY_S_MAX):
            line = await child.read_line()
        assert line, (folder / "log").read_text()
        yield RunningSimulator(json.loads(line), child)
    finally:
        with anyio.CancelScope(shield=True):
            await child.stop(signal.SIGTERM, 5.0)


class ChannelLab:
    """All of it; made by :func:`channel_lab`."""

    def __init__(self, dsn: str, nats_url: str, simulator: RunningSimulator, shop: Client) -> None:
        self.dsn = dsn
        self.nats_url = nats_url
        self.simulator = simulator
        self.shop = shop
        self._numbers = 0

    async def account(self, funds: int = 0) -> str:
        """Return a new account."""
        self._numbers += 1
        opened = await self.shop.accounts.open(holder=f"holder {self._numbers}")
        if funds:
            await self.shop.accounts.deposit(opened.account_id, funds, source="external:cash")
        return opened.account_id

    async def pay(
        self, payee: str, amount_minor: int, *, channel: str | None = None,
        payer: str | None = "customer-1", **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Ask for a payment through a channel; it is processing as a rule."""
        source: dict[str, Any] = {"type": "channel", "channel": channel, "payer_reference": payer}
        source = {name: value for name, value in source.items() if value is not None}
        body = {
            "request_id": self.shop.new_request_id(),
            "payee": payee,
            "amount_minor": amount_minor,
            "funding": [source],
            **more,
        }
        found: dict[str, Any] = await self.shop.call("payment", "create", body)
        return found

    async def payment(self, payment_id: str) -> dict[str, Any]:
        """Return a payment as it stands."""
        found: dict[str, Any] = await self.shop.call("payment", "get", {"payment_id": payment_id})
        return found

    async def orders(self, payment_id: str) -> list[dict[str, Any]]:
        """Return the orders of a payment at the channels."""
        found = await self.shop.call("channel", "get", {"payment_id": payment_id})
        orders: list[dict[str, Any]] = found["orders"]
        return orders

    async def ended(self, payment_id: str, within_s: float = 20.0) -> dict[str, Any]:
        """Return a payment once it is not processing any more."""

        async def is_over() -> bool:
            status: str = (await self.payment(payment_id))["status"]
            return status != "processing"

        await eventually(is_over, f"{payment_id} has ended", within_s=within_s)
        return await self.payment(payment_id)

    async def balance(self, account_id: str) -> int:
        """Return what is posted to an account, also one of the bank's own."""
        rows = await self.fetch(
            "SELECT posted_minor FROM zhihui.balance WHERE account_id = $1", account_id
        )
        return int(rows[0][0])

    async def fetch(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def reconcile(self, *more: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the command; return its exit code and what it found of each channel."""
        command = [
            sys.executable, "-m", "zhihui", "reconcile", "--json",
            "--channels", str(self.simulator.channels_file), "--nats-url", self.nats_url,
            "--postgres-dsn", self.dsn, *more,
        ]  # fmt: skip
        ran = await anyio.run_process(command, check=False)
        assert ran.returncode in (0, 1), ran.stderr.decode()
        assert ran.stdout, ran.stderr.decode()
        return ran.returncode, orjson.loads(ran.stdout)


@contextlib.asynccontextmanager
async def channel_lab(
    folder: Path, dsn: str, nats_url: str, profile: str, **more: Any
) -> AsyncIterator[ChannelLab]:
    """Run a node with simulated channels of a profile."""
    callbacks_port = free_port()
    async with running_simulator(
        folder, profile, callbacks_port=callbacks_port, **more
    ) as simulator:
        config = NodeConfig(
            name="n1",
            nats_url=nats_url,
            postgres_dsn=dsn,
            settings={"ZHIHUI_CHANNELS": str(simulator.channels_file)},
        )
        async with running_node(config), Client(app="shop", url=nats_url) as shop:
            yield ChannelLab(dsn, nats_url, simulator, shop)
