"""The command line: help, exit codes and messages, as a person meets them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

_COMMANDS = ("up", "node", "migrate", "call", "app", "status", "audit", "schema", "demo", "bench")


def _zhihui(
    *arguments: str, given: Mapping[str, str] | None = None, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    return subprocess.run(
        [sys.executable, "-m", "zhihui", *arguments],
        env={**inherited, **(given or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_help_names_every_command_and_shows_examples() -> None:
    """`--help` lists all commands and how to begin."""
    done = _zhihui("--help")
    assert done.returncode == 0
    for command in (*_COMMANDS, "zhihui up", "zhihui call"):
        assert command in done.stdout


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """`COMMAND --help` works without anything running."""
    done = _zhihui(command, "--help")
    assert done.returncode == 0
    assert f"zhihui {command}" in done.stdout


def test_version_is_printed() -> None:
    """`--version` prints name and version."""
    assert _zhihui("--version").stdout.startswith("zhihui 0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frobnicate",), "No such command"),
        (("call", "city-park", "account", "{}"), "SERVICE.VERB"),
        (("call", "city-park", "account.open.now", "{}"), "SERVICE.VERB"),
        (("call", "City.Park", "account.open", "{}"), "cannot be an app"),
        (("call", "city-park", "account.>", "{}"), "no service or verb"),
        (("call", "city-park", "account.open", "{"), "not JSON"),
        (("call", "city-park", "account.open", "[1]"), "JSON object"),
        (("bench", "--rounds", "0"), "--rounds"),
        (("up", "--no-such-option"), "No such option"),
    ],
)
def test_bad_input_is_told_and_exits_with_2(arguments: tuple[str, ...], said: str) -> None:
    """Input that is no request is refused with a sentence and no traceback."""
    done = _zhihui(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("status",), ("audit",), ("call", "city-park", "account.open", "{}")]
)
def test_nothing_running_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A command that finds no service says how to start one, and exits with 1."""
    done = _zhihui(*arguments, "--data-dir", str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "zhihui up" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_given_database_is_migrated_and_audited(empty_postgres_dsn: str) -> None:
    """`migrate` brings a given database up to date, and `audit` proves it."""
    given = {"ZHIHUI_POSTGRES_DSN": empty_postgres_dsn}
    behind = _zhihui("audit", given=given)
    assert behind.returncode == 1
    assert "zhihui migrate" in behind.stderr
    assert "applied revision 0001" in _zhihui("migrate", given=given).stdout
    assert "up to date" in _zhihui("migrate", given=given).stdout
    assert _zhihui("audit", given=given).returncode == 0


def test_audit_works_when_nothing_runs(tmp_path: Path) -> None:
    """With no service running, `audit` starts the database alone and stops it again."""
    data_dir = ("--data-dir", str(tmp_path / "data"))
    assert _zhihui("migrate", *data_dir).returncode == 0
    done = _zhihui("audit", *data_dir)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def test_status_without_a_node_is_not_ready(postgres_dsn: str, nats_url: str) -> None:
    """Both servers up and no node: everything is shown, and the exit code is 1."""
    given = {"ZHIHUI_POSTGRES_DSN": postgres_dsn, "ZHIHUI_NATS_URL": nats_url}
    done = _zhihui("status", given=given)
    assert done.returncode == 1
    assert "up to date" in done.stdout
    assert "none" in done.stdout


def test_a_dead_server_is_shown_beside_the_living_one(postgres_dsn: str) -> None:
    """`status` reports each server for itself."""
    given = {"ZHIHUI_POSTGRES_DSN": postgres_dsn, "ZHIHUI_NATS_URL": "nats://127.0.0.1:1"}
    done = _zhihui("status", given=given)
    assert done.returncode == 1
    assert "up to date" in done.stdout
    assert "down" in done.stdout


def test_a_call_nobody_answers_prints_its_error_as_json(nats_url: str) -> None:
    """An unanswered request exits with 1 and a JSON error with a stable code."""
    done = _zhihui(
        *("call", "city-park", "account.get", "-", "--timeout", "0.5"),
        given={"ZHIHUI_NATS_URL": nats_url},
        stdin='{"account_id": "a"}',
    )
    assert done.returncode == 1
    assert json.loads(done.stderr)["code"] in {"not_ready", "deadline_exceeded"}


def test_a_node_without_servers_says_so() -> None:
    """A node whose servers are out of reach ends with a sentence, not a traceback."""
    done = _zhihui(
        "node",
        given={
            "ZHIHUI_NATS_URL": "nats://127.0.0.1:1",
            "ZHIHUI_POSTGRES_DSN": "postgresql://u:secret@127.0.0.1:1/db",
        },
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
