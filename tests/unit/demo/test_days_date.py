"""When a day that needs a weekday or an hour begins."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.clock import ManualClock
from zhihui.client import Client
from zhihui.demo.days import date
from zhihui.demo.days.date import SandboxDate, time_until
from zhihui.demo.days.manifest import Begins

_MONDAY = Begins(weekday="Monday", at="02:30:00", zone="Asia/Shanghai")


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        # Beijing is eight hours ahead: Sunday 18:30 in London is Monday 02:30 there.
        (datetime(2026, 6, 14, 17, 30, tzinfo=UTC), 1),
        (datetime(2026, 6, 14, 18, 30, tzinfo=UTC), 7 * 24),
        (datetime(2026, 6, 14, 19, 30, tzinfo=UTC), 7 * 24 - 1),
    ],
)
def test_the_next_such_moment_is_in_the_future(now: datetime, hours: int) -> None:
    """It is the day's own zone that counts, and a moment that is now has passed."""
    assert time_until(_MONDAY, now) == timedelta(hours=hours)


@given(
    now=st.datetimes(
        min_value=datetime(2025, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2040, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    weekday=st.sampled_from(["Monday", "Thursday", "Sunday"]),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin"]),
)
def test_the_moment_is_the_one_that_is_asked_for(now: datetime, weekday: str, zone: str) -> None:
    """Weekday and hour are right in the zone, at most a week ahead, when clocks change too."""
    begins = Begins(weekday=weekday, at="12:15", zone=zone)
    until = time_until(begins, now)
    at = (now + until).astimezone(ZoneInfo(zone))
    assert (at.strftime("%A"), at.strftime("%H:%M:%S")) == (weekday, "12:15:00")
    assert timedelta(0) < until <= timedelta(days=7, hours=1)


def test_an_unknown_weekday_is_named() -> None:
    """A manifest with another word for a weekday is told so."""
    with pytest.raises(ValueError, match="'Montag' is no weekday; there are Monday"):
        time_until(Begins(weekday="Montag", at="00:00", zone="UTC"), datetime.now(UTC))


class _Office:
    """A back office that keeps the sandbox's rules."""

    def __init__(self, ahead_s: int) -> None:
        self.ahead_s = ahead_s
        self.version = 1

    async def call(self, service: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (service, body["name"]) == ("rules", "sandbox")
        if verb == "put":
            self.ahead_s = body["rules"]["clock_ahead_s"]
            self.version += 1
        return {"rules": {"clock_ahead_s": self.ahead_s}, "version": self.version}


@pytest.mark.anyio
async def test_a_date_that_was_moved_before_is_moved_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the nodes are ahead already counts, and the new date is past the moment."""
    monkeypatch.setattr(date, "FOLLOW_S", 0)
    office = _Office(ahead_s=3 * 86_400)
    clock = ManualClock(datetime(2026, 6, 10, 18, 30, tzinfo=UTC))
    sandbox = SandboxDate(cast("Client", office), clock)
    assert await sandbox.ahead() == timedelta(days=3)
    # It is Saturday 18:30 UTC there, a day before the moment.
    await sandbox.move_to(_MONDAY)
    assert office.ahead_s == 4 * 86_400 + 1
    await sandbox.advance(timedelta(minutes=40))
    assert office.ahead_s == 4 * 86_400 + 2_401
