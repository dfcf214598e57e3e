"""The figures of a run, the verdicts that they come to, and the table."""

import statistics

import msgspec
from rich.console import Console
from rich.table import Table

from loadtest.hotload.answers import AnswerCounts
from loadtest.hotload.cycles import CycleReport
from loadtest.hotload.memory import Memory
from loadtest.hotload.windows import Latencies
from loadtest.machine import Machine
from loadtest.verdicts import Verdict

__all__ = (
    "MEMORY_GROWTH_MAX",
    "SWITCH_RATIO_MAX",
    "HotloadReport",
    "judge_memory",
    "judge_offences",
    "judge_switches",
    "print_report",
)

SWITCH_RATIO_MAX = 2.0
MEMORY_GROWTH_MAX = 0.05

_LABELS = {
    "quiet": "quiet: no version comes or goes",
    "steady": "between the switches",
    "load": "while a version is loaded",
    "switch": "while a good one is promoted",
    "unload": "while one is drained and unloaded",
    "bad": "while a bad one is there",
}
_CLAIMS = {
    "lost": "messages lost",
    "doubled": "messages doubled",
    "wrong generation": "answered by a generation that was not to serve",
    "divided": "begun by one generation and finished by another",
    "answers": "answers that were wrong, or differed when sent again",
    "balances": "balances that differ from a plain model of the answers",
    "dead letters": "dead letters",
}


class HotloadReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, as ``build/hotload.json`` has it. ``ratios`` are those of the blocks."""

    machine: Machine
    nodes: int
    rate: float
    seed: int
    seconds: float
    requests: int
    cycles: tuple[CycleReport, ...]
    answers: AnswerCounts
    offences: dict[str, int]
    examples: dict[str, list[str]]
    latencies: dict[str, Latencies]
    ratios: tuple[float, ...]
    memory: tuple[Memory, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def ok(self) -> bool:
        """Tell whether all verdicts are good."""
        return all(one.ok for one in self.verdicts)


def judge_offences(counts: dict[str, int], answers: AnswerCounts) -> list[Verdict]:
    """Return a verdict for each way in which a message can go wrong."""
    details = {
        "lost": f"{answers.answered:,} requests answered",
        "answers": f"{answers.resent:,} sent again, {answers.resent_across:,} of them after a "
        "switch of their pack",
        "wrong generation": f"for {answers.no_choice:,} answers only one generation was right",
    }
    return [
        Verdict(
            claim=f"0 {claim}",
            ok=not counts.get(kind),
            detail="; ".join(
                text for text in (f"{counts.get(kind, 0):,} found", details.get(kind, "")) if text
            ),
        )
        for kind, claim in _CLAIMS.items()
    ]


def judge_switches(ratios: list[float]) -> Verdict:
    """Return the verdict on the response time during a switch, block by block."""
    if not ratios:
        return Verdict(claim="p99 during a switch", ok=False, detail="there was none to measure")
    ratio = statistics.median(ratios)
    return Verdict(
        claim=f"p99 during a switch is at most {SWITCH_RATIO_MAX:g} × the steady p99",
        ok=ratio <= SWITCH_RATIO_MAX,
        detail=f"{ratio:.2f} × in the median of {len(ratios)} blocks, "
        f"{min(ratios):.2f} to {max(ratios):.2f}",
    )


def judge_memory(memory: list[Memory], leaked: int, holders: tuple[str, ...]) -> list[Verdict]:
    """Return the verdicts on the memory of the nodes, as far as it was taken."""
    if not memory:
        return []
    unproven = memory[-1].unproven
    detail = f"{unproven} not proven" if unproven else "proven for all"
    verdicts = [
        Verdict(
            claim="every generation that was unloaded is gone from memory",
            ok=not leaked and not unproven,
            detail=f"{leaked} are held, by {'; '.join(holders)}" if leaked else detail,
        )
    ]
    if len(memory) > 1:
        first, last = memory[0], memory[-1]
        growth = last.resident_kib / first.resident_kib - 1
        verdicts.append(
            Verdict(
                claim=f"memory after {last.generations} generations is within "
                f"{MEMORY_GROWTH_MAX:.0%} of that after {first.generations}",
                ok=growth <= MEMORY_GROWTH_MAX,
                detail=f"{first.resident_kib / 1024:.1f} MiB, then "
                f"{last.resident_kib / 1024:.1f} MiB: {growth:+.1%}",
            )
        )
    return verdicts


def print_report(report: HotloadReport, console: Console) -> None:
    """Print the figures, what they mean, and where they were taken."""
    machine = report.machine
    console.print(
        f"{report.requests:,} requests, {report.rate:g} a second in {report.seconds:.0f} s, "
        f"{report.nodes} node{'s' * (report.nodes > 1)}, seed {report.seed}\n"
        f"{machine.cores} × {machine.processor}, load {machine.load_average:.1f} before",
        style="dim",
        highlight=False,
    )
    console.print(_latency_table(report))
    console.print(_cycle_table(report))
    for kind, examples in report.examples.items():
        for example in examples:
            console.print(f"[bold red]{kind}[/] ", end="")
            console.print(example, markup=False, highlight=False)
    for verdict in report.verdicts:
        mark = "[green]ok[/]  " if verdict.ok else "[bold red]FAIL[/]"
        console.print(f"{mark} {verdict.claim}: ", end="", highlight=False)
        console.print(verdict.detail, markup=False, highlight=False)


def _latency_table(report: HotloadReport) -> Table:
    table = Table(title="Response time, from when a request was due", title_justify="left")
    table.add_column("ms")
    for heading in ("requests", "p50", "p99", "p99 of the blocks", "longest"):
        table.add_column(heading, justify="right")
    for kind, label in _LABELS.items():
        one = report.latencies.get(kind)
        if one is not None:
            table.add_row(
                label, f"{one.count:,}", f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}",
                f"{one.p99_ms_least:.1f} – {one.p99_ms_most:.1f}", f"{one.max_ms:.0f}",
            )  # fmt: skip
    return table


def _cycle_table(report: HotloadReport) -> Table:
    table = Table(title="Versions that came", title_justify="left")
    table.add_column("how")
    for heading in ("versions", "s to load", "s to switch", "s until rolled back", "not as it was"):
        table.add_column(heading, justify="right")
    ways = dict.fromkeys((one.way, one.mood) for one in report.cycles)
    for way, mood in ways:
        those = [one for one in report.cycles if (one.way, one.mood) == (way, mood)]
        table.add_row(
            way if mood == "well" else mood.replace("_", " "),
            str(len(those)),
            _median([one.load_s for one in those]),
            _median([one.switch_s for one in those]),
            _median([one.rollback_s for one in those]),
            str(sum(bool(one.wrong) for one in those)),
        )
    return table


def _median(values: list[float]) -> str:
    value = statistics.median(values)
    return f"{value:.2f}" if value else "–"
