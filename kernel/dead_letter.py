"""What becomes of a message that cannot be processed: it is kept, with its reason and its bytes."""

import logging
from collections import deque
from datetime import datetime
from typing import Protocol

import msgspec

from kernel.actor import Delivery
from kernel.clock import Clock
from kernel.randomness import IdFactory
from schemas.errors import ZhihuiError

__all__ = (
    "REASON_CHARACTERS_MAX",
    "WAITING_MAX",
    "DeadLetter",
    "DeadLetterStatistics",
    "DeadLetterStore",
    "DeadLetters",
)

_log = logging.getLogger(__name__)

# A flood of poison must not fill the memory while the store is away.
WAITING_MAX = 10_000
REASON_CHARACTERS_MAX = 2_000


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message that was given up, with its original bytes."""

    dead_letter_id: str
    at: datetime
    node: str
    kind: str
    key: str
    type: str
    app: str
    reason: str
    attempts: int
    body: bytes


class DeadLetterStore(Protocol):
    """Where dead letters are kept."""

    async def keep_dead_letters(self, letters: list[DeadLetter]) -> None:
        """Store all of ``letters``, once each."""


class DeadLetterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``lost`` could not even be kept."""

    recorded: int
    waiting: int
    lost: int


# What the column holds; the number came with the message.
_ATTEMPTS_MAX = 2**31 - 1


class DeadLetters:
    """Collect dead letters and bring them to the store in the background.

    Of messages whose type is in ``redacted`` neither the body nor the reason is kept, which may
    quote it: they carry what must not be stored as it came.
    """

    def __init__(
        self, node: str, store: DeadLetterStore, clock: Clock, ids: IdFactory,
        *, redacted: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._node = node
        self._store = store
        self._clock = clock
        self._ids = ids
        self._redacted = redacted
        self._waiting: deque[DeadLetter] = deque()
        self._recorded = 0
        self._lost = 0

    def record(self, delivery: Delivery, reason: str) -> None:
        """Give up on a delivery."""
        envelope = delivery.envelope
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._lost += 1
        self._recorded += 1
        # The end of a traceback is what went wrong; its beginning is where.
        reason = _storable(reason)[-REASON_CHARACTERS_MAX:]
        if envelope.type in self._redacted:
            reason = f"{reason.rstrip().rpartition(chr(10))[2].partition(':')[0]} (redacted)"
        last_line = reason.rstrip().rpartition("\n")[2]
        # A log is written in UTF-8 as well.
        type_, kind = _storable(envelope.type), _storable(envelope.kind)
        _log.error("dead letter: %s to %s: %s", type_, kind, last_line)
        self._waiting.append(
            DeadLetter(
                dead_letter_id=self._ids.new("dead"),
                at=self._clock.now(),
                node=self._node,
                kind=kind,
                key=_storable(envelope.key),
                type=type_,
                app=_storable(envelope.app),
                reason=reason,
                attempts=min(max(delivery.attempts, 0), _ATTEMPTS_MAX),
                body=b"" if envelope.type in self._redacted else bytes(envelope.body),
            )
        )

    async def run(self, interval_s: float = 0.2) -> None:
        """Store what was recorded, until cancelled."""
        while True:
            await self._clock.sleep(interval_s)
            await self.flush()

    async def flush(self) -> None:
        """Store what was recorded; keep it for later when the store is away."""
        if not self._waiting:
            return
        letters = list(self._waiting)
        try:
            await self._store.keep_dead_letters(letters)
        except ZhihuiError as error:
            _log.warning("dead letters wait for the store: %s", error.message)
            return
        kept = {letter.dead_letter_id for letter in letters}
        while self._waiting and self._waiting[0].dead_letter_id in kept:
            self._waiting.popleft()

    def statistics(self) -> DeadLetterStatistics:
        """Return the counts so far."""
        return DeadLetterStatistics(
            recorded=self._recorded, waiting=len(self._waiting), lost=self._lost
        )


def _storable(text: str) -> str:
    """Return the text without what a database refuses: poison must not poison its dead letter."""
    return text.encode(errors="replace").decode().replace("\0", "")
