"""The tables of the report."""

from collections.abc import Iterator, Sequence

from loadtest.harness.reports.html import Cell, Markup, element, table
from loadtest.harness.reports.words import (
    MISSING,
    clock,
    count,
    error_share,
    lacking,
    measured,
    milliseconds,
    rate,
    share,
)
from loadtest.harness.result import (
    PERCENTS,
    InvariantVerdict,
    Latency,
    NameStatistics,
    PhaseStatistics,
    RunResult,
    ThresholdVerdict,
)

__all__ = (
    "codes_table",
    "flow_table",
    "judgement_tables",
    "left_out",
    "machine_table",
    "outcomes_table",
    "percent_label",
    "phases_table",
    "times_table",
)

# So many lines are shown without being asked for.
_FEW = 8

_OK = Markup('<span class="badge good">ok</span>')
_NOT_OK = Markup('<span class="badge bad">failed</span>')
_NOT_APPLICABLE = Markup('<span class="badge plain">not judged</span>')


def percent_label(percent: float) -> str:
    """Return ``p99.9`` for 99.9, ``p50`` for 50."""
    return f"p{percent:g}"


def _time(latency: Latency, percent: float) -> Cell:
    found = latency.percentile_ms(percent)
    if found is not None:
        return milliseconds(found)
    reason = lacking(latency, percent)
    if not reason or not latency.count:
        return MISSING
    return element("span", "insufficient samples", class_="lacking", title=reason)


def outcomes_table(names: Sequence[NameStatistics], total: NameStatistics, *, limit: int) -> Markup:
    """Return where the requests of each name went, of so many names."""
    rows = [_outcomes(one, one.name) for one in names[:limit]]
    rows.append(_outcomes(total, "All requests"))
    return table(
        "Requests of the measured part, by name" + left_out(len(names), limit),
        (
            "name", "scheduled", "sent", "dropped", "ok", "ok a second",
            "rejected", "failed", "timed out", "unknown", "errors",
        ),
        rows,
        last_is_total=True,
    )  # fmt: skip


def _outcomes(one: NameStatistics, name: str) -> list[Cell]:
    counts = one.counts
    return [
        name, count(counts.scheduled), count(counts.sent), count(counts.dropped),
        count(counts.ok), rate(one.per_second), count(counts.rejected), count(counts.failed),
        count(counts.timed_out), count(counts.unknown), error_share(counts),
    ]  # fmt: skip


def left_out(there: int, shown: int) -> str:
    """Return what a caption says where a table has not all lines; "" where it has."""
    return f" (the first {shown} of {there}; the JSON file has all)" if there > shown else ""


def times_table(result: RunResult, *, limit: int) -> Markup:
    """Return response time, service time and schedule lag beside each other, of so many names."""
    rows = [row for one in result.names[:limit] for row in _times(one, one.name)]
    if result.worst_window is not None:
        window = result.worst_window
        end_s = window.start_s + window.seconds
        rows += _times(window.total, f"Worst 10 s ({clock(window.start_s)} to {clock(end_s)})")
    rows += _times(result.total, "All requests")
    headings = ("name", "time", "samples", "mean", "min", *map(percent_label, PERCENTS), "max")
    return table(
        "Response time counts from the intended start, service time from the real one; schedule "
        "lag is the difference, the harness's own" + left_out(len(result.names), limit),
        headings,
        rows,
        text_columns=(1,),
        group_rows=3,
    )


def _times(one: NameStatistics, name: str) -> Iterator[list[Cell]]:
    for label, latency in (
        ("response", one.response),
        ("service", one.service),
        ("lag", one.lag),
    ):
        yield [
            name,
            label,
            count(latency.count),
            milliseconds(latency.mean_ms),
            milliseconds(latency.min_ms),
            *(_time(latency, percent) for percent in PERCENTS),
            milliseconds(latency.max_ms),
        ]


def codes_table(total: NameStatistics, *, limit: int) -> Markup:
    """Return how often which error code was answered, of so many codes."""
    codes = sorted(total.counts.codes.items(), key=lambda item: (-item[1], item[0]))
    if not codes:
        return element("p", "No request was answered with an error code.", class_="muted")
    return table(
        "Error codes of the measured part" + left_out(len(codes), limit),
        ("code", "times", "of those sent"),
        [[code, count(n), share(n, total.counts.sent)] for code, n in codes[:limit]],
    )


def flow_table(result: RunResult) -> Markup:
    """Return the books of the whole run: nothing scheduled is unaccounted for."""
    counts = result.flow.counts
    rows: list[list[Cell]] = [
        ["scheduled", count(counts.scheduled), "what the plan asked for"],
        ["= sent", count(counts.sent), "left the generator"],
        ["+ dropped", count(counts.dropped), "too many were under way already"],
        ["sent = ok", count(counts.ok), "done"],
        ["+ rejected", count(counts.rejected), "refused by a rule of the service"],
        ["+ failed", count(counts.failed), "known not to have been done"],
        [
            "+ timed out",
            count(counts.timed_out),
            "no answer before the deadline",
        ],
        [
            "+ unknown",
            count(counts.unknown),
            "the answer was lost; may have been done",
        ],
        ["conserved", _OK if result.flow.ok else _NOT_OK, result.flow.detail],
    ]
    found = result.resolution
    if found.asked or found.not_asked:
        rows.append(
            [
                "asked again",
                count(found.asked),
                (
                    f"{count(found.done)} had been done, {count(found.not_done)} had not, "
                    f"{count(found.still_unknown)} are still unknown, {count(found.not_asked)} "
                    "could not be asked"
                ),
            ]
        )
    return table(
        "Flow conservation of the whole run, warm-up included",
        ("requests", "number", "meaning"),
        rows,
        text_columns=(2,),
    )


