"""What a node shows of itself: metrics, health and the log.

The loop that decides publishes a :class:`Snapshot` once a second and does nothing else for it. A
thread serves the last one over HTTP, so a scrape never waits for a payment nor a payment for a
scrape, and a loop that hangs is seen to hang.
"""

from zhihui.instruments.logs import begin_log
from zhihui.instruments.serving import (
    DEFAULT_ADDRESS,
    NO_INSTRUMENTS,
    TARGETS_VARIABLE,
    Instruments,
    InstrumentsConfig,
    serving_instruments,
)
from zhihui.instruments.snapshot import Snapshot

__all__ = (
    "DEFAULT_ADDRESS",
    "NO_INSTRUMENTS",
    "TARGETS_VARIABLE",
    "Instruments",
    "InstrumentsConfig",
    "Snapshot",
    "begin_log",
    "serving_instruments",
)
