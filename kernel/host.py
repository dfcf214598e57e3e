"""Hosts run the actors of one kind on this node: mailboxes, turns, restarts, dead letters."""

import logging
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

import anyio
import anyio.abc
import msgspec

from kernel.actor import Actor, ActorContext, BatchActor, Delivery
from kernel.clock import Clock
from kernel.dead_letter import DeadLetters
from kernel.mailbox import Mailbox, MailboxStatistics
from kernel.partition import partition_of
from kernel.supervision import RestartIntensity, RestartPolicy
from schemas.errors import Busy, Internal, NotReady, StaleOwner, Unavailable, ZhihuiError

__all__ = (
    "ATTEMPTS_MAX",
    "START_RETRY_S",
    "BatchHost",
    "Host",
    "HostLimits",
    "HostStatistics",
    "KeyedHost",
)

_log = logging.getLogger(__name__)

# A message that crashed an actor gets one more try against a fresh instance: enough for a fault of
# the state, and a message that is itself the fault cannot loop.
ATTEMPTS_MAX = 2
# The pause before an actor that did not start is tried again.
START_RETRY_S = 0.2


class HostLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one kind on one node."""

    # Two seconds of the highest rate measured on one node: what waits longer has mostly expired.
    mailbox_capacity: int = 16_384
    # Where the cost per message stops falling (the journal's commit is flat from 500 on).
    batch_max: int = 1_000
    # Instances kept in memory; beyond it the one idle longest is put to sleep.
    identities_max: int = 50_000
    # A single identity may not fill the kind's mailbox.
    identity_queue_max: int = 256
    # What a full mailbox tells the sender: long enough for it to drain once.
    busy_retry_after_s: float = 0.2


class HostStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    kind: str
    mailbox: MailboxStatistics
    processed: int
    expired: int
    failed: int
    restarts: int
    identities: int
    suspended: bool


class Host(Protocol):
    """What the node needs of a host."""

    kind: str

    async def run(self) -> None:
        """Serve until cancelled."""

    def deliver(self, delivery: Delivery) -> None:
        """Take a message, or answer why not."""

    def waiting(self) -> int:
        """Return how many messages are waiting or in work."""

    def waiting_in(self, partitions: set[int]) -> bool:
        """Tell whether messages of these partitions are waiting or in work."""

    def statistics(self) -> HostStatistics:
        """Return the counts so far."""


class _Base:
    """What both hosts share: admission, expiry, restarts and giving up."""

    def __init__(
        self,
        kind: str,
        clock: Clock,
        dead_letters: DeadLetters,
        limits: HostLimits,
        policy: RestartPolicy,
    ) -> None:
        self.kind = kind
        self.limits = limits
        self._clock = clock
        self._dead_letters = dead_letters
        self._policy = policy
        self._intensity = RestartIntensity(clock, policy)
        self._mailbox: Mailbox[Delivery] = Mailbox(limits.mailbox_capacity)
        self._processed = 0
        self._expired = 0
        self._failed = 0
        self._in_work = 0

    def _refuse_busy(self, delivery: Delivery) -> None:
        delivery.fail(
            Busy(
                f"the mailbox of {self.kind} is full", retry_after_s=self.limits.busy_retry_after_s
            )
        )

    def _is_expired(self, delivery: Delivery, now_ms: int) -> bool:
        if delivery.envelope.deadline_ms >= now_ms:
            return False
        # The one who asked has stopped waiting; work begun now would be work for nobody.
        self._expired += 1
        delivery.answered = True
        return True

    def _give_up(self, delivery: Delivery, error: BaseException) -> None:
        self._failed += 1
        self._dead_letters.record(delivery, "".join(traceback.format_exception(error)[-4:]))
        delivery.fail(Internal("the message could not be processed and is kept as a dead letter"))

    def statistics(self) -> HostStatistics:
        """Return the counts so far."""
        return HostStatistics(
            kind=self.kind,
            mailbox=self._mailbox.statistics(),
            processed=self._processed,
            expired=self._expired,
            failed=self._failed,
            restarts=self._intensity.restarts,
            identities=self._identities(),
            suspended=self._intensity.pause_left_s() > 0,
        )

    def waiting(self) -> int:
        """Return how many messages are waiting or in work."""
        return len(self._mailbox) + self._in_work

    def waiting_in(self, partitions: set[int]) -> bool:
        """Tell whether messages of these partitions are waiting or in work."""
        return any(
            partition_of(self.kind, key) in partitions
            for key in (*(one.envelope.key for one in self._mailbox), *self._keys_in_work())
        )

    def _keys_in_work(self) -> list[str]:
        raise NotImplementedError

    def _identities(self) -> int:
        return 1


class BatchHost(_Base):
    """Run one :class:`BatchActor`: take what waits, hand it over, again."""

    def __init__(
        self,
        factory: Callable[[], BatchActor],
        *,
        clock: Clock,
        dead_letters: DeadLetters,
        limits: HostLimits | None = None,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._factory = factory
        self._actor: BatchActor | None = None
        self._batch: list[Delivery] = []
        kind = factory().kind
        super().__init__(
            kind, clock, dead_letters, limits or HostLimits(), policy or RestartPolicy()
        )

    def deliver(self, delivery: Delivery) -> None:
        """Take a message, or answer why not."""
        if self._actor is None and self._intensity.pause_left_s() > 0:
            delivery.fail(
                NotReady(
                    f"{self.kind} keeps failing and is paused",
                    retry_after_s=round(self._intensity.pause_left_s(), 3),
                )
            )
        elif not self._mailbox.put_nowait(delivery):
            self._refuse_busy(delivery)
        elif self._batch and self._actor is not None:
            self._actor.foresee(delivery)

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._start_actor()
        try:
            while True:
                await self._mailbox.wait_not_empty()
                now_ms = self._clock.now_ms()
                batch = [
                    delivery
                    for delivery in self._mailbox.take(self.limits.batch_max)
                    if not self._is_expired(delivery, now_ms)
                ]
                if batch:
                    await self._turn(batch)
        finally:
            if self._actor is not None:
                with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
                    await self._actor.stop()

    async def _turn(self, batch: list[Delivery]) -> None:
        assert self._actor is not None
        self._in_work = len(batch)
        self._batch = batch
        try:
            await self._actor.receive_batch(batch)
            self._processed += len(batch)
        except Unavailable as error:
            # Cut off from what it needs, which is no fault of the actor nor of a message.
            for delivery in batch:
                delivery.fail(error)
        except Exception as error:  # noqa: BLE001 - the supervisor's one place to catch all
            await self._after_crash(batch, error)
        finally:
            self._in_work = 0
            self._batch = []

    def _keys_in_work(self) -> list[str]:
        return [delivery.envelope.key for delivery in self._batch]

    async def _after_crash(self, batch: list[Delivery], error: Exception) -> None:
        """Restart, and redo what was not answered one by one: only the poison fails again."""
        await self._restart(error)
        for delivery in batch:
            if delivery.answered:
                self._processed += 1
                continue
            # The restart may have paused for longer than anyone waits.
            if self._is_expired(delivery, self._clock.now_ms()):
                continue
            delivery.attempts += 1
            if len(batch) == 1 and delivery.attempts > ATTEMPTS_MAX:
                self._give_up(delivery, error)
                continue
            assert self._actor is not None
            try:
                await self._actor.receive_batch([delivery])
                self._processed += 1
            except Unavailable as away:
                delivery.fail(away)
            except Exception as again:  # noqa: BLE001 - as above
                self._give_up(delivery, again)
                await self._restart(again)

    async def _restart(self, error: Exception) -> None:
        _log.error("%s crashed and is restarted", self.kind, exc_info=error)
        self._actor = None
        pause_s = self._intensity.restarted()
        if pause_s:
            await self._clock.sleep(pause_s)
        await self._start_actor()

    async def _start_actor(self) -> None:
        while True:
            actor = self._factory()
            try:
                await actor.start()
            except Unavailable as away:
                # Not its fault, so no growing pauses: it serves as soon as what it needs is back.
                _log.warning("%s does not start yet: %s", self.kind, away.message)
                await self._clock.sleep(START_RETRY_S)
            except Exception:  # noqa: BLE001 - as above
                _log.exception("%s does not start", self.kind)
                # A component that cannot start is tried at a growing interval, never in a loop.
                await self._clock.sleep(max(self._intensity.restarted(), START_RETRY_S))
            else:
                self._actor = actor
                return


class _Identity:
    """One key of a keyed kind: its queue and, while awake, its actor."""

    __slots__ = ("active", "actor", "intensity", "key", "queue")

    def __init__(self, key: str, intensity: RestartIntensity) -> None:
        self.key = key
        self.queue: deque[Delivery] = deque()
        self.actor: Actor | None = None
        self.active = False
        self.intensity = intensity


class KeyedHost(_Base):
    """Run one :class:`Actor` for each key, each taking its messages one by one.

    A task lives as long as a key has messages: an idle identity costs memory and nothing else.
    """

    def __init__(
        self,
        actor: type[Actor] | Callable[[ActorContext], Actor],
        context_for: Callable[[str, str], ActorContext],
        *,
        kind: str,
        clock: Clock,
        dead_letters: DeadLetters,
        limits: HostLimits | None = None,
        policy: RestartPolicy | None = None,
    ) -> None:
        super().__init__(
            kind, clock, dead_letters, limits or HostLimits(), policy or RestartPolicy()
        )
        self._factory = actor
        self._context_for = context_for
        self._identities_by_key: OrderedDict[str, _Identity] = OrderedDict()
        self._tasks: anyio.abc.TaskGroup | None = None

    def _identities(self) -> int:
        return len(self._identities_by_key)

    def _keys_in_work(self) -> list[str]:
        return [key for key, identity in self._identities_by_key.items() if identity.active]

    async def run(self) -> None:
        """Serve until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            while True:
                await self._mailbox.wait_not_empty()
                for delivery in self._mailbox.take(self.limits.batch_max):
                    self._hand_over(delivery, tasks)

    def deliver(self, delivery: Delivery) -> None:
        """Take a message, or answer why not."""
        if self._in_work >= self.limits.mailbox_capacity or not self._mailbox.put_nowait(delivery):
            self._refuse_busy(delivery)

    def _hand_over(self, delivery: Delivery, tasks: anyio.abc.TaskGroup) -> None:
        key = delivery.envelope.key
        identity = self._identities_by_key.get(key)
        if identity is None:
            self._put_to_sleep()
            identity = _Identity(key, RestartIntensity(self._clock, self._policy))
            self._identities_by_key[key] = identity
        else:
            self._identities_by_key.move_to_end(key)
        if len(identity.queue) >= self.limits.identity_queue_max:
            self._refuse_busy(delivery)
            return
        self._in_work += 1
        identity.queue.append(delivery)
        if not identity.active:
            identity.active = True
            tasks.start_soon(self._work, identity)

    def _put_to_sleep(self) -> None:
        if len(self._identities_by_key) < self.limits.identities_max:
            return
        for key, identity in self._identities_by_key.items():
            if not identity.active:
                del self._identities_by_key[key]
                return

    async def _work(self, identity: _Identity) -> None:
        try:
            while identity.queue:
                delivery = identity.queue.popleft()
                try:
                    await self._turn(identity, delivery)
                finally:
                    self._in_work -= 1
        finally:
            identity.active = False

    async def _turn(self, identity: _Identity, delivery: Delivery) -> None:
        while not self._is_expired(delivery, self._clock.now_ms()):
            pause_s = identity.intensity.pause_left_s()
            if pause_s > 0:
                delivery.fail(
                    NotReady(
                        f"{self.kind} {identity.key!r} keeps failing and is paused",
                        retry_after_s=round(pause_s, 3),
                    )
                )
                return
            try:
                await self._process(identity, delivery)
            except ZhihuiError as error:
                delivery.fail(error)
            except Exception as error:  # noqa: BLE001 - the supervisor's one place to catch all
                _log.error("%s %r crashed", self.kind, identity.key, exc_info=error)
                identity.actor = None
                identity.intensity.restarted()
                self._intensity.restarts += 1
                if delivery.attempts >= ATTEMPTS_MAX:
                    self._give_up(delivery, error)
                    return
                delivery.attempts += 1
                continue
            self._processed += 1
            return

    async def _process(self, identity: _Identity, delivery: Delivery) -> None:
        envelope = delivery.envelope
        if identity.actor is not None and not identity.actor.context.is_current():
            # The partition was elsewhere meanwhile, and what the actor remembers may be old.
            identity.actor = None
        if identity.actor is None:
            context = self._context_for(self.kind, identity.key)
            if not context.is_current():
                raise StaleOwner(f"{self.kind} {identity.key!r} has moved", retry_after_s=0.1)
            actor = self._factory(context)
            await actor.start()
            identity.actor = actor
        known = identity.actor.handler(envelope.type)
        if known is None:
            raise LookupError(f"{self.kind} has no handler for {envelope.type!r}")
        decode, method = known
        delivery.reply(await method(decode(envelope.body), delivery))
