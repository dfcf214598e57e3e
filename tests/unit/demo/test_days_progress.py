"""What is said while a day is played, with a terminal and without one."""

import io

import pytest
from rich.console import Console

from tests.unit.demo.day_lab import FakeDate, little_day, little_driver, little_line
from zhihui.demo.days.manifest import Phase
from zhihui.demo.days.play import play_day
from zhihui.demo.days.progress import day_progress

pytestmark = pytest.mark.anyio


async def test_a_log_gets_a_line_for_each_phase() -> None:
    """Without a terminal each phase says how much later it begins and how many messages it has."""
    log = io.StringIO()
    driver, _ = little_driver()
    with day_progress(Console(file=log, width=120), 4) as on_phase:
        await play_day(driver, little_day(), FakeDate(), on_phase)
    assert log.getvalue() == "Opening: 1 messages\nTrade, 1 h 30 min later: 3 messages\n"


def test_a_long_phase_says_how_far_it_is() -> None:
    """A line now and then, not one for each answer and none for the last."""
    log = io.StringIO()
    lines = [little_line("kiosk.buy", "sold")] * 7_000
    with day_progress(Console(file=log, width=120), len(lines)) as on_phase:
        on_done = on_phase(Phase(name="Night", advance_s=8 * 86_400), lines)
        assert on_done is not None
        for done in range(1, 7_001):
            on_done(done)
    assert log.getvalue().splitlines() == [
        "Night, 8 d later: 7,000 messages",
        "  3,000 of 7,000",
        "  6,000 of 7,000",
    ]


async def test_a_terminal_gets_a_bar_over_the_whole_day() -> None:
    """The bar counts on from phase to phase, and its phases stay to be read."""
    screen = io.StringIO()
    driver, _ = little_driver()
    console = Console(file=screen, width=100, force_terminal=True, _environ={"TERM": "xterm"})
    with day_progress(console, 4) as on_phase:
        await play_day(driver, little_day(), FakeDate(), on_phase)
    shown = screen.getvalue()
    assert "4/4" in shown
    assert "Trade, 1 h 30 min later: 3 messages" in shown
