"""How much of each resource a window used, and which of them set the limit.

Each is given as a share of what there is, 1.0 being all of it. A process that runs Python, and one
backend of Postgres, can use one core; NATS and Postgres as a whole can use all. The commit path is
a resource too: one batch is under way at a time, so when the journal waits for commits all of the
time, no CPU needs to be busy for the service to be at its limit.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from loadtest.cost import Reading
from loadtest.harness.costs.node_statistics import NodeSums

__all__ = ("BUSY", "ProcessTimes", "Resource", "Usage", "binding_resource", "usage_between")

# From here on a resource is taken to be the limit. Queueing theory has waits grow beyond bounds
# only at 1.0, but whoever is asked 85 % of the time makes others wait six times their own work.
BUSY = 0.85

# On a quiet machine of two cores the kernel's own work, which it books on no process, took a
# twentieth of both.
_OTHERS_MAX = 0.12


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource: a stable name, the share of it that was used, and what the share is of."""

    name: str
    share: float
    detail: str


class ProcessTimes(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds of single processes by pid: those that can use one core only."""

    nodes: dict[int, float] = {}
    backends: dict[int, float] = {}


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a window used, the most used first; ``binding`` is None where nothing was at its limit.

    ``others`` is the share of the machine's CPU that went to what does not belong to the run, None
    where some process of the run is not on this machine, or not ours to see.
    """

    seconds: float
    resources: tuple[Resource, ...]
    binding: Resource | None
    others: float | None = None

    def sentence(self) -> str:
        """Say it in words."""
        if self.binding is not None:
            said = f"{self.binding.detail}: {self.binding.share:.0%}"
        elif self.resources:
            most = self.resources[0]
            said = f"nothing was at its limit; most used, {most.detail}: {most.share:.0%}"
        else:
            said = "nothing is known of what was used"
        if self.others is not None and self.others > _OTHERS_MAX:
            said += f"; careful: other programs used {self.others:.0%} of this machine"
        return said


def usage_between(
    before: Reading,
    after: Reading,
    *,
    processes: tuple[ProcessTimes, ProcessTimes],
    nodes: tuple[NodeSums | None, NodeSums | None],
    generator_s: float | None,
    generators: int = 1,
    fdatasync_us: float | None,
) -> Usage:
    """Return what the window between two readings used.

    ``generator_s`` is the CPU time of all ``generators``, the processes that make load, which share
    it evenly. ``fdatasync_us`` is what one flush of this disk takes when nothing else happens.
    """
    seconds = max(after.at_s - before.at_s, 1e-9)
    cores = after.cores
    found = [
        Resource(
            name="machine_cpu",
            share=(after.machine_s - before.machine_s) / seconds / cores,
            detail=f"all {cores} cores of the machine",
        ),
        *_single(processes, seconds),
        *_servers(before, after, seconds, cores),
        *_commits(before, after, nodes, seconds, fdatasync_us),
    ]
    if generator_s is not None:
        found.append(
            Resource(
                name="generator_cpu",
                share=generator_s / seconds / max(generators, 1),
                detail="one core of the load generator",
            )
        )
    ordered = tuple(sorted(found, key=lambda one: -one.share))
    return Usage(
        seconds=seconds,
        resources=ordered,
        binding=binding_resource(ordered),
        others=_others(before, after, generator_s, seconds * cores),
    )


def _others(
    before: Reading, after: Reading, generator_s: float | None, core_seconds: float
) -> float | None:
    times = [
        (before.service_s, after.service_s),
        (before.nats_s, after.nats_s),
        (before.postgres_s, after.postgres_s),
    ]
    ours_s = generator_s
    for old, new in times:
        if ours_s is None or old is None or new is None:
            return None
        ours_s += new - old
    if ours_s is None:
        return None
    return max(after.machine_s - before.machine_s - ours_s, 0.0) / core_seconds


def binding_resource(resources: Sequence[Resource]) -> Resource | None:
    """Return the resource that set the limit, None where none did.

    The whole machine is named only when no part of it is: who has a full core for itself is a
    closer answer than that all cores are busy.
    """
    busy = [one for one in resources if one.share >= BUSY]
    # A journal that waits for its commits says where the time goes and not what takes it.
    for wide in ("machine_cpu", "commit_path"):
        narrow = [one for one in busy if one.name != wide]
        busy = narrow or busy
    return max(busy, key=lambda one: one.share) if busy else None


def _single(processes: tuple[ProcessTimes, ProcessTimes], seconds: float) -> Iterable[Resource]:
    before, after = processes
    for name, old, new, what in (
        ("node_cpu", before.nodes, after.nodes, "one core of the busiest node"),
        (
            "postgres_backend_cpu",
            before.backends,
            after.backends,
            "one core of the busiest Postgres process",
        ),
    ):
        share = _busiest(old, new, seconds)
        if share is not None:
            yield Resource(name=name, share=share, detail=what)


def _busiest(old: Mapping[int, float], new: Mapping[int, float], seconds: float) -> float | None:
    shares = [(new[pid] - old[pid]) / seconds for pid in new.keys() & old.keys()]
    return max(shares) if shares else None


def _servers(before: Reading, after: Reading, seconds: float, cores: int) -> Iterable[Resource]:
    for name, old, new, what in (
        ("nats_cpu", before.nats_s, after.nats_s, "NATS"),
        ("postgres_cpu", before.postgres_s, after.postgres_s, "all of Postgres"),
    ):
        if old is not None and new is not None:
            share = (new - old) / seconds / cores
            yield Resource(name=name, share=share, detail=f"{what} on {cores} cores")


def _commits(
    before: Reading,
    after: Reading,
    nodes: tuple[NodeSums | None, NodeSums | None],
    seconds: float,
    fdatasync_us: float | None,
) -> Iterable[Resource]:
    old, new = nodes
    if old is not None and new is not None and new.commit_s >= old.commit_s:
        yield Resource(
            name="commit_path",
            share=(new.commit_s - old.commit_s) / seconds,
            detail="the journal waiting for its commits",
        )
    if fdatasync_us is None or before.wal_fsyncs is None or after.wal_fsyncs is None:
        return
    fsyncs = after.wal_fsyncs - before.wal_fsyncs
    yield Resource(
        name="fsync",
        share=fsyncs * fdatasync_us / 1e6 / seconds,
        detail=f"the disk flushing the log, {fsyncs / seconds:,.0f} times a second",
    )
