"""Servers of a test's own, which may be killed."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from loadtest.adversity import servers
from loadtest.adversity.servers import OwnServers
from zhihui.migrate import migrate

__all__ = ("own_servers",)


def own_servers(folder: Path) -> AbstractAsyncContextManager[OwnServers]:
    """Run both servers on the folder, migrated, and stop them whatever happens."""
    return servers.own_servers(folder, migrate)
