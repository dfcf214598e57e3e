"""What the commands share: options, output, and the event loop."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

__all__ = ("DataDir", "NatsUrl", "PostgresDsn", "bad_input", "errors", "output", "run_async")

_Result = TypeVar("_Result")

output = Console()
errors = Console(stderr=True)

# What a shell reports of a command that Ctrl-C ended.
_EXIT_INTERRUPTED = 130

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="ZHIHUI_DATA_DIR",
        file_okay=False,
        help="Where the embedded servers keep their data.",
    ),
]

NatsUrl = Annotated[
    str,
    typer.Option(
        "--nats-url",
        envvar="ZHIHUI_NATS_URL",
        help="NATS server to use, nats://host:port; else the one running on the data directory.",
        show_default=False,
    ),
]

PostgresDsn = Annotated[
    str,
    typer.Option(
        "--postgres-dsn",
        envvar="ZHIHUI_POSTGRES_DSN",
        help="Database to use, postgresql://user:password@host:port/name; else the one of the "
        "data directory.",
        show_default=False,
    ),
]


def run_async(function: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run an async function on the loop that the service runs on; Ctrl-C exits quietly."""
    import anyio
    import uvloop  # noqa: F401 - fail here, with its name, rather than inside the loop's start

    try:
        return anyio.run(function, backend_options={"use_uvloop": True})
    except KeyboardInterrupt:
        raise typer.Exit(_EXIT_INTERRUPTED) from None


def bad_input(message: str) -> typer.Exit:
    """Say in one line what is wrong with the input; return the exit to raise."""
    errors.print(f"zhihui: {message}", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(2)
