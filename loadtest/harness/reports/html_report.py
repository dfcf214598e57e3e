"""The report of a run as one HTML file that needs nothing else, no network above all.

The tables are in the file as HTML, so they can be read without a script; the charts are drawn by
an inline script from columns in the file.
"""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import msgspec

from loadtest.harness.reports.chart_data import POINTS_MAX, chart_data
from loadtest.harness.reports.command import command_of
from loadtest.harness.reports.html import Cell, Markup, element
from loadtest.harness.reports.html_findings import attachment_tables
from loadtest.harness.reports.html_tables import (
    codes_table,
    flow_table,
    judgement_tables,
    machine_table,
    outcomes_table,
    phases_table,
    times_table,
)
from loadtest.harness.reports.words import (
    clock,
    count,
    error_share,
    headline,
    lacking,
    load_of,
    milliseconds,
    rate,
    reasons,
    verdict_kind,
)
from loadtest.harness.result import ExitCode, Latency, RunResult

__all__ = ("CHARTS", "SIZE_MAX", "chart_places", "html_report", "page_file", "write_html")

# A report is mailed and attached to tickets.
SIZE_MAX = 300_000

# Points of a chart and lines of a table, from what is readable down to what fits in any case.
_DETAIL = ((POINTS_MAX, 100), (POINTS_MAX, 40), (300, 20), (100, 8))

CHARTS = ("throughput", "times", "lag", "errors", "work", "generator")

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def write_html(result: RunResult, path: Path) -> None:
    """Write the report; the folder is made when it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html_report(result), encoding="utf-8")


def page_file(name: str) -> str:
    """Return a file of the pages: a style sheet or a script."""
    return (files("loadtest.harness.reports") / "page" / name).read_text(encoding="utf-8")


def chart_places(names: tuple[str, ...]) -> Markup:
    """Return the empty places that the script draws into; a single one has the whole width."""
    places = (element("figure", data_chart=name) for name in names)
    return element("div", *places, class_="charts" if len(names) > 1 else "charts wide")


def html_report(result: RunResult) -> str:
    """Return the whole file, with as much detail as :data:`SIZE_MAX` allows."""
    text = ""
    for points, lines in _DETAIL:
        text = _page(result, points=points, lines=lines)
        if len(text.encode()) <= SIZE_MAX:
            break
    return text


def _page(result: RunResult, *, points: int, lines: int) -> str:
    # In a script element only the end tag and comments mean something; both begin with this sign.
    data = msgspec.json.encode(chart_data(result, points)).decode().replace("<", "\\u003c")
    script = "\n".join(
        (
            page_file("charts.js"),
            page_file("report.js"),
            "Theme.start();",
            "const DATA = JSON.parse(document.getElementById('data').textContent);",
            "RunCharts.draw(document, DATA);",
        )
    )
    title = f"{headline(result.exit_code)}: {result.plan.scenario} · load report"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"{element('title', title)}<style>{page_file('style.css')}</style></head>"
        f'<body><div class="wrap">{_body(result, lines)}</div>'
        f'<script type="application/json" id="data">{data}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _body(result: RunResult, lines: int) -> Markup:
    sections: list[Cell] = [
        _header(result),
        element("main", *_main(result, lines)),
        element(
            "footer",
            f"Made by zhihui load {result.machine.versions.get('zhihui', '')} from run "
            f"{result.run_id}. Figures are of the measured part unless a table says otherwise; "
            "percentiles are off by 0.025 % at most.",
        ),
    ]
    return Markup("".join(map(str, sections)))


def _header(result: RunResult) -> Markup:
    about = (
        f"Run {result.run_id} · {_moment(result.started_at)} · {load_of(result.plan)} · engine "
        f"{result.plan.engine} · {clock(result.measured_s)} measured after "
        f"{clock(result.warmup_s)} of warm-up"
    )
    return element(
        "header",
        element(
            "div",
            element("h1", result.plan.scenario),
            element("p", about, class_="muted"),
            class_="titles",
        ),
        element("button", "Dark", id="theme", type="button", title="Switch the colours"),
    )


def _moment(text: str) -> str:
    """Return a moment in ISO format as people write it, to the second."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _main(result: RunResult, lines: int) -> list[Cell]:
    codes = codes_table(result.total, limit=lines)
    parts: list[Cell] = [
        _verdict(result, lines),
        _tiles(result),
        element("h2", "Over time"),
        element(
            "p",
            "Shaded phases with a name above; sand-coloured ones are not measured, and a red bar "
            "at the bottom is the worst ten seconds. Point at a chart, or use the arrow keys on "
            "it, to read the figures of a moment.",
            class_="note",
        ),
        chart_places(CHARTS),
        element("h2", "Percentiles"),
        chart_places(("curve",)),
        times_table(result, limit=lines),
        element("h2", "Judgement"),
        *judgement_tables(result, limit=lines),
        element("h2", "Where requests went"),
        outcomes_table(result.names, result.total, limit=lines),
        element("div", flow_table(result), codes, class_="columns"),
    ]
    if result.phases:
        parts += [element("h2", "Phases"), phases_table(result.phases, limit=lines)]
    if result.attachments:
        parts += [
            element("h2", "Further findings"),
            *attachment_tables(result.attachments, limit=lines),
        ]
    if result.notes:
        notes = [element("li", note) for note in result.notes[:lines]]
        if (left := len(result.notes) - lines) > 0:
            notes.append(element("li", f"The JSON file has {left} more."))
        parts += [element("h2", "Notes"), element("ul", *notes)]
    plan = msgspec.json.format(msgspec.json.encode(result.plan), indent=2).decode()
    parts += [
        element("h2", "Machine and plan"),
        machine_table(result),
        element("p", "The run again; the order of what is drawn is that of its seed:"),
        element("pre", command_of(result.plan), tabindex="0", id="command"),
        element(
            "details",
            element("summary", "The whole plan"),
            element("pre", plan, tabindex="0"),
        ),
    ]
    return parts


