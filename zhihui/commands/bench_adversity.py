"""``zhihui bench adversity``: what the injection of faults needs of the rooms."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands.console import bad_input

if TYPE_CHECKING:
    from loadtest.adversity import Tools

__all__ = ("adversity_tools", "bench_adversity", "bench_backup")


def adversity_tools() -> "Tools":
    """Return how partitions are told apart, the schema is made, and a clock is stepped."""
    from kernel.journal import JOURNAL_KEY, JOURNAL_KIND
    from kernel.partition import PARTITIONS, partition_of
    from loadtest.adversity import Tools
    from zhihui.commands.stepped_node import write_step
    from zhihui.migrate import migrate

    return Tools(
        migrate=migrate,
        place=lambda account: partition_of("payment", account),
        places=PARTITIONS,
        journal=partition_of(JOURNAL_KIND, JOURNAL_KEY),
        clock_program=("zhihui.commands.stepped_node",),
        write_step=write_step,
    )


def bench_adversity(
    runs: Annotated[int, typer.Option(min=1, help="How often, each time on new servers.")] = 1,
    nodes: Annotated[int, typer.Option(min=2, max=8, help="Nodes that share the work.")] = 3,
    workers: Annotated[int, typer.Option(min=3, max=500, help="Callers at a time.")] = 24,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="TEXT",
            help="Inject only faults with this in their names, such as nats. May be repeated.",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name all faults, and exit.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            file_okay=False,
            help="Use this data directory instead of a temporary one.",
        ),
    ] = None,
) -> None:
    """Prove that faults lose nothing: nodes and servers die, stop and are cut off under load.

    NATS, Postgres and the nodes run on this machine, under a stream of payments by request and over
    the intake. After each fault the books are audited, every acknowledged payment must exist once,
    every other at most once and be found by its request id, no call may hang, and all must be
    served again within ten seconds. Exits with 0 when all holds, else with 90.
    """
    from loadtest.adversity import AdversityPlan, chosen_faults, run_adversity

    plan = AdversityPlan(runs=runs, nodes=nodes, workers=workers, only=tuple(only or ()))
    faults = chosen_faults(plan.only)
    if not faults:
        raise bad_input(f"no fault has {' or '.join(plan.only)} in its name; see --list")
    if list_:
        for fault in faults:
            typer.echo(fault.name)
        return
    raise typer.Exit(run_adversity(plan, adversity_tools(), json=json, data_dir=data_dir))


def bench_backup(
    payments: Annotated[
        int, typer.Option(min=100, help="Payments that stand when the backup begins.")
    ] = 10_000,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            file_okay=False,
            help="Use this empty directory instead of a temporary one.",
        ),
    ] = None,
) -> None:
    """Prove that backups taken under load can be restored: with pg_dump and with pg_basebackup.

    Each is restored on servers of its own and audited, and a node serves on it. Every payment that
    was acknowledged before must be in it, and requests that are sent again must be answered as
    before. Exits with 0 when all holds, else with 90.
    """
    from loadtest.adversity import run_backup
    from zhihui.migrate import migrate

    raise typer.Exit(run_backup(payments, migrate=migrate, data_dir=data_dir))
