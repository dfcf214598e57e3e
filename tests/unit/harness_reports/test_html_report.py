"""The HTML report: one small file that needs nothing else and hides nothing."""

import json
import re
from html.parser import HTMLParser

import msgspec
import pytest

from loadtest.harness.model import Counts
from loadtest.harness.reports.html_report import SIZE_MAX, html_report
from loadtest.harness.result import (
    ExitCode,
    FlowConservation,
    InvariantVerdict,
    ValidityReason,
)
from tests.unit.harness_reports.sample_run import result_of, sample_result

_ADDRESS = re.compile(r"""(?:src|href|action|data|poster)\s*=|url\(|@import|https?://|//[a-z]""")


class _Page(HTMLParser):
    """Reads text, tables and the balance of tags."""

    VOID = frozenset({"meta", "br", "hr", "input", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.data = ""
        self._cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes something else"
        if tag in {"td", "th"}:
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data = self.data or data
            return
        self.texts.append(data)
        if self._cell:
            self.rows[-1][-1] += data

    def row(self, first: str, *, columns: int = 0) -> list[str]:
        """Return the first row of this name, in a table of so many columns where it matters."""
        return next(row for row in self.rows if row[:1] == [first] and columns in (0, len(row)))


@pytest.fixture(scope="module")
def report() -> str:
    """The report of the sample run."""
    return html_report(sample_result())


def test_the_file_is_whole(report: str) -> None:
    """Every element is closed in order."""
    page = _Page(report)
    assert page.open == []
    assert len(report.encode()) <= SIZE_MAX


def test_the_file_needs_nothing_else(report: str) -> None:
    """No address is in it but the namespace of SVG, which no browser asks for."""
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', report)
    assert policy is not None
    assert policy[1].startswith("default-src")
    found = _ADDRESS.findall(report.replace('"http://www.w3.org/2000/svg"', ""))
    assert found == []


def test_text_of_a_run_is_no_markup() -> None:
    """Names, codes and details come from outside and are shown as they are."""
    attack = "</script><img src=x onerror=alert(1)>"
    result = sample_result(20, 40)
    names = (msgspec.structs.replace(result.names[0], name=attack),)
    codes = Counts(scheduled=1, sent=1, rejected=1, codes={attack: 1})
    point = msgspec.structs.replace(result.timeline[-1], counts=codes)
    text = html_report(
        msgspec.structs.replace(
            result,
            names=names,
            timeline=(point,),
            plan=msgspec.structs.replace(result.plan, scenario=attack),
            notes=(attack,),
            attachments={attack: {attack: attack}},
            invariants=(InvariantVerdict(claim=attack, ok=False, detail=attack),),
        )
    )
    assert "<img" not in text
    assert _Page(text).open == []
    assert attack in json.loads(_Page(text).data)["columns"]["codes"]


def test_the_figures_stand_in_tables(report: str) -> None:
    """What the charts draw can be read without them: counts, times, phases, machine."""
    result = sample_result()
    page = _Page(report)
    assert page.row("pay", columns=11)[1:6] == ["16,800", "16,800", "0", "16,350", "204/s"]
    assert page.row("kill a node")[1] == "0:50 to 1:02"
    assert page.row("= sent")[1] == "27,000"
    assert page.row("processor")[1] == "2 × Example Processor 9000 @ 2.60 GHz"
    assert page.row("p99<30ms")[1:] == ["714 ms", "failed"]
    window = result.worst_window
    assert window is not None
    start = int(window.start_s)
    assert any(row[0].startswith(f"Worst 10 s (0:{start}") for row in page.rows if row)
    data = json.loads(page.data)
    assert len(data["columns"]["start"]) == 90
    assert [band["name"] for band in data["bands"]] == [
        "warm-up", "steady", "kill a node", "recovered",
    ]  # fmt: skip


def test_too_few_samples_are_said(report: str) -> None:
    """A percentile for which there are too few samples says so, and how many it wants."""
    assert "insufficient samples: p99.99 wants 100,000, there are 23,820" in report
    page = _Page(report)
    assert page.rows[[row[:1] for row in page.rows].index(["pay"])].count("insufficient samples")


def test_the_verdict_says_every_reason() -> None:
    """What keeps a run from passing is listed, the gravest first."""
    text = html_report(
        sample_result(
            20,
            40,
            exit_code=ExitCode.INVARIANT,
            invariants=(InvariantVerdict(claim="the ledger balances", ok=False, detail="3 fen"),),
            invalid=(ValidityReason(code="schedule_missed", detail="lag p99 is 40 ms"),),
            flow=FlowConservation(ok=False, counts=Counts(scheduled=3, sent=2), detail="1 is lost"),
        )
    )
    said = " ".join(_Page(text).texts)
    assert said.index("Invariant violated") < said.index("the ledger balances: 3 fen")
    assert said.index("3 fen") < said.index("lag p99 is 40 ms (schedule_missed)")
    assert said.index("(schedule_missed)") < said.index("p99<30ms: measured")
    assert _Page(text).row("conserved")[1:] == ["failed", "1 is lost"]


def test_a_violated_invariant_stands_before_those_that_hold() -> None:
    """Those that hold may be folded away; one that is violated is always seen."""
    hold = tuple(InvariantVerdict(claim=f"claim {number}", ok=True) for number in range(30))
    text = html_report(
        sample_result(
            20, 40, invariants=(*hold, InvariantVerdict(claim="no fen is lost.", ok=False))
        )
    )
    page = _Page(text)
    assert page.row("no fen is lost.")[1] == "failed"
    assert text.index("no fen is lost.</th>") < text.index("30 invariants hold")
    assert "<details><summary>30 invariants hold" in text
    assert "no fen is lost: violated" in page.texts


def test_findings_of_any_shape_are_readable() -> None:
    """What observers add is a table where it has that shape, down to parts of parts."""
    text = html_report(
        sample_result(
            20,
            40,
            attachments={
                "cost": [
                    {
                        "phase": "main",
                        "cost": {"cpu_us": {"service": 812.5}, "fsyncs": 0.5},
                        "resources": [{"name": "disk", "share": 0.75, "detail": "of the journal"}],
                        "nothing": [],
                    }
                ],
                "matrix": [[1, 2], [3, 4]],
            },
        )
    )
    page = _Page(text)
    assert page.row("cost: cpu us: service") == ["cost: cpu us: service", "812"]
    assert page.row("disk") == ["disk", "0.750", "of the journal"]
    assert any(text.strip().startswith("[") for text in page.texts)
    assert "Cost: main" in page.texts


def test_a_pass_says_that_it_is_one() -> None:
    """A run that passes has no list of reasons."""
    text = html_report(sample_result(20, 40, exit_code=ExitCode.PASS, thresholds=(), invalid=()))
    assert "Pass" in _Page(text).texts
    assert "All thresholds are met, the books balance, the figures count." in _Page(text).texts


def test_a_run_without_a_request_has_a_report() -> None:
    """A run that was ended before its first second is shown as what it is."""
    text = html_report(result_of([], exit_code=ExitCode.ABORTED, aborted=True))
    page = _Page(text)
    assert page.row("All requests", columns=11)[1:5] == ["0", "0", "0", "0"]
    assert json.loads(page.data)["curve"] is None


def test_the_largest_run_fits(report: str) -> None:
    """Two hours of seconds, hundreds of names and codes and a heap of findings fit into 300 KB."""
    small = sample_result(20, 40)
    names = tuple(
        msgspec.structs.replace(small.names[0], name=f"a rather long name of a request, {number}")
        for number in range(200)
    )
    codes = {f"an_error_code_that_is_long_{number}": number + 1 for number in range(100)}
    counts = Counts(scheduled=123_456, sent=123_456, ok=118_406, rejected=5_050, codes=codes)
    points = tuple(
        msgspec.structs.replace(
            small.timeline[-1], start_s=float(second), counts=counts, response_p99_ms=second / 7
        )
        for second in range(7_200)
    )
    phases = tuple(
        msgspec.structs.replace(small.phases[0], name=f"phase {number}") for number in range(300)
    )
    text = html_report(
        msgspec.structs.replace(
            small,
            names=names,
            timeline=points,
            phases=phases,
            total=msgspec.structs.replace(small.total, counts=counts),
            notes=tuple(f"a note, {number}" for number in range(1_000)),
            invariants=small.invariants * 200,
            attachments={
                f"found_{number}": [{"step": "kill", "at_s": n / 3} for n in range(500)]
                for number in range(50)
            },
        )
    )
    assert len(text.encode()) <= SIZE_MAX
    assert "the JSON file has all" in text
