"""What only the database knows of the whole service, asked for now and then.

The node that owns the journal asks, so that each figure is told once. It has a connection of its
own: a look over all balances must not take a reader from the requests, and the readers' settings
are for reads by key. Each question has a deadline, and a look that took long is followed by a pause
as long as it takes to stay under a hundredth of the time.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import anyio
import anyio.lowlevel
import asyncpg
import msgspec

from kernel.clock import Clock

__all__ = (
    "CHANGES_CHECKED_MAX",
    "COUNTED_MAX",
    "LEDGER_EVERY_S",
    "LOOK_EVERY_S",
    "LOOK_TIMEOUT_S",
    "ChannelOrders",
    "DatabaseLook",
    "DatabaseWatch",
    "LedgerLook",
)

# As often as a scrape, as a rule.
LOOK_EVERY_S = 15.0
# A sum over a million balances takes about half a second, so it comes once a minute there.
LEDGER_EVERY_S = 30.0
# Less than this share of the time is spent in the looks at the ledger.
_LEDGER_SHARE = 0.01
# A question that takes longer is given up, and the figure grows old for all to see.
LOOK_TIMEOUT_S = 30.0
# Rows are counted up to here: what is more is too many, however many it is.
COUNTED_MAX = 10_000
# The newest changes whose entries are summed one by one: some tens of milliseconds.
CHANGES_CHECKED_MAX = 5_000

_TIMERS = (
    "SELECT count(*), min(due_at) FROM (SELECT due_at FROM zhihui.timer WHERE due_at < $1"
    " ORDER BY due_at LIMIT $2) AS due"
)
_DEAD_LETTERS = "SELECT count(*) FROM (SELECT 1 FROM zhihui.dead_letter LIMIT $1) AS kept"
_ORDERS = (
    "SELECT channel, kind, count(*), min(created_at) FROM zhihui.channel_order"
    " WHERE next_at IS NOT NULL GROUP BY channel, kind ORDER BY channel, kind LIMIT 200"
)
# Sums are numeric, so that a damaged row is reported and does not overflow the question.
_BALANCES = (
    "SELECT coalesce(sum(abs(total)), 0) FROM (SELECT sum(b.posted_minor) AS total"
    " FROM zhihui.balance AS b LEFT JOIN zhihui.account AS a USING (account_id)"
    " GROUP BY a.asset) AS by_asset"
)
_CHANGES = (
    "SELECT coalesce(sum(abs(total)), 0) FROM (SELECT sum(e.amount_minor) AS total"
    " FROM zhihui.entry AS e LEFT JOIN zhihui.account AS a USING (account_id)"
    " WHERE e.change_seq > (SELECT coalesce(max(seq), 0) - $1 FROM zhihui.change)"
    " GROUP BY e.change_seq, a.asset) AS by_change"
)


class ChannelOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders at one channel whose outcome is not known yet; ``kind`` is `pay` or `refund`."""

    channel: str
    kind: str
    open: int
    oldest_s: float


class LedgerLook(msgspec.Struct, frozen=True, kw_only=True):
    """By how much the books miss zero, and when that was found, in Unix seconds.

    ``balances_minor`` is of all balances, summed by asset; ``changes_minor`` of the entries of the
    newest changes, summed by change and asset. Both add up what is missing without its sign.
    """

    balances_minor: int
    changes_minor: int
    at_s: float
    duration_s: float


class DatabaseLook(msgspec.Struct, frozen=True, kw_only=True):
    """What the database said; counts end at :data:`COUNTED_MAX`."""

    at_s: float
    timers_due: int
    timers_oldest_s: float
    dead_letters: int
    orders: tuple[ChannelOrders, ...]
    ledger: LedgerLook | None


class DatabaseWatch:
    """Ask the database; :attr:`latest` is what it said last.

    ``now`` is the service's wall time, which the rows were written by: a sandbox has its own.
    """

    def __init__(
        self, dsn: str, application: str, clock: Clock, now: Callable[[], datetime]
    ) -> None:
        self._dsn = dsn
        self._application = application
        self._clock = clock
        self._now = now
        self._connection: asyncpg.Connection[Any] | None = None
        self._ledger: LedgerLook | None = None
        self._ledger_due_s = 0.0
        self.latest: DatabaseLook | None = None
        self.failures = 0

    async def look(self) -> None:
        """Ask all questions that are due; what cannot be answered leaves the last answer."""
        try:
            connection = await self._connected()
            now = self._now()
            if self._clock.monotonic_s() >= self._ledger_due_s:
                self._ledger = await self._look_at_ledger(connection)
            self.latest = await self._ask(connection, now)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # The service itself says when Postgres is away; here it is only not asked.
            self.failures += 1
            await self.close()

    def forget(self) -> None:
        """Drop what is known: another node owns the journal now and tells of it."""
        self.latest = self._ledger = None
        self._ledger_due_s = 0.0

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()
                # Its socket is closed by the next turn of the loop, which may be the last one.
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=LOOK_TIMEOUT_S,
                command_timeout=LOOK_TIMEOUT_S,
                server_settings={
                    "application_name": self._application,
                    "default_transaction_read_only": "on",
                    # Beside payments: one process of Postgres, and no more.
                    "max_parallel_workers_per_gather": "0",
                    "jit": "off",
                },
            )
        return self._connection

    async def _ask(self, connection: "asyncpg.Connection[Any]", now: datetime) -> DatabaseLook:
        due = await connection.fetchrow(_TIMERS, now, COUNTED_MAX)
        letters = await connection.fetchval(_DEAD_LETTERS, COUNTED_MAX)
        orders = await connection.fetch(_ORDERS)
        assert due is not None
        return DatabaseLook(
            at_s=self._clock.now_ms() / 1000,
            timers_due=due[0],
            timers_oldest_s=_age_s(due[1], now),
            dead_letters=letters,
            orders=tuple(
                ChannelOrders(channel=channel, kind=kind, open=count, oldest_s=_age_s(since, now))
                for channel, kind, count, since in orders
            ),
            ledger=self._ledger,
        )

    async def _look_at_ledger(self, connection: "asyncpg.Connection[Any]") -> LedgerLook:
        began_s = self._clock.monotonic_s()
        # Before the questions, so that one that always takes too long is not asked all the time.
        self._ledger_due_s = began_s + max(LEDGER_EVERY_S, LOOK_TIMEOUT_S / _LEDGER_SHARE)
        balances = await connection.fetchval(_BALANCES)
        changes = await connection.fetchval(_CHANGES, CHANGES_CHECKED_MAX)
        took_s = self._clock.monotonic_s() - began_s
        self._ledger_due_s = began_s + max(LEDGER_EVERY_S, took_s / _LEDGER_SHARE)
        return LedgerLook(
            balances_minor=int(balances),
            changes_minor=int(changes),
            at_s=self._clock.now_ms() / 1000,
            duration_s=took_s,
        )


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
