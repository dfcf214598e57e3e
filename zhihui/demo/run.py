"""``zhihui demo`` from the start of the servers to the verdict."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from actors.channels.configuration import CHANNELS_SETTING
from kernel.clock import SystemClock
from zhihui.audit import print_report, run_audit
from zhihui.client import Client
from zhihui.demo.books import read_books
from zhihui.demo.city.bundle import load_city
from zhihui.demo.city.run import run_city
from zhihui.demo.city.simulator import RunningChannels, running_channels
from zhihui.demo.day import Day, load_day
from zhihui.demo.driver import DayDriver
from zhihui.demo.picture import COLUMNS, write_picture
from zhihui.demo.report import print_books, print_outcomes, print_speed
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR
from zhihui.embedded.platform import Platform, running_platform
from zhihui.sandbox import SANDBOX_VARIABLE

__all__ = ("run_demo",)

# Without a terminal a line now and then is kinder to a log than a bar.
_LINES = 10

_EXIT_INTERRUPTED = 130


def run_demo(*, data_dir: Path | None, keep: bool, picture: Path | None = None) -> int:
    """Run the bundled day and print the verdict; return the exit code, 0 when all agrees.

    Without ``data_dir`` the data goes to a temporary folder. With ``keep`` the service runs on
    until Ctrl-C, and the folder stays; else a temporary one is removed. The end of what is shown is
    written to ``picture`` as SVG.
    """
    console = Console() if picture is None else Console(record=True, width=COLUMNS)
    with _data_dir(data_dir, keep=keep) as folder:
        try:
            agree = anyio.run(
                lambda: _run(console, folder, keep=keep, temporary=data_dir is None),
                backend_options={"use_uvloop": True},
            )
        except KeyboardInterrupt:
            return _EXIT_INTERRUPTED
    if picture is not None:
        write_picture(console, picture, title="zhihui demo")
    return 0 if agree else 1


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


async def _run(console: Console, folder: Path, *, keep: bool, temporary: bool) -> bool:
    day = load_day()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    say(f"Starting the service on {folder}")
    async with (
        running_channels(folder / "channels") as channels,
        running_platform(
            folder,
            settings={
                SANDBOX_VARIABLE: "1",
                CHANNELS_SETTING: str(Path(channels.channels_file).absolute()),
            },
            report=say,
        ) as platform,
    ):
        # A day can happen once to an app. On data that may hold one already, this is another app.
        app = day.manifest.app
        if not temporary or platform.postgres is None:
            app = f"{app}-{SystemClock().now():%y%m%d%H%M%S}"
        agree = await _drive(console, platform, day, app)
        agree = await _city(console, platform, channels, app, say) and agree
        _print_next(console, day, app, folder, keep=keep, temporary=temporary)
        if keep:
            say(f"The service runs on, with its data in {folder}. Stop it with Ctrl-C.")
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    break
            say("Stopping…")
    return agree


async def _drive(console: Console, platform: Platform, day: Day, app: str) -> bool:
    manifest = day.manifest
    console.print(
        f"\nThe day: {manifest.name}. {manifest.messages:,} messages after "
        f"{manifest.setup_messages:,} to set it up, as app {app!r}, over "
        f"{platform.servers.nats_url.rpartition('@')[2]}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    async with Client(app=app, url=platform.servers.nats_url) as client:
        driver = DayDriver(client, day, app=app)
        with _progress(console, "Accounts and lots", manifest.setup_messages) as on_done:
            setup = await driver.run_setup(on_done)
        with _progress(console, "The day", manifest.messages) as on_done:
            events = await driver.run_day(on_done)
        books = await read_books(driver, day)
    console.print()
    same_outcomes = print_outcomes(console, manifest, (setup, events))
    same_books = print_books(console, manifest, books)
    audit = await run_audit(platform.servers.postgres_dsn)
    print_report(audit, console)
    console.print()
    print_speed(console, setup, events)
    agree = same_outcomes and same_books and audit.ok
    console.print(
        "[bold green]Every outcome, every balance and the audit are as they must be.[/]"
        if agree
        else "[bold red]The day did not turn out as it must.[/] See the rows marked above.",
        soft_wrap=True,
    )
    return agree


async def _city(
    console: Console,
    platform: Platform,
    channels: RunningChannels,
    day_app: str,
    say: Callable[[str], None],
) -> bool:
    city = load_city()
    # Like the day, the story can happen once to an app.
    app = city.manifest.app + day_app[len("citypark") :]
    console.print(
        f"\nThe city: {city.manifest.name}. {city.manifest.messages:,} messages, as app {app!r} "
        "and as the back office, with five payment channels beside it",
        highlight=False,
        soft_wrap=True,
    )
    agree = await run_city(console, platform, channels, city, app, say=say)
    audit = await run_audit(platform.servers.postgres_dsn)
    print_report(audit, console)
    agree = agree and audit.ok
    console.print(
        "[bold green]The city's year turned out as it must: every outcome, every balance, the "
        "channels' books and the audit.[/]"
        if agree
        else "[bold red]The city's year did not turn out as it must.[/] See what is marked above.",
        soft_wrap=True,
    )
    return agree


@contextmanager
def _progress(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    if not console.is_terminal:
        yield _progress_lines(console, what, total)
        return
    with Progress(
        TextColumn(f"{what:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def _progress_lines(console: Console, what: str, total: int) -> Callable[[int], None]:
    step = -(-total // _LINES)

    def show(done: int) -> None:
        if done % step == 0 or done == total:
            console.print(f"{what}: {done:,} of {total:,}", highlight=False)

    return show


def _print_next(
    console: Console, day: Day, app: str, folder: Path, *, keep: bool, temporary: bool
) -> None:
    program = "zhihui" if shutil.which("zhihui") else sys.argv[0]
    if program.endswith("__main__.py"):
        program = "python -m zhihui"
    plate = max(day.manifest.arrears, key=lambda owing: day.manifest.arrears[owing])
    where = f"--data-dir {folder}"
    question = f'{app} parking.get \'{{"plate":"{plate}"}}\''
    if keep:
        commands = (f"status {where}", f"call {where} {question}", f"audit {where}")
    elif temporary:
        opening = 'city-park account.open \'{"request_id":"r-1","holder":"Li Lei"}\''
        commands = ("demo --keep", "up", f"call {opening}")
    else:
        commands = (f"audit {where}", f"up {where}", f"call {where} {question}")
    console.print("\nTry next:" if not keep else "\nTry next, elsewhere:")
    for command in commands:
        console.print(f"  {program} {command}", markup=False, highlight=False, soft_wrap=True)
