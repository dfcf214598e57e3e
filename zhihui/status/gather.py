"""Read the state of the service from Postgres and from NATS."""

from typing import Any

import anyio
import asyncpg
import msgspec
import nats.errors
import nats.js.errors

from kernel.clock import Clock
from kernel.nats_security import SecureClient
from schemas.errors import ZhihuiError
from schemas.subjects import DEAD_LETTER_STREAM, EVENT_STREAM, INTAKE_STREAM
from zhihui.access.settings import operator_security
from zhihui.embedded.servers import check_nats, check_postgres, without_password
from zhihui.errors import SetupError
from zhihui.migrate import pending_revisions
from zhihui.status.report import (
    Lag,
    MailboxState,
    NodeState,
    PartitionRow,
    Report,
    ServerState,
    ranges_of,
    warnings_of,
)

__all__ = ("COUNT_EVERY_S", "COUNT_TIMEOUT_S", "DISCOVERY_S", "READ_TIMEOUT_S", "Gatherer")

# Every node on the bus answers at once; this is for those on another continent. When all nodes that
# have a row have answered, the others are not waited for.
DISCOVERY_S = 0.5
READ_TIMEOUT_S = 5.0
# Counting a few million rows takes half a second; more than this and the report says so instead.
COUNT_TIMEOUT_S = 5.0
# Who watches does not make the database count its rows every second.
COUNT_EVERY_S = 30.0

_COUNTED = ("account", "payment", "deposit", "hold", "entry", "event", "dead_letter")

_NODES = (
    "SELECT name, extract(epoch FROM lives_until - clock_timestamp())::float8, leaving"
    " FROM zhihui.node ORDER BY name"
)
# A partition is held as long as its owner lives, or its own lease lasts.
_PARTITIONS = (
    "SELECT p.partition, p.owner, p.epoch,"
    " extract(epoch FROM greatest(p.lease_until, n.lives_until) - clock_timestamp())::float8"
    " FROM zhihui.partition AS p LEFT JOIN zhihui.node AS n ON n.name = p.owner"
    " ORDER BY p.partition"
)
# One second of grace: what is due at this moment is not late.
_TIMERS = (
    "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8"
    " FROM zhihui.timer WHERE due_at < clock_timestamp() - interval '1 second'"
)
_EVENTS = (
    "SELECT (SELECT coalesce(max(seq), 0) FROM zhihui.event),"
    " (SELECT coalesce(max(seq), 0) FROM zhihui.event_cursor WHERE stream = $1),"
    " (SELECT count(*) FROM zhihui.dead_letter)"
)


# What `$SRV.STATS` answers, as far as it is shown. All have defaults, and what is unknown is passed
# over: nodes of other versions answer as well.


class _Endpoint(msgspec.Struct, frozen=True):
    num_requests: int = 0
    num_errors: int = 0


class _Mailbox(msgspec.Struct, frozen=True):
    depth: int = 0
    capacity: int = 0


class _Host(msgspec.Struct, frozen=True):
    kind: str = ""
    mailbox: _Mailbox = _Mailbox()
    suspended: bool = False


class _Edge(msgspec.Struct, frozen=True):
    in_flight: int = 0


class _Relay(msgspec.Struct, frozen=True):
    cursor: int = 0


class _Statistics(msgspec.Struct, frozen=True):
    hosts: tuple[_Host, ...] = ()
    edge: _Edge = _Edge()
    relay: _Relay = _Relay()


class _Answer(msgspec.Struct, frozen=True):
    id: str = ""
    version: str = ""
    # An empty default is copied for each struct.
    metadata: dict[str, str] = {}
    endpoints: tuple[_Endpoint, ...] = ()
    node: _Statistics = _Statistics()

    @property
    def name(self) -> str:
        return self.metadata.get("node", self.id)


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What Postgres says."""

    server: ServerState
    pending: tuple[str, ...] = ()
    nodes: dict[str, tuple[float, bool]] = {}
    partitions: tuple[PartitionRow, ...] = ()
    timers: tuple[int, float] = (0, 0.0)
    events: tuple[int, int] = (0, 0)
    dead_letters: int = 0

    @property
    def usable(self) -> bool:
        return not self.server.problem and not self.pending


class _Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What NATS and the nodes say."""

    server: ServerState
    answers: tuple[_Answer, ...] = ()
    intake_waiting: int | None = None
    dead_letters: int = 0


