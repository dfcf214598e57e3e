"""Waiting for a moment of a run, for observers: they hear of a phase before it begins."""

import asyncio

from loadtest.harness.control import RunControl

__all__ = ("wait_for_moment",)


async def wait_for_moment(control: RunControl, at_s: float) -> None:
    """Return when the run has gone on for ``at_s`` seconds."""
    # The clock of a run stands at zero until it starts.
    while (left_s := at_s - control.snapshot().elapsed_s) > 0:  # noqa: ASYNC110 - time passes
        await asyncio.sleep(left_s)