def judgement_tables(result: RunResult, *, limit: int) -> list[Markup]:
    """Return what was judged: thresholds, invariants, and whether the figures count at all.

    What failed comes first, so that a table of ``limit`` lines leaves nothing out that matters.
    """
    tables = []
    if result.thresholds:
        tables.append(
            table(
                "Thresholds" + left_out(len(result.thresholds), limit),
                ("threshold", "measured", "verdict"),
                [_threshold(one) for one in _failed_first(result.thresholds)[:limit]],
                text_columns=(1, 2),
            )
        )
    tables += _invariants(result.invariants, limit)
    tables.append(
        table(
            "Validity: whether the figures count",
            ("check", "verdict", "detail"),
            _validity(result),
            text_columns=(1, 2),
        )
    )
    return tables


def _invariants(judged: Sequence[InvariantVerdict], limit: int) -> list[Markup]:
    """Return those that are violated as they are, and those that hold to be opened."""
    violated = [one for one in judged if not one.ok]
    hold = [one for one in judged if one.ok]
    found = []
    if violated:
        title = "Invariants that are violated" + left_out(len(violated), limit)
        rows = [[one.claim, _NOT_OK, one.detail] for one in violated[:limit]]
        found.append(table(title, ("claim", "verdict", "detail"), rows, text_columns=(1, 2)))
    if hold:
        title = "Invariants that hold" + left_out(len(hold), limit)
        rows = [[one.claim, _OK, one.detail] for one in hold[:limit]]
        made = table(title, ("claim", "verdict", "detail"), rows, text_columns=(1, 2))
        summary = element("summary", f"{count(len(hold))} invariants hold")
        found.append(element("details", summary, made, open="" if len(hold) <= _FEW else None))
    return found


def _failed_first(judged: Sequence[ThresholdVerdict]) -> list[ThresholdVerdict]:
    return sorted(judged, key=lambda one: one.ok)


def _threshold(one: ThresholdVerdict) -> list[Cell]:
    value = measured(one).removeprefix("measured ")
    return [element("code", one.expression), value, _OK if one.ok else _NOT_OK]


def _validity(result: RunResult) -> list[list[Cell]]:
    steady, lag = result.steadiness, result.total.lag
    rows: list[list[Cell]] = [
        [
            "steady state",
            _NOT_APPLICABLE if steady.ok is None else _OK if steady.ok else _NOT_OK,
            steady.detail,
        ],
        [
            "schedule kept",
            _NOT_OK if any(one.code == "schedule_missed" for one in result.invalid) else _OK,
            (
                f"lag p50 {milliseconds(lag.percentile_ms(50.0))}, p99 "
                f"{milliseconds(lag.percentile_ms(99.0))}; {count(result.generator.late)} left late"
            ),
        ],
        [
            "generator had room",
            _NOT_OK if any(one.code == "generator_saturated" for one in result.invalid) else _OK,
            (
                f"the busiest of {result.generator.processes} used "
                f"{result.generator.cpu_share:.0%} of a core"
            ),
        ],
    ]
    known = {"not_steady", "schedule_missed", "generator_saturated"}
    rows += [[one.code, _NOT_OK, one.detail] for one in result.invalid if one.code not in known]
    return rows


def phases_table(phases: Sequence[PhaseStatistics], *, limit: int) -> Markup:
    """Return so many phases of the run, each with its own books and times."""
    rows: list[list[Cell]] = [
        [
            phase.name,
            f"{clock(phase.start_s)} to {clock(phase.end_s)}",
            "yes" if phase.measured else "no",
            count(phase.total.counts.sent),
            rate(phase.total.per_second),
            error_share(phase.total.counts),
            *(_time(phase.total.response, percent) for percent in (50.0, 95.0, 99.0)),
            milliseconds(phase.total.response.max_ms),
            _time(phase.total.service, 99.0),
            _time(phase.total.lag, 99.0),
        ]
        for phase in phases[:limit]
    ]
    return table(
        "Phases, by when requests should have started" + left_out(len(phases), limit),
        (
            "phase", "when", "measured", "sent", "ok a second", "errors", "response p50", "p95",
            "p99", "max", "service p99", "lag p99",
        ),
        rows,
        text_columns=(1, 2),
    )  # fmt: skip


def machine_table(result: RunResult) -> Markup:
    """Return where the load was made, and what making it took."""
    machine = result.machine
    health = result.generator
    made = (
        f"{health.processes} {'process' if health.processes == 1 else 'processes'}, "
        f"{health.cpu_s:.1f} s of CPU in all, {health.memory_bytes / 2**20:.0f} MiB"
    )
    rows: list[list[Cell]] = [
        ["processor", f"{machine.cores} × {machine.processor}"],
        ["memory", f"{machine.memory_gib:.1f} GiB"],
        ["system", machine.system],
        ["load average before", f"{machine.load_average:.2f}"],
        ["generator", made],
        *([name, number] for name, number in sorted(machine.versions.items())),
    ]  # fmt: skip
    return table("Machine and versions", ("what", "value"), rows, text_columns=(1,))
