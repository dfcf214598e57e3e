"""The page of metrics: its names follow the conventions, its values are those of the snapshot."""

import re

import msgspec
import pytest
from prometheus_client.core import Metric

from kernel.buckets import LATENCY_BOUNDS_S, SLO_S, Buckets
from schemas.catalogue import BANK_OPERATIONS
from tests.unit.instruments.lab import LOOK, made_node, observer_of, samples, snapshot_of
from zhihui.instruments.engine_families import OPERATIONS_MAX
from zhihui.instruments.exposition import Exposition, NodeCollector
from zhihui.instruments.observer import Observer

# Base units, and what is counted in none.
_UNITS = re.compile(
    r"_(seconds|bytes|total|ratio|info|timestamp_seconds|minor_units|messages|events|changes"
    r"|ready|owned|active|suspended|paused|followed|open|flight|waiting|kept|due|depth|capacity"
    r"|identities|nodes|owner|missed|memory|generation|plan|troubles|faults)$"
)


def _families(observer: Observer) -> list[Metric]:
    return list(NodeCollector(observer).collect())


def _page(observer: Observer) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    return samples(Exposition(observer).page("")[1].decode())


def test_names_follow_the_conventions() -> None:
    """Every name is ours, once, in lower case and base units, with a sentence of help."""
    families = _families(observer_of(made_node(), LOOK))
    names = [one.name for one in families]
    assert len(names) == len(set(names))
    for one in families:
        assert re.fullmatch(r"zhihui_[a-z_]+", one.name), one.name
        assert one.documentation.endswith("."), one.name
        shown = f"{one.name}_total" if one.type == "counter" else one.name
        assert _UNITS.search(shown), f"{shown} names no unit"
        # What a histogram makes of a name must not be taken by another family.
        assert not any(f"{one.name}{end}" in names for end in ("_bucket", "_sum", "_count"))


def test_every_family_is_there_before_anything_happened() -> None:
    """A family without a sample is named all the same, so a rule about it is no typing error."""
    before = {one.name for one in _families(observer_of(made_node()))}
    after = {one.name for one in _families(observer_of(made_node(), LOOK))}
    assert before == after
    assert "zhihui_channel_orders_open" in before


def test_before_the_start_the_node_says_who_it_is() -> None:
    """A node that starts is scraped already: it is not ready, and tells its version."""
    page = _page(Observer("n1", ""))
    assert page["zhihui_ready"] == {(): 0.0}
    assert page["zhihui_node_info"] == {(("node", "n1"),): 1.0}
    ((labels, _),) = page["zhihui_build_info"].items()
    assert [name for name, _ in labels] == ["implementation", "python", "version"]
    assert "process_cpu_seconds_total" in page


def test_requests_are_counted_by_operation_and_code() -> None:
    """Each answer counts once under its code; a code that is not of the table is `other`."""
    running = made_node()
    endpoint = running.edge.endpoints["payment.create"]
    endpoint.answered = 5
    endpoint.codes = {"insufficient_funds": 2, "no_such_code": 1, "nor_this": 1}
    running.edge.refused_early = {"unknown_operation": 3}
    counts = _page(observer_of(running))["zhihui_requests_total"]
    payments = {
        dict(labels)["code"]: value
        for labels, value in counts.items()
        if dict(labels)["service"] == "payment" and dict(labels)["verb"] == "create"
    }
    assert payments == {"ok": 5, "insufficient_funds": 2, "other": 2}
    early = (("code", "unknown_operation"), ("service", "unknown"), ("verb", "unknown"))
    assert counts[early] == 3
    assert len([one for one in counts if dict(one)["code"] == "ok"]) == len(BANK_OPERATIONS)


def test_durations_have_a_bound_at_the_objective() -> None:
    """What took exactly the objective is within it, and buckets add up from below."""
    running = made_node()
    durations = running.edge.endpoints["payment.create"].durations_s
    for duration_s in (SLO_S, SLO_S + 0.001, 0.0, 100.0):
        durations.add(duration_s)
    buckets = _page(observer_of(running))["zhihui_request_duration_seconds_bucket"]
    by_bound = {dict(labels)["le"]: value for labels, value in buckets.items()}
    assert len(by_bound) == len(LATENCY_BOUNDS_S) + 1
    assert by_bound[f"{SLO_S:g}"] == 2
    assert by_bound["0.05"] == 3
    assert by_bound["30"] == 3
    assert by_bound["+Inf"] == 4


def test_what_only_the_database_knows_is_told_by_the_one_that_asks() -> None:
    """The node that asked shows the figures; another shows no samples rather than zeros."""
    told = _page(observer_of(made_node(), LOOK))
    assert told["zhihui_timers_due"] == {(): 3.0}
    assert told["zhihui_dead_letters_kept"] == {(): 2.0}
    assert told["zhihui_channel_oldest_open_order_seconds"] == {
        (("channel", "wechat"), ("kind", "pay")): 61.0
    }
    imbalance = {dict(one)["check"]: value for one, value in
                 told["zhihui_ledger_imbalance_minor_units"].items()}  # fmt: skip
    assert imbalance == {"written": 0.0, "balances": 0.0, "changes": 7.0}
    silent = _page(observer_of(made_node()))
    assert "zhihui_timers_due" not in silent
    assert len(silent["zhihui_ledger_imbalance_minor_units"]) == 1


def test_labels_are_bounded() -> None:
    """However many operations packs bring, the page has a limit."""
    running = made_node()
    observer = observer_of(running)
    snapshot = snapshot_of(running, observer)
    many = (snapshot.operations * 20)[: OPERATIONS_MAX + 200]
    operations = tuple(
        msgspec.structs.replace(one, verb=f"v{number}") for number, one in enumerate(many)
    )
    assert len(operations) > OPERATIONS_MAX
    observer.snapshot = msgspec.structs.replace(snapshot, operations=operations)
    assert len(_page(observer)["zhihui_requests_total"]) == OPERATIONS_MAX


def test_a_page_is_kept_for_a_moment() -> None:
    """Two who ask at once get one rendering; the forms of the page are kept apart."""
    exposition = Exposition(observer_of(made_node()))
    first = exposition.page("")
    assert exposition.page("")[1] is first[1]
    open_metrics = exposition.page("application/openmetrics-text; version=1.0.0")
    assert open_metrics[0].startswith("application/openmetrics-text")
    assert open_metrics[1].endswith(b"# EOF\n")


def test_a_value_belongs_to_the_first_bound_that_it_does_not_exceed() -> None:
    """Bounds are inclusive, as Prometheus's are, and the total is the sum of what was added."""
    buckets = Buckets((1, 2, 5))
    for value in (0, 1, 1.5, 2, 5, 6):
        buckets.add(value)
    statistics = buckets.statistics()
    assert statistics.counts == (2, 2, 1, 1)
    assert statistics.total == pytest.approx(15.5)


def test_counts_survive_another_version_of_a_pack() -> None:
    """A counter never falls while a process lives, whatever is loaded anew."""
    edge = made_node().edge
    before = edge.endpoints["payment.create"]
    before.answered, before.codes = 3, {"busy": 2}
    before.durations_s.add(0.004)
    edge.set_operations("payment", [one for one in BANK_OPERATIONS if one.service == "payment"])
    after = edge.endpoints["payment.create"]
    assert after is not before
    assert (after.answered, after.codes) == (3, {"busy": 2})
    assert sum(after.durations_s.statistics().counts) == 1
