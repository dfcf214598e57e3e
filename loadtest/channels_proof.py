"""The proof that channels neither pay twice nor lose: many payments under the worst of moods.

The service, its servers and the simulated channels run as processes of their own, and the payments
come in by the public door. The judge is not the service: what each channel has in its own books,
net of what it gave back, is compared with what became of each payment.
"""

import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import anyio
import asyncpg
import msgspec
from rich.console import Console

from loadtest.processes import ProcessFailed, running_service
from schemas.errors import ChannelUnavailable, DeadlineExceeded, ZhihuiError
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.platform import Platform, running_platform

__all__ = ("ChannelsProof", "prove_channels", "run_channels_proof")

_BUILD = Path("build")
_APP = "proof"
_PAYEES = 8
# What the node waits for an answer, and how long an order lives: short, or the proof takes hours.
_TIMEOUT_S = 1.0
_ORDER_EXPIRES_S = 12
# How long the last orders may take after the last payment was asked for, without any progress.
_STALLED_S = 90.0
# A channel that breaks its word does so within seconds, and its callbacks come late.
_QUIET_S = 12.0
_RECONCILE_MAX = 5
_LOOK_EVERY_S = 0.5
_KILL_EVERY_S = 4.0
# How long a payment is asked for before another way is tried, and how often: long enough together
# for a node that was killed to be back.
_ANSWER_S = 3.0
_TRIES = 12

_OPEN = """
SELECT (SELECT count(*) FROM zhihui.channel_payment WHERE status = 'open'),
       (SELECT count(*) FROM zhihui.channel_order WHERE state = 'open'),
       (SELECT coalesce(sum(version), 0) FROM zhihui.channel_order)
"""
_PAYMENTS = """
SELECT payment_id, status, (body::jsonb ->> 'amount_minor')::bigint FROM zhihui.payment_order
"""
_ORDERS = """
SELECT channel, reference, payment_id, kind, amount_minor, state FROM zhihui.channel_order
"""
_SIDES = """
SELECT coalesce(sum(posted_minor) FILTER (WHERE account_id LIKE 'channel:%:suspense'), 0),
       coalesce(sum(abs(posted_minor)) FILTER (WHERE account_id LIKE 'channel:%:suspense'), 0),
       coalesce(sum(abs(posted_minor)) FILTER (WHERE account_id LIKE 'channel:%:expected'), 0)
  FROM zhihui.balance
"""


