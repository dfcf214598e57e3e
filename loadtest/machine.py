"""The machine and the versions behind a figure."""

import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import asyncpg
import msgspec
import nats
import psutil

__all__ = ("Machine", "describe_machine", "fdatasync_us", "processor")

_SYNCS = 200
_SYNC_BYTES = b"\0" * 8192


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader needs to compare the figures with others."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    load_average: float
    fdatasync_us: float
    versions: dict[str, str]
    postgres_settings: dict[str, str]


async def describe_machine(directory: Path, *, postgres_dsn: str, nats_url: str) -> Machine:
    """Describe this machine; ``directory`` is on the disk that the databases are on."""
    connection = await asyncpg.connect(postgres_dsn)
    try:
        settings = {
            row["name"]: row["setting"]
            for row in await connection.fetch(
                "SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name IN "
                "('fsync', 'synchronous_commit', 'full_page_writes', 'wal_compression', "
                "'shared_buffers', 'max_wal_size') ORDER BY name"
            )
        }
        postgres = str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
    bus = await nats.connect(nats_url)
    try:
        server = bus.connected_server_version
        nats_server = f"{server.major}.{server.minor}.{server.patch}"
    finally:
        await bus.close()
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 0,
        memory_gib=psutil.virtual_memory().total / 2**30,
        system=platform.platform(),
        load_average=os.getloadavg()[0],
        fdatasync_us=fdatasync_us(directory),
        versions={
            "python": platform.python_version(),
            "postgres": postgres,
            "nats-server": nats_server,
            **{name: version(name) for name in ("zhihui", "nats-py", "asyncpg", "uvloop")},
        },
        postgres_settings=settings,
    )


def processor() -> str:
    """Return what the processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def fdatasync_us(directory: Path) -> float:
    """Return the median time of making one page durable in ``directory``, in microseconds."""
    path = directory / "fdatasync.tmp"
    sync = getattr(os, "fdatasync", os.fsync)
    took = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(_SYNCS):
                file.write(_SYNC_BYTES)
                began = time.perf_counter()
                sync(file.fileno())
                took.append(time.perf_counter() - began)
    finally:
        path.unlink(missing_ok=True)
    return statistics.median(took) * 1e6