class Gatherer:
    """Make reports of the service at these addresses, one after the other."""

    def __init__(self, nats_url: str, postgres_dsn: str, clock: Clock) -> None:
        self._url = nats_url
        self._dsn = postgres_dsn
        self._clock = clock
        self._rows: dict[str, int | None] = {}
        self._rows_at_s: float | None = None
        self._lag: Lag | None = None

    async def report(self) -> Report:
        """Look at everything; a server that is down is part of the report, not an error."""
        # Both are always shown: when one is down, whether the other is matters most.
        stored = await self._read_postgres()
        alive = {name for name, (left_s, _) in stored.nodes.items() if left_s > 0}
        heard = await self._ask_nats(alive)
        nodes = _merged(stored, heard.answers)
        partitions = ranges_of(stored.partitions)
        lag = _lag(stored, heard) if stored.usable else None
        warnings = warnings_of(nodes, partitions, lag, earlier=self._lag)
        self._lag = lag
        return Report(
            ok=stored.usable and not heard.server.problem and any(node.ready for node in nodes),
            warnings=warnings,
            postgres=stored.server,
            nats=heard.server,
            schema_pending=stored.pending,
            nodes=nodes,
            partitions=partitions,
            lag=lag,
            rows=self._rows,
        )

    async def _read_postgres(self) -> _Stored:
        server = ServerState(address=without_password(self._dsn))
        try:
            await check_postgres(self._dsn)
            pending = tuple(await pending_revisions(self._dsn))
        except SetupError as error:
            return _Stored(server=msgspec.structs.replace(server, problem=str(error)))
        if pending:
            return _Stored(server=server, pending=pending)
        try:
            return await self._read_tables(server)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            problem = f"it went away while it was read: {str(error) or type(error).__name__}"
            return _Stored(server=msgspec.structs.replace(server, problem=problem))

    async def _read_tables(self, server: ServerState) -> _Stored:
        connection = await asyncpg.connect(
            self._dsn, timeout=READ_TIMEOUT_S, command_timeout=READ_TIMEOUT_S
        )
        try:
            nodes = await connection.fetch(_NODES)
            partitions = await connection.fetch(_PARTITIONS)
            timers = await connection.fetchrow(_TIMERS)
            events = await connection.fetchrow(_EVENTS, EVENT_STREAM)
            await self._count_rows(connection)
        finally:
            connection.terminate()
        assert timers is not None
        assert events is not None
        return _Stored(
            server=server,
            nodes={name: (left_s, leaving) for name, left_s, leaving in nodes},
            partitions=tuple(
                PartitionRow(partition=partition, owner=owner, epoch=epoch, lease_left_s=left_s)
                for partition, owner, epoch, left_s in partitions
            ),
            timers=(timers[0], timers[1]),
            events=(events[0], events[1]),
            dead_letters=events[2],
        )

    async def _count_rows(self, connection: "asyncpg.Connection[Any]") -> None:
        now_s = self._clock.monotonic_s()
        if self._rows_at_s is not None and now_s - self._rows_at_s < COUNT_EVERY_S:
            return
        for table in _COUNTED:
            try:
                self._rows[table] = await connection.fetchval(
                    f"SELECT count(*) FROM zhihui.{table}",  # noqa: S608 - our own names
                    timeout=COUNT_TIMEOUT_S,
                )
            except TimeoutError:
                self._rows[table] = None
        self._rows_at_s = now_s

    async def _ask_nats(self, alive: set[str]) -> _Heard:
        server = ServerState(address=without_password(self._url))
        try:
            await check_nats(self._url)
            return await self._listen(server, alive)
        except (SetupError, ZhihuiError, OSError, nats.errors.Error) as error:
            return _Heard(server=msgspec.structs.replace(server, problem=str(error)))

    async def _listen(self, server: ServerState, alive: set[str]) -> _Heard:
        client = SecureClient()
        # The server has answered a moment ago, so this does not hang.
        await client.connect_secure(self._url, operator_security(self._url), allow_reconnect=False)
        try:
            return _Heard(
                server=server,
                answers=await _discover(client, alive),
                intake_waiting=await _messages(client, INTAKE_STREAM),
                dead_letters=await _messages(client, DEAD_LETTER_STREAM) or 0,
            )
        finally:
            await client.close()


