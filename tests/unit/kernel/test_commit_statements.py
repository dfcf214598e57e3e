"""Which columns of a commit's statement go as one value."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kernel._postgres_writing import ALIKE_ROWS_MIN, LOOK_AGAIN, CommitStatements
from kernel.book import TableRows

_AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
_COLUMNS = ("seq", "app", "count", "at")
_TYPES = ("bigint", "text", "bigint", "timestamptz")


def _rows(app: Any, *, count: int = ALIKE_ROWS_MIN, at: Any = lambda _: _AT) -> TableRows:
    """Return rows of which all but the first column are alike, as far as ``app`` and ``at`` are."""
    rows = [(number, app(number), 7, at(number)) for number in range(count)]
    return TableRows("event", _COLUMNS, _TYPES, rows)


def _shop(_: int) -> str:
    return "shop"


def _shops(number: int) -> str:
    return f"shop{number % 2}"


def test_columns_that_are_alike_go_as_one_value() -> None:
    """The text and the moment that every row has are sent once; numbers and the first are not."""
    text, arguments = CommitStatements().make([_rows(_shop)], None)
    numbers = "{" + ",".join(str(n) for n in range(ALIKE_ROWS_MIN)) + "}"
    sevens = "{" + ",".join("7" * ALIKE_ROWS_MIN) + "}"
    assert arguments == [numbers, "shop", sevens, _AT]
    assert "SELECT c1, $2::text, c2, $4::timestamptz FROM unnest" in text


def test_a_few_rows_and_one_odd_value_go_as_arrays() -> None:
    """What is alike by chance, or nearly, is no reason for a statement of its own."""
    few, _ = CommitStatements().make([_rows(_shop, count=ALIKE_ROWS_MIN - 1)], None)
    assert "c1" not in few
    odd = _rows(lambda n: "gym" if n == ALIKE_ROWS_MIN - 1 else "shop")
    text, arguments = CommitStatements().make([odd], None)
    assert arguments[1].endswith("shop\x1fgym")
    assert "$4::timestamptz" in text


def test_a_column_that_varied_is_not_looked_at_for_a_while() -> None:
    """So traffic that changes from batch to batch makes few statements, and comes back to one."""
    statements = CommitStatements()
    alike, _ = statements.make([_rows(_shop)], None)
    varied, _ = statements.make([_rows(_shops)], None)
    seen = {statements.make([_rows(_shop if n % 2 else _shops)], None)[0] for n in range(50)}
    assert seen == {varied}
    after = [statements.make([_rows(_shop)], None)[0] for _ in range(LOOK_AGAIN)]
    assert after[-1] == alike
    assert alike != varied


def test_moments_of_different_zones_are_one_moment() -> None:
    """What is equal is stored as the same instant, whichever of them is sent."""
    east = _AT.astimezone(tz=_AT.tzinfo)
    text, arguments = CommitStatements().make([_rows(_shop, at=lambda n: _AT if n else east)], None)
    assert arguments[3] == _AT
    text, arguments = CommitStatements().make(
        [_rows(_shop, at=lambda n: _AT + timedelta(seconds=n))], None
    )
    assert "$4::text::timestamptz[]" in text
    assert arguments[3].startswith("{2026-11-25T09:30:00+00:00,")
