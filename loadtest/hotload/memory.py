"""How much memory the nodes take, when what was unloaded is proven to be gone."""

import statistics
from collections.abc import Iterable
from pathlib import Path

import anyio
import msgspec

from loadtest.hotload.office import Office

__all__ = ("Memory", "resident_kib", "take_memory")

# A node looks thoroughly for a two-hundredth of the time at most, and twice if need be: after this
# it has, even on a machine on which that takes half a second.
_PROOF_S_MAX = 240.0
_LOOK_EVERY_S = 0.5
_SAMPLES = 5


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of all nodes after so many generations.

    ``unproven`` are unloaded ones that may still be in it.
    """

    generations: int
    resident_kib: int
    unproven: int


def resident_kib(pid: int) -> int:
    """Return the memory of a process that is its own and in use, in KiB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} has no VmRSS")


async def take_memory(
    office: Office, pids: Iterable[int], generations: int, *, proven: bool
) -> Memory:
    """Return what the nodes take; with ``proven`` when all that was unloaded is known to be gone.

    If that does not come about it is told by the result.
    """
    pids = tuple(pids)
    if proven:
        with anyio.move_on_after(_PROOF_S_MAX):
            await _wait_proven(office)
    samples = []
    for _ in range(_SAMPLES):
        samples.append(sum(map(resident_kib, pids)))
        await anyio.sleep(_LOOK_EVERY_S / 2)
    return Memory(
        generations=generations,
        resident_kib=int(statistics.median(samples)),
        unproven=await _unproven(office),
    )


async def _wait_proven(office: Office) -> None:
    while await _unproven(office):  # noqa: ASYNC110 - it is another process that is waited for
        await anyio.sleep(_LOOK_EVERY_S)


async def _unproven(office: Office) -> int:
    return sum(one.convergence.unproven for one in await office.look())
