"""The knee of a curve whose bend is known, and its chart."""

import xml.etree.ElementTree as ET

import pytest

from loadtest.harness.search.knee import KneePoint, find_knee, knee_svg


def _queue(capacity: float, rates: list[float]) -> list[KneePoint]:
    """Return what a queue of one server gives: times grow as 1 / (1 - utilisation)."""
    points = []
    for rate in rates:
        wait = 2.0 / max(1 - rate / capacity, 0.001)
        points.append(KneePoint(rate=rate, p50_ms=wait, p99_ms=4.6 * wait, held=wait < 50))
    return points


def test_a_queue_bends_where_it_fills_up() -> None:
    """Of a server for 1,000 a second, the knee is between 700 and 950, whatever the order."""
    rates = [100.0, 990.0, 300.0, 500.0, 700.0, 850.0, 950.0]
    knee = find_knee(_queue(1_000, rates))
    assert knee is not None
    assert 700 <= knee.rate <= 950


def test_a_straight_line_has_no_knee() -> None:
    """Times that grow evenly, by ratio, bend nowhere."""
    line = [
        KneePoint(rate=n, p50_ms=2.0**n, p99_ms=3.0 * 2.0**n, held=True) for n in (1, 2, 3, 4, 5)
    ]
    assert find_knee(line) is None


def test_a_flat_line_and_few_points_have_none() -> None:
    """Without growth, or with fewer than four rates, no knee is named."""
    assert find_knee(_queue(10**9, [1.0, 2.0, 3.0])) is None
    flat = [KneePoint(rate=n, p50_ms=1, p99_ms=2, held=True) for n in (1, 2, 3, 4, 5)]
    assert find_knee(flat) is None


def test_the_chart_shows_every_point_and_the_knee() -> None:
    """The SVG is well formed, holds one mark for each rate, and says where the knee is."""
    points = _queue(1_000, [100.0, 300.0, 500.0, 700.0, 850.0, 990.0])
    svg = knee_svg(points, title="p99 < 50 ms & more")
    root = ET.fromstring(svg)  # noqa: S314 - made just now
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}circle")) == len(points)
    hollow = [one for one in root.findall(f"{space}circle") if one.get("fill") == "white"]
    assert len(hollow) == sum(not point.held for point in points) == 1
    texts = [one.text or "" for one in root.findall(f"{space}text")]
    knee = find_knee(points)
    assert knee is not None
    assert f"knee {knee.rate:,.0f}/s" in texts
    assert "p99 < 50 ms & more" in texts


def test_one_point_is_no_chart() -> None:
    """A chart of a single rate is refused."""
    with pytest.raises(ValueError, match="two rates"):
        knee_svg(_queue(1_000, [100.0]), title="one")
