"""A sample day is played in its phases, and every way in which it can go wrong is found."""

import io
from datetime import timedelta

import msgspec
import pytest
from rich.console import Console

from tests.unit.demo.day_lab import FakeDate, little_day, little_driver
from zhihui.demo.books import read_books
from zhihui.demo.day import Day
from zhihui.demo.days.manifest import Figures
from zhihui.demo.days.play import play_day
from zhihui.demo.days.result import DayResult, summed_up
from zhihui.demo.report import print_figures, print_outcomes, print_summary
from zhihui.demo.run import play_and_compare

pytestmark = pytest.mark.anyio


async def _played(*wrong: str, day: Day | None = None) -> tuple[DayResult, str]:
    """Return what came of the day, and all that was said of it, without breaks of lines."""
    console = Console(file=io.StringIO(), width=160)
    driver, _ = little_driver(*wrong)
    result = await play_and_compare(console, "kiosk", day or little_day(), driver, FakeDate())
    print_summary(console, [result])
    said = console.file.getvalue()  # type: ignore[attr-defined]
    return result, " ".join(said.split())


async def test_phases_come_in_order_and_the_date_is_moved_before_them() -> None:
    """The day begins at its hour, and each phase after the time that the manifest gives it."""
    day, date = little_day(), FakeDate()
    driver, service = little_driver()
    begun: list[tuple[str, int, int]] = []
    tallies = await play_day(
        driver, day, date,
        lambda phase, lines: begun.append((phase.name, len(lines), len(service.sent))),
    )  # fmt: skip
    assert date.moves == [day.manifest.begins, timedelta(minutes=90)]
    assert begun == [("Opening", 1, 0), ("Trade", 3, 1)]
    assert [tally.done for tally in tallies] == [1, 3]


async def test_a_day_that_is_right_is_counted_in_full() -> None:
    """Accepted, rejected as expected, repeated with the same answer, and all figures of the end."""
    result, said = await _played()
    assert result == DayResult(
        name="kiosk", messages=4, accepted=3, rejected=1, repeated=1, mismatched=0,
        figures=4, figures_right=4, seconds=result.seconds, agree=True,
    )  # fmt: skip
    assert ".buy 3 2 1 0 invalid_field 1 " in said
    assert (
        "1 of 1 balances, 1 of 1 amounts held, 1 of 1 statements, 1 of 1 debts are the "
        "manifest's, to the fen."
    ) in said
    assert "mismatch " not in said
    assert "FAIL" not in said


@pytest.mark.parametrize(
    ("wrong", "counted", "said"),
    [
        ("status", 2, "wrong answer, at 0 s: kiosk.buy {"),
        ("amount", 2, "expected sold {'amount_minor': 250} got sold {"),
        ("silence", 2, "no answer, at 0 s: kiosk.buy {"),
        ("repetition", 1, "another answer than before, at 0 s: kiosk.buy {"),
    ],
)
async def test_a_wrong_answer_is_found_and_shown(wrong: str, counted: int, said: str) -> None:
    """Another status, amount or answer to the same message, and none at all, are mismatches."""
    result, shown = await _played(wrong)
    assert (result.mismatched, result.agree) == (counted, False)
    assert said in shown
    assert "FAIL" in shown


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("balance", "@acct:kiosk among the balances: ¥2.49; by the manifest ¥2.50"),
        ("held", "@acct:kiosk among the amounts held: ¥0.00; by the manifest ¥0.10"),
        ("entry", "@acct:kiosk among the statements: 2; by the manifest 3"),
        ("debt", "anna among the debts: nothing; by the manifest ¥0.70"),
    ],
)
async def test_a_wrong_figure_is_found_and_shown(wrong: str, said: str) -> None:
    """A fen, a hold, an entry or a debt that is not the manifest's makes the day fail."""
    result, shown = await _played(wrong)
    assert (result.mismatched, result.agree) == (0, False)
    assert (result.figures, result.figures_right) == (4, 3)
    assert said in shown


async def test_a_debt_of_one_who_should_owe_nothing_is_found() -> None:
    """All who may owe are asked, not only those of the manifest."""
    day = little_day()
    debts = day.manifest.debts
    assert debts is not None
    manifest = msgspec.structs.replace(day.manifest, debts=msgspec.structs.replace(debts, owed={}))
    day = msgspec.structs.replace(day, manifest=manifest)
    result, shown = await _played(day=day)
    assert not result.agree
    assert "anna among the debts: ¥0.70; by the manifest nothing" in shown


async def test_an_account_that_was_not_opened_is_found() -> None:
    """Who has no account has no balance, which is no balance of zero."""
    day = little_day()
    day = msgspec.structs.replace(day, lines=day.lines[1:])
    result, shown = await _played(day=day)
    assert not result.agree
    assert "not sent, at 0 s: kiosk.buy" in shown
    assert "account.open: ok 0 times, by the manifest 1" in shown


async def test_a_message_too_many_is_found() -> None:
    """Every answer may be as expected; the counts must be the manifest's nevertheless."""
    day = little_day()
    day = msgspec.structs.replace(day, lines=[*day.lines, day.lines[-1]])
    result, shown = await _played(day=day)
    assert (result.mismatched, result.agree) == (0, False)
    assert "mismatch kiosk.buy: invalid_field 2 times, by the manifest 1" in shown


async def test_books_are_read_by_the_names_of_the_day() -> None:
    """What is read at the end has the form of the manifest's figures, page after page."""
    day = little_day()
    driver, service = little_driver()
    tallies = await play_day(driver, day, FakeDate())
    found = await read_books(driver, day)
    assert found == day.manifest.figures()
    assert service.sent.count("account.statement") == 2
    assert print_outcomes(Console(file=io.StringIO()), "kiosk", day.manifest, tallies)


def test_many_wrong_figures_are_not_all_listed() -> None:
    """The first ten are named, and the number of the others is."""
    expected: Figures = {"balances": {f"@acct:{number}": 100 for number in range(15)}}
    found: Figures = {"balances": dict.fromkeys(expected["balances"], -1)}
    console = Console(file=io.StringIO(), width=120)
    assert not print_figures(console, expected, found)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("-¥0.01; by the manifest ¥1.00") == 10
    assert "…and 5 more of the balances" in said
    assert "0 of 15 balances are" in said
    result = summed_up("kiosk", [], expected, found, agree=False)
    assert (result.figures, result.figures_right) == (15, 0)
