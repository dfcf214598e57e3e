"""Distances and speeds between places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.risk.geo import distance_km, speed_kmh
from schemas.risk import GeoPoint

_points = st.builds(
    GeoPoint, st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000)
)
_SHANGHAI = GeoPoint(31_230_400, 121_473_700)
_BEIJING = GeoPoint(39_904_200, 116_407_400)


def test_a_known_distance() -> None:
    """From Shanghai to Beijing it is 1,067 km along the great circle."""
    assert distance_km(_SHANGHAI, _BEIJING) == pytest.approx(1_067, abs=2)


@given(_points, _points)
def test_distance_is_the_same_both_ways_and_bounded(one: GeoPoint, other: GeoPoint) -> None:
    """No two places are further apart than half the circumference; a place is no way off itself."""
    way_km = distance_km(one, other)
    assert way_km == pytest.approx(distance_km(other, one), abs=1e-6)
    assert 0 <= way_km <= 20_016
    assert distance_km(one, one) == 0


def test_speed_has_no_division_by_zero() -> None:
    """Two places at one moment are as fast as in one second, in either order of time."""
    assert speed_kmh(1.0, 5_000, 5_000) == 3_600
    assert speed_kmh(1.0, 3_605_000, 5_000) == speed_kmh(1.0, 5_000, 3_605_000) == 1