def _verdict(result: RunResult, lines: int) -> Markup:
    why = list(reasons(result))
    if (left := len(why) - lines) > 0:
        why = [*why[:lines], f"and {left} more"]
    said: list[Cell] = [
        element("strong", headline(result.exit_code)),
        element("span", f" · exit code {result.exit_code}", class_="muted"),
    ]
    if why:
        said.append(element("ul", *(element("li", reason) for reason in why)))
    elif result.exit_code == ExitCode.PASS:
        said.append(element("div", "All thresholds are met, the books balance, the figures count."))
    elif result.aborted:
        said.append(element("div", "The run was ended early; the figures are of what there is."))
    return element("section", *said, class_=f"verdict {verdict_kind(result.exit_code)}",
                   aria_label="Verdict")  # fmt: skip


def _tiles(result: RunResult) -> Markup:
    total = result.total
    asked = total.counts.scheduled / result.measured_s if result.measured_s else 0.0
    target = f"of {rate(asked)} asked for" if result.plan.arrivals else "closed loop"
    tiles = (
        ("Throughput", rate(total.per_second), target),
        *(_time_tile(f"Response {name}", total.response, percent, total.service)
          for name, percent in (("p50", 50.0), ("p95", 95.0), ("p99", 99.0))),
        ("Response max", milliseconds(total.response.max_ms),
         f"service {milliseconds(total.service.max_ms)}"),
        ("Schedule lag p99", milliseconds(total.lag.percentile_ms(99.0)),
         f"p50 {milliseconds(total.lag.percentile_ms(50.0))}"),
        ("Requests", count(total.counts.sent), f"{count(total.counts.ok)} ok"),
        ("Errors", error_share(total.counts), f"{count(total.counts.errors)} of those sent"),
    )  # fmt: skip
    return element(
        "dl",
        *(
            element("div", element("dt", label), element("dd", value, element("small", below)),
                    class_="tile")
            for label, value, below in tiles
        ),
        class_="tiles",
    )  # fmt: skip


def _time_tile(
    label: str, response: Latency, percent: float, service: Latency
) -> tuple[str, str, str]:
    below = f"service {milliseconds(service.percentile_ms(percent))}"
    if response.count and lacking(response, percent):
        below = "insufficient samples"
    return label, milliseconds(response.percentile_ms(percent)), below
