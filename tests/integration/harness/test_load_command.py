"""``zhihui load run``: what it prints, how it ends, and what Ctrl-C does."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from loadtest.harness.plan import RunPlan
from loadtest.harness.result import RunResult
from tests.integration.harness.probe import answering
from zhihui.cli import app

_SCENARIO = """
from loadtest import User, constant, task


class Asker(User):
    wait_time = constant(0.05)

    @task
    async def ask(self):
        await self.client.call("probe", "ask")
"""


def _scenario(folder: Path, text: str = _SCENARIO) -> str:
    path = folder / "probe.py"
    path.write_text(text, "utf-8")
    return str(path)


async def _command(url: str, *arguments: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "ZHIHUI_NATS_URL": url, "COLUMNS": "200"}
    environment.pop("ZHIHUI_POSTGRES_DSN", None)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "zhihui", "load", "run", *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.anyio
async def test_a_run_from_the_command_line(nats_url: str, tmp_path: Path) -> None:
    """It runs what the environment names, prints the verdict, and writes no secret."""
    figures = tmp_path / "result.json"
    async with answering(nats_url):
        process = await _command(
            nats_url, _scenario(tmp_path), "--users", "4", "-t", "1s", "--warmup", "0s",
            "--threshold", "p50<0.001ms", "--json", str(figures), "--quiet",
        )  # fmt: skip
        printed, _ = await process.communicate()
    assert process.returncode == 99, printed.decode()
    assert "p50<0.001ms" in printed.decode()
    text = await asyncio.to_thread(figures.read_bytes)
    result = msgspec.json.decode(text, type=RunResult)
    assert (result.exit_code, result.flow.ok) == (99, True)
    password = re.search(r"://[^:]+:([^@]+)@", nats_url)
    assert password is not None
    assert password[1].encode() not in text


@pytest.mark.anyio
async def test_ctrl_c_drains_and_reports(nats_url: str, tmp_path: Path) -> None:
    """Ctrl-C ends the load in order: the result is printed and the exit code is 105."""
    figures = tmp_path / "result.json"
    async with answering(nats_url) as came:
        process = await _command(
            nats_url, _scenario(tmp_path), "--users", "3", "-t", "10m", "--warmup", "0s",
            "--json", str(figures),
        )  # fmt: skip
        while len(came) < 20:  # noqa: ASYNC110 - another process sends them
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, _ = await process.communicate()
    assert process.returncode == 105, printed.decode()
    result = msgspec.json.decode(await asyncio.to_thread(figures.read_bytes), type=RunResult)
    assert (result.aborted, result.flow.ok) == (True, True)
    assert result.flow.counts.sent == len(set(came))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no_such"], "no scenario file"),
        (["payments", "--arrivals", "fast"], "arrivals"),
        (["payments", "--threshold", "p98<1ms"], "p98"),
        (["payments", "--duration", "soon"], "duration"),
        (["payments", "--set", "x"], "NAME=VALUE"),
        (["payments", "--engine", "quick"], "quick"),
        (["payments", "--users", "-1"], "users"),
    ],
)
def test_a_wrong_option_ends_with_2(arguments: list[str], says: str) -> None:
    """What cannot be understood is said in a line, and nothing is started."""
    answer = CliRunner().invoke(app, ["load", "run", *arguments])
    assert answer.exit_code == 2
    assert says in answer.output


def test_a_wrong_scenario_ends_with_2_and_its_line(tmp_path: Path) -> None:
    """An unreadable scenario is told with its line."""
    path = _scenario(tmp_path, "from loadtest import User\n\nUser.no_such_thing()\n")
    answer = CliRunner().invoke(app, ["load", "run", path])
    assert answer.exit_code == 2
    assert "probe.py:3: AttributeError" in answer.output.replace("\n", "")


def test_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load goes to this machine, unless the host is named as one's own."""
    monkeypatch.setenv("ZHIHUI_NATS_URL", "nats://192.0.2.1:4222")
    answer = CliRunner().invoke(app, ["load", "run", _scenario(tmp_path)])
    assert answer.exit_code == 2
    assert "--allow-host 192.0.2.1" in answer.output


def test_the_bundled_scenarios_are_listed() -> None:
    """`load scenarios` names each with what it does."""
    answer = CliRunner().invoke(app, ["load", "scenarios"])
    assert answer.exit_code == 0
    for name in ("payments", "parking"):
        assert name in answer.output


def test_every_field_of_a_plan_has_its_option() -> None:
    """What can be told to a run can be told on the command line."""
    from zhihui.commands.load_options import plan_from

    given = {
        "scenario": "s", "users": 3, "spawn_rate": 1.5, "arrivals": "5", "poisson": True,
        "duration": "2m", "warmup": "1s", "drain": "3s", "timeout": "4s", "processes": 2, "seed": 9,
        "tags": ["a"], "exclude_tags": ["b"], "thresholds": ["p50<1s"], "in_flight_max": 7,
        "allow_host": "h", "web": 0, "autostart": False, "settings": ["k=v=w"], "app": "x",
        "engine": "lean",
    }  # fmt: skip
    assert plan_from(given) == RunPlan(
        scenario="s", users=3, spawn_rate=1.5, arrivals="5", poisson=True, duration_s=120,
        warmup_s=1, drain_s=3, timeout_s=4, processes=2, seed=9, tags=("a",), exclude_tags=("b",),
        thresholds=("p50<1s",), in_flight_max=7, allow_host="h", wait_for_start=True,
        settings={"k": "v=w"}, app="x", engine="lean",
    )  # fmt: skip
