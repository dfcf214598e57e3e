"""What of a report is off, and how it is shown."""

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from zhihui.status.report import (
    EVENTS_WAITING_MAX,
    Lag,
    MailboxState,
    NodeState,
    PartitionRow,
    Report,
    ServerState,
    ranges_of,
    warnings_of,
)
from zhihui.status.view import render

_QUIET = Lag(
    events_waiting=0, timers_overdue=0, timers_overdue_s=0.0, intake_waiting=None, dead_letters=0
)
_SOUND = NodeState(name="n1", answers=True, ready=True, version="0.1.0", life_left_s=3.0)


def _row(partition: int, owner: str, epoch: int = 1, lease_left_s: float = 3.0) -> PartitionRow:
    return PartitionRow(partition=partition, owner=owner, epoch=epoch, lease_left_s=lease_left_s)


def _node(**changed: Any) -> NodeState:
    return msgspec.structs.replace(_SOUND, **changed)


def _lag(**changed: Any) -> Lag:
    return msgspec.structs.replace(_QUIET, **changed)


def test_neighbours_of_one_owner_are_one_range() -> None:
    """Ranges join neighbours; a lease that has ended counts as no owner."""
    rows = [
        _row(0, "n1", 2), _row(1, "n1", 5, 1.0), _row(2, "n2"), _row(3, "n1"),
        _row(4, "n2", lease_left_s=-1), _row(5, "", lease_left_s=-9),
    ]  # fmt: skip
    found = [(one.first, one.last, one.owner) for one in ranges_of(rows)]
    assert found == [(0, 1, "n1"), (2, 2, "n2"), (3, 3, "n1"), (4, 5, "")]
    assert ranges_of(rows)[0].epoch_max == 5
    assert ranges_of(rows)[0].lease_left_s == 1.0


def test_a_sound_service_has_no_warnings() -> None:
    """Owned partitions, ready nodes and a little lag are as it should be."""
    nodes = [_SOUND, _node(name="n2", mailboxes=(_box(100),))]
    lag = _lag(events_waiting=500, timers_overdue=3, timers_overdue_s=1.5, intake_waiting=2_000)
    assert warnings_of(nodes, ranges_of([_row(0, "n1"), _row(1, "n2")]), lag) == ()


def _box(waiting: int) -> MailboxState:
    return MailboxState(kind="journal", waiting=waiting, capacity=1_000)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (_node(answers=False), "does not answer"),
        (_node(ready=False), "not ready"),
        (_node(life_left_s=None), "no row"),
        (_node(life_left_s=-1.0), "not renewed"),
        (_node(paused=("pack.parking",)), "pack.parking on n1 keep failing"),
        (_node(mailboxes=(_box(900),)), "nearly full: 900 of 1,000"),
    ],
)
def test_what_is_off_with_a_node_is_said(node: NodeState, said: str) -> None:
    """Each thing that can be wrong with a node is one sentence that names it."""
    (warning,) = warnings_of([node], [], _QUIET)
    assert said in warning


def test_partitions_without_an_owner_are_counted() -> None:
    """They are one warning, however many ranges they are."""
    rows = [_row(0, ""), _row(1, "n1"), _row(2, "", lease_left_s=-1)]
    (warning,) = warnings_of([_SOUND], ranges_of(rows), _QUIET)
    assert warning.startswith("2 of 3 partitions have no owner")


def test_different_versions_are_said() -> None:
    """A rolling update is shown for as long as it lasts."""
    (warning,) = warnings_of([_SOUND, _node(name="n2", version="0.2.0")], [], _QUIET)
    assert "0.1.0, 0.2.0" in warning


def test_lag_is_said_and_whether_it_grows() -> None:
    """Beyond its bound each lag is a warning; with an earlier one it says whether it grows."""
    lag = _lag(
        events_waiting=EVENTS_WAITING_MAX + 1, timers_overdue=9, timers_overdue_s=7.0,
        intake_waiting=10**6, dead_letters=2,
    )  # fmt: skip
    said = warnings_of([], [], lag)
    assert len(said) == 4
    assert not any("more all the time" in one for one in said)
    earlier = _lag(events_waiting=lag.events_waiting, timers_overdue_s=6.0, intake_waiting=5)
    growing = [one for one in warnings_of([], [], lag, earlier=earlier) if "all the time" in one]
    assert len(growing) == 2


def _shown(report: Report) -> str:
    console = Console(file=io.StringIO(), record=True, width=140)
    console.print(render(report))
    return console.export_text()


def test_a_report_is_shown_whole() -> None:
    """Nodes, the map of the partitions, what waits and the warnings are all there, as text."""
    report = Report(
        ok=True,
        warnings=("look at [this]",),
        postgres=ServerState(address="postgresql://zhihui@127.0.0.1:1/zhihui"),
        nats=ServerState(address="nats://127.0.0.1:2", problem="it is [gone]"),
        schema_pending=(),
        nodes=(
            _node(mailboxes=(_box(7),), partitions=2, epoch_min=3, epoch_max=4, in_flight=12),
            _node(name="n2", answers=False),
        ),
        partitions=ranges_of([_row(0, "n1", 3), _row(1, "n1", 4), _row(2, "", lease_left_s=-1)]),
        lag=_lag(timers_overdue=1_234, timers_overdue_s=9.0, intake_waiting=5),
        rows={"payment": 12_345, "hold": None},
    )
    text = _shown(report)
    for part in (
        "up to date", "12,345", "many", "it is [gone]", "journal 7/1,000", "silent", "0–1", "3–4",
        "nobody", "1,234, the oldest by 9.0 s", "look at [this]",
    ):  # fmt: skip
        assert part in text, part
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_a_report_without_servers_is_shown() -> None:
    """With both servers down there is still a report."""
    down = ServerState(address="a", problem="down")
    report = Report(
        ok=False, warnings=(), postgres=down, nats=down, schema_pending=(), nodes=(),
        partitions=(), lag=None, rows={},
    )  # fmt: skip
    assert _shown(report).count("down") == 4
