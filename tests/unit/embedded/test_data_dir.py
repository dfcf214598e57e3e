"""The data directory's files: what counts as running, and what a crash may leave."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from zhihui.embedded.data_dir import (
    Ports,
    RunFile,
    find_running,
    read_ports,
    require_running,
    write_ports,
    write_private,
    write_run_file,
)
from zhihui.errors import NothingRuns


def _run_file(*, pid: int, started_at: datetime) -> RunFile:
    return RunFile(
        pid=pid,
        nats_url="nats://127.0.0.1:1",
        postgres_dsn="postgresql://127.0.0.1:2/db",
        started_at=started_at,
    )


def test_a_living_process_is_found(tmp_path: Path) -> None:
    """The run file of a living process is what runs."""
    written = _run_file(pid=os.getpid(), started_at=datetime.now(tz=UTC))
    write_run_file(tmp_path, written)
    assert require_running(tmp_path) == written


def test_the_file_of_a_dead_process_counts_as_nothing(tmp_path: Path) -> None:
    """A run file whose process is gone is ignored, and the error says how to start."""
    dead = next(pid for pid in range(4_000_000, 1, -1) if not psutil.pid_exists(pid))
    write_run_file(tmp_path, _run_file(pid=dead, started_at=datetime.now(tz=UTC)))
    assert find_running(tmp_path) is None
    with pytest.raises(NothingRuns, match="zhihui up"):
        require_running(tmp_path)


def test_a_pid_that_was_given_away_again_counts_as_nothing(tmp_path: Path) -> None:
    """A process that began after the file was written is somebody else."""
    long_ago = datetime.now(tz=UTC) - timedelta(days=365)
    write_run_file(tmp_path, _run_file(pid=os.getpid(), started_at=long_ago))
    assert find_running(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', b"\xff"])
def test_a_damaged_run_file_counts_as_nothing(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no run file are not an error of the command that reads them."""
    (tmp_path / "run.json").write_bytes(content)
    assert find_running(tmp_path) is None


def test_ports_are_remembered(tmp_path: Path) -> None:
    """The ports written are the ports read; without any, zeros."""
    assert read_ports(tmp_path) == Ports()
    write_ports(tmp_path, Ports(nats=1, postgres=2))
    assert read_ports(tmp_path) == Ports(nats=1, postgres=2)


def test_private_files_are_whole_and_private(tmp_path: Path) -> None:
    """A file is replaced whole, over what a crash left, and nobody else can read it."""
    path = tmp_path / "secret"
    (tmp_path / "secret.partial").write_text("left by a crash")
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(item.name for item in tmp_path.iterdir()) == ["secret"]
