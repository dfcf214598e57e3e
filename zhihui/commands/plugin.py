"""``zhihui plugin``: bring new versions of scenario packs into a service that runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zhihui.commands import plugin_author
from zhihui.commands.console import DataDir, NatsUrl, bad_input
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

__all__ = (
    "EXAMPLES",
    "drain",
    "list_",
    "load",
    "pause",
    "plugins",
    "promote",
    "resume",
    "rollback",
    "show",
    "unload",
)

EXAMPLES = """\
```
zhihui plugin load ./library                 every node loads it
zhihui plugin promote library 2 --canary 10  a tenth of the keys goes to it
zhihui plugin promote library 2              all do; the old one stays
zhihui plugin rollback library               back to what served before
zhihui plugin drain library 2
zhihui plugin unload library 2               its code is gone from all nodes
```
"""

_OPERATE = "Operate"
_PPM_OF_PERCENT = 10_000

plugins = typer.Typer(
    name="plugin",
    help="Load, promote, roll back and unload versions of scenario packs while the service runs.",
    no_args_is_help=True,
    epilog=EXAMPLES,
    rich_markup_mode="markdown",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The plugin, as its manifest says.")]
_Generation = Annotated[
    int, typer.Argument(metavar="GENERATION", min=1, help="Its number, as `list` shows it.")
]
_Reason = Annotated[
    str, typer.Option("--reason", help="Why; it stands in the plan and in the event.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
_Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Wait until every node has done it, and show each."),
]
_Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the nodes.")
]


@plugins.command("list", rich_help_panel=_OPERATE)
def list_(
    as_json: _Json = False,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show the plan: every plugin with its generations, and how far each node is."""
    from zhihui.commands.plugin_run import Terms, show_plan

    show_plan(Terms(nats_url=nats_url, data_dir=data_dir, as_json=as_json))


@plugins.command(rich_help_panel=_OPERATE)
def show(
    name: _Name,
    as_json: _Json = False,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show one plugin: its generations, their archives, and who vouches for them."""
    from zhihui.commands.plugin_run import Terms, show_plugin

    show_plugin(Terms(nats_url=nats_url, data_dir=data_dir, as_json=as_json), name)


@plugins.command(rich_help_panel=_OPERATE, epilog=EXAMPLES)
def load(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", exists=True, help="The pack's folder, or an archive.")
    ],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            dir_okay=False,
            exists=True,
            help="Ed25519 private key (PEM) to sign it with; else the signature beside the "
            "archive, else the key of the data directory.",
            show_default=False,
        ),
    ] = None,
    promoted: Annotated[
        bool, typer.Option("--promote", help="Promote it once every node has loaded it.")
    ] = False,
    reason: _Reason = "",
    as_json: _Json = False,
    wait: _Wait = True,
    timeout: _Timeout = 60.0,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Bring a pack to the service and have every node load it; it serves nothing yet.

    Manifest, digest and signature are checked first, and again by each node. What is loaded already
    keeps its generation. Exits with 1 when it is refused or a node does not get there in time.
    """
    from zhihui.commands.plugin_run import Terms, change_plan, load_archive

    if promoted and not wait:
        raise bad_input("--promote needs --wait: what no node has loaded cannot serve")
    terms = Terms(
        nats_url=nats_url, data_dir=data_dir, as_json=as_json, wait=wait, timeout_s=timeout
    )
    loaded = load_archive(terms, path, key, reason, quiet=promoted)
    if promoted:
        change_plan(terms, "promote", reason, name=loaded.name, generation=loaded.generation)


@plugins.command(rich_help_panel=_OPERATE, epilog=EXAMPLES)
def promote(
    name: _Name,
    generation: _Generation,
    canary: Annotated[
        float | None,
        typer.Option(
            "--canary",
            min=0,
            max=100,
            help="Percent of the keys that go to it; the others stay. 0 ends that.",
            show_default=False,
        ),
    ] = None,
    reason: _Reason = "",
    as_json: _Json = False,
    wait: _Wait = True,
    timeout: _Timeout = 60.0,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have a generation serve all keys, or a share of them as a canary.

    What served before stays loaded, so that `rollback` goes back at once. A key stays with a share
    by its hash: the same ones are in it on all nodes, and a larger share only adds some.
    """
    share = None if canary is None else round(canary * _PPM_OF_PERCENT)
    _change(
        "promote",
        reason,
        as_json,
        wait,
        timeout,
        nats_url,
        data_dir,
        name=name,
        generation=generation,
        canary_ppm=share,
    )


@plugins.command(rich_help_panel=_OPERATE)
def drain(
    name: _Name,
    generation: _Generation,
    reason: _Reason = "",
    as_json: _Json = False,
    wait: _Wait = True,
    timeout: _Timeout = 60.0,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have a generation that does not serve finish its work and stop; it stays loaded."""
    _change(
        "drain",
        reason,
        as_json,
        wait,
        timeout,
        nats_url,
        data_dir,
        name=name,
        generation=generation,
    )


@plugins.command(rich_help_panel=_OPERATE)
def unload(
    name: _Name,
    generation: _Generation,
    leave_documents: Annotated[
        bool,
        typer.Option(
            "--leave-documents",
            help="Even if there are documents that nobody can read then. They are kept as they "
            "are until a version is loaded that can.",
        ),
    ] = False,
    reason: _Reason = "",
    as_json: _Json = False,
    wait: _Wait = True,
    timeout: _Timeout = 60.0,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have every node forget a generation; the one that serves only goes as the last.

    Refused while documents exist that no other generation of the plugin can read.
    """
    _change(
        "unload",
        reason,
        as_json,
        wait,
        timeout,
        nats_url,
        data_dir,
        name=name,
        generation=generation,
        leave_documents=leave_documents,
    )


@plugins.command(rich_help_panel=_OPERATE)
def rollback(
    name: _Name,
    reason: _Reason = "",
    as_json: _Json = False,
    wait: _Wait = True,
    timeout: _Timeout = 60.0,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have the generation serve again that did before; what serves now is stopped."""
    _change("rollback", reason, as_json, wait, timeout, nats_url, data_dir, name=name)


@plugins.command(rich_help_panel=_OPERATE)
def pause(
    name: _Name,
    reason: _Reason = "",
    as_json: _Json = False,
    wait: _Wait = True,
    timeout: _Timeout = 60.0,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have a plugin take no new messages; they are answered `not_ready` until `resume`."""
    _change("pause", reason, as_json, wait, timeout, nats_url, data_dir, name=name)


@plugins.command(rich_help_panel=_OPERATE)
def resume(
    name: _Name,
    reason: _Reason = "",
    as_json: _Json = False,
    wait: _Wait = True,
    timeout: _Timeout = 60.0,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have a plugin take messages again."""
    _change("resume", reason, as_json, wait, timeout, nats_url, data_dir, name=name)


def _change(
    verb: str, reason: str, as_json: bool, wait: bool, timeout: float, nats_url: str,
    data_dir: Path, /, **fields: Any,
) -> None:  # fmt: skip
    """Change the plan; the parameters are the options that all such verbs have."""
    from zhihui.commands.plugin_run import Terms, change_plan

    terms = Terms(
        nats_url=nats_url, data_dir=data_dir, as_json=as_json, wait=wait, timeout_s=timeout
    )
    change_plan(terms, verb, reason, **fields)


plugin_author.add_to(plugins)
