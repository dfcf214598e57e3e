"""Channels whose moods are drawn from a seed: drift, brown-outs, outages and slow times.

A drawn weather has the fields that a profile of the channel simulator has, so the same document
can be given to both.
"""

import math
import random
from collections.abc import Sequence

import msgspec

__all__ = ("ChannelWeather", "Weather", "WeatherOutage", "WeatherPhase", "draw_weather")

_PPM = 1_000_000

# A phase is as short as this, which is short against all that is drawn below.
_PHASE_S = 5.0

# How moody channels are, by order of magnitude what a payment operations room sees in a bad week,
# pressed into minutes: a success rate that wanders by a few per cent within ten minutes, a brown-
# out (a fifth of the payments lost) and an outage of some minutes each half hour, slow times.
_DRIFT_LOGIT = 0.4
_DRIFT_MEMORY_S = 600.0
_BROWNOUT_EVERY_S, _BROWNOUT_S, _BROWNOUT_LOSS = 1500.0, (120.0, 600.0), (0.08, 0.4)
_OUTAGE_EVERY_S, _OUTAGE_S = 1800.0, (45.0, 300.0)
_SLOW_EVERY_S, _SLOW_S, _SLOW_FACTOR = 1500.0, (120.0, 600.0), (2.0, 6.0)
# On a usual day each channel is somewhere here, and this share of its failures is silence.
_SUCCESS = (0.90, 0.975)
_LATENCY_S = (0.2, 0.9)
_SILENCE = 0.3
_DECLINED_PPM = 40_000


class WeatherOutage(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds in which nothing works."""

    from_s: float
    to_s: float
    kind: str


class WeatherPhase(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel does from ``from_s`` on."""

    from_s: float
    failure_ppm: int
    timeout_before_ppm: int
    timeout_after_ppm: int
    latency_factor: float


class ChannelWeather(msgspec.Struct, frozen=True, kw_only=True):
    """One channel; the phases say how much it fails."""

    latency_median_s: float
    latency_sigma: float = 0.4
    latency_max_s: float = 8.0
    decline_ppm: int = _DECLINED_PPM
    failure_ppm: int = 0
    timeout_before_ppm: int = 0
    timeout_after_ppm: int = 0
    outages: tuple[WeatherOutage, ...] = ()
    phases: tuple[WeatherPhase, ...] = ()


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """All channels."""

    name: str
    seed: int
    channels: dict[str, ChannelWeather]

    def of(self, channel: str) -> ChannelWeather:
        """Return one channel."""
        return self.channels[channel]


def draw_weather(channels: Sequence[str], *, seed: int, length_s: float) -> Weather:
    """Draw the moods of each channel for that many seconds."""
    rng = random.Random(seed)
    return Weather(
        name="weather",
        seed=seed,
        channels={name: _draw_channel(length_s, rng) for name in channels},
    )


def _draw_channel(length_s: float, rng: random.Random) -> ChannelWeather:
    usual = rng.uniform(*_SUCCESS)
    level = math.log(usual / (1.0 - usual))
    pull = math.exp(-_PHASE_S / _DRIFT_MEMORY_S)
    noise = _DRIFT_LOGIT * math.sqrt(1.0 - pull * pull)
    drift = rng.gauss(0.0, _DRIFT_LOGIT)
    brownouts = _spells(length_s, _BROWNOUT_EVERY_S, _BROWNOUT_S, rng)
    slow = _spells(length_s, _SLOW_EVERY_S, _SLOW_S, rng)
    losses = [rng.uniform(*_BROWNOUT_LOSS) for _ in brownouts]
    factors = [rng.uniform(*_SLOW_FACTOR) for _ in slow]
    phases = []
    for number in range(math.ceil(length_s / _PHASE_S)):
        at = number * _PHASE_S
        drift = drift * pull + rng.gauss(0.0, noise)
        success = 1.0 / (1.0 + math.exp(-(level + drift)))
        success *= 1.0 - _during(at, brownouts, losses, 0.0)
        failing = 1.0 - success
        silent = failing * _SILENCE
        phases.append(
            WeatherPhase(
                from_s=at,
                # Of those that are answered, so that both together leave the success rate.
                failure_ppm=round((1.0 - success / (1.0 - silent)) * _PPM),
                timeout_before_ppm=round(silent / 2 * _PPM),
                timeout_after_ppm=round(silent / 2 * _PPM),
                latency_factor=_during(at, slow, factors, 1.0),
            )
        )
    outages = [
        WeatherOutage(from_s=start, to_s=end, kind=rng.choice(("silent", "error", "refuse")))
        for start, end in _spells(length_s, _OUTAGE_EVERY_S, _OUTAGE_S, rng)
    ]
    return ChannelWeather(
        latency_median_s=rng.uniform(*_LATENCY_S), phases=tuple(phases), outages=tuple(outages)
    )


def _spells(
    length_s: float, every_s: float, lasts_s: tuple[float, float], rng: random.Random
) -> list[tuple[float, float]]:
    """Return starts and ends of spells that begin at random, never two at a time."""
    spells = []
    start = rng.expovariate(1.0 / every_s)
    while start < length_s:
        end = start + rng.uniform(*lasts_s)
        spells.append((start, end))
        start = end + rng.expovariate(1.0 / every_s)
    return spells


def _during(
    at_s: float, spells: Sequence[tuple[float, float]], values: Sequence[float], otherwise: float
) -> float:
    for (start, end), value in zip(spells, values, strict=True):
        if start <= at_s < end:
            return value
    return otherwise
