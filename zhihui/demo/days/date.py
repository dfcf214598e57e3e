"""The date of a sandbox, for days that begin on a weekday or take longer than one of ours."""

from datetime import datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import anyio

from kernel.clock import Clock, SystemClock
from zhihui.client import Client
from zhihui.demo.days.manifest import Begins
from zhihui.sandbox import SANDBOX_RULES, move_clock

__all__ = ("FOLLOW_S", "DayDate", "SandboxDate", "time_until")

# Nodes see the new date after a second at most; see zhihui.sandbox.
FOLLOW_S = 1.5

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEK = timedelta(days=7)


class DayDate(Protocol):
    """What playing a day needs of the service's date."""

    async def advance(self, by: timedelta) -> None:
        """Move it forward."""

    async def move_to(self, begins: Begins) -> None:
        """Move it forward to the next such moment."""


class SandboxDate:
    """The date of a sandbox's nodes, moved by the back office; it never goes back."""

    def __init__(self, office: Client, clock: Clock | None = None) -> None:
        self._office = office
        self._clock = clock or SystemClock()

    async def ahead(self) -> timedelta:
        """Return by how much the date was moved until now."""
        found = await self._office.call("rules", "get", {"name": SANDBOX_RULES.name})
        return timedelta(seconds=int(found["rules"]["clock_ahead_s"]))

    async def advance(self, by: timedelta) -> None:
        """Move the date forward, and return when the nodes have followed."""
        await move_clock(self._office, by)
        await anyio.sleep(FOLLOW_S)

    async def move_to(self, begins: Begins) -> None:
        """Move the date to the next such moment; a second later, for parts of one are lost."""
        there = self._clock.now() + await self.ahead()
        await self.advance(time_until(begins, there) + timedelta(seconds=1))


def time_until(begins: Begins, now: datetime) -> timedelta:
    """Return how long it is from ``now``, which has a zone, to the next such moment."""
    if begins.weekday not in _WEEKDAYS:
        raise ValueError(f"{begins.weekday!r} is no weekday; there are {', '.join(_WEEKDAYS)}")
    zone = ZoneInfo(begins.zone)
    there = now.astimezone(zone)
    days = (_WEEKDAYS.index(begins.weekday) - there.weekday()) % 7
    at = datetime.combine(there.date(), time.fromisoformat(begins.at), zone) + timedelta(days=days)
    # Between aware times of one zone Python takes the difference of what their walls show.
    return (at if at > there else at + _WEEK).astimezone(now.tzinfo) - now
