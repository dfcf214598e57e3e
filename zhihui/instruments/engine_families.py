"""The metrics of the engine: requests, messages, the journal, the servers, and time."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from kernel.host import HostStatistics
from schemas.errors import ERRORS
from zhihui.instruments.families import Rows, counter, gauge, histogram
from zhihui.instruments.snapshot import OperationCounts, Snapshot

__all__ = ("OPERATIONS_MAX", "UNROUTED", "engine_families")

# Those of the bank are fewer than two hundred; the rest is for packs. A pack with thousands of
# operations would otherwise fill the memory of whoever scrapes.
OPERATIONS_MAX = 1_000
# Stands for service and verb of a request that named no operation of ours.
UNROUTED = "unknown"


def engine_families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield every family of the engine, each also when it has no samples yet."""
    yield from _requests(snapshot)
    yield from _messages(snapshot)
    yield from _journal(snapshot)
    yield from _servers(snapshot)
    yield from _events_and_intake(snapshot)
    yield from _timers_and_letters(snapshot)
    yield from _partitions(snapshot)


def _codes(codes: dict[str, int]) -> dict[str, int]:
    """Return counts by codes of the table; what a pack of another version says is `other`."""
    known: dict[str, int] = {}
    for code, count in codes.items():
        name = code if code in ERRORS else "other"
        known[name] = known.get(name, 0) + count
    return known


def _outcomes(operations: Iterable[OperationCounts], early: dict[str, int]) -> Rows:
    for one in operations:
        yield (one.service, one.verb, "ok"), one.answered
        for code, count in _codes(one.codes).items():
            yield (one.service, one.verb, code), count
    for code, count in _codes(early).items():
        yield (UNROUTED, UNROUTED, code), count


def _requests(snapshot: Snapshot) -> Iterator[Metric]:
    operations = snapshot.operations[:OPERATIONS_MAX]
    edge, throttle = snapshot.statistics.edge, snapshot.statistics.throttle
    yield counter(
        "zhihui_requests_total",
        "Requests on the bus that were answered, by operation and code of the answer.",
        _outcomes(operations, snapshot.refused_early),
        ("service", "verb", "code"),
    )
    yield histogram(
        "zhihui_request_duration_seconds",
        "From the arrival of a request to its answer, to the millisecond; not of those refused "
        "before they reached their actor.",
        {
            (one.service, one.verb): one.durations_s
            for one in operations
            if any(one.durations_s.counts)
        },
        ("service", "verb"),
    )
    yield gauge("zhihui_requests_in_flight", "Requests that wait for their answer.", edge.in_flight)
    yield counter(
        "zhihui_requests_shed_total", "Requests refused because too many were under way.", edge.shed
    )
    yield counter(
        "zhihui_requests_asked_again_total",
        "Questions repeated inside because a partition had moved or a connection was lost.",
        edge.asked_again,
    )
    yield counter(
        "zhihui_answers_misdirected_total",
        "Answers not sent because their subject was reserved or the inbox of another app.",
        edge.misdirected,
    )
    yield counter(
        "zhihui_throttle_refused_total",
        "Requests refused by the limits of their app, by limit.",
        [(("rate",), throttle.refused_rate), (("in_flight",), throttle.refused_in_flight)],
        ("limit",),
    )


def _messages(snapshot: Snapshot) -> Iterator[Metric]:
    statistics = snapshot.statistics
    node, outbox, hosts = statistics.node, statistics.node.outbox, statistics.hosts
    yield from _mailboxes(hosts)
    yield counter(
        "zhihui_actor_messages_total",
        "Messages that actors were done with, by kind and outcome.",
        [
            ((host.kind, outcome), count)
            for host in hosts
            for outcome, count in (
                ("processed", host.processed), ("expired", host.expired), ("failed", host.failed),
            )
        ],
        ("kind", "outcome"),
    )  # fmt: skip
    yield counter(
        "zhihui_actor_restarts_total",
        "Restarts of actors after a crash, by kind.",
        [((host.kind,), host.restarts) for host in hosts],
        ("kind",),
    )
    yield gauge(
        "zhihui_actor_identities",
        "Identities in memory, by kind.",
        [((host.kind,), host.identities) for host in hosts],
        ("kind",),
    )
    yield gauge(
        "zhihui_actor_suspended",
        "1 while a kind of actor is paused because it keeps failing.",
        [((host.kind,), host.suspended) for host in hosts],
        ("kind",),
    )
    yield counter(
        "zhihui_asks_lost_total",
        "Questions between actors without a usable answer, by what became of them.",
        [
            (("timed_out",), node.timed_out), (("cut_off",), node.cut_off),
            (("late",), node.late_replies),
        ],
        ("reason",),
    )  # fmt: skip
    yield gauge("zhihui_asks_waiting", "Questions that wait for an answer.", node.waiting)
    yield counter("zhihui_frames_sent_total", "Frames of messages sent to nodes.", outbox.frames)
    yield counter(
        "zhihui_frame_messages_sent_total",
        "Messages and answers in the frames sent.",
        outbox.envelopes + outbox.replies,
    )
    yield counter(
        "zhihui_frame_messages_unsent_total", "Those that could not be sent.", outbox.failed
    )
    yield counter(
        "zhihui_frames_malformed_total",
        "Frames received that made no sense.",
        node.frames_malformed,
    )


