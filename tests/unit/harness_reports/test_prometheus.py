"""The figures for Prometheus are cumulative, typed, and add up to the run's."""

from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtest.harness.reports.prometheus import BOUNDS_S, PrometheusExporter
from tests.unit.harness_reports.sample_run import result_of, samples
from tests.unit.harness_reports.steered import Steered

_Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _parsed(text: str) -> tuple[dict[str, str], _Samples]:
    families = list(text_string_to_metric_families(text))
    values = {
        (one.name, frozenset(one.labels.items())): one.value
        for family in families
        for one in family.samples
    }
    return {family.name: family.type for family in families}, values


def _sum(values: _Samples, name: str, wanted: Iterable[tuple[str, str]] = ()) -> float:
    return sum(
        value
        for (of, labels), value in values.items()
        if of == name and frozenset(wanted) <= labels
    )


async def _exported(seconds: int) -> tuple[dict[str, str], _Samples]:
    exporter = PrometheusExporter()
    await exporter.on_start(Steered())
    for sample in samples(seconds, 40):
        await exporter.on_interval(sample)
    return _parsed(exporter.text())


@pytest.mark.anyio
async def test_requests_are_counted_by_name_outcome_and_part() -> None:
    """Counters hold what the run's own sums hold, warm-up told apart."""
    types, values = await _exported(20)
    result = result_of(samples(20, 40))
    assert types["zhihui_load_requests"] == "counter"
    measured = ("measured", "true")
    assert _sum(values, "zhihui_load_sent_requests_total", [measured]) == result.total.counts.sent
    assert (
        _sum(values, "zhihui_load_requests_total", [measured, ("outcome", "ok")])
        == result.total.counts.ok
    )
    assert _sum(values, "zhihui_load_scheduled_requests_total") == result.flow.counts.scheduled
    pay = next(one for one in result.names if one.name == "pay")
    assert _sum(values, "zhihui_load_sent_requests_total", [measured, ("name", "pay")]) == (
        pay.counts.sent
    )


@pytest.mark.anyio
async def test_times_are_histograms_with_rising_buckets() -> None:
    """Buckets are cumulative, the last has all, and the sum is the mean times the count."""
    types, values = await _exported(20)
    result = result_of(samples(20, 40))
    assert types["zhihui_load_response_seconds"] == "histogram"
    labels = (("name", "pay"), ("measured", "true"))
    counts = [
        _sum(values, "zhihui_load_response_seconds_bucket", [*labels, ("le", f"{bound:g}")])
        for bound in BOUNDS_S
    ]
    count = _sum(values, "zhihui_load_response_seconds_count", labels)
    pay = next(one for one in result.names if one.name == "pay").response
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] <= count == pay.count
    total_s = _sum(values, "zhihui_load_response_seconds_sum", labels)
    assert pay.mean_ms is not None
    assert total_s == pytest.approx(pay.mean_ms / 1000 * count, rel=1e-6)
    share = counts[BOUNDS_S.index(0.005)] / count
    assert share == pytest.approx(
        sum(
            one.response.share_within(5.0) * one.response.count
            for sample in samples(20, 40)
            for one in sample.names
            if one.name == "pay" and one.measured
        )
        / count
    )


@pytest.mark.anyio
async def test_the_state_of_the_last_second_is_a_gauge() -> None:
    """Phase, target, load under way and the generator's CPU are those of the last second."""
    types, values = await _exported(55)
    last = samples(55, 40)[-1]
    assert types["zhihui_load_in_flight"] == "gauge"
    assert _sum(values, "zhihui_load_in_flight") == last.in_flight
    assert _sum(values, "zhihui_load_target_requests_per_second") == 40
    assert _sum(values, "zhihui_load_elapsed_seconds") == 55
    assert _sum(values, "zhihui_load_phase", [("phase", "kill a node")]) == 1
    assert _sum(values, "zhihui_load_generator_cpu_ratio") == last.generator.cpu_share
    assert _sum(values, "zhihui_load_run_info", [("scenario", "city_day")]) == 1


@pytest.mark.anyio
async def test_before_the_first_second_there_is_only_the_run() -> None:
    """A scrape that comes early is answered."""
    _, values = await _exported(0)
    assert [name for name, _ in values] == ["zhihui_load_run_info"]
