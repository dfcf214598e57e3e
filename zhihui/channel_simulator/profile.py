"""How the simulated channels behave: shares, delays, outages, and how they change with time.

A profile is a TOML or a JSON file, or one of the names in
:data:`~zhihui.channel_simulator.profiles.PROFILES`. Shares are in parts per million.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

__all__ = (
    "ChannelProfile",
    "Outage",
    "OutageKind",
    "Phase",
    "Profile",
    "ProfileRefused",
    "in_force",
    "outage_at",
    "read_profile",
)

_Ppm = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]

OutageKind = Literal["silent", "error", "refuse"]


class ProfileRefused(Exception):
    """The profile is not one; the text says why."""


class Outage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A window of seconds since the start in which nothing works and nothing takes effect.

    ``silent`` never answers, ``error`` answers 500s, ``refuse`` cuts the connection.
    """

    from_s: float
    to_s: float
    kind: OutageKind = "silent"


class Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different from ``from_s`` on, until the next phase; None leaves a share as it is."""

    from_s: float
    decline_ppm: _Ppm | None = None
    failure_ppm: _Ppm | None = None
    timeout_before_ppm: _Ppm | None = None
    timeout_after_ppm: _Ppm | None = None
    latency_factor: float = 1.0


class ChannelProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel.

    Latencies are lognormal about their median. Of the payments, ``decline_ppm`` are refused for the
    payer's reasons and ``failure_ppm`` for the channel's. Of all requests that could change
    something, ``timeout_before_ppm`` are lost before they take effect, ``timeout_after_ppm`` after,
    and ``late_effect_ppm`` take effect ``late_effect_s`` later; none of these is answered. Of the
    queries, ``query_timeout_ppm`` are not answered. Of the orders that were refused or closed,
    ``broken_word_ppm`` turn out to be paid after ``broken_word_s``, as real channels do now and
    then.

    Results are told by a callback after a delay between the two ends of ``callback_delay_s``;
    ``callback_lost_ppm`` never are, ``callback_duplicate_ppm`` are told twice more,
    ``callback_late_ppm`` only after ``callback_late_s``. Delays of their own put them out of order.
    A payer who has to scan does so after ``payer_delay_s``, except ``payer_leaves_ppm`` of them.
    """

    latency_median_s: _Seconds = 0.02
    latency_sigma: float = 0.4
    latency_max_s: _Seconds = 2.0
    decline_ppm: _Ppm = 0
    failure_ppm: _Ppm = 0
    timeout_before_ppm: _Ppm = 0
    timeout_after_ppm: _Ppm = 0
    late_effect_ppm: _Ppm = 0
    late_effect_s: _Seconds = 1.0
    query_timeout_ppm: _Ppm = 0
    hang_s: _Seconds = 10.0
    broken_word_ppm: _Ppm = 0
    broken_word_s: _Seconds = 3.0
    settle_delay_s: _Seconds = 0.1
    refund_delay_s: _Seconds = 0.1
    refund_failure_ppm: _Ppm = 0
    callback_delay_s: tuple[_Seconds, _Seconds] = (0.05, 0.3)
    callback_lost_ppm: _Ppm = 0
    callback_duplicate_ppm: _Ppm = 0
    callback_late_ppm: _Ppm = 0
    callback_late_s: _Seconds = 5.0
    callback_retries_s: tuple[_Seconds, ...] = (1.0, 3.0, 10.0)
    payer_delay_s: _Seconds = 1.0
    payer_leaves_ppm: _Ppm = 0
    outages: tuple[Outage, ...] = ()
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        starts = [phase.from_s for phase in self.phases]
        if starts != sorted(starts):
            raise ValueError("phases must be in the order of their times")
        if self.callback_delay_s[0] > self.callback_delay_s[1]:
            raise ValueError("callback_delay_s must name the shorter delay first")


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All channels: those that are not named behave as ``default``."""

    name: str
    seed: int = 1
    default: ChannelProfile = ChannelProfile()
    channels: dict[str, ChannelProfile] = {}

    def of(self, channel: str) -> ChannelProfile:
        """Return how a channel behaves."""
        return self.channels.get(channel, self.default)


def in_force(profile: ChannelProfile, elapsed_s: float) -> ChannelProfile:
    """Return the profile with the phase of this moment applied."""
    current = None
    for phase in profile.phases:
        if phase.from_s <= elapsed_s:
            current = phase
    if current is None:
        return profile
    changes: dict[str, float | int] = {
        "latency_median_s": profile.latency_median_s * current.latency_factor
    }
    for name in ("decline_ppm", "failure_ppm", "timeout_before_ppm", "timeout_after_ppm"):
        value = getattr(current, name)
        if value is not None:
            changes[name] = value
    return msgspec.structs.replace(profile, **changes)


def outage_at(profile: ChannelProfile, elapsed_s: float) -> OutageKind | None:
    """Return the kind of outage of this moment, or None."""
    for outage in profile.outages:
        if outage.from_s <= elapsed_s < outage.to_s:
            return outage.kind
    return None


def read_profile(path: Path) -> Profile:
    """Return the profile of a file; raise :class:`ProfileRefused`."""
    try:
        data = path.read_bytes()
        if path.suffix == ".json":
            return msgspec.json.decode(data, type=Profile)
        return msgspec.toml.decode(data, type=Profile)
    except OSError as error:
        raise ProfileRefused(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProfileRefused(f"{path} is not a profile: {error}") from error
