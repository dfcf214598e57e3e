"""``zhihui app``: which scenario backends may connect, with what key and how much."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhihui.commands.addresses import reachable_postgres
from zhihui.commands.console import DataDir, PostgresDsn, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from zhihui.access.registry import RegisteredApp

__all__ = ("add", "apps", "config", "limit", "list_", "revoke", "rotate", "show")

apps = typer.Typer(
    name="app",
    help="Say which scenario backends may connect, and how much each may ask.",
    no_args_is_help=True,
)

# What the columns of the table hold.
_LIMIT_MAX = 2**31 - 1

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The app, such as city-park.")]
_Rate = Annotated[
    int,
    typer.Option(
        "--rate",
        min=0,
        max=_LIMIT_MAX,
        help="Requests a second over all nodes; 0 is no limit.",
    ),
]
_InFlight = Annotated[
    int,
    typer.Option(
        "--in-flight",
        min=0,
        max=_LIMIT_MAX,
        help="Requests that wait for an answer at a time; 0 is no limit.",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        dir_okay=False,
        help="Where the secret key goes; else credentials/NAME.nk in the data directory.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


@apps.command()
def add(
    name: _Name,
    rate: _Rate = 0,
    in_flight: _InFlight = 0,
    out: _Out = None,
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Let an app connect: make its key, and write the secret half to a file, once.

    Works while the service runs, and when nothing runs. Nobody else's connection is touched.
    """
    run_async(lambda: _add(name, rate, in_flight, out, postgres_dsn, data_dir))


async def _add(
    name: str, rate: int, in_flight: int, out: Path | None, postgres_dsn: str, data_dir: Path
) -> None:
    from kernel.nkey import Nkey
    from zhihui.access.registry import add_app, check_app_name
    from zhihui.access.seed_file import write_seed_file

    check_app_name(name)
    path, key = out or _default_path(data_dir, name), Nkey.generate()
    async with _registry(postgres_dsn, data_dir) as connection:
        write_seed_file(path, key)
        try:
            await add_app(
                connection, name, key.public_key, rate_per_s=rate, in_flight_max=in_flight
            )
        except BaseException:
            path.unlink()
            raise
        _say(f"The app {name} has access. Its secret key, which is kept nowhere else: {path}")
        await _tell_nats(connection, data_dir)
    _say("Give the file to the backend, which names it in ZHIHUI_CREDENTIALS. Try it here:")
    option = "" if data_dir == DEFAULT_DATA_DIR else f" --data-dir {data_dir}"
    body = """'{"request_id":"r-1","holder":"Li Lei"}'"""
    _say(f"  ZHIHUI_CREDENTIALS={path} zhihui call{option} {name} account.open {body}")


