"""Three questions about a node, each asked by somebody who acts on the answer.

``/livez``: should this process be restarted? Only when its loop hangs: a database that is away is
no reason, for the node waits for it. ``/startupz``: has it begun to serve? ``/readyz``: may
requests be sent to it now? That is when it takes them and both servers answered their last round
trips in time.
"""

import msgspec

from zhihui.instruments.observer import HUNG_S, SNAPSHOT_EVERY_S, Observer

__all__ = ("STALE_S", "Verdict", "livez", "readyz", "startupz")

# What the loop published three times over and did not renew says nothing about now.
STALE_S = 3 * SNAPSHOT_EVERY_S


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer and, when it is no, why."""

    ok: bool
    reasons: tuple[str, ...] = ()


def livez(observer: Observer) -> Verdict:
    """Tell whether the event loop turns."""
    ago_s = observer.turned_ago_s()
    if ago_s < HUNG_S:
        return Verdict(ok=True)
    return Verdict(ok=False, reasons=(f"the event loop has not turned for {ago_s:.0f} s",))


def startupz(observer: Observer) -> Verdict:
    """Tell whether the node has started."""
    if observer.is_started():
        return Verdict(ok=True)
    return Verdict(ok=False, reasons=("the node is starting",))


def readyz(observer: Observer) -> Verdict:
    """Tell whether the node takes requests and reaches both servers."""
    snapshot = observer.snapshot
    if snapshot is None:
        return Verdict(ok=False, reasons=("the node is starting",))
    reasons = []
    ago_s = observer.clock.monotonic_s() - snapshot.taken_s
    if ago_s >= STALE_S:
        reasons.append(f"the event loop has said nothing for {ago_s:.0f} s")
    statistics = snapshot.statistics
    if not observer.accepts_requests():
        reasons.append("it takes no requests: it is starting or stopping")
    elif not statistics.ready:
        if statistics.bus.round_trip_s is None:
            reasons.append("NATS does not answer")
        if statistics.store_round_trip_s is None:
            reasons.append("Postgres does not answer")
        reasons += [
            f"{host.kind} keeps failing and is paused"
            for host in statistics.hosts
            if host.suspended
        ]
        reasons = reasons or ["a server did not answer in time"]
    return Verdict(ok=not reasons, reasons=tuple(reasons))
