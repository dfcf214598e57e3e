"""``zhihui demo`` from the start of the servers to the verdict."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import msgspec
from rich.console import Console

from actors.channels.configuration import CHANNELS_SETTING
from kernel.clock import SystemClock
from schemas.subjects import OPERATOR_APP
from zhihui.audit import print_report, run_audit
from zhihui.client import Client
from zhihui.demo.books import read_books
from zhihui.demo.city.bundle import load_city
from zhihui.demo.city.run import run_city
from zhihui.demo.city.simulator import RunningChannels, running_channels
from zhihui.demo.day import Day, load_day
from zhihui.demo.days.bundled import MANIFEST_FILE, bundled_days
from zhihui.demo.days.date import DayDate, SandboxDate
from zhihui.demo.days.play import play_day
from zhihui.demo.days.progress import day_progress
from zhihui.demo.days.result import DayResult, summed_up
from zhihui.demo.days.shapes import read_manifest
from zhihui.demo.driver import DayDriver
from zhihui.demo.picture import COLUMNS, write_picture
from zhihui.demo.reconcile import reconcile_channels
from zhihui.demo.report import print_figures, print_outcomes, print_speed, print_summary
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR
from zhihui.embedded.platform import Platform, running_platform
from zhihui.sandbox import SANDBOX_VARIABLE

__all__ = ("CITY", "play_and_compare", "playable", "playable_at", "run_demo")

CITY = "city"
_BEFORE_CITY = "parking"

_EXIT_INTERRUPTED = 130


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the demo; ``suffix`` makes its apps others than those of a run before."""

    console: Console
    folder: Path
    keep: bool
    temporary: bool
    names: tuple[str, ...]
    suffix: str = ""

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def playable() -> tuple[str, ...]:
    """Return the names of all days, in the order in which they are played."""
    days = tuple(bundled_days())
    # The city pays over channels, which refuse what is signed on another date than theirs: it comes
    # before the days that move the date.
    first = days.index(_BEFORE_CITY) + 1 if _BEFORE_CITY in days else 0
    return (*days[:first], CITY, *days[first:])


