"""What the channels' actors of one node share: the open channels, the router, and the counts."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from actors.channels.adapters.transport import HttpSession, open_session
from actors.channels.channel import Channel
from actors.channels.configuration import (
    CHANNELS_SETTING,
    ChannelsConfig,
    open_adapter,
    read_channels,
)
from actors.channels.router_port import Choice, Observation, Router, RouteRequest
from actors.channels.routing import make_router
from actors.channels.terms import ChannelTerms
from actors.parts import Parts
from kernel.clock import Clock

__all__ = ("ChannelDesk", "DeskStatistics", "desk_of")

_log = logging.getLogger(__name__)


class DeskStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start: exchanges with the channels and what they came to."""

    channels: tuple[str, ...]
    exchanges: int
    outcomes: dict[str, int]
    callbacks: int
    callbacks_refused: int
    late_successes: int


class ChannelDesk:
    """See the module. Its connections are opened by the first exchange, inside of the loop."""

    def __init__(self, config: ChannelsConfig, router: Router, parts: Parts) -> None:
        self.config = config
        self.clock: Clock = parts.clock
        self._router = router
        self._parts = parts
        self._channels: dict[str, Channel] | None = None
        self._session: HttpSession | None = None
        self._outcomes: dict[str, int] = {}
        self.callbacks = 0
        self.callbacks_refused = 0
        self.late_successes = 0

    # The channels.

    def channel(self, name: str) -> Channel | None:
        """Return a channel, or None when this node has no way to it."""
        return self._opened().get(name)

    def use(self, channels: Mapping[str, Channel]) -> None:
        """Use these channels instead of those of the file, such as ones in memory."""
        self._channels = dict(channels)

    def names(self) -> tuple[str, ...]:
        """Return the channels that this node has a way to."""
        return tuple(self._opened())

    def timeout_s(self, name: str) -> float:
        """Return how long an exchange with a channel may take."""
        access = self.config.channels.get(name)
        return 5.0 if access is None else access.timeout_s

    def _opened(self) -> dict[str, Channel]:
        if self._channels is None:
            if not self.config.channels:
                return {}
            self._session = open_session()
            parts = self._parts
            self._channels = {
                name: open_adapter(name, access, self._session, parts.clock, parts.randomness)
                for name, access in self.config.channels.items()
            }
        return self._channels

    async def close(self) -> None:
        """Let go of the connections; what is under way comes to nothing and is asked again."""
        if self._session is not None:
            await self._session.close()
            self._session = self._channels = None

    # Routing.

    def choose(self, request: RouteRequest, *, payer_known: bool) -> Choice:
        """Let the router choose among the channels that this node has a way to.

        A payer of whom nothing is known has to scan a code, which not every channel can show.
        """
        candidates: list[ChannelTerms] = [
            one.terms for one in self._opened().values() if payer_known or one.terms.shows_code
        ]
        return self._router.choose(request, candidates, self.clock.now_ms())

    def observe(self, name: str, observation: Observation, latency_s: float | None) -> None:
        """Tell the router how a channel did."""
        self._router.observe(name, observation, latency_s, self.clock.now_ms())

    def count(self, outcome: Any) -> None:
        """Count what an exchange came to."""
        name = type(outcome).__name__
        self._outcomes[name] = self._outcomes.get(name, 0) + 1

    def statistics(self) -> DeskStatistics:
        """Return the counts so far."""
        return DeskStatistics(
            channels=tuple(self.config.channels),
            exchanges=sum(self._outcomes.values()),
            outcomes=dict(self._outcomes),
            callbacks=self.callbacks,
            callbacks_refused=self.callbacks_refused,
            late_successes=self.late_successes,
        )


def desk_of(parts: Parts) -> ChannelDesk:
    """Return the desk of a node, made when it is first asked for.

    The actors and the receiver of callbacks use the same connections.
    Raise :class:`ValueError` when the file that the setting names makes no sense.
    """
    known: ChannelDesk | None = parts.shared.get("channel desk")
    if known is None:
        path = parts.settings.get(CHANNELS_SETTING, "")
        config = read_channels(Path(path)) if path else ChannelsConfig(channels={})
        known = ChannelDesk(config, make_router(parts), parts)
        parts.shared["channel desk"] = known
    return known
