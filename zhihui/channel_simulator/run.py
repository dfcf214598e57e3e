"""Run the simulator as a process, until it is told to end."""

import sys

import anyio
import msgspec

from zhihui.channel_simulator.keys import CONFIG_FILE
from zhihui.channel_simulator.profile import Profile
from zhihui.channel_simulator.server import SimulatorConfig, serving_simulator
from zhihui.commands.signals import cancel_on_signal

__all__ = ("run_simulator",)


async def run_simulator(config: SimulatorConfig, profile: Profile) -> None:
    """Serve; write one line of JSON to the output once requests are taken."""
    async with anyio.create_task_group() as group:
        group.start_soon(cancel_on_signal, group.cancel_scope)
        async with serving_simulator(config, profile) as simulator:
            ready = {
                "ready": True,
                "url": simulator.url,
                "profile": profile.name,
                "channels_file": str((config.folder / CONFIG_FILE).absolute()),
            }
            sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
            sys.stdout.flush()
            await anyio.sleep_forever()
