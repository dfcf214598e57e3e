"""``zhihui bench hotload``: what the proof of hot loading needs of an author and an operator."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from loadtest.hotload import Tools

__all__ = ("bench_hotload", "hotload_tools")


def hotload_tools() -> "Tools":
    """Return the bundled packs, and the ways to pack and to sign."""
    from kernel.plugins.archive import pack_files, read_archive
    from kernel.plugins.signature import SigningKey
    from loadtest.hotload import BundledPack, Tools
    from schemas.plugins import ArchiveSignature
    from zhihui.embedded.plugin_key import plugin_operator_key
    from zhihui.packs import bundled_archives

    def sign(data_dir: Path, data: bytes) -> ArchiveSignature:
        key = SigningKey.from_pem(plugin_operator_key(data_dir).read_bytes())
        signature = key.sign(read_archive(data))
        return msgspec.convert(msgspec.to_builtins(signature), ArchiveSignature)

    bundled = tuple(
        BundledPack(
            name=one.manifest.name,
            version=one.manifest.version,
            entry=one.manifest.entry,
            state_version=one.manifest.state_version,
            files=one.files,
        )
        for one in bundled_archives()
    )
    return Tools(bundled=bundled, pack=pack_files, sign=sign)


def bench_hotload(
    cycles: Annotated[
        int, typer.Option(min=1, help="Versions that are loaded, promoted, drained and unloaded.")
    ] = 100,
    seconds: Annotated[float, typer.Option(min=5, help="How long that should take.")] = 225.0,
    rate: Annotated[
        float, typer.Option(min=1, max=2_000, help="Requests a second, of all packs together.")
    ] = 60.0,
    seed: Annotated[int, typer.Option(help="Of what is drawn: who sends, and what twice.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, max=8, help="Nodes that share the work.")] = 1,
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
    """Prove that versions of packs come and go under load: nothing lost, doubled or misdirected.

    All three bundled packs are paid through at a fixed rate while versions of them are loaded,
    promoted, drained and unloaded: good ones, and some that crash, are slow, or fail their
    self-test or their migration. Exits with 0 when every verdict holds.
    """
    from loadtest.hotload import HotloadPlan, run_hotload

    plan = HotloadPlan(cycles=cycles, seconds=seconds, rate=rate, seed=seed, nodes=nodes)
    raise typer.Exit(run_hotload(plan, hotload_tools(), json=json, data_dir=data_dir))
