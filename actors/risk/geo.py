"""How far apart two places are, and how fast one would have had to be."""

from math import asin, cos, radians, sin, sqrt

import msgspec

from schemas.risk import GeoPoint

__all__ = ("Place", "distance_km", "speed_kmh")

# Mean radius (IUGG). The earth is no ball, which makes distances wrong by up to 0.6 %.
_EARTH_KM = 6_371.0088


class Place(msgspec.Struct, frozen=True):
    """Where a customer was, and when (Unix milliseconds)."""

    point: GeoPoint
    at_ms: int


def distance_km(one: GeoPoint, other: GeoPoint) -> float:
    """Return the length of the shortest way over the surface, by the haversine formula."""
    latitude = radians(one.latitude_udeg / 1e6)
    other_latitude = radians(other.latitude_udeg / 1e6)
    north = sin((other_latitude - latitude) / 2)
    east = sin(radians((other.longitude_udeg - one.longitude_udeg) / 1e6) / 2)
    part = north * north + cos(latitude) * cos(other_latitude) * east * east
    # Rounding may lift the part of opposite points above 1.
    return 2 * _EARTH_KM * asin(sqrt(min(1.0, part)))


def speed_kmh(way_km: float, from_ms: int, to_ms: int) -> float:
    """Return the speed of a way; less than a second counts as one, in either order."""
    return way_km / (max(abs(to_ms - from_ms), 1_000) / 3_600_000)