class ChannelsProof(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the payments; ``ok`` is the verdict.

    ``paid_twice`` are payments for which the channels kept more than they should, ``lost`` those
    for which they kept less or for which they kept money that no payment accounts for.
    """

    payments: int
    refused: dict[str, int]
    succeeded: int
    failed: int
    processing: int
    attempts: int
    several_attempts: int
    late_successes: int
    refunds: int
    exchanges: int
    paid_twice: int
    lost: int
    unknown_lines: int
    suspense_minor: int
    suspense_off_minor: int
    expected_off_minor: int
    payees_off_minor: int
    reconciled: bool
    audit_ok: bool
    created_s: float
    settled_s: float
    simulator: dict[str, Any]
    offences: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Tell whether nothing was paid twice, nothing lost, and all books agree."""
        # What came late had been ruled out by the channel, which then broke its word.
        ruled_out = int(self.simulator.get("counts", {}).get("broken_words", 0))
        wrong = (
            self.processing, self.paid_twice, self.lost, self.unknown_lines,
            self.suspense_off_minor, self.expected_off_minor, self.payees_off_minor,
        )  # fmt: skip
        kept_apart = self.late_successes <= ruled_out
        return not any(wrong) and kept_apart and self.reconciled and self.audit_ok


def run_channels_proof(
    *,
    payments: int,
    profile: str = "worst",
    in_flight: int = 60,
    kills: int = 0,
    data_dir: Path | None = None,
) -> int:
    """Prove it, print the figures, write ``build/channels_proof.json``; return 0 when it holds."""
    console = Console()
    directory = data_dir or _BUILD / f"channels-{os.getpid()}"
    try:
        proof = anyio.run(
            lambda: prove_channels(
                directory, payments=payments, profile=profile, in_flight=in_flight, kills=kills,
                report=lambda text: console.print(text, highlight=False),
            ),
            backend_options={"use_uvloop": True},
        )  # fmt: skip
    except ProcessFailed as error:
        console.print(f"The proof could not run: {error}", markup=False, highlight=False)
        return 1
    if data_dir is None and proof.ok:
        shutil.rmtree(directory, ignore_errors=True)
    _BUILD.mkdir(exist_ok=True)
    path = _BUILD / "channels_proof.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(proof)) + b"\n")
    _print(proof, console)
    console.print(f"All figures: {path}")
    return 0 if proof.ok else 1


async def prove_channels(
    directory: Path,
    *,
    payments: int,
    profile: str = "worst",
    in_flight: int = 60,
    seed: int = 1,
    kills: int = 0,
    order_expires_s: int = _ORDER_EXPIRES_S,
    quiet_s: float = _QUIET_S,
    report: Callable[[str], None] = lambda _text: None,
) -> ChannelsProof:
    """Run everything on ``directory`` and return what became of the payments.

    ``kills`` is how often the node is killed while payments come in; it is started again at once.
    ``order_expires_s`` is how long an order lives, ``quiet_s`` how long the channels may still add
    to what seems settled.
    """
    directory.mkdir(parents=True, exist_ok=True)
    folder = directory / "channels"
    callbacks_port = _free_port()
    simulator = [
        "zhihui.channel_simulator", "--profile", profile, "--data-dir", str(folder),
        "--callbacks-port", str(callbacks_port), "--timeout", str(_TIMEOUT_S),
        "--order-expires", str(order_expires_s), "--seed", str(seed),
    ]  # fmt: skip
    async with running_service(
        simulator, name="the simulator", log=directory / "simulator.log", environment={}
    ):
        channels_file = (folder / "channels.json").absolute()
        settings = {"ZHIHUI_CHANNELS": str(channels_file)}
        async with running_platform(directory / "platform", settings=settings) as platform:
            run = _Run(
                platform.servers.nats_url,
                platform.servers.postgres_dsn,
                channels_file,
                quiet_s,
                report,
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_kill_often, platform, kills)
                proof = await run.all(payments, in_flight, seed)
                tasks.cancel_scope.cancel()
            return proof


async def _kill_often(platform: Platform, kills: int) -> None:
    """Kill the node every few seconds; the platform starts it again."""
    for _ in range(kills):
        await anyio.sleep(_KILL_EVERY_S)
        for pid in platform.node_pids().values():
            os.kill(pid, signal.SIGKILL)


class _Run:
    """One run: the payments, the waiting, the reconciliation and the judgement."""

    def __init__(
        self,
        nats_url: str,
        dsn: str,
        channels_file: Path,
        quiet_s: float,
        report: Callable[[str], None],
    ) -> None:
        self._nats_url = nats_url
        self._dsn = dsn
        self._channels_file = channels_file
        self._config = json.loads(channels_file.read_bytes())
        self._report = report
        self._quiet_s = quiet_s
        self._refused: dict[str, int] = {}

    async def all(self, payments: int, in_flight: int, seed: int) -> ChannelsProof:
        """Do all of it."""
        began_s = time.monotonic()
        async with Client(app=_APP, url=self._nats_url, timeout_s=_ANSWER_S) as client:
            payees = [
                (await client.accounts.open(holder=f"payee {n}")).account_id for n in range(_PAYEES)
            ]
            await self._pay(client, payees, payments, in_flight, seed)
        created_s = time.monotonic() - began_s
        await self._settled()
        reconciled = await self._reconciled()
        settled_s = time.monotonic() - began_s
        return await self._judged(payments, payees, reconciled, created_s, settled_s)

    async def _pay(
        self, client: Client, payees: list[str], payments: int, in_flight: int, seed: int
    ) -> None:
        draw = random.Random(seed)
        wanted = [(payees[n % len(payees)], draw.randint(100, 50_000)) for n in range(payments)]
        numbers = iter(range(payments))
        said_s, asked = time.monotonic(), 0

        async def worker() -> None:
            nonlocal said_s, asked
            for number in numbers:
                payee, amount_minor = wanted[number]
                await self._create(client, number, payee, amount_minor)
                asked += 1
                if time.monotonic() - said_s > 2.0:
                    said_s = time.monotonic()
                    self._report(f"{asked} of {payments} payments asked for")

        async with anyio.create_task_group() as tasks:
            for _ in range(in_flight):
                tasks.start_soon(worker)

    async def _create(self, client: Client, number: int, payee: str, amount_minor: int) -> None:
        source = self._source(number)
        body = {
            "request_id": f"proof-{number}",
            "payee": payee,
            "amount_minor": amount_minor,
            "funding": [source],
        }
        error: ZhihuiError | None = None
        for _ in range(_TRIES):
            try:
                await client.call("payment", "create", body, timeout_s=_ANSWER_S)
            except ChannelUnavailable as down:
                # The channel that the customer named is down: any other will do, as at a counter.
                error = down
                again = {name: value for name, value in source.items() if name != "channel"}
                body |= {"request_id": f"proof-{number}-any", "funding": [again]}
            except DeadlineExceeded as late:
                # Not known whether it stands: the same request finds it, or makes it.
                error = late
            except ZhihuiError as refused:
                error = refused
                break
            else:
                return
        # One whose outcome is not known may stand all the same, and then it is judged.
        assert error is not None
        self._refused[error.code] = self._refused.get(error.code, 0) + 1

    def _source(self, number: int) -> dict[str, str]:
        """Return how a payment is paid: half name a channel each in turn, the others leave it open.

        Each has a payer of its own, so that the limits on one payer are not what is tested, but one
        in ten of those that leave it open is not known at all and has to scan a code.
        """
        source = {"type": "channel"}
        if number % 2:
            channels = list(self._config["channels"])
            source["channel"] = channels[number // 2 % len(channels)]
        if number % 20 != 4:
            source["payer_reference"] = f"payer-{number}"
        return source

    async def _settled(self) -> None:
        """Wait until no order is open, and the channels have had time to say more."""
        connection = await asyncpg.connect(self._dsn)
        try:
            last: tuple[int, ...] = ()
            moved_s = quiet_s = said_s = time.monotonic()
            while True:
                row = await connection.fetchrow(_OPEN)
                assert row is not None
                now_s = time.monotonic()
                found = tuple(int(value) for value in row)
                if found != last:
                    last, moved_s = found, now_s
                if found[0] or found[1]:
                    quiet_s = now_s
                if now_s - quiet_s > self._quiet_s or now_s - moved_s > _STALLED_S:
                    return
                if now_s - said_s > 2.0:
                    said_s = now_s
                    self._report(f"{found[0]} payments and {found[1]} orders are not settled")
                await anyio.sleep(_LOOK_EVERY_S)
        finally:
            await connection.close()

    async def _reconciled(self) -> bool:
        """Reconcile until there is nothing left to post; tell whether the books agree then."""
        command = [
            sys.executable, "-m", "zhihui", "reconcile", "--json", "--channels",
            str(self._channels_file), "--nats-url", self._nats_url, "--postgres-dsn", self._dsn,
        ]  # fmt: skip
        for _ in range(_RECONCILE_MAX):
            ran = await anyio.run_process(command, check=False)
            if not ran.stdout:
                raise ProcessFailed(ran.stderr.decode())
            found = json.loads(ran.stdout)
            counts = {
                name: sum(one[name] for one in found)
                for name in ("lines", "matched", "posted", "rechecked", "open")
            }
            remarks = [f"{one['channel']}: {text}" for one in found for text in one["remarks"]]
            self._report("\n".join((f"reconciled: {counts}", *remarks[:10])))
            # What it finds out makes refunds, which take their time and are to be posted as well.
            if not counts["posted"] and not counts["open"]:
                return ran.returncode == 0
            if counts["rechecked"] or counts["open"]:
                await self._settled()
        return False

    def _books(self) -> dict[tuple[str, str], dict[str, Any]]:
        lines = {}
        for channel in self._config["channels"]:
            url = self._config["statement_url"].format(channel=channel)
            with urlopen(url, timeout=60) as reply:  # noqa: S310 - our own simulator
                for line in json.load(reply)["lines"]:
                    lines[channel, line["reference"]] = line
        return lines

    def _statistics(self) -> dict[str, Any]:
        url = self._config["statement_url"].partition("/admin/")[0] + "/admin/statistics"
        with urlopen(url, timeout=60) as reply:  # noqa: S310 - our own simulator
            return cast("dict[str, Any]", json.load(reply))

    async def _judged(
        self,
        payments: int,
        payees: list[str],
        reconciled: bool,
        created_s: float,
        settled_s: float,
    ) -> ChannelsProof:
        lines = await anyio.to_thread.run_sync(self._books)
        connection = await asyncpg.connect(self._dsn)
        try:
            made = [tuple(row) for row in await connection.fetch(_PAYMENTS)]
            orders = [dict(row) for row in await connection.fetch(_ORDERS)]
            asked = await connection.fetchval(
                "SELECT coalesce(sum((body::jsonb ->> 'asked')::bigint), 0)"
                " FROM zhihui.channel_order"
            )
            sides = await connection.fetchrow(_SIDES)
            at_payees = await connection.fetchval(
                "SELECT coalesce(sum(posted_minor), 0) FROM zhihui.balance"
                " WHERE account_id = ANY($1)",
                payees,
            )
        finally:
            await connection.close()
        assert sides is not None
        audit = await run_audit(self._dsn)
        judged = _judge(made, orders, lines)
        statuses = [status for _, status, _ in made]
        succeeded_minor = sum(amount for _, status, amount in made if status == "succeeded")
        by_payment: dict[str, int] = {}
        for order in orders:
            if order["kind"] == "pay":
                by_payment[order["payment_id"]] = by_payment.get(order["payment_id"], 0) + 1
        return ChannelsProof(
            payments=payments,
            refused=self._refused,
            succeeded=statuses.count("succeeded"),
            failed=statuses.count("failed"),
            processing=len(made) - statuses.count("succeeded") - statuses.count("failed"),
            attempts=sum(by_payment.values()),
            several_attempts=sum(count > 1 for count in by_payment.values()),
            late_successes=sum(order["state"] == "paid_late" for order in orders),
            refunds=sum(order["kind"] == "refund" for order in orders),
            exchanges=int(asked),
            paid_twice=judged[0],
            lost=judged[1],
            unknown_lines=judged[2],
            suspense_minor=int(sides[0]),
            suspense_off_minor=int(sides[1]),
            expected_off_minor=int(sides[2]),
            payees_off_minor=abs(int(at_payees) - succeeded_minor),
            reconciled=reconciled,
            audit_ok=audit.ok,
            created_s=created_s,
            settled_s=settled_s,
            simulator=await anyio.to_thread.run_sync(self._statistics),
            offences=(*judged[3], *(one.name for one in audit.checks if not one.ok)),
        )


def _judge(
    made: list[tuple[Any, ...]],
    orders: list[dict[str, Any]],
    lines: dict[tuple[str, str], dict[str, Any]],
) -> tuple[int, int, int, tuple[str, ...]]:
    """Return the payments paid twice and lost, the channels' lines without an owner, and examples.

    What a channel keeps for a payment is what its books have as taken less what they have as given
    back: that must be the amount of a payment that succeeded, and nothing for any other.
    """
    owners = {(one["channel"], one["reference"]): one["payment_id"] for one in orders}
    kept: dict[str, int] = {}
    unknown = 0
    for key, line in lines.items():
        if line["state"] != "paid":
            continue
        owner = owners.get(key)
        if owner is None:
            unknown += 1
            continue
        sign = -1 if line["kind"] == "refund" else 1
        kept[owner] = kept.get(owner, 0) + sign * line["amount_minor"]
    twice = lost = 0
    examples = []
    for payment_id, status, amount in made:
        should = amount if status == "succeeded" else 0
        found = kept.pop(payment_id, 0)
        if found != should:
            twice += found > should > 0
            lost += not found > should > 0
            examples.append(f"{payment_id} {status}: {found} kept, {should} should be")
    return twice, lost + len(kept), unknown, tuple(examples[:10])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _print(proof: ChannelsProof, console: Console) -> None:
    counts = proof.simulator.get("counts", {})
    console.print(
        f"{proof.payments} payments: {proof.succeeded} succeeded, {proof.failed} failed, "
        f"{proof.processing} not ended, {proof.refused} refused at the door",
        f"{proof.attempts} attempts, {proof.exchanges} exchanges; {proof.several_attempts} payments"
        f" went to more than one channel; {proof.late_successes} late successes given back",
        f"channels: {counts}",
        f"paid twice {proof.paid_twice}, lost {proof.lost}, lines of nobody {proof.unknown_lines}",
        f"suspense {proof.suspense_minor}, suspense off {proof.suspense_off_minor}, "
        f"expected off {proof.expected_off_minor}, payees off {proof.payees_off_minor}",
        f"reconciled {proof.reconciled}, audit {proof.audit_ok}; created in "
        f"{proof.created_s:.1f} s, settled after {proof.settled_s:.1f} s",
        *proof.offences,
        "[green]nothing paid twice, nothing lost[/]"
        if proof.ok
        else "[bold red]it does not hold[/]",
        sep="\n",
        highlight=False,
    )
