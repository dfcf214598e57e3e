"""What becomes of plugins on a node, as durable events of the back office."""

import logging
from collections import deque
from hashlib import blake2b

import msgspec

from kernel.clock import Clock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.node import Node
from kernel.plugins.generation import Transition
from kernel.plugins.registry import Switch
from kernel.randomness import IdFactory
from schemas.change import Alternative, Change, Event
from schemas.errors import ZhihuiError
from schemas.ledger import Moves, encode_moves
from schemas.plugins import GenerationMoved, NodeSwitched
from schemas.subjects import OPERATOR_APP

__all__ = ("EVERY_S", "TOGETHER_MAX", "WAITING_MAX", "PluginNews")

_log = logging.getLogger(__name__)

# A person reads them; one commit for all that happened meanwhile.
EVERY_S = 0.5
TOGETHER_MAX = 100
# More than a day of one version a second; a store that is away for longer has other troubles.
WAITING_MAX = 100_000
_ANSWER_MS = 5_000

_json = msgspec.json.Encoder()


class PluginNews:
    """Collect what the registry tells, and have it committed in order. One for each node."""

    def __init__(self, node: Node, clock: Clock, ids: IdFactory) -> None:
        self._node = node
        self._clock = clock
        self._ids = ids
        self._waiting: deque[Event] = deque(maxlen=WAITING_MAX)

    def add(self, news: Transition | Switch) -> None:
        """Take a piece of news."""
        self._waiting.append(self._event(news))

    def _event(self, news: Transition | Switch) -> Event:
        data: GenerationMoved | NodeSwitched
        if isinstance(news, Transition):
            type_ = "plugin.generation_moved"
            data = GenerationMoved(
                name=news.plugin,
                generation=news.generation,
                version=news.version,
                sha256=news.sha256,
                node=self._node.name,
                before=None if news.before is None else str(news.before),
                after=str(news.after),
                reason=news.reason,
                at=news.at,
            )
        else:
            type_ = "plugin.node_switched"
            data = NodeSwitched(
                name=news.plugin,
                what=news.what,
                promoted=news.promoted,
                canary=news.canary,
                canary_ppm=news.canary_ppm,
                node=self._node.name,
                reason=news.reason,
                at=news.at,
            )
        return Event(type_, news.plugin, _json.encode(data).decode())

    async def run(self) -> None:
        """Commit what is told, until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            if self._waiting:
                await self._commit()

    async def _commit(self) -> None:
        """Have the oldest committed under one id, as often as it takes."""
        events = tuple(self._waiting[n] for n in range(min(len(self._waiting), TOGETHER_MAX)))
        request_id = self._ids.new("~plugin")
        change = Change(
            OPERATOR_APP,
            request_id,
            "plugin.node",
            blake2b(request_id.encode(), digest_size=16).digest(),
            (Alternative(encode_moves(Moves()), (), events, "{}"),),
        )
        while True:
            try:
                await self._node.ask(
                    JOURNAL_KIND,
                    JOURNAL_KEY,
                    JOURNAL_TYPE,
                    change,
                    app=OPERATOR_APP,
                    deadline_ms=self._clock.now_ms() + _ANSWER_MS,
                )
            except ZhihuiError as error:
                _log.info("news of plugins wait: %s", error.message)
                await self._clock.sleep(EVERY_S)
            else:
                break
        for _ in events:
            self._waiting.popleft()
