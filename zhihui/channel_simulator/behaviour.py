"""What becomes of a request: drawn from the profile, the same in every run with one seed.

What is drawn depends on the seed, the channel, the number of the order in that channel and how
often it was asked: not on the reference, so two runs with other references see the same fates.
"""

import math
from hashlib import blake2b
from statistics import NormalDist
from typing import Literal

import msgspec

from zhihui.channel_simulator.profile import ChannelProfile

__all__ = ("Draw", "Fate", "NoticePlan", "fate_of", "notices_of")

_NORMAL = NormalDist()
_PPM = 1_000_000


class Draw:
    """Uniform numbers from a name; the same name gives the same numbers."""

    __slots__ = ("_count", "_digest", "_name")

    def __init__(self, *name: object) -> None:
        self._name = "\0".join(map(str, name)).encode()
        self._digest = b""
        self._count = 0

    def uniform(self) -> float:
        """Return the next number, at least 0 and below 1."""
        place = self._count % 8
        if place == 0:
            salt = (self._count // 8).to_bytes(8, "big")
            self._digest = blake2b(self._name, digest_size=64, salt=salt).digest()
        self._count += 1
        return int.from_bytes(self._digest[place * 8 : place * 8 + 7], "big") / 2**56

    def happens(self, ppm: int) -> bool:
        """Tell whether something happens that does so in ``ppm`` of a million cases."""
        return self.uniform() * _PPM < ppm

    def between(self, low: float, high: float) -> float:
        """Return a number between two others."""
        return low + (high - low) * self.uniform()


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one request.

    ``takes_effect`` is 'now', 'late' (unanswered) or 'never' (unanswered). ``refusal`` is what the
    order comes to when it takes effect: '' is paid, 'payer' and 'channel' say whose reason it is.
    """

    latency_s: float
    takes_effect: Literal["now", "late", "never"]
    answered: bool
    refusal: Literal["", "payer", "channel"]
    breaks_word: bool


class NoticePlan(msgspec.Struct, frozen=True, kw_only=True):
    """When a result is told, in seconds from now; empty when it never is."""

    delays_s: tuple[float, ...]


def fate_of(profile: ChannelProfile, order: Draw, call: Draw, *, changes: bool) -> Fate:
    """Return the fate of one request.

    ``order`` is drawn once for an order, however often it is sent, ``call`` for each request.
    ``changes`` tells a request that could change something from a query.
    """
    # Always the same draws in the same places, so that one share does not shift the others.
    refused, refused_by_channel = order.uniform() * _PPM, order.uniform() * _PPM
    breaks_word = order.happens(profile.broken_word_ppm)
    latency_s = profile.latency_median_s
    if latency_s:
        z = _NORMAL.inv_cdf(min(max(call.uniform(), 1e-9), 1 - 1e-9))
        latency_s = min(latency_s * math.exp(profile.latency_sigma * z), profile.latency_max_s)
    lost = call.uniform() * _PPM
    takes_effect: Literal["now", "late", "never"] = "now"
    answered = True
    if not changes:
        answered = lost >= profile.query_timeout_ppm
    elif lost < profile.timeout_before_ppm:
        takes_effect, answered = "never", False
    elif lost < profile.timeout_before_ppm + profile.timeout_after_ppm:
        answered = False
    elif lost < (profile.timeout_before_ppm + profile.timeout_after_ppm + profile.late_effect_ppm):
        takes_effect, answered = "late", False
    refusal: Literal["", "payer", "channel"] = ""
    if refused_by_channel < profile.failure_ppm:
        refusal = "channel"
    elif refused < profile.decline_ppm:
        refusal = "payer"
    return Fate(
        latency_s=latency_s,
        takes_effect=takes_effect,
        answered=answered,
        refusal=refusal,
        breaks_word=breaks_word,
    )


def notices_of(profile: ChannelProfile, draw: Draw) -> NoticePlan:
    """Return when a result is told: once, late, three times, or never."""
    lost = draw.happens(profile.callback_lost_ppm)
    twice_more = draw.happens(profile.callback_duplicate_ppm)
    late = draw.happens(profile.callback_late_ppm)
    delays = [draw.between(*profile.callback_delay_s) for _ in range(3)]
    if lost:
        return NoticePlan(delays_s=())
    if late:
        delays = [profile.callback_late_s + one for one in delays]
    return NoticePlan(delays_s=tuple(delays if twice_more else delays[:1]))
