"""How a long-running command is told to end."""

import signal
from collections.abc import Callable

import anyio

__all__ = ("cancel_on_signal",)


def _say_nothing() -> None:
    pass


async def cancel_on_signal(
    scope: anyio.CancelScope, announce: Callable[[], None] = _say_nothing
) -> None:
    """Cancel ``scope`` at Ctrl-C, at SIGTERM or when the terminal closes.

    A second Ctrl-C meets Python's own handler again and ends the process at once; its children then
    get their own death signals.
    """
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            announce()
            scope.cancel()
            return
