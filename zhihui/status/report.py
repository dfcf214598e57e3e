"""What `zhihui status` knows, and what of it is worth a warning."""

from collections.abc import Sequence

import msgspec

__all__ = (
    "EVENTS_WAITING_MAX",
    "FULL_SHARE",
    "INTAKE_WAITING_MAX",
    "TIMERS_OVERDUE_S_MAX",
    "Lag",
    "MailboxState",
    "NodeState",
    "PartitionRange",
    "PartitionRow",
    "Report",
    "ServerState",
    "ranges_of",
    "warnings_of",
)

# What the relay holds in memory; with more it is behind.
EVENTS_WAITING_MAX = 20_000
# The durable intake is there to hold what comes in a burst: a minute of it at a few thousand a
# second is no fault.
INTAKE_WAITING_MAX = 200_000
# A timer fires within half a second of its time; after a few seconds something keeps it.
TIMERS_OVERDUE_S_MAX = 5.0
# A mailbox with this share of its places taken is about to refuse.
FULL_SHARE = 0.8


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """A server: where it is, without a password, and what is wrong with it, or ''."""

    address: str
    problem: str = ""


class MailboxState(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that wait for the actors of one kind on one node."""

    kind: str
    waiting: int
    capacity: int


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it answers on the bus and as its row stands.

    ``answers`` is false when only the row is there, ``life_left_s`` None when only the answer is.
    ``mailboxes`` are those that are not empty, ``paused`` the kinds that keep failing.
    """

    name: str
    answers: bool = False
    ready: bool = False
    version: str = ""
    life_left_s: float | None = None
    leaving: bool = False
    requests: int = 0
    errors: int = 0
    in_flight: int = 0
    mailboxes: tuple[MailboxState, ...] = ()
    paused: tuple[str, ...] = ()
    partitions: int = 0
    epoch_min: int = 0
    epoch_max: int = 0


class PartitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A partition as its row stands; ``owner`` is '' when nobody has it."""

    partition: int
    owner: str
    epoch: int
    lease_left_s: float


class PartitionRange(msgspec.Struct, frozen=True, kw_only=True):
    """Neighbouring partitions of one owner; '' when they have none, or its lease has ended."""

    first: int
    last: int
    owner: str
    epoch_min: int
    epoch_max: int
    lease_left_s: float


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """What is still to be done: events to relay, timers to fire, messages of the intake to take.

    ``intake_waiting`` is None where there is no intake; ``dead_letters`` were given up.
    """

    events_waiting: int
    timers_overdue: int
    timers_overdue_s: float
    intake_waiting: int | None
    dead_letters: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment; ``rows`` are counts by table, None when there are too many."""

    ok: bool
    warnings: tuple[str, ...]
    postgres: ServerState
    nats: ServerState
    schema_pending: tuple[str, ...]
    nodes: tuple[NodeState, ...]
    partitions: tuple[PartitionRange, ...]
    lag: Lag | None
    rows: dict[str, int | None]


def ranges_of(rows: Sequence[PartitionRow]) -> tuple[PartitionRange, ...]:
    """Return partitions, given in order, as ranges of one owner each."""
    ranges: list[PartitionRange] = []
    for row in rows:
        owner = row.owner if row.lease_left_s > 0 else ""
        if ranges and ranges[-1].owner == owner and ranges[-1].last + 1 == row.partition:
            before = ranges.pop()
            ranges.append(
                PartitionRange(
                    first=before.first,
                    last=row.partition,
                    owner=owner,
                    epoch_min=min(before.epoch_min, row.epoch),
                    epoch_max=max(before.epoch_max, row.epoch),
                    lease_left_s=min(before.lease_left_s, row.lease_left_s),
                )
            )
        else:
            ranges.append(
                PartitionRange(
                    first=row.partition,
                    last=row.partition,
                    owner=owner,
                    epoch_min=row.epoch,
                    epoch_max=row.epoch,
                    lease_left_s=row.lease_left_s,
                )
            )
    return tuple(ranges)


def warnings_of(
    nodes: Sequence[NodeState],
    partitions: Sequence[PartitionRange],
    lag: Lag | None,
    *,
    earlier: Lag | None = None,
) -> tuple[str, ...]:
    """Return a sentence for each thing that is off.

    ``earlier`` is the lag of some seconds before, with which one that grows is told from one that
    only stands.
    """
    warnings = [_orphans(partitions)] if any(not one.owner for one in partitions) else []
    for node in nodes:
        warnings += _node_warnings(node)
    versions = sorted({node.version for node in nodes if node.answers})
    if len(versions) > 1:
        warnings.append(f"nodes of different versions run together: {', '.join(versions)}")
    if lag is not None:
        warnings += _lag_warnings(lag, earlier)
    return tuple(warnings)


def _orphans(partitions: Sequence[PartitionRange]) -> str:
    orphans = [one for one in partitions if not one.owner]
    count = sum(one.last - one.first + 1 for one in orphans)
    return (
        f"{count} of {sum(one.last - one.first + 1 for one in partitions)} partitions have no "
        "owner: requests for them wait until a node takes them"
    )


def _node_warnings(node: NodeState) -> list[str]:
    name = node.name
    if not node.answers:
        return [f"node {name} lives by its row and does not answer on NATS"]
    warnings = []
    if node.life_left_s is None:
        warnings.append(f"node {name} answers on NATS and has no row: it cannot own anything")
    elif node.life_left_s <= 0:
        warnings.append(f"node {name} answers on NATS and has not renewed its life in Postgres")
    if not node.ready and not node.leaving:
        warnings.append(f"node {name} is not ready")
    warnings += [f"actors of kind {kind} on {name} keep failing and rest" for kind in node.paused]
    warnings += [
        f"the mailbox of {box.kind} on {name} is nearly full: {box.waiting:,} of {box.capacity:,}"
        for box in node.mailboxes
        if box.waiting >= FULL_SHARE * box.capacity
    ]
    return warnings


def _lag_warnings(lag: Lag, earlier: Lag | None) -> list[str]:
    warnings = []
    if lag.events_waiting > EVENTS_WAITING_MAX:
        grows = earlier is not None and lag.events_waiting > earlier.events_waiting
        warnings.append(f"{lag.events_waiting:,} events wait to be relayed{_growing(grows)}")
    if lag.timers_overdue_s > TIMERS_OVERDUE_S_MAX:
        grows = earlier is not None and lag.timers_overdue_s > earlier.timers_overdue_s
        warnings.append(
            f"{lag.timers_overdue:,} timers are overdue, the oldest by "
            f"{lag.timers_overdue_s:,.0f} s{_growing(grows)}"
        )
    waiting = lag.intake_waiting or 0
    if waiting > INTAKE_WAITING_MAX:
        grows = earlier is not None and waiting > (earlier.intake_waiting or 0)
        warnings.append(f"{waiting:,} messages wait in the durable intake{_growing(grows)}")
    if lag.dead_letters:
        warnings.append(f"{lag.dead_letters:,} dead letters wait for a person")
    return warnings


def _growing(grows: bool) -> str:
    return ", and more all the time" if grows else ""
