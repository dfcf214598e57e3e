"""However `zhihui up` ends, its processes end with it and its data starts again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

# Ending in order takes a second or two; a machine under load several times that.
_EXIT_TIMEOUT_S = 40

pytestmark = pytest.mark.timeout(180)


class _Up:
    """`zhihui up` as a process, and all processes that it started."""

    def __init__(self, process: "subprocess.Popen[str]", family: list[psutil.Process]) -> None:
        self.process = process
        self.family = family

    def wait_all_gone(self) -> None:
        _gone, alive = psutil.wait_procs(self.family, timeout=_EXIT_TIMEOUT_S)
        assert [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []

    def named(self, part: str) -> psutil.Process:
        return next(p for p in self.family if any(part in word for word in p.cmdline()))


def _environment(data_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    return {**inherited, "ZHIHUI_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}


def _zhihui(data_dir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "zhihui", *arguments],
        env=_environment(data_dir),
        capture_output=True,
        text=True,
        timeout=_EXIT_TIMEOUT_S,
        check=False,
    )


@contextmanager
def _running_up(data_dir: Path) -> Iterator[_Up]:
    process = subprocess.Popen(
        [sys.executable, "-m", "zhihui", "up"],
        env=_environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    family: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        said = ""
        # Ends at "Ready", or at the end of the output when it failed; a hang meets the timeout.
        for line in process.stdout:
            said += line
            if line.startswith("Ready"):
                break
        assert "Ready" in said, said
        family += psutil.Process(process.pid).children(recursive=True)
        yield _Up(process, family)
    finally:
        process.kill()
        process.wait(_EXIT_TIMEOUT_S)
        # Only a test that fails has anything left to end here.
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        assert process.stdout is not None
        process.stdout.close()


def _open_account(data_dir: Path, request_id: str) -> str:
    body = json.dumps({"request_id": request_id, "holder": "Li Lei"})
    done = _zhihui(data_dir, "call", "city-park", "account.open", body)
    assert done.returncode == 0, done.stderr
    account_id: str = json.loads(done.stdout)["account_id"]
    return account_id


def _kill(up: _Up) -> None:
    up.process.kill()


def _press_ctrl_c(up: _Up) -> None:
    up.process.send_signal(signal.SIGINT)


def _terminate(up: _Up) -> None:
    up.process.terminate()


@pytest.mark.parametrize("end", [_kill, _press_ctrl_c, _terminate])
def test_nothing_is_left_and_the_data_is_kept(tmp_path: Path, end: Callable[[_Up], None]) -> None:
    """After a kill, Ctrl-C or SIGTERM no process is left; the next start has the data."""
    data_dir = tmp_path / "data"
    with _running_up(data_dir) as up:
        assert {p.name() for p in up.family} >= {"nats-server", "postgres"}
        account_id = _open_account(data_dir, "r-1")
        end(up)
        code = up.process.wait(_EXIT_TIMEOUT_S)
        up.wait_all_gone()
        assert code == (-signal.SIGKILL if end is _kill else 0)
    with _running_up(data_dir) as up:
        assert _open_account(data_dir, "r-1") == account_id
        assert _zhihui(data_dir, "status").returncode == 0
        assert _zhihui(data_dir, "audit").returncode == 0
        _press_ctrl_c(up)
        up.process.wait(_EXIT_TIMEOUT_S)
        up.wait_all_gone()


def test_a_restart_right_after_a_kill_finds_its_way(tmp_path: Path) -> None:
    """A start while the old servers are still on their way out waits for them."""
    data_dir = tmp_path / "data"
    with _running_up(data_dir) as up:
        account_id = _open_account(data_dir, "r-1")
        _kill(up)
        up.process.wait(_EXIT_TIMEOUT_S)
        with _running_up(data_dir) as again:
            assert _open_account(data_dir, "r-1") == account_id
            _press_ctrl_c(again)
            again.process.wait(_EXIT_TIMEOUT_S)
            again.wait_all_gone()
        up.wait_all_gone()


def test_a_second_start_says_what_runs_and_harms_nothing(tmp_path: Path) -> None:
    """`zhihui up` on a directory in use exits with 1 and names the process; the first goes on."""
    data_dir = tmp_path / "data"
    with _running_up(data_dir) as up:
        second = _zhihui(data_dir, "up")
        assert second.returncode == 1
        assert f"pid {up.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        _open_account(data_dir, "r-1")
        _press_ctrl_c(up)
        up.process.wait(_EXIT_TIMEOUT_S)
        up.wait_all_gone()


@pytest.mark.parametrize("victim", ["node", "nats-server", "postgres"])
def test_what_dies_is_started_again(tmp_path: Path, victim: str) -> None:
    """A killed node or server comes back by itself, and requests go through again."""
    data_dir = tmp_path / "data"
    with _running_up(data_dir) as up:
        account_id = _open_account(data_dir, "r-1")
        up.named(victim).kill()
        body = json.dumps({"request_id": "r-1", "holder": "Li Lei"})
        done = _zhihui(data_dir, "call", "city-park", "account.open", body, "--timeout", "30")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["account_id"] == account_id
        _press_ctrl_c(up)
        assert up.process.wait(_EXIT_TIMEOUT_S) == 0
        up.wait_all_gone()
