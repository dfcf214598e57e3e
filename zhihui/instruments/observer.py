"""The instruments' part on the loop: its lag, and a snapshot once a second.

Nothing here may harm the service. What fails is counted and tried again a second later.
"""

import logging
from datetime import datetime

import anyio

from kernel.buckets import Buckets
from kernel.clock import SystemClock
from zhihui.instruments.database import LOOK_EVERY_S, DatabaseWatch
from zhihui.instruments.snapshot import Snapshot, take_snapshot
from zhihui.node import RunningNode

__all__ = ("HUNG_S", "SNAPSHOT_EVERY_S", "TICK_S", "Observer")

_log = logging.getLogger(__name__)

# Ten samples of the loop's lag a second cost a hundredth of a per cent of a core.
TICK_S = 0.1
# A snapshot takes about half a millisecond, and a scrape is every few seconds.
SNAPSHOT_EVERY_S = 1.0
# A loop that has not turned for this long does not serve anybody. Its longest step, a batch of the
# largest size, takes some tens of milliseconds.
HUNG_S = 10.0


class Observer:
    """Watches one node. The attributes are written on the loop and read by the threads.

    Each is replaced as a whole, so a reader sees the one before or the one after. It has the
    system's clock, whatever the node's: monitoring compares its times with those of others.
    """

    def __init__(self, node: str, dsn: str) -> None:
        self.node = node
        self.clock = SystemClock()
        # Not the name of the node's own sessions, which its next process ends.
        self._watch = DatabaseWatch(dsn, f"zhihui-instruments:{node}", self.clock, self._now)
        self._running: RunningNode | None = None
        self._lag_s = Buckets()
        self.snapshot: Snapshot | None = None
        self.turned_s = self.clock.monotonic_s()
        self.failures = 0

    def follow(self, running: RunningNode) -> None:
        """Begin to publish snapshots of a node that has started."""
        self._running = running
        self._publish()

    def is_started(self) -> bool:
        """Tell whether the node has started."""
        return self._running is not None

    def accepts_requests(self) -> bool:
        """Tell whether the node takes requests at this moment: a stop shows at once."""
        return self._running is not None and self._running.edge.accepting

    def turned_ago_s(self) -> float:
        """Return for how many seconds the loop has not come by here."""
        return self.clock.monotonic_s() - self.turned_s

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_database)
                await self._turn()
        finally:
            with anyio.CancelScope(shield=True):
                await self._watch.close()

    @property
    def database_failures(self) -> int:
        """How often the database could not be asked."""
        return self._watch.failures

    def _now(self) -> datetime:
        clock = self.clock if self._running is None else self._running.node.clock
        return clock.now()

    async def _turn(self) -> None:
        publish_s = 0.0
        while True:
            before_s = self.clock.monotonic_s()
            await self.clock.sleep(TICK_S)
            now_s = self.turned_s = self.clock.monotonic_s()
            self._lag_s.add(max(0.0, now_s - before_s - TICK_S))
            if now_s >= publish_s:
                publish_s = now_s + SNAPSHOT_EVERY_S
                self._publish()

    def _publish(self) -> None:
        if self._running is None:
            return
        try:
            self.snapshot = take_snapshot(
                self._running,
                taken_s=self.clock.monotonic_s(),
                taken_at_s=self.clock.now_ms() / 1000,
                loop_lag_s=self._lag_s.statistics(),
                database=self._watch.latest,
            )
        except Exception:  # noqa: BLE001 - it must not harm the node, and is counted
            self.fail("no snapshot was taken")

    async def _watch_database(self) -> None:
        watch = self._watch
        while True:
            snapshot = self.snapshot
            if snapshot is None or not snapshot.owns_journal:
                watch.forget()
                await self.clock.sleep(SNAPSHOT_EVERY_S)
                continue
            try:
                await watch.look()
            except Exception:  # noqa: BLE001 - as above
                self.fail("the database was not looked at")
            await self.clock.sleep(LOOK_EVERY_S)

    def fail(self, what: str) -> None:
        """Note the exception that is being handled. Threads may do so as well."""
        self.failures += 1
        # Once with all its lines; a fault that stays would fill the disk.
        if self.failures == 1:
            _log.exception("the instruments fail: %s", what)