async def _discover(client: SecureClient, alive: set[str]) -> tuple[_Answer, ...]:
    """Ask all nodes for their statistics; the first answer of each is taken."""
    found: dict[str, _Answer] = {}
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    await client.publish("$SRV.STATS.zhihui", b"", reply=inbox)
    with anyio.move_on_after(DISCOVERY_S):
        async for message in subscription.messages:
            try:
                answer = msgspec.json.decode(message.data, type=_Answer)
            except msgspec.MsgspecError:
                # NATS itself answers, with nothing, when nobody listens.
                break
            found[answer.id] = answer
            if alive and alive <= {one.name for one in found.values()}:
                break
    return tuple(sorted(found.values(), key=lambda one: (one.name, one.id)))


async def _messages(client: SecureClient, stream: str) -> int | None:
    """Return how many messages the stream holds, or None when there is no such stream."""
    try:
        info = await client.jetstream().stream_info(stream)
    except (nats.js.errors.NotFoundError, nats.js.errors.ServiceUnavailableError):
        return None
    return int(info.state.messages)


def _lag(stored: _Stored, heard: _Heard) -> Lag:
    newest, cursor = stored.events
    # The stored cursor is up to half a second old; the relay knows better.
    cursor = max((cursor, *(answer.node.relay.cursor for answer in heard.answers)))
    return Lag(
        events_waiting=max(0, newest - cursor),
        timers_overdue=stored.timers[0],
        timers_overdue_s=stored.timers[1],
        intake_waiting=heard.intake_waiting,
        dead_letters=stored.dead_letters + heard.dead_letters,
    )


def _merged(stored: _Stored, answers: tuple[_Answer, ...]) -> tuple[NodeState, ...]:
    """Return every node that answers or whose row says that it lives."""
    states = [_state(answer, stored) for answer in answers]
    answered = {state.name for state in states}
    states += [
        NodeState(name=name, life_left_s=left_s, leaving=leaving)
        for name, (left_s, leaving) in stored.nodes.items()
        if left_s > 0 and name not in answered
    ]
    states.sort(key=lambda state: state.name)
    return tuple(_with_partitions(state, stored) for state in states)


def _state(answer: _Answer, stored: _Stored) -> NodeState:
    row = stored.nodes.get(answer.name)
    return NodeState(
        name=answer.name,
        answers=True,
        ready=answer.metadata.get("ready", "true") == "true",
        version=answer.version,
        life_left_s=row[0] if row is not None else None,
        leaving=row[1] if row is not None else False,
        requests=sum(endpoint.num_requests for endpoint in answer.endpoints),
        errors=sum(endpoint.num_errors for endpoint in answer.endpoints),
        in_flight=answer.node.edge.in_flight,
        mailboxes=tuple(
            MailboxState(kind=host.kind, waiting=host.mailbox.depth, capacity=host.mailbox.capacity)
            for host in answer.node.hosts
            if host.mailbox.depth
        ),
        paused=tuple(host.kind for host in answer.node.hosts if host.suspended),
    )


def _with_partitions(state: NodeState, stored: _Stored) -> NodeState:
    owned = (one for one in stored.partitions if one.owner == state.name and one.lease_left_s > 0)
    epochs = [one.epoch for one in owned]
    return msgspec.structs.replace(
        state,
        partitions=len(epochs),
        epoch_min=min(epochs, default=0),
        epoch_max=max(epochs, default=0),
    )
