"""``zhihui demo``, ``bench`` and ``schema``: thin calls of what lives elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.bench_adversity import bench_adversity, bench_backup
from zhihui.commands.bench_hotload import bench_hotload
from zhihui.commands.console import output

__all__ = (
    "BENCH_EXAMPLES",
    "DEMO_EXAMPLES",
    "bench",
    "bench_channels",
    "bench_payments",
    "bench_routing",
    "demo",
    "schema",
)

BENCH_EXAMPLES = """\
```
zhihui bench                   payments a second, beside the baseline
zhihui bench routing           the adaptive router beside fixed channels and static weights
zhihui bench channels          payments over channels that fail in every way
zhihui bench hotload           versions of packs that come and go under load
zhihui bench adversity --runs 3   faults under load, three times in a row
zhihui bench backup            backups under load, restored elsewhere
```
"""

DEMO_EXAMPLES = """\
```
zhihui demo                            all days and the city, about two minutes
zhihui demo --only parking             one of them alone
zhihui demo --only campus --keep       and look around afterwards from elsewhere
zhihui demo --data-dir demo-data       keep the books, for `zhihui audit` and `zhihui up`
```
"""

_OptionalDataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", file_okay=False, help="Use this data directory instead of a temporary one."
    ),
]


def demo(
    data_dir: _OptionalDataDir = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="DAY",
            help="Play this day alone: parking, wholesale_market, campus or city. May be repeated.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the service running afterwards, until Ctrl-C.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(hidden=True, dir_okay=False, help="Write the end as SVG.")
    ] = None,
) -> None:
    """Play the sample day of every bundled pack and a city's year, and check every outcome.

    NATS, Postgres, five simulated payment channels and the service run on this machine. Each day
    goes through the public interface: every answer, every balance and every debt must be what a
    plain model of the day came to, and a repeated message must be answered as before. Then the
    channels' books are reconciled and the ledger is audited. Exits with 0 when all agrees, else
    with 1. The date moves forward meanwhile, of this service alone.
    """
    from zhihui.demo import playable, run_demo

    if unknown := sorted(set(only or ()) - set(playable())):
        raise typer.BadParameter(
            f"there is no day {', '.join(unknown)}; there are {', '.join(playable())}",
            param_hint="--only",
        )
    raise typer.Exit(run_demo(data_dir=data_dir, keep=keep, only=only or (), picture=picture))


bench = typer.Typer(
    name="bench",
    help="Measure payments per second beside an honest baseline and the database's own limit.",
    epilog=BENCH_EXAMPLES,
    invoke_without_command=True,
    rich_markup_mode="markdown",
)


@bench.callback()
def bench_payments(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of one measurement.")] = 8.0,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each, interleaved.")] = 3,
    in_flight: Annotated[
        int, typer.Option(min=1, max=65_536, help="Requests that wait for an answer at a time.")
    ] = 256,
    data_dir: _OptionalDataDir = None,
) -> None:
    """Measure payments per second beside an honest baseline and the database's own limit."""
    if context.invoked_subcommand is not None:
        return
    from loadtest.bench import run_bench

    raise typer.Exit(
        run_bench(seconds=seconds, rounds=rounds, in_flight=in_flight, data_dir=data_dir)
    )


@bench.command(name="routing")
def bench_routing(
    seeds: Annotated[int, typer.Option(min=2, help="Worlds, each drawn from its own seed.")] = 12,
    decisions: Annotated[int, typer.Option(min=100, help="Payments in each world.")] = 12_000,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
) -> None:
    """Compare the adaptive router with fixed channels and static weights, in worlds that change.

    Exits with 0 when it beats the best of them in success rate and regret by more than chance.
    """
    from rich.console import Console

    from actors.channels.configuration import TERMS
    from actors.channels.routing import Router
    from kernel.randomness import SeededRandomness
    from loadtest.routing import run_routing_bench
    from zhihui.channel_simulator.profiles import PROFILES

    code = run_routing_bench(
        Console(),
        engine=lambda rules, number: Router(rules, SeededRandomness(number)),
        terms=tuple(TERMS.values()),
        profile=PROFILES["shifting"],
        seed=seed,
        seeds=seeds,
        decisions=decisions,
    )
    raise typer.Exit(code)


@bench.command(name="channels")
def bench_channels(
    payments: Annotated[int, typer.Option(min=1, help="Payments to make.")] = 10_000,
    profile: Annotated[str, typer.Option(help="How the channels behave.")] = "worst",
    in_flight: Annotated[int, typer.Option(min=1, help="Payments under way at a time.")] = 60,
    kills: Annotated[int, typer.Option(min=0, help="How often a node is killed meanwhile.")] = 0,
) -> None:
    """Prove that channels neither pay twice nor lose, however they fail.

    What each channel has in its own books is compared with what became of each payment.
    """
    from loadtest.channels_proof import run_channels_proof

    raise typer.Exit(
        run_channels_proof(payments=payments, profile=profile, in_flight=in_flight, kills=kills)
    )


bench.command(name="hotload")(bench_hotload)
bench.command(name="adversity")(bench_adversity)
bench.command(name="backup")(bench_backup)


def schema(
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Directory to write to.")
    ] = Path("build/schema"),
) -> None:
    """Write the public contracts as AsyncAPI 3 and JSON Schema files."""
    from zhihui.schema import write_schema

    for path in write_schema(out):
        output.print(str(path), markup=False, highlight=False, soft_wrap=True)
