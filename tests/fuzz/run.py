"""A million inputs over all targets, on all cores, from one seed."""

import hashlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from tests.fuzz.callbacks import CallbackTarget
from tests.fuzz.edge import EdgeTarget
from tests.fuzz.frames import FrameTarget
from tests.fuzz.packs import ArchiveTarget, ManifestTarget, SignatureTarget
from tests.fuzz.targets import Finding, Tally, Target, read_corpus

__all__ = ("SHARES", "TARGETS", "fuzz", "plan", "replay", "try_chunk")

TARGETS: dict[str, Callable[[], Target]] = {
    "edge": EdgeTarget,
    "frame": FrameTarget,
    "manifest": ManifestTarget,
    "archive": ArchiveTarget,
    "signature": SignatureTarget,
    "callback": CallbackTarget,
}
# Of a hundred inputs: most where anybody can send.
SHARES = {"edge": 58, "callback": 12, "frame": 10, "signature": 8, "archive": 7, "manifest": 5}
# Inputs to one node, or to one process at a time: what a node remembers of them fits in memory.
_CHUNK = 10_000
# A batch takes milliseconds and a chunk a minute on a busy machine; what takes longer has hung.
_HUNG_S = 300
_BUILD = Path("build") / "fuzz"
_EXIT_FOUND, _EXIT_INTERRUPTED = 90, 130
_SHOWN_MAX = 20


def plan(inputs: int, only: tuple[str, ...], seed: int) -> list[tuple[str, int, int]]:
    """Return the chunks: a target, how many inputs, and the seed."""
    chosen = {name: share for name, share in SHARES.items() if not only or name in only}
    whole = sum(chosen.values())
    chunks = []
    for name, share in chosen.items():
        left = -(-inputs * share // whole)
        number = 0
        while left > 0:
            chunks.append((name, min(left, _CHUNK), seed * 1_000_003 + number))
            left -= _CHUNK
            number += 1
    # The long ones first, so that no core is idle at the end.
    return sorted(chunks, key=lambda chunk: (-SHARES[chunk[0]], chunk[2]))


def try_chunk(chunk: tuple[str, int, int]) -> Tally:
    """Try one chunk in this process; one that does not end is a finding as well."""
    name, count, seed = chunk
    target = TARGETS[name]()
    recent: list[bytes] = []

    def remembered() -> Iterator[bytes]:
        for data in target.inputs(Random(seed), count):  # noqa: S311 - has to be the same again
            recent.append(data)
            del recent[:-64]
            yield data

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {_HUNG_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _HUNG_S)
    began_s = time.perf_counter()
    try:
        return target.try_all(remembered())
    except Exception as error:  # noqa: BLE001 - a crash is what is looked for
        what = f"one of these: it ended with {error!r}"
        return Tally(
            target=name, inputs=count, refused=0, seconds=time.perf_counter() - began_s,
            findings=(Finding(name, b"\n----\n".join(recent), what),),
        )  # fmt: skip
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def replay(name: str, data: bytes) -> Tally:
    """Try one input alone."""
    return TARGETS[name]().try_all(iter((data,)))


def fuzz(*, inputs: int, seed: int, jobs: int, only: tuple[str, ...]) -> int:
    """Try that many, show a table, keep what was found; return 0, or 90 when something was."""
    console = Console()
    began_s = time.perf_counter()
    tallies = [_try_corpus(name) for name in TARGETS if not only or name in only]
    chunks = plan(inputs, only, seed)
    # Not forked: a fork of a process with threads may hang.
    pool = multiprocessing.get_context("spawn").Pool(jobs)
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("fuzzing", total=sum(count for _, count, _ in chunks))
            for tally in pool.imap_unordered(try_chunk, chunks):
                tallies.append(tally)
                progress.advance(task, tally.inputs)
        pool.close()
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    finally:
        pool.terminate()
        pool.join()
    _show(tallies, time.perf_counter() - began_s, seed, console)
    return _EXIT_FOUND if any(tally.findings for tally in tallies) else 0


def _try_corpus(name: str) -> Tally:
    return TARGETS[name]().try_all(data for _, data in read_corpus(name))


def _show(tallies: list[Tally], seconds: float, seed: int, console: Console) -> None:
    table = Table(title=f"Inputs at the edges, seed {seed}", title_justify="left")
    table.add_column("target")
    for heading in ("inputs", "refused", "µs each", "findings"):
        table.add_column(heading, justify="right")
    for name in TARGETS:
        those = [tally for tally in tallies if tally.target == name]
        inputs = sum(tally.inputs for tally in those)
        if inputs:
            table.add_row(
                name, f"{inputs:,}", f"{sum(tally.refused for tally in those):,}",
                f"{sum(tally.seconds for tally in those) / inputs * 1e6:.0f}",
                str(sum(len(tally.findings) for tally in those)),
            )  # fmt: skip
    console.print(table)
    found = [finding for tally in tallies for finding in tally.findings]
    for finding in found[:_SHOWN_MAX]:
        path = _keep(finding)
        console.print(f"[bold red]{finding.target}[/] {escape(finding.what[:300])}: {path}")
    console.print(
        f"{sum(tally.inputs for tally in tallies):,} inputs in {seconds:.0f} s, "
        f"{len(found)} findings: no crash, no hang, no answer outside of the error table"
        if not found
        else f"{len(found)} findings in {seconds:.0f} s; try one again with --replay"
    )


def _keep(finding: Finding) -> Path:
    _BUILD.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(finding.data).hexdigest()[:12]
    path = _BUILD / f"{finding.target}-{digest}"
    path.write_bytes(finding.data)
    return path