def _mailboxes(hosts: tuple[HostStatistics, ...]) -> Iterator[Metric]:
    yield gauge(
        "zhihui_mailbox_depth",
        "Messages waiting in a mailbox, by kind of actor.",
        [((host.kind,), host.mailbox.depth) for host in hosts],
        ("kind",),
    )
    yield gauge(
        "zhihui_mailbox_capacity",
        "Messages that a mailbox takes, by kind of actor.",
        [((host.kind,), host.mailbox.capacity) for host in hosts],
        ("kind",),
    )
    yield counter(
        "zhihui_mailbox_refused_total",
        "Messages refused by a full mailbox, by kind of actor.",
        [((host.kind,), host.mailbox.refused) for host in hosts],
        ("kind",),
    )


def _journal(snapshot: Snapshot) -> Iterator[Metric]:
    journal = snapshot.statistics.journal
    yield gauge(
        "zhihui_journal_owned", "1 on the node that writes the books.", snapshot.owns_journal
    )
    yield histogram(
        "zhihui_journal_commit_duration_seconds",
        "Time of a commit of the journal, of those that stood.",
        {(): journal.commit_times_s},
    )
    yield histogram(
        "zhihui_journal_batch_changes",
        "Changes decided in one commit of the journal.",
        {(): journal.batch_sizes},
    )
    yield counter(
        "zhihui_journal_changes_total",
        "Changes that the journal decided, by outcome; replayed ones were decided before.",
        [
            (("committed",), journal.committed), (("rejected",), journal.rejected),
            (("replayed",), journal.replayed), (("conflict",), journal.conflicts),
        ],
        ("outcome",),
    )  # fmt: skip
    yield counter(
        "zhihui_journal_batches_retried_total",
        "Batches taken back and tried again.",
        journal.retried_batches,
    )
    yield counter(
        "zhihui_journal_unknown_commits_total",
        "Commits whose outcome was not known and had to be looked up.",
        journal.unknown_commits,
    )


def _servers(snapshot: Snapshot) -> Iterator[Metric]:
    statistics = snapshot.statistics
    bus = statistics.bus
    yield gauge(
        "zhihui_bus_round_trip_seconds", "Last round trip to NATS; NaN: none.", bus.round_trip_s
    )
    yield gauge(
        "zhihui_bus_round_trips_missed",
        "Round trips to NATS missed in a row.",
        bus.round_trips_missed,
    )
    for what, values in (
        ("messages", (bus.messages_in, bus.messages_out)),
        ("bytes", (bus.bytes_in, bus.bytes_out)),
    ):
        yield counter(
            f"zhihui_bus_{what}_total",
            f"{what.capitalize()} over the connections to NATS, by direction.",
            [(("in",), values[0]), (("out",), values[1])],
            ("direction",),
        )
    yield counter("zhihui_bus_reconnects_total", "Connections to NATS made anew.", bus.reconnects)
    yield gauge(
        "zhihui_store_round_trip_seconds",
        "Last round trip to Postgres; NaN: none.",
        statistics.store_round_trip_s,
    )
    yield counter(
        "zhihui_store_commits_total",
        "Commits sent to Postgres, by outcome.",
        # A simulated store counts less.
        [
            (("committed",), getattr(statistics.store, "commits", 0)),
            (("failed",), getattr(statistics.store, "commits_failed", 0)),
        ],
        ("outcome",),
    )
    yield counter(
        "zhihui_store_rows_written_total",
        "Rows written by commits.",
        getattr(statistics.store, "rows", 0),
    )
    yield counter(
        "zhihui_store_reads_total", "Uses of the read pool.", getattr(statistics.store, "reads", 0)
    )
    yield counter(
        "zhihui_store_writer_connects_total",
        "Connections that the writer made.",
        getattr(statistics.store, "writer_connects", 0),
    )


