"""What the nodes of a service say of themselves, summed, as far as a cost or a limit needs it."""

import anyio
import msgspec
import nats
import nats.errors

__all__ = ("NodeSums", "ask_nodes")

_SUBJECT = "$SRV.STATS.zhihui"
_CONNECT_TIMEOUT_S = 2.0
# Nodes answer within milliseconds of a quiet loop, and within a tenth of a second under full load.
# How many there are is not known, so the end of the answers is a silence.
_FIRST_S = 2.0
_SILENCE_S = 0.25


class NodeSums(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since each node started, of all together.

    ``commit_s`` is the time that journals spent in commits; ``batches`` and ``changes`` are the
    commits and what was in them. ``statements`` counts what the stores sent to Postgres: commits
    and reads.
    """

    nodes: int = 0
    batches: int = 0
    changes: int = 0
    commit_s: float = 0.0
    statements: int = 0
    round_trip_s_max: float = 0.0


class _Times(msgspec.Struct, frozen=True):
    total: float = 0.0


class _Journal(msgspec.Struct, frozen=True):
    batches: int
    committed: int
    rejected: int
    commit_times_s: _Times = _Times()
    # What builds of before have in its place: two of different age can be compared.
    commit_s: float = 0.0


class _Store(msgspec.Struct, frozen=True):
    commits: int = 0
    reads: int = 0


class _Bus(msgspec.Struct, frozen=True):
    round_trip_s: float | None


class _Node(msgspec.Struct, frozen=True):
    journal: _Journal
    store: _Store
    bus: _Bus


class _Answer(msgspec.Struct, frozen=True):
    node: _Node


async def ask_nodes(url: str) -> NodeSums | None:
    """Ask all nodes on the NATS of ``url``; None when no answer came, or another service's."""
    try:
        client = await nats.connect(
            url, allow_reconnect=False, connect_timeout=_CONNECT_TIMEOUT_S, max_reconnect_attempts=1
        )
    except (OSError, nats.errors.Error, TimeoutError):
        return None
    answers: list[_Node] = []
    try:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox)
        await client.publish(_SUBJECT, b"", reply=inbox)
        wait_s = _FIRST_S
        while True:
            message = await subscription.next_msg(timeout=wait_s)
            if message.data:
                answers.append(msgspec.json.decode(message.data, type=_Answer).node)
                wait_s = _SILENCE_S
    except (nats.errors.Error, TimeoutError, msgspec.MsgspecError):
        pass
    finally:
        with anyio.CancelScope(shield=True):
            await client.close()
    return _summed(answers) if answers else None


def _summed(nodes: list[_Node]) -> NodeSums:
    return NodeSums(
        nodes=len(nodes),
        batches=sum(one.journal.batches for one in nodes),
        changes=sum(one.journal.committed + one.journal.rejected for one in nodes),
        commit_s=sum(one.journal.commit_times_s.total + one.journal.commit_s for one in nodes),
        statements=sum(one.store.commits + one.store.reads for one in nodes),
        round_trip_s_max=max(one.bus.round_trip_s or 0.0 for one in nodes),
    )
