"""``zhihui sandbox``: move the date of a service that is for trying out."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.console import DataDir, NatsUrl, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR
from zhihui.errors import SetupError

__all__ = ("EXAMPLES", "advance", "parse_duration", "sandbox")

EXAMPLES = """\
```
zhihui up --sandbox            start a service whose date can be moved
zhihui sandbox advance 31d     a month later: instalments fall due, holds expire
zhihui sandbox advance 90m
```
"""

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9})([smhd])")

sandbox = typer.Typer(
    name="sandbox",
    help="Move the date of a service that was started with `zhihui up --sandbox`.",
    no_args_is_help=True,
    epilog=EXAMPLES,
)


def parse_duration(text: str) -> timedelta:
    """Return what ``31d``, ``12h``, ``90m`` or ``45s`` says; raise :class:`SetupError`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise SetupError(f"{text!r} is not a duration such as 31d, 12h, 90m or 45s")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


@sandbox.command(epilog=EXAMPLES)
def advance(
    duration: Annotated[str, typer.Argument(help="How far: 31d, 12h, 90m or 45s.")],
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Move the date forward on all nodes; whatever falls due meanwhile happens at once."""
    by = parse_duration(duration)
    run_async(lambda: _advance(by, nats_url, data_dir))


async def _advance(by: timedelta, nats_url: str, data_dir: Path) -> None:
    from zhihui.commands.back_office import back_office
    from zhihui.sandbox import move_clock

    async with back_office(nats_url, data_dir) as client:
        ahead = await move_clock(client, by)
    output.print(f"The nodes are {ahead} ahead of the clock.")
