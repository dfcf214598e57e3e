"""All faults, one after the other, on a cluster under load, as often as wanted."""

import os
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
from rich.console import Console

from loadtest.adversity.backup import WAYS, BackupReport, prove_backup
from loadtest.adversity.case import IMPATIENT_S, PATIENT_S, CaseReport, Stage, run_case
from loadtest.adversity.cluster import NotInTime, running_cluster
from loadtest.adversity.faults import FAULTS, Clocks, Fault
from loadtest.adversity.report import AdversityReport, print_backups, print_report
from loadtest.adversity.stream import open_spread_accounts
from loadtest.machine import Machine, describe_machine
from loadtest.processes import ProcessFailed
from zhihui.client import Client

__all__ = (
    "AdversityPlan",
    "Tools",
    "chosen_faults",
    "prove_adversity",
    "run_adversity",
    "run_backup",
)

_BUILD = Path("build")
_APP = "adversity"
# Of the table, where there is no terminal whose width would count.
_WIDTH = 140
_EXIT_BROKEN, _EXIT_COULD_NOT_RUN, _EXIT_INTERRUPTED = 90, 1, 130


class AdversityPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: ``only`` chooses faults whose names hold one of these texts."""

    runs: int = 1
    nodes: int = 3
    workers: int = 24
    only: tuple[str, ...] = ()


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the run needs of the rooms that a load harness does not see.

    ``place`` tells in which of ``places`` partitions the payments of an account are made,
    ``journal`` is the partition of the journal. ``clock_program`` is a node whose clock a file
    moves, and ``write_step`` moves it by milliseconds.
    """

    migrate: Callable[[str], Awaitable[object]]
    place: Callable[[str], int]
    places: int
    journal: int
    clock_program: tuple[str, ...]
    write_step: Callable[[Path, int], None]


def chosen_faults(only: tuple[str, ...]) -> tuple[Fault, ...]:
    """Return the faults whose names hold one of the texts, all of them when there is no text."""
    if not only:
        return FAULTS
    return tuple(
        fault for fault in FAULTS if any(text.lower() in fault.name.lower() for text in only)
    )


def run_adversity(plan: AdversityPlan, tools: Tools, *, json: bool, data_dir: Path | None) -> int:
    """Prove it, print the table, write ``build/adversity.json``.

    Return 0 when all holds, 90 when something does not, and 1 when it could not be tried. The
    servers run on ``data_dir``; without one, on a directory that is removed when all is well.
    """
    console = Console(stderr=json)
    if not console.is_terminal:
        console.width = _WIDTH
    directory = data_dir or _BUILD / f"adversity-{os.getpid()}"
    ok = False
    try:
        report = anyio.run(
            lambda: prove_adversity(
                directory.absolute(), plan, tools,
                say=lambda text: console.print(text, style="dim", markup=False, highlight=False),
            ),
            backend_options={"use_uvloop": True},
        )  # fmt: skip
        ok = report.ok
    except NotInTime as error:
        console.print(f"It could not be tried: {error}", markup=False, highlight=False)
        return _EXIT_COULD_NOT_RUN
    except KeyboardInterrupt:
        ok = True
        return _EXIT_INTERRUPTED
    finally:
        # After a failure the logs are wanted.
        if data_dir is None and ok:
            shutil.rmtree(directory, ignore_errors=True)
    text = msgspec.json.format(msgspec.json.encode(report)) + b"\n"
    _BUILD.mkdir(exist_ok=True)
    path = _BUILD / "adversity.json"
    path.write_bytes(text)
    if json:
        Console(soft_wrap=True).print(text.decode(), markup=False, highlight=False)
    print_report(report, console)
    console.print(f"All figures: {path}" + ("" if ok else f"; the logs: {directory}"))
    return 0 if ok else _EXIT_BROKEN


def run_backup(
    payments: int, *, migrate: Callable[[str], Awaitable[object]], data_dir: Path | None
) -> int:
    """Prove both ways of backing up and print a table; return 0, 90, or 1 as the faults do."""
    console = Console()
    directory = data_dir or _BUILD / f"backup-{os.getpid()}"

    async def prove() -> list[BackupReport]:
        return [
            await prove_backup(
                directory / way, way, migrate=migrate, payments=payments,
                say=lambda text: console.print(text, style="dim", markup=False, highlight=False),
            )
            for way in WAYS
        ]  # fmt: skip

    try:
        reports = anyio.run(prove, backend_options={"use_uvloop": True})
    except (NotInTime, ProcessFailed) as error:
        console.print(f"It could not be tried: {error}", markup=False, highlight=False)
        return _EXIT_COULD_NOT_RUN
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    print_backups(reports, console)
    ok = all(report.ok for report in reports)
    if data_dir is None and ok:
        shutil.rmtree(directory, ignore_errors=True)
    return 0 if ok else _EXIT_BROKEN


async def prove_adversity(
    directory: Path, plan: AdversityPlan, tools: Tools, *, say: Callable[[str], None]
) -> AdversityReport:
    """Inject every chosen fault in every run, each run on servers of its own; return the report."""
    began_s = time.monotonic()
    cases: list[CaseReport] = []
    machine: Machine | None = None
    for run in range(1, plan.runs + 1):
        folder = directory / f"run-{run}"
        folder.mkdir(parents=True, exist_ok=True)
        say(f"run {run} of {plan.runs}: starting servers and {plan.nodes} nodes")
        names = [f"n{number}" for number in range(1, plan.nodes + 1)]
        async with running_cluster(folder, names, migrate=tools.migrate, linked=True) as cluster:
            url = cluster.servers.nats.url
            machine = machine or await describe_machine(
                folder, postgres_dsn=cluster.dsn, nats_url=url
            )
            async with (
                Client(app=_APP, url=url, timeout_s=PATIENT_S) as patient,
                Client(app=_APP, url=url, timeout_s=IMPATIENT_S) as impatient,
            ):
                stage = Stage(
                    cluster=cluster,
                    patient=patient,
                    impatient=impatient,
                    pairs=await open_spread_accounts(patient, tools.place, tools.places),
                    workers=plan.workers,
                    clocks=Clocks(
                        program=tools.clock_program, write_step=tools.write_step, folder=folder
                    ),
                    journal=tools.journal,
                )
                for number, fault in enumerate(chosen_faults(plan.only), 1):
                    case = await run_case(stage, fault, run=run, number=number, say=say)
                    cases.append(case)
                    say(_line(case))
    assert machine is not None, "a plan has at least one run"
    return AdversityReport(
        machine=machine,
        nodes=plan.nodes,
        workers=plan.workers,
        runs=plan.runs,
        seconds=time.monotonic() - began_s,
        cases=tuple(cases),
    )


def _line(case: CaseReport) -> str:
    found = case.findings
    assert found is not None, "a case that ended was judged"
    served = "never" if case.recovery_s is None else f"after {case.recovery_s:.1f} s"
    return (
        f"{case.fault}: {found.acknowledged:,} acknowledged, {found.lost} lost, {found.doubled} "
        f"doubled; served again {served}{'' if case.ok else '  FAIL ' + case.problem}"
    )