def _events_and_intake(snapshot: Snapshot) -> Iterator[Metric]:
    relay, intake = snapshot.statistics.relay, snapshot.statistics.intake
    yield gauge(
        "zhihui_event_relay_active", "1 on the node that publishes the events.", relay.active
    )
    yield gauge(
        "zhihui_event_relay_lag_events",
        "Events that are committed and not yet published; 0 where the relay is not active.",
        relay.lag if relay.active else 0,
    )
    yield counter("zhihui_event_relay_relayed_total", "Events published.", relay.relayed)
    yield counter(
        "zhihui_event_relay_failures_total", "Attempts to publish that failed.", relay.failures
    )
    yield counter(
        "zhihui_event_relay_refills_total", "Streams filled again after a loss.", relay.refilled
    )
    yield gauge(
        "zhihui_intake_pending_messages",
        "Published requests that waited for all nodes when the last was fetched here.",
        intake.pending,
    )
    yield gauge(
        "zhihui_intake_in_flight_messages", "Published requests under way.", intake.in_flight
    )
    yield counter(
        "zhihui_intake_messages_total",
        "Published requests by outcome; those put back come again.",
        [
            (("succeeded",), intake.succeeded), (("rejected",), intake.rejected),
            (("put_back",), intake.put_back), (("dead",), intake.dead),
        ],
        ("outcome",),
    )  # fmt: skip
    yield counter("zhihui_intake_failures_total", "Attempts to fetch that failed.", intake.failures)


def _timers_and_letters(snapshot: Snapshot) -> Iterator[Metric]:
    timers, letters = snapshot.statistics.timers, snapshot.statistics.dead_letters
    look = snapshot.database
    yield counter(
        "zhihui_timers_total",
        "Timers of this node's partitions, by outcome.",
        [
            (("fired",), timers.fired), (("rejected",), timers.rejected),
            (("failed",), timers.failed), (("retried",), timers.retried),
        ],
        ("outcome",),
    )  # fmt: skip
    yield gauge(
        "zhihui_timers_waiting",
        "Due timers read and not yet done.",
        timers.waiting + timers.in_flight + timers.retrying,
    )
    yield gauge(
        "zhihui_timer_lag_seconds",
        "By how much the oldest known timer of this node is overdue.",
        timers.lag_s,
    )
    yield gauge(
        "zhihui_timers_due",
        "Due timers of the whole service; from the node that owns the journal.",
        [] if look is None else look.timers_due,
    )
    yield gauge(
        "zhihui_timers_oldest_due_seconds",
        "By how much the oldest of them is overdue.",
        [] if look is None else look.timers_oldest_s,
    )
    yield counter(
        "zhihui_dead_letters_recorded_total", "Messages given up on here.", letters.recorded
    )
    yield counter(
        "zhihui_dead_letters_lost_total", "Those that could not even be kept.", letters.lost
    )
    yield gauge("zhihui_dead_letters_waiting", "Those not yet stored in Postgres.", letters.waiting)
    yield gauge(
        "zhihui_dead_letters_kept",
        "Dead letters in Postgres; from the node that owns the journal.",
        [] if look is None else look.dead_letters,
    )


def _partitions(snapshot: Snapshot) -> Iterator[Metric]:
    ownership = snapshot.statistics.ownership
    yield gauge("zhihui_partitions_owned", "Partitions of this node.", ownership.owned)
    yield gauge(
        "zhihui_partitions_without_owner",
        "Partitions that belong to nobody, as this node knows.",
        ownership.without_owner,
    )
    yield gauge("zhihui_cluster_nodes", "Nodes alive, as this node knows.", ownership.nodes)
    yield counter(
        "zhihui_partition_moves_total",
        "Partitions gained, lost to others, and handed over.",
        [
            (("gained",), ownership.gained), (("lost",), ownership.lost),
            (("released",), ownership.released),
        ],
        ("way",),
    )  # fmt: skip
