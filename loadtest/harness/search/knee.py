"""The knee: from where on a little more load costs much more time.

Found as in Satopää et al., *Finding a "Kneedle" in a Haystack* (2011), without its smoothing: rates
and times are each scaled to 0..1, and the knee is the measured point farthest below the straight
line from the first point to the last. Times are scaled by their logarithms, since they span
decades; a curve that has no bend has no knee.
"""

import math
from collections.abc import Sequence

import msgspec

__all__ = ("KneePoint", "find_knee", "knee_svg")

# Closer to the straight line than this, a bend is noise.
_BEND_MIN = 0.1
_POINTS_MIN = 4

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 30, 50
_LINES = (("p50", "#2563eb"), ("p99", "#dc2626"))


class KneePoint(msgspec.Struct, frozen=True, kw_only=True):
    """What one rate gave: response times in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float
    held: bool


def find_knee(points: Sequence[KneePoint]) -> KneePoint | None:
    """Return the knee of the p99 over the rate, None when there are too few points or no bend."""
    ordered = sorted(points, key=lambda point: point.rate)
    if len({point.rate for point in ordered}) < _POINTS_MIN:
        return None
    times = [math.log(max(point.p99_ms, 0.001)) for point in ordered]
    low, high = ordered[0].rate, ordered[-1].rate
    least, most = min(times), max(times)
    if most == least:
        return None
    best, at = _BEND_MIN, None
    for point, time in zip(ordered, times, strict=True):
        x = (point.rate - low) / (high - low)
        y = (time - least) / (most - least)
        if x - y > best:
            best, at = x - y, point
    return at


def knee_svg(points: Sequence[KneePoint], *, title: str) -> str:
    """Return a chart of both response times over the rate, with the knee marked."""
    ordered = sorted(points, key=lambda point: point.rate)
    if len(ordered) < 2:
        raise ValueError("a chart needs two rates at least")
    knee = find_knee(ordered)
    scale = _Scale(ordered)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            'font-family="sans-serif" font-size="12" role="img">'
        ),
        f"<title>{_escaped(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{_escaped(title)}</text>',
        *scale.axes(),
    ]
    for number, (label, colour) in enumerate(_LINES):
        coordinates = " ".join(
            f"{scale.x(one.rate):.1f},{scale.y(getattr(one, f'{label}_ms')):.1f}" for one in ordered
        )
        parts.append(
            f'<polyline points="{coordinates}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(
            f'<text x="{_LEFT + 10 + 50 * number}" y="{_TOP + 14}" fill="{colour}">{label}</text>'
        )
    for one in ordered:
        fill = "#dc2626" if one.held else "white"
        parts.append(
            f'<circle cx="{scale.x(one.rate):.1f}" cy="{scale.y(one.p99_ms):.1f}" r="3.5" '
            f'fill="{fill}" stroke="#dc2626"><title>{one.rate:,.0f}/s: p50 {one.p50_ms:.1f} ms, '
            f"p99 {one.p99_ms:.1f} ms</title></circle>"
        )
    if knee is not None:
        x = scale.x(knee.rate)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
            'stroke="#555" stroke-dasharray="4 3"/>'
        )
        anchor = "end" if x > _WIDTH / 2 else "start"
        parts.append(
            f'<text x="{x + (-6 if anchor == "end" else 6):.1f}" y="{_TOP + 30}" '
            f'text-anchor="{anchor}">knee {knee.rate:,.0f}/s</text>'
        )
    return "\n".join((*parts, "</svg>", ""))


class _Scale:
    """Rates from left to right, the logarithms of times upwards."""

    def __init__(self, points: Sequence[KneePoint]) -> None:
        self._rate_max = points[-1].rate
        times = [time for one in points for time in (one.p50_ms, one.p99_ms) if time > 0]
        self._low = 10.0 ** math.floor(math.log10(min(times, default=1.0)))
        self._high = 10.0 ** math.ceil(math.log10(max(times, default=10.0) * 1.001))

    def x(self, rate: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * rate / self._rate_max

    def y(self, time_ms: float) -> float:
        share = math.log(max(time_ms, self._low) / self._low) / math.log(self._high / self._low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def axes(self) -> list[str]:
        """Return the grid with its numbers."""
        parts = []
        time = self._low
        while time <= self._high * 1.001:
            y = self.y(time)
            parts.append(
                f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                'stroke="#ddd"/>'
            )
            parts.append(
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{time:g} ms</text>'
            )
            time *= 10
        for quarter in range(5):
            rate = self._rate_max * quarter / 4
            parts.append(
                f'<text x="{self.x(rate):.1f}" y="{_HEIGHT - _BOTTOM + 18}" '
                f'text-anchor="middle">{rate:,.0f}</text>'
            )
        parts.append(
            f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">requests a second; '
            "a hollow point did not meet the objective</text>"
        )
        return parts


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