@apps.command("list")
def list_(
    as_json: _Json = False, postgres_dsn: PostgresDsn = "", data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Show all apps, also those whose access was revoked."""
    known = run_async(lambda: _known(postgres_dsn, data_dir))
    if as_json:
        _print_json([_plain(one) for one in known])
    elif known:
        _print_table(known)
    else:
        _say("No app may connect yet. Add one: zhihui app add NAME")


@apps.command()
def show(
    name: _Name,
    as_json: _Json = False,
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show one app: its limits, its public key, and what it may do on NATS."""
    from schemas.subjects import inbox_prefix
    from zhihui.errors import AppRefused

    known = run_async(lambda: _known(postgres_dsn, data_dir))
    found = [one for one in known if one.app == name]
    if not found:
        raise AppRefused(f"there is no app {name!r}; see: zhihui app list")
    if as_json:
        _print_json(_plain(found[0]))
        return
    _print_table(found)
    _say(f"public key  {found[0].public_key}")
    _say(f"publishes   zh.v1.{name}.>  zh.in.v1.{name}.>")
    _say(f"subscribes  {inbox_prefix(name)}.>  zh.evt.v1.{name}.>")


@apps.command()
def limit(
    name: _Name,
    rate: _Rate = 0,
    in_flight: _InFlight = 0,
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Set both limits of an app anew; the nodes take them up within seconds."""
    run_async(lambda: _limit(name, rate, in_flight, postgres_dsn, data_dir))


async def _limit(name: str, rate: int, in_flight: int, postgres_dsn: str, data_dir: Path) -> None:
    from zhihui.access.registry import limit_app

    async with _registry(postgres_dsn, data_dir) as connection:
        await limit_app(connection, name, rate_per_s=rate, in_flight_max=in_flight)
    _say(f"The app {name}: {_limit_text(rate)} a second, {_limit_text(in_flight)} at a time.")


@apps.command()
def revoke(
    name: _Name, postgres_dsn: PostgresDsn = "", data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Take an app's access away at once; its connections are closed, its accounts stay."""
    run_async(lambda: _revoke(name, postgres_dsn, data_dir))


async def _revoke(name: str, postgres_dsn: str, data_dir: Path) -> None:
    from zhihui.access.registry import revoke_app

    async with _registry(postgres_dsn, data_dir) as connection:
        await revoke_app(connection, name)
        _say(f"The app {name} has no access any more. `zhihui app add {name}` gives it a new key.")
        await _tell_nats(connection, data_dir)


@apps.command()
def rotate(
    name: _Name,
    out: _Out = None,
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Give an app a new key in place of the old one, whose connections are closed.

    The file in the data directory is replaced; a backend that reads it connects again by itself.
    """
    run_async(lambda: _rotate(name, out, postgres_dsn, data_dir))


async def _rotate(name: str, out: Path | None, postgres_dsn: str, data_dir: Path) -> None:
    from kernel.nkey import Nkey
    from zhihui.access.registry import check_app_name, rotate_app
    from zhihui.access.seed_file import write_seed_file

    check_app_name(name)
    path, key = out or _default_path(data_dir, name), Nkey.generate()
    # The old key is good until the new one is committed, so it is replaced only then.
    written = path if out else path.with_name(f"{path.name}.new")
    async with _registry(postgres_dsn, data_dir) as connection:
        if not out:
            # Left by a rotation that did not end: its key was never used.
            written.unlink(missing_ok=True)
        write_seed_file(written, key)
        try:
            await rotate_app(connection, name, key.public_key)
        except BaseException:
            written.unlink()
            raise
        written.replace(path)
        _say(f"The app {name} has a new key, and the old one is refused. The new one: {path}")
        await _tell_nats(connection, data_dir)


@apps.command()
def config(
    node_key: Annotated[
        Path | None,
        typer.Option(
            "--node-key",
            dir_okay=False,
            help="File with the nodes' secret key, made when it is not there. Without it the "
            "nodes have a password, which NATS takes from its own environment.",
        ),
    ] = None,
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the accounts for the configuration of a NATS of your own."""
    block = run_async(lambda: _config(node_key, postgres_dsn, data_dir))
    typer.echo(block, nl=False)


async def _config(node_key: Path | None, postgres_dsn: str, data_dir: Path) -> str:
    from zhihui.access.configuration import accounts_block, node_by_key, node_by_variable
    from zhihui.access.registry import allowed_apps

    node = node_by_variable() if node_key is None else node_by_key(_node_public_key(node_key))
    async with _registry(postgres_dsn, data_dir) as connection:
        return accounts_block(await allowed_apps(connection), node)


def _node_public_key(path: Path) -> str:
    from kernel.nats_security import read_key
    from kernel.nkey import Nkey
    from schemas.errors import Forbidden
    from zhihui.access.seed_file import write_seed_file
    from zhihui.errors import AppRefused

    if not path.exists():
        write_seed_file(path, Nkey.generate())
    try:
        return read_key(path).public_key
    except Forbidden as error:
        raise AppRefused(error.message) from None


def _default_path(data_dir: Path, name: str) -> Path:
    return data_dir / "credentials" / f"{name}.nk"


@asynccontextmanager
async def _registry(postgres_dsn: str, data_dir: Path) -> AsyncIterator[Any]:
    from zhihui.access.registry import registry
    from zhihui.errors import MigrationFailed
    from zhihui.migrate import pending_revisions

    async with reachable_postgres(postgres_dsn, data_dir) as dsn:
        if pending := await pending_revisions(dsn):
            raise MigrationFailed(
                f"the database is behind this program by revision {', '.join(pending)}. Run "
                "`zhihui migrate` first."
            )
        async with registry(dsn) as connection:
            yield connection


async def _known(postgres_dsn: str, data_dir: Path) -> list["RegisteredApp"]:
    from zhihui.access.registry import list_apps

    async with _registry(postgres_dsn, data_dir) as connection:
        return await list_apps(connection)


async def _tell_nats(connection: Any, data_dir: Path) -> None:
    """Make what the table says count, and tell what has become of it."""
    import os

    from zhihui.access.registry import allowed_apps
    from zhihui.embedded.nats_server import reload_access, was_started, write_access
    from zhihui.embedded.servers import NATS_URL_VARIABLE

    if os.environ.get(NATS_URL_VARIABLE):
        _say("Your NATS has to be told: put in what `zhihui app config` prints, and reload it.")
        return
    if was_started(data_dir):
        write_access(data_dir, await allowed_apps(connection))
        if await reload_access(data_dir):
            _say("NATS has been told, and it counts from now on.")
            return
    _say("NATS is not running here; it counts from the next `zhihui up`.")


def _plain(one: "RegisteredApp") -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(one)
    return plain


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_table(known: list["RegisteredApp"]) -> None:
    from rich.table import Table

    table = Table()
    for column in ("App", "Access", "A second", "At a time", "Added", "New key", "Revoked"):
        table.add_column(column)
    for one in known:
        table.add_row(
            one.app,
            "[bold red]revoked[/]" if one.revoked_at else "[green]yes[/]",
            _limit_text(one.rate_per_s),
            _limit_text(one.in_flight_max),
            _date(one.created_at),
            _date(one.rotated_at),
            _date(one.revoked_at),
        )
    output.print(table)


def _limit_text(limit: int) -> str:
    return f"{limit:,}" if limit else "no limit"


def _date(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at else ""


def _say(line: str) -> None:
    output.print(line, markup=False, highlight=False, soft_wrap=True)
