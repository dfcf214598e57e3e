"""What is loaded: servers and a node of the run's own, or the NATS that the environment names."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from loadtest.harness.plan import RunPlan
from loadtest.lean import check_target
from zhihui.embedded.platform import Platform, running_platform
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

__all__ = ("Target", "running_target")

_BUILD = Path("build")


class Target:
    """Where the load goes. ``platform`` and ``data_dir`` are None unless it was started for us.

    ``postgres_dsn`` is "" where the database is not known.
    """

    def __init__(
        self, nats_url: str, postgres_dsn: str = "", platform: Platform | None = None
    ) -> None:
        self.nats_url = nats_url
        self.postgres_dsn = postgres_dsn
        self.platform = platform

    @property
    def data_dir(self) -> Path | None:
        """Return the directory of the servers that were started for us."""
        return None if self.platform is None else self.platform.data_dir


def _say_nothing(_line: str) -> None:
    pass


@asynccontextmanager
async def running_target(
    plan: RunPlan,
    *,
    data_dir: Path | None = None,
    nodes: int = 1,
    node_arguments: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
    say: Callable[[str], None] = _say_nothing,
) -> AsyncIterator[Target]:
    """Yield what the plan names, else what the environment names, else a platform of our own.

    A platform runs on ``data_dir``, or on a directory that is removed afterwards unless something
    failed. Raise :class:`~loadtest.lean.LeanError` for another machine that was not allowed.
    """
    url = plan.url or os.environ.get(NATS_URL_VARIABLE, "")
    if url:
        check_target(url, allow_host=plan.allow_host)
        yield Target(url, os.environ.get(POSTGRES_DSN_VARIABLE, ""))
        return
    directory = data_dir or _BUILD / f"load-{os.getpid()}"
    directory.mkdir(parents=True, exist_ok=True)
    say("starting servers and a node of its own")
    async with running_platform(
        directory, nodes=nodes, node_arguments=node_arguments, settings=settings
    ) as platform:
        servers = platform.servers
        yield Target(servers.nats_url, servers.postgres_dsn, platform)
    if data_dir is None:
        # Only after a good end: else the logs are wanted.
        shutil.rmtree(directory, ignore_errors=True)
