"""How the operator's verbs of ``zhihui plugin`` run: they ask, wait for the nodes, and show."""

import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import nats.errors
import typer
from rich.live import Live
from rich.progress import Progress

from kernel.clock import SystemClock
from kernel.plugins.archive import Archive
from kernel.plugins.signature import Signature
from schemas.errors import Forbidden, Rejected, ZhihuiError
from schemas.plugins import PluginChanged
from zhihui.commands.addresses import nats_url_or_running
from zhihui.commands.back_office import back_office
from zhihui.commands.console import bad_input, errors, output, run_async
from zhihui.commands.plugin_nodes import NodePlugins, PluginWatch, wait_done
from zhihui.commands.plugin_office import Office, archive_at, signature_of
from zhihui.commands.plugin_view import change_line, details, nodes_table, plan_table
from zhihui.errors import ServerUnreachable

__all__ = ("Terms", "change_plan", "load_archive", "show_plan", "show_plugin")

_Result = TypeVar("_Result")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The options that the verbs share."""

    nats_url: str
    data_dir: Path
    as_json: bool = False
    wait: bool = True
    timeout_s: float = 60.0


def show_plan(terms: Terms) -> None:
    """Show the plan, and how far each node is."""

    async def look(office: Office) -> tuple[dict[str, Any], tuple[NodePlugins, ...] | None]:
        plan = await office.read("list")
        try:
            async with _watch(terms) as watch:
                return plan, await watch.look()
        except (ZhihuiError, OSError, nats.errors.Error):
            # The plan is there all the same; the key of the back office does not reach the nodes.
            return plan, None

    plan, nodes = _in_office(terms, look)
    if terms.as_json:
        _print_json({**plan, "nodes": msgspec.to_builtins(nodes)})
        return
    output.print(plan_table(plan))
    if nodes is not None:
        output.print(nodes_table(nodes, plan["plan_version"]))


def show_plugin(terms: Terms, name: str) -> None:
    """Show one plugin."""
    plugin = _in_office(terms, lambda office: office.read("show", name=name))
    if terms.as_json:
        _print_json(plugin)
    else:
        output.print(details(plugin))


def load_archive(
    terms: Terms, path: Path, key: Path | None, reason: str, *, quiet: bool
) -> PluginChanged:
    """Bring an archive, and have it loaded; ``quiet`` leaves JSON to what follows."""
    archive, signature, whose = _read_here(path, key, terms.data_dir)
    manifest = archive.manifest
    if not terms.as_json:
        _say(f"{manifest.name} {manifest.version}, {len(archive.data):,} bytes")
        _say(f"SHA-256 {archive.sha256}")
        _say(f"Signed by {whose}" if whose else "Not signed")

    async def bring(office: Office) -> PluginChanged:
        with _progress(shown=not terms.as_json) as progress:
            await office.upload(archive, progress)
        return await office.change(
            "load", reason, name=manifest.name, sha256=archive.sha256, signature=signature
        )

    return _changed(terms, bring, quiet=quiet)


def change_plan(terms: Terms, verb: str, reason: str, **fields: Any) -> PluginChanged:
    """Change the plan by one verb, wait for the nodes, and show what became of it."""
    return _changed(terms, lambda office: office.change(verb, reason, **fields))


def _read_here(
    path: Path, key: Path | None, data_dir: Path
) -> tuple[Archive, Signature | None, str]:
    try:
        archive = archive_at(path)
        return archive, *signature_of(archive, path, key, data_dir)
    except Rejected as error:
        raise bad_input(f"{path}: {error.message}") from None
    except OSError as error:
        raise bad_input(f"{path} cannot be read: {error.strerror}") from None


def _changed(
    terms: Terms, work: Callable[[Office], Awaitable[PluginChanged]], *, quiet: bool = False
) -> PluginChanged:
    """Do it, and wait; exit with 1 when a node does not get there in time."""

    async def run(office: Office) -> tuple[PluginChanged, bool, tuple[NodePlugins, ...]]:
        change = await work(office)
        if not terms.as_json:
            _say(change_line(change))
        if not terms.wait:
            return change, True, ()
        return change, *await _wait(terms, change.plan_version)

    change, done, nodes = _in_office(terms, run)
    if terms.as_json and (not quiet or not done):
        shown = msgspec.to_builtins(nodes) if terms.wait else None
        _print_json({**msgspec.to_builtins(change), "done": done, "nodes": shown})
    if not done:
        what = "no node answers" if not nodes else "the nodes above are not there"
        errors.print(
            f"zhihui: plan version {change.plan_version} stands, and after {terms.timeout_s:g} s "
            f"{what}; they go on trying. See `zhihui plugin list`.",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(1)
    return change


async def _wait(terms: Terms, plan_version: int) -> tuple[bool, tuple[NodePlugins, ...]]:
    clock = SystemClock()
    try:
        async with _watch(terms) as watch:
            if terms.as_json or not output.is_terminal:
                done, nodes = await wait_done(
                    watch, plan_version, timeout_s=terms.timeout_s, clock=clock, show=_show_nothing
                )
                if not terms.as_json:
                    output.print(nodes_table(nodes, plan_version))
                return done, nodes
            with Live(console=output, auto_refresh=False) as live:
                return await wait_done(
                    watch, plan_version, timeout_s=terms.timeout_s, clock=clock,
                    show=lambda nodes: live.update(
                        nodes_table(nodes, plan_version), refresh=True
                    ),
                )  # fmt: skip
    except Forbidden as error:
        errors.print(
            f"zhihui: the nodes cannot be asked how far they are: {error.message}. Plan version "
            f"{plan_version} stands; with --no-wait nobody is asked.",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(1) from None


def _watch(terms: Terms) -> PluginWatch:
    return PluginWatch(nats_url_or_running(terms.nats_url, terms.data_dir))


def _in_office(terms: Terms, work: Callable[[Office], Awaitable[_Result]]) -> _Result:
    """Run as the back office; say in one line what is refused, and exit with 1."""

    async def run() -> _Result:
        async with back_office(terms.nats_url, terms.data_dir) as client:
            return await work(Office(client))

    try:
        return run_async(run)
    except Rejected as error:
        errors.print(
            f"zhihui: {error.code}: {error.message}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(1) from None
    except (ZhihuiError, nats.errors.Error, OSError) as error:
        raise ServerUnreachable(str(error) or type(error).__name__) from error


@contextlib.contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    if not shown or not output.is_terminal:
        yield lambda _done, _total: None
        return
    with Progress(console=output, transient=True) as progress:
        task = progress.add_task("Bringing the archive", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _show_nothing(_nodes: tuple[NodePlugins, ...]) -> None:
    pass


def _print_json(value: object) -> None:
    # Plain text on purpose: it is meant for other programs.
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _say(text: str) -> None:
    output.print(text, markup=False, highlight=False, soft_wrap=True)
