"""The terminal: a table that renews itself, plain lines where it cannot, and the verdict last."""

import io
import re

import msgspec
import pytest
from rich.console import Console

from loadtest.harness.model import Counts
from loadtest.harness.reports.terminal import LiveTerminal, print_result
from loadtest.harness.result import ExitCode, FlowConservation, ValidityReason
from tests.unit.harness_reports.sample_run import MARKS, result_of, sample_result, samples
from tests.unit.harness_reports.steered import Steered

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _console(width: int = 120, *, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=terminal, legacy_windows=False, _environ={}
    )
    return console, out


async def _watch(console: Console, seconds: int) -> LiveTerminal:
    control = Steered()
    terminal = LiveTerminal(console)
    terminal.start()
    await terminal.on_start(control)
    for sample in samples(seconds, 40):
        mark = next((one for one in MARKS if one.start_s == sample.start_s), None)
        if mark is not None:
            await terminal.on_phase(mark)
        control.add(sample, mark)
        await terminal.on_interval(sample)
    return terminal


@pytest.mark.anyio
async def test_elsewhere_than_on_a_terminal_lines_are_plain() -> None:
    """A log gets a line for each phase when it comes, and one every ten seconds."""
    console, out = _console(terminal=False)
    terminal = await _watch(console, 24)
    terminal.stop()
    lines = out.getvalue().splitlines()
    assert lines[0] == "run r7k2m9: city_day, arrivals 300"
    assert lines[1] == "0:00 phase warm-up, not measured"
    assert re.match(r"0:01 warm-up: 40\.0/s ok of 40\.0/s, 0 rejected, 0 errors, ", lines[2])
    assert lines[3] == "0:10 phase steady"
    assert [line[:4] for line in lines[4:]] == ["0:11", "0:21"]
    assert "\x1b" not in out.getvalue()


@pytest.mark.anyio
@pytest.mark.parametrize("width", [80, 120])
async def test_on_a_terminal_a_table_shows_every_name(width: int) -> None:
    """The screen has progress, phase, all names with their times, and thresholds so far."""
    console, out = _console(width, terminal=True)
    terminal = await _watch(console, 60)
    last = _CONTROL.sub("", out.getvalue()).rpartition("run r7k2m9")[2]
    terminal.stop()
    assert "kill a node" in last
    assert "1:00 of 1:30" in last
    assert all(name in last for name in ("pay", "exit_lot", "statement & <more>", "all"))
    assert "✗ p99<30ms (measured" in last
    assert "worst_p99" not in last
    assert all(len(line.rstrip()) <= width for line in last.splitlines())


@pytest.mark.anyio
async def test_a_warm_up_is_said_to_be_one() -> None:
    """While nothing is measured the screen says so."""
    console, out = _console(terminal=True)
    terminal = await _watch(console, 5)
    terminal.stop()
    assert "warm-up (not measured)" in _CONTROL.sub("", out.getvalue())


@pytest.mark.anyio
async def test_the_terminal_is_left_as_it_was() -> None:
    """The cursor is shown again when the display ends, and ending it twice does no harm."""
    console, out = _console(terminal=True)
    terminal = await _watch(console, 2)
    await terminal.on_end(sample_result(11, 4))
    terminal.stop()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize("width", [80, 120])
def test_a_result_is_printed_with_the_verdict_last(width: int) -> None:
    """Times side by side, flow, judgement, and what it comes to."""
    console, out = _console(width, terminal=False)
    print_result(sample_result(), console)
    text = out.getvalue()
    assert re.search(r"^pay +response +16,670 .*\n +service .*\n +lag ", text, re.MULTILINE)
    assert "too few: insufficient samples" in text
    assert "✓ flow: 27,000 scheduled = 27,000 sent + 0 dropped" in text
    assert text.rstrip().endswith("Threshold failed (exit code 99)\n  p99<30ms: measured 714 ms")
    assert all(len(line.rstrip()) <= width for line in text.splitlines())


def test_what_makes_a_run_void_is_said() -> None:
    """An invalid run names its reasons, and a flow that does not balance is marked."""
    console, out = _console(terminal=False)
    print_result(
        sample_result(
            20,
            40,
            exit_code=ExitCode.INVALID,
            invalid=(ValidityReason(code="generator_saturated", detail="99 % of a core"),),
            flow=FlowConservation(ok=False, counts=Counts(scheduled=3, sent=2), detail="one lost"),
        ),
        console,
    )
    text = out.getvalue()
    assert "Run invalid (exit code 91)" in text
    assert "99 % of a core (generator_saturated)" in text
    assert "✗ flow: 3 scheduled = 2 sent + 0 dropped" in text


def test_text_of_a_run_is_no_markup_of_the_terminal() -> None:
    """Brackets in a name are shown and change no colour."""
    console, out = _console(terminal=False)
    result = sample_result(20, 40)
    named = msgspec.structs.replace(result.names[0], name="[red]x[/red]")
    print_result(msgspec.structs.replace(result, names=(named,), notes=("[bold]n",)), console)
    assert "[red]x[/red]" in out.getvalue()
    assert "[bold]n" in out.getvalue()


def test_a_run_without_a_request_can_be_printed() -> None:
    """Nothing is divided by zero where nothing came."""
    console, out = _console(terminal=False)
    print_result(result_of([], exit_code=ExitCode.ABORTED, aborted=True), console)
    assert "Aborted (exit code 105)" in out.getvalue()
