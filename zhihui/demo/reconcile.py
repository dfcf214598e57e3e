"""The channels' books beside ours, at any moment of the demo."""

from pathlib import Path

import anyio
from rich.console import Console

from actors.channels.configuration import read_channels
from zhihui.demo.city.simulator import RunningChannels
from zhihui.embedded.platform import Platform
from zhihui.reconciliation import Reconciler

__all__ = ("reconcile_channels",)

# A refund is asked about at growing pauses, in the demo for some seconds.
_LOOKS_MAX = 60
_LOOK_EVERY_S = 0.5


async def reconcile_channels(
    console: Console, platform: Platform, channels: RunningChannels
) -> bool:
    """Reconcile all channels, post what matches, say what came of it; tell if nothing differs.

    What is still on its way between a channel and us is no difference yet: it is waited for.
    """
    config = read_channels(Path(channels.channels_file))
    servers = platform.servers
    reconciler = Reconciler(
        config.statement_url,
        nats_url=servers.nats_url,
        postgres_dsn=servers.postgres_dsn,
        progress=_say_nothing,
    )
    looks = 1
    results = await reconciler.run(tuple(config.channels), None, post=True)
    while not all(one.ok for one in results) and looks < _LOOKS_MAX:
        await anyio.sleep(_LOOK_EVERY_S)
        results = await reconciler.run(tuple(config.channels), None, post=True)
        looks += 1
    lines = sum(one.lines for one in results)
    if all(one.ok for one in results):
        console.print(
            f"The channels' books and ours agree, and nothing is in suspense: {lines:,} lines of "
            f"{len(results)} channels.",
            highlight=False,
            soft_wrap=True,
        )
        return True
    console.print("[bold red]The channels' books and ours differ.[/]")
    for one in results:
        for remark in one.remarks:
            console.print(f"  {one.channel}: {remark}", markup=False, highlight=False)
    return False


def _say_nothing(channel: str, what: str, done: int, of: int) -> None:
    del channel, what, done, of