def playable_at(ahead: timedelta, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the days can be played when the date was moved by ``ahead`` before."""
    return tuple(name for name in names if name != CITY or not ahead)


def run_demo(
    *,
    data_dir: Path | None,
    keep: bool,
    only: Collection[str] = (),
    picture: Path | None = None,
) -> int:
    """Play the bundled days and print the verdict; return the exit code, 0 when all agrees.

    ``only`` names those that are played; without it all of :func:`playable` are. Without
    ``data_dir`` the data goes to a temporary folder. With ``keep`` the service runs on until
    Ctrl-C, and the folder stays; else a temporary one is removed. The end of what is shown is
    written to ``picture`` as SVG.
    """
    console = _console(picture)
    names = tuple(name for name in playable() if not only or name in only)
    with _data_dir(data_dir, keep=keep) as folder:
        run = _Run(
            console=console, folder=folder, keep=keep, temporary=data_dir is None, names=names
        )
        try:
            agree = anyio.run(lambda: _run(run), backend_options={"use_uvloop": True})
        except KeyboardInterrupt:
            run.say("Stopped before the end.")
            return _EXIT_INTERRUPTED
    if picture is not None:
        write_picture(console, picture, title="zhihui demo")
    return 0 if agree else 1


def _console(picture: Path | None) -> Console:
    if picture is not None:
        return Console(record=True, width=COLUMNS)
    # A log has no width of its own; the tables have.
    return Console() if sys.stdout.isatty() else Console(width=COLUMNS)


@contextmanager
def _data_dir(given: Path | None, *, keep: bool) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    DEFAULT_DATA_DIR.mkdir(mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=DEFAULT_DATA_DIR))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _run(run: _Run) -> bool:
    run.say(f"Starting the service on {run.folder}")
    async with (
        running_channels(run.folder / "channels") as channels,
        running_platform(
            run.folder,
            settings={
                SANDBOX_VARIABLE: "1",
                CHANNELS_SETTING: str(Path(channels.channels_file).absolute()),
            },
            report=run.say,
        ) as platform,
    ):
        # A day can happen once to an app. On data that may hold one already, this is another app.
        if not run.temporary or platform.postgres is None:
            run = msgspec.structs.replace(run, suffix=f"-{SystemClock().now():%y%m%d%H%M%S}")
        agree = await _play_all(run, platform, channels)
        _print_next(run)
        if run.keep:
            run.say(f"The service runs on, with its data in {run.folder}. Stop it with Ctrl-C.")
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    break
            run.say("Stopping…")
    return agree


async def _play_all(run: _Run, platform: Platform, channels: RunningChannels) -> bool:
    """Play the days one after another; then compare all books and print the verdict."""
    console, folders = run.console, bundled_days()
    results: list[DayResult] = []
    names = await _names_of_this_date(run, platform)
    for name in names:
        if name == CITY:
            results.append(await _city(run, platform, channels))
        else:
            results.append(await _day(run, platform, name, load_day(folders[name])))
        audit = await run_audit(platform.servers.postgres_dsn)
        if not audit.ok:
            # The rows that offend are named at the end; here, after which day they came.
            failed = ", ".join(check.name for check in audit.checks if not check.ok)
            console.print(f"[bold red]After {name} the audit fails[/]: {failed}.")
            break
        console.print(f"After {name} the audit holds: {len(audit.checks)} checks.", highlight=False)
    console.print()
    print_summary(console, results)
    agree = 0 < len(results) == len(names) and all(one.agree for one in results)
    agree = await reconcile_channels(console, platform, channels) and agree
    audit = await run_audit(platform.servers.postgres_dsn)
    print_report(audit, console)
    agree = agree and audit.ok
    console.print(
        "[bold green]Every outcome, every balance, the channels' books and the audit are as they "
        "must be.[/]"
        if agree
        else "[bold red]The demo did not turn out as it must.[/] See what is marked above.",
        soft_wrap=True,
    )
    return agree


async def _names_of_this_date(run: _Run, platform: Platform) -> tuple[str, ...]:
    """Return what is to be played, without the city where a run before moved the date."""
    async with Client(app=OPERATOR_APP, url=platform.servers.nats_url) as office:
        ahead = await SandboxDate(office).ahead()
    names = playable_at(ahead, run.names)
    if names == run.names:
        return names
    run.console.print(
        f"[yellow]The city is left out[/]: the date of this data was moved by {ahead.days:,} days "
        "before, and payment channels refuse messages of another date than theirs. Play it on a "
        "new data directory.",
        highlight=False,
        soft_wrap=True,
    )
    return names


async def _day(run: _Run, platform: Platform, name: str, day: Day) -> DayResult:
    manifest, url = day.manifest, platform.servers.nats_url
    app = manifest.app + run.suffix
    run.say(
        f"\nThe day of {name}: {manifest.name}. {manifest.messages_in_all:,} messages in "
        f"{len(manifest.phases)} phases, as app {app!r}, over {url.rpartition('@')[2]}"
    )
    async with Client(app=app, url=url) as client, Client(app=OPERATOR_APP, url=url) as office:
        driver = DayDriver(client, app=app)
        return await play_and_compare(run.console, name, day, driver, SandboxDate(office))


async def play_and_compare(
    console: Console, name: str, day: Day, driver: DayDriver, date: DayDate
) -> DayResult:
    """Play a day, read its books, and print both beside the manifest."""
    with day_progress(console, day.manifest.messages_in_all) as on_phase:
        tallies = await play_day(driver, day, date, on_phase)
    expected, found = day.manifest.figures(), await read_books(driver, day)
    same_outcomes = print_outcomes(console, name, day.manifest, tallies)
    same_figures = print_figures(console, expected, found)
    print_speed(console, tallies)
    return summed_up(name, tallies, expected, found, agree=same_outcomes and same_figures)


async def _city(run: _Run, platform: Platform, channels: RunningChannels) -> DayResult:
    city = load_city()
    # Like the days, the story can happen once to an app.
    app = city.manifest.app + run.suffix
    run.say(
        f"\nThe city: {city.manifest.name}. {city.manifest.messages:,} messages, as app {app!r} "
        "and as the back office, with five payment channels beside it"
    )
    return await run_city(run.console, platform, channels, city, app, say=run.say)


def _print_next(run: _Run) -> None:
    program = "zhihui" if shutil.which("zhihui") else sys.argv[0]
    if program.endswith("__main__.py"):
        program = "python -m zhihui"
    where = f"--data-dir {run.folder}"
    question = _question(run)
    calls = (f"call {where} {question}",) if question else ()
    if run.keep:
        commands = (f"status {where}", *calls, f"audit {where}")
    elif run.temporary:
        opening = 'city-park account.open \'{"request_id":"r-1","holder":"Li Lei"}\''
        commands = ("demo --keep", "demo --only campus", "up", f"call {opening}")
    else:
        commands = (f"audit {where}", f"up {where}", *calls)
    run.console.print("\nTry next:" if not run.keep else "\nTry next, elsewhere:")
    for command in commands:
        run.say(f"  {program} {command}")


def _question(run: _Run) -> str:
    """Return a read of who owes most of those that were played, as words of a command."""
    for name, folder in bundled_days().items():
        manifest = read_manifest((folder / MANIFEST_FILE).read_bytes())
        if name in run.names and manifest.debts is not None and manifest.debts.owed:
            debts = manifest.debts
            debtor = max(debts.owed, key=lambda one: debts.owed[one])
            return f'{manifest.app}{run.suffix} {debts.operation} \'{{"{debts.key}":"{debtor}"}}\''
    return ""
