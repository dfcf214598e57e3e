"""``zhihui simulate``: the whole platform on virtual time, with everything going wrong."""

from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands.console import bad_input, errors, output

if TYPE_CHECKING:
    from zhihui.simulation.day import Result
    from zhihui.simulation.many import Tally

__all__ = ("EXAMPLES", "EXIT_WRONG", "simulate")

# An invariant does not hold: neither bad input nor a failure of the program.
EXIT_WRONG = 90
_EXIT_INTERRUPTED = 130
_STEPS = 80
_STEPS_MAX = 2_000
_SHOWN_MAX = 8

EXAMPLES = """\
```
zhihui simulate                                1,000 seeds, in a few minutes
zhihui simulate --seed 1 --seeds 20000         a night of them
zhihui simulate --seed 42 --seeds 1 --trace    one of them, step by step
zhihui simulate --bug failover-on-unknown      see a broken build being found
```
"""


def simulate(
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    steps: Annotated[
        int, typer.Option(min=1, max=_STEPS_MAX, help="Requests that a seed makes.")
    ] = _STEPS,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from the first on.")] = 1_000,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 is one for each processor.")] = 0,
    bug: Annotated[
        str, typer.Option(help="Break the build in this way, and stop at the seed that finds it.")
    ] = "",
    trace: Annotated[
        bool, typer.Option("--trace", help="Print what happened; for a single seed.")
    ] = False,
) -> None:
    """Play whole days of the bank from seeds, with crashes and lost messages, and check each.

    Each seed is a day of its own: nodes, bus, store, channels and packs in one process on virtual
    time. Nodes die, stand still and are cut off; messages and commits are lost; channels time out.
    Afterwards all that was said is compared with a plain sequential model. The same seed gives the
    same day, always.

    Exits with 0 when all is well and with 90 when a seed failed; it is printed with the command
    that plays it again.
    """
    from zhihui.simulation.bugs import BUGS

    if bug and bug not in BUGS:
        raise bad_input(f"there is no bug {bug!r}; there are {', '.join(BUGS)}")
    if trace and seeds != 1:
        raise bad_input("a trace is that of one seed: give --seeds 1 with --trace")
    try:
        if trace:
            tally = _one(seed, steps, bug)
        else:
            tally = _many(range(seed, seed + seeds), steps, jobs, bug)
    except KeyboardInterrupt:
        errors.print("zhihui: stopped", highlight=False)
        raise typer.Exit(_EXIT_INTERRUPTED) from None
    _show(tally, steps, bug)
    if tally.wrong:
        raise typer.Exit(EXIT_WRONG)


def _one(seed: int, steps: int, bug: str) -> "Tally":
    import logging

    from zhihui.simulation.many import Tally, data_keys, play_seed

    logging.disable()
    tally = Tally()
    with data_keys() as keys:
        result = play_seed(seed, steps, keys, bug, trace=True)
    for line in result.trace:
        output.print(line, markup=False, highlight=False, soft_wrap=True)
    output.print(f"digest {result.digest}", highlight=False)
    tally.add(result)
    return tally


def _many(seeds: range, steps: int, jobs: int, bug: str) -> "Tally":
    import logging
    import os

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from zhihui.simulation.many import play_many

    logging.disable()
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=errors, transient=True) as progress:
        bar = progress.add_task("seeds", total=len(seeds))

        def on_result(result: "Result") -> None:
            progress.advance(bar)
            if result.wrong and not bug:
                progress.console.print(f"seed {result.seed} failed", style="bold red")

        return play_many(
            seeds, steps, jobs=min(jobs or os.cpu_count() or 1, len(seeds)), bug=bug,
            on_result=on_result, first_only=bool(bug),
        )  # fmt: skip


def _show(tally: "Tally", steps: int, bug: str) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("seeds", f"{tally.seeds:,}")
    table.add_row("requests", f"{tally.steps:,}")
    table.add_row("simulated", f"{tally.virtual_s / 3_600:,.1f} h")
    for title, counts in (("faults", tally.faults), ("outcomes", tally.outcomes)):
        for name, count in sorted(counts.items(), key=lambda one: -one[1]):
            table.add_row(title, f"{count:>9,}  {name}")
            title = ""  # noqa: PLW2901 - named once
    output.print(table, highlight=False)
    for seed, wrong in sorted(tally.wrong.items()):
        output.print(f"\nseed {seed} failed:", style="bold red", highlight=False)
        for reason in wrong[:_SHOWN_MAX]:
            output.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
        more = f" --bug {bug}" if bug else ""
        output.print(
            f"  again: zhihui simulate --seed {seed} --seeds 1 --steps {steps}{more} --trace",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if not tally.wrong:
        output.print("every answer was true, nothing was lost, nothing was done twice",
                     style="green", highlight=False)  # fmt: skip
