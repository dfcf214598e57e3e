"""``zhihui demo``, ``bench`` and ``schema``: thin calls of what lives elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.console import output

__all__ = ("bench", "demo", "schema")

_OptionalDataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", file_okay=False, help="Use this data directory instead of a temporary one."
    ),
]


def demo(
    data_dir: _OptionalDataDir = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the service running afterwards, until Ctrl-C.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(hidden=True, dir_okay=False, help="Write the end as SVG.")
    ] = None,
) -> None:
    """Run a bundled day of a city car park through the service and check every outcome."""
    from zhihui.demo import run_demo

    raise typer.Exit(run_demo(data_dir=data_dir, keep=keep, picture=picture))


def bench(
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of one measurement.")] = 8.0,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each, interleaved.")] = 3,
    in_flight: Annotated[
        int, typer.Option(min=1, max=65_536, help="Requests that wait for an answer at a time.")
    ] = 256,
    data_dir: _OptionalDataDir = None,
) -> None:
    """Measure payments per second beside an honest baseline and the database's own limit."""
    from loadtest.bench import run_bench

    raise typer.Exit(
        run_bench(seconds=seconds, rounds=rounds, in_flight=in_flight, data_dir=data_dir)
    )


def schema(
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Directory to write to.")
    ] = Path("build/schema"),
) -> None:
    """Write the public contracts as AsyncAPI 3 and JSON Schema files."""
    from zhihui.schema import write_schema

    for path in write_schema(out):
        output.print(str(path), markup=False, highlight=False, soft_wrap=True)
