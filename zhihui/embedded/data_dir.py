"""The data directory: who uses it, where its servers are found, and what it holds.

::

    .zhihui/
      lock                  locked while a process uses the directory
      run.json              where the running servers are found; gone when nothing runs
      ports.json            the ports of the last run, tried first at the next
      postgres/             the database; postgres.password, postgres.log beside it
      nats/                 JetStream; nats.conf, nats.access.conf (who may connect),
                            nats.password, nats.log beside it
      credentials/          the keys of apps that were added here, for their owners to fetch
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import psutil

from kernel.address import without_password
from zhihui.errors import AlreadyRunning, DataDirUnusable, NothingRuns

__all__ = (
    "DEFAULT_DATA_DIR",
    "Ports",
    "RunFile",
    "choose_port",
    "find_running",
    "locked",
    "read_ports",
    "require_running",
    "write_ports",
    "write_private",
    "write_run_file",
)

DEFAULT_DATA_DIR = Path(".zhihui")

# A process is taken for the one in the run file when it began no later than the file says, give
# or take the clock's steps: pids are used again.
_START_TOLERANCE_S = 2.0


class RunFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where other commands find what runs on a data directory. Holds passwords: mode 0600."""

    pid: int
    nats_url: str
    postgres_dsn: str
    started_at: datetime


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of the last run; outside clients reconnect to the same address after a crash."""

    nats: int = 0
    postgres: int = 0


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Make the directory if needed and hold it for this process.

    The kernel drops the lock with the process, however it ends, so it never goes stale.
    """
    if sys.platform == "win32":
        raise DataDirUnusable(
            "the embedded servers need Linux or macOS. Set ZHIHUI_NATS_URL and "
            "ZHIHUI_POSTGRES_DSN to servers of your own and run `zhihui node`."
        )
    import fcntl

    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirUnusable(
            f"the data directory {data_dir} cannot be used: {error.strerror}. Choose another with "
            "--data-dir."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(_already_running(data_dir)) from None
        yield
    finally:
        os.close(descriptor)


def _already_running(data_dir: Path) -> str:
    running = find_running(data_dir)
    if running is None:
        return (
            f"another process is starting or stopping on {data_dir}. Wait for it, or choose "
            "another directory with --data-dir."
        )
    return (
        f"zhihui is already running on {data_dir}: pid {running.pid}, NATS "
        f"{without_password(running.nats_url)}, since {running.started_at:%Y-%m-%d %H:%M:%S}Z. Use "
        f"it as it is (zhihui status), stop it (Ctrl-C there, or kill {running.pid}), or choose "
        "another directory with --data-dir."
    )


def write_run_file(data_dir: Path, run_file: RunFile) -> None:
    """Say where the servers are found."""
    write_private(data_dir / "run.json", msgspec.json.encode(run_file))


def find_running(data_dir: Path) -> RunFile | None:
    """Return what runs on the directory, or None; a file left by a crash counts as nothing."""
    try:
        run_file = msgspec.json.decode((data_dir / "run.json").read_bytes(), type=RunFile)
        began = psutil.Process(run_file.pid).create_time()
    except (OSError, msgspec.MsgspecError, psutil.Error):
        return None
    if began > run_file.started_at.timestamp() + _START_TOLERANCE_S:
        return None
    return run_file


def require_running(data_dir: Path) -> RunFile:
    """Return what runs on the directory; raise :class:`NothingRuns` when nothing does."""
    running = find_running(data_dir)
    if running is None:
        raise NothingRuns(
            f"nothing runs on {data_dir}. Start it with `zhihui up`, name the directory with "
            "--data-dir, or set ZHIHUI_NATS_URL and ZHIHUI_POSTGRES_DSN."
        )
    return running


def read_ports(data_dir: Path) -> Ports:
    """Return the ports of the last run, zeros when there was none."""
    try:
        return msgspec.json.decode((data_dir / "ports.json").read_bytes(), type=Ports)
    except (OSError, msgspec.MsgspecError):
        return Ports()


def write_ports(data_dir: Path, ports: Ports) -> None:
    """Remember the ports for the next run."""
    write_private(data_dir / "ports.json", msgspec.json.encode(ports))


def choose_port(preferred: int = 0) -> int:
    """Return ``preferred`` if it is free on the loopback address, else a port that is."""
    for port in (preferred, 0) if preferred else (0,):
        with socket.socket() as candidate:
            # Both servers set this too: without it a port counts as taken for a minute after its
            # last connection.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = candidate.getsockname()[1]
            return chosen
    raise DataDirUnusable("no free port on 127.0.0.1: is the loopback interface up?")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
