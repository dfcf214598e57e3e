"""A node whose wall clock a file moves: ``zhihui bench adversity`` runs it to step a clock.

``python -m zhihui.commands.stepped_node --name n3 --clock-file PATH`` is ``zhihui node`` with
another clock. It is no command of its own: nobody should run a service by such a clock.
"""

import argparse
import logging
import mmap
import os
import struct
import sys
from datetime import datetime, timedelta
from pathlib import Path

from kernel.clock import SystemClock

__all__ = ("SteppedClock", "main", "write_step")

_FORM = struct.Struct("<q")


def write_step(path: Path, step_ms: int) -> None:
    """Step the clocks that read this file: ``step_ms`` ahead of the system, or behind it."""
    # In place, because those who read it have it mapped.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, _FORM.pack(step_ms), 0)
    finally:
        os.close(descriptor)


class SteppedClock(SystemClock):
    """The clock of the operating system with its wall time stepped by what stands in a file.

    As a clock that was set by hand, or by a time server after a long silence: nobody is told.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), _FORM.size, access=mmap.ACCESS_READ)

    def _step_ms(self) -> int:
        step_ms: int = _FORM.unpack_from(self._map)[0]
        return step_ms

    def now_ms(self) -> int:
        """Return the stepped wall time in Unix milliseconds."""
        return super().now_ms() + self._step_ms()

    def now(self) -> datetime:
        """Return the stepped wall time in UTC."""
        return super().now() + timedelta(milliseconds=self._step_ms())


def main(arguments: list[str] | None = None) -> None:
    """Run the node until it is told to end."""
    import anyio

    from zhihui.access.settings import operator_security
    from zhihui.commands.signals import cancel_on_signal
    from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE
    from zhihui.node import NodeConfig, running_node

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--clock-file", type=Path, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = NodeConfig(
        name=given.name,
        nats_url=os.environ[NATS_URL_VARIABLE],
        nats_security=operator_security(os.environ[NATS_URL_VARIABLE]),
        postgres_dsn=os.environ[POSTGRES_DSN_VARIABLE],
    )

    async def run() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_on_signal, group.cancel_scope)
            async with running_node(config, clock=SteppedClock(given.clock_file)):
                sys.stdout.write('{"ready":true}\n')
                sys.stdout.flush()
                await anyio.sleep_forever()

    anyio.run(run, backend_options={"use_uvloop": True})


if __name__ == "__main__":
    main()
