"""Which reports a run makes, as the command line has it, and all of them at once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from loadtest.harness.control import Observer
from loadtest.harness.problems import PlanUnusable
from loadtest.harness.reports.csv_files import write_csv
from loadtest.harness.reports.hdr_log import HdrLogWriter
from loadtest.harness.reports.html_report import write_html
from loadtest.harness.reports.json_file import write_json
from loadtest.harness.reports.live_page import LivePage
from loadtest.harness.reports.prometheus import PrometheusExporter
from loadtest.harness.reports.terminal import LiveTerminal, print_result
from loadtest.harness.result import RunResult

__all__ = ("ReportOptions", "Reports")


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. ``csv`` is a folder, the others are files; a port of 0 takes a free one."""

    html: Path | None = None
    csv: Path | None = None
    json: Path | None = None
    hlog: Path | None = None
    web: int | None = None
    prometheus: int | None = None
    # Nothing on the terminal while the run goes on; the result is printed all the same.
    quiet: bool = False


class Reports:
    """The reports of one run::

        async with Reports(options, console).running() as reports:
            result = await run_load(plan, observers=[*reports.observers, ...])
            await reports.finish(result)

    With a live page, the plan should have ``wait_for_start``, and ``finish`` returns when the page
    is closed.
    """

    def __init__(self, options: ReportOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._page = None if options.web is None else LivePage(port=options.web)
        self._exporter = (
            None if options.prometheus is None else PrometheusExporter(port=options.prometheus)
        )
        self._terminal = None if options.quiet else LiveTerminal(console)
        self._log = None if options.hlog is None else HdrLogWriter(options.hlog)

    @property
    def observers(self) -> list[Observer]:
        """Return what must hear of the run."""
        found = (self._page, self._exporter, self._terminal, self._log)
        return [one for one in found if one is not None]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Reports"]:
        """Serve and show inside; raise :class:`PlanUnusable` for a port or a path of no use."""
        self._check_paths()
        async with AsyncExitStack() as stack:
            if self._page is not None:
                try:
                    await stack.enter_async_context(self._page.serving())
                except OSError as error:
                    raise _taken("--web", self._options.web, error) from error
                self._say(f"live page: {self._page.url}")
            if self._exporter is not None:
                try:
                    self._exporter.start()
                except OSError as error:
                    raise _taken("--prometheus", self._options.prometheus, error) from error
                stack.callback(self._exporter.stop)
                self._say(f"Prometheus: {self._exporter.url}")
            if self._terminal is not None:
                self._terminal.start()
                stack.callback(self._terminal.stop)
            yield self

    def _check_paths(self) -> None:
        """Find out before the run, not after it, that a report cannot be written."""
        options = self._options
        files = {"--html": options.html, "--json": options.json, "--hlog": options.hlog}
        for option, path in files.items():
            if path is not None and path.is_dir():
                raise PlanUnusable(f"{option} {path} is a folder; name a file in it")
        folders = {option: path.parent for option, path in files.items() if path is not None}
        if options.csv is not None:
            folders["--csv"] = options.csv
        for option, folder in folders.items():
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PlanUnusable(
                    f"{option}: {folder} cannot be made ({error.strerror})"
                ) from error

    async def finish(self, result: RunResult) -> None:
        """Print the result, write the files, and wait for the live page to be closed."""
        if self._terminal is not None:
            self._terminal.stop()
        print_result(result, self._console)
        options = self._options
        if options.html is not None:
            write_html(result, options.html)
            self._say(f"report: {options.html}")
        if options.json is not None:
            write_json(result, options.json)
            self._say(f"all figures: {options.json}")
        if options.csv is not None:
            paths = write_csv(result, options.csv)
            self._say(f"CSV: {', '.join(map(str, paths))}")
        if options.hlog is not None:
            self._say(f"HdrHistogram log: {options.hlog}")
        if self._page is not None:
            self._say("the live page stays until somebody presses Close on it, or Ctrl-C here")
            await self._page.wait_closed()

    def _say(self, text: str) -> None:
        # A link that is folded cannot be clicked, nor a path copied.
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def _taken(option: str, port: int | None, error: OSError) -> PlanUnusable:
    return PlanUnusable(
        f"{option} {port} cannot be listened on ({error.strerror}): name another port, or 0 for a "
        "free one"
    )
