"""Several nodes as processes on servers of the test's own."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from loadtest.adversity import cluster
from loadtest.adversity.cluster import Cluster
from zhihui.migrate import migrate

__all__ = ("running_cluster",)


def running_cluster(
    folder: Path, names: Sequence[str], *, start: Sequence[str] = ()
) -> AbstractAsyncContextManager[Cluster]:
    """Run servers and the nodes of ``start`` (all by default); what runs at the end is stopped."""
    return cluster.running_cluster(folder, names, migrate=migrate, start=start)
