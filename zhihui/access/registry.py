"""The apps in the database. Only the public half of a key is ever kept here."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec

from schemas.identifiers import APP_PATTERN
from schemas.subjects import PLATFORM_APP
from zhihui.access.configuration import AppAccess
from zhihui.errors import AppRefused, ServerUnreachable

__all__ = (
    "RegisteredApp",
    "add_app",
    "allowed_apps",
    "check_app_name",
    "limit_app",
    "list_apps",
    "registry",
    "revoke_app",
    "rotate_app",
)

# Any number that nobody else uses for an advisory lock of this database: "zh" and "app" in ASCII.
_LOCK = 0x7A68_61_7070

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 10.0

_APP = re.compile(APP_PATTERN)

# In quotes: only the stubs know that it is generic.
_Connection: TypeAlias = "asyncpg.Connection[Any]"


class RegisteredApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app as it is kept; limits of 0 are none, times are in UTC."""

    app: str
    public_key: str
    rate_per_s: int
    in_flight_max: int
    created_at: datetime
    rotated_at: datetime | None
    revoked_at: datetime | None


_COLUMNS = ", ".join(RegisteredApp.__struct_fields__)


@asynccontextmanager
async def registry(dsn: str) -> AsyncIterator[_Connection]:
    """Yield a connection that holds the registry's lock.

    What changes the table also writes the broker's configuration from it, so both are done by one
    at a time. Raise :class:`ServerUnreachable` when the database does not answer.
    """
    try:
        connection = await asyncpg.connect(
            dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ServerUnreachable(
            f"Postgres does not answer: {str(error) or type(error).__name__}"
        ) from error
    try:
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        except TimeoutError:
            raise ServerUnreachable(
                "another command is changing the apps and does not end; try again"
            ) from None
        yield connection
    finally:
        # The lock ends with the session.
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


def check_app_name(app: str) -> None:
    """Raise :class:`AppRefused` unless an app may be called so."""
    if not _APP.match(app):
        raise AppRefused(
            f"{app!r} cannot be an app: lower-case letters, digits, - and _, 32 at most"
        )
    if app == PLATFORM_APP:
        raise AppRefused(f"{app!r} is the platform itself; choose another name")


async def add_app(
    connection: _Connection, app: str, public_key: str, *, rate_per_s: int, in_flight_max: int
) -> None:
    """Register an app, also one that was revoked; raise :class:`AppRefused` when it is there."""
    check_app_name(app)
    status = await connection.execute(
        "INSERT INTO zhihui.app AS known"
        " (app, public_key, rate_per_s, in_flight_max, created_at)"
        " VALUES ($1, $2, $3, $4, clock_timestamp())"
        " ON CONFLICT (app) DO UPDATE SET public_key = excluded.public_key,"
        " rate_per_s = excluded.rate_per_s, in_flight_max = excluded.in_flight_max,"
        " rotated_at = clock_timestamp(), revoked_at = NULL"
        " WHERE known.revoked_at IS NOT NULL",
        app,
        public_key,
        rate_per_s,
        in_flight_max,
    )
    if status.endswith(" 0"):
        raise AppRefused(
            f"the app {app!r} is there already. For a new key: zhihui app rotate {app}"
        )


async def revoke_app(connection: _Connection, app: str) -> None:
    """Take an app's access away; raise :class:`AppRefused` when it has none."""
    status = await connection.execute(
        "UPDATE zhihui.app SET revoked_at = clock_timestamp()"
        " WHERE app = $1 AND revoked_at IS NULL",
        app,
    )
    _require_one(status, app)


async def limit_app(
    connection: _Connection, app: str, *, rate_per_s: int, in_flight_max: int
) -> None:
    """Set both limits; raise :class:`AppRefused` when the app has no access."""
    status = await connection.execute(
        "UPDATE zhihui.app SET rate_per_s = $2, in_flight_max = $3"
        " WHERE app = $1 AND revoked_at IS NULL",
        app,
        rate_per_s,
        in_flight_max,
    )
    _require_one(status, app)


async def rotate_app(connection: _Connection, app: str, public_key: str) -> None:
    """Give an app another key; raise :class:`AppRefused` when it has no access."""
    status = await connection.execute(
        "UPDATE zhihui.app SET public_key = $2, rotated_at = clock_timestamp()"
        " WHERE app = $1 AND revoked_at IS NULL",
        app,
        public_key,
    )
    _require_one(status, app)


def _require_one(status: str, app: str) -> None:
    if status.endswith(" 0"):
        raise AppRefused(f"there is no app {app!r} with access; see: zhihui app list")


async def list_apps(connection: _Connection) -> list[RegisteredApp]:
    """Return all apps by name, revoked ones as well."""
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM zhihui.app ORDER BY app")  # noqa: S608 - names of our own fields
    return [RegisteredApp(**dict(row)) for row in rows]


async def allowed_apps(connection: _Connection) -> list[AppAccess]:
    """Return the apps that have access; none while the schema is still to be made."""
    try:
        rows = await connection.fetch(
            "SELECT app, public_key FROM zhihui.app WHERE revoked_at IS NULL ORDER BY app"
        )
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return []
    return [AppAccess(row["app"], row["public_key"]) for row in rows]
