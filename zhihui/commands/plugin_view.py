"""Plugins as a person reads them."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from schemas.plugins import PluginChanged
from zhihui.commands.plugin_nodes import NodePlugins

__all__ = ("change_line", "details", "nodes_table", "plan_table", "share_text")

_COLOURS = {"promoted": "green", "canary": "yellow", "loaded": "cyan", "stopped": "dim"}
_DIGEST_SHOWN = 12


def share_text(ppm: int) -> str:
    """Return a share as a person says it."""
    return f"{ppm / 10_000:g} %"


def plan_table(plan: dict[str, Any]) -> Table:
    """Return all plugins with their generations."""
    table = Table(title=f"Plan, version {plan['plan_version']}", title_justify="left")
    for column in ("plugin", "generation", "version", "state", "archive"):
        table.add_column(column, overflow="fold", no_wrap=True)
    table.add_column("reason", overflow="fold")
    for plugin in plan["plugins"]:
        for number, one in enumerate(plugin["generations"]):
            table.add_row(
                escape(plugin["name"]) if number == 0 else "",
                f"g{one['generation']}",
                escape(one["version"]),
                _state(one, paused=plugin["paused"]),
                one["sha256"][:_DIGEST_SHOWN],
                escape(one["reason"]),
            )
    return table


def _state(one: dict[str, Any], *, paused: bool) -> str:
    text = one["state"]
    if text == "canary":
        text = f"canary, {share_text(one['canary_ppm'])}"
    if text == "promoted" and paused:
        return "[bold yellow]promoted, paused[/]"
    return f"[{_COLOURS[one['state']]}]{text}[/]"


def details(plugin: dict[str, Any]) -> Table:
    """Return one plugin, a column for each generation."""
    table = Table(
        title=f"{escape(plugin['name'])}, plan version {plugin['plan_version']}",
        title_justify="left",
    )
    table.add_column("")
    rows: dict[str, list[str]] = {}
    for entry in plugin["generations"]:
        one, archive = entry["generation"], entry["archive"]
        table.add_column(f"g{one['generation']}", overflow="fold")
        versions = ", ".join(f"{name} {v}" for name, v in archive["state_versions"].items())
        for name, value in (
            ("version", escape(one["version"])),
            ("state", _state(one, paused=plugin["paused"])),
            ("goes back to", f"g{one['came_after']}" if one["came_after"] else ""),
            ("reason", escape(one["reason"])),
            ("summary", escape(archive["summary"])),
            ("license", escape(archive["license"])),
            ("written for", escape(archive["kernel_api"])),
            ("may", ", ".join(archive["capabilities"])),
            ("operations", ", ".join(archive["operations"])),
            ("document versions", versions),
            ("archive", f"{archive['size_bytes']:,} bytes"),
            ("sha256", archive["sha256"]),
            ("vouched for by", escape(archive["vouched_by"]) or "[bold yellow]nobody[/]"),
        ):
            rows.setdefault(name, []).append(value)
    for name, values in rows.items():
        if any(values):
            table.add_row(name, *values)
    return table


def nodes_table(nodes: Sequence[NodePlugins], plan_version: int) -> Table:
    """Return how far each node is with a version of the plan."""
    table = Table(title=f"Nodes, plan version {plan_version}", title_justify="left")
    for column in ("node", "state", "follows", "what fails"):
        table.add_column(column, overflow="fold")
    for one in nodes:
        if one.follows(plan_version):
            state = "[green]done[/]"
        else:
            state = "[bold red]fails[/]" if one.troubles else "[yellow]at work[/]"
        troubles = [
            f"{trouble.plugin} g{trouble.generation}, attempt {trouble.attempts}: {trouble.error}"
            for trouble in one.troubles
        ]
        if one.vetoed:
            troubles.append(f"{one.vetoed} taken out of service by its guard")
        table.add_row(escape(one.node), state, str(one.plan_version), escape("\n".join(troubles)))
    return table


def change_line(change: PluginChanged) -> str:
    """Return in a sentence what became of a generation."""
    what = f"{change.name} {change.version} is generation {change.generation}"
    if change.state == "unloaded":
        return f"{what} no more: it is unloaded."
    state = f"a canary for {share_text(change.canary_ppm)} of the keys"
    if change.state != "canary":
        state = "promoted, and paused" if change.paused else change.state
    before = f"; before it served generation {change.previous}" if change.previous else ""
    return f"{what}, {state}{before}. Plan version {change.plan_version}."
