"""Which rows of a commit are written at once, and which one after the other."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel.book import TableRows
from kernel.write_groups import side_by_side


def _rows(table: str, mode: Any, *keys: str, columns: tuple[str, ...] = ("id", "n")) -> TableRows:
    rows = [(key, number) for number, key in enumerate(keys)]
    key = () if mode == "insert" else ("id",)
    return TableRows(table, columns, ("text", "bigint"), rows, mode, key)


def _names(groups: list[list[TableRows]]) -> list[list[str]]:
    return [[one.table for one in group] for group in groups]


def test_different_tables_are_written_at_once() -> None:
    """A batch that names each table once is one group, in its order."""
    tables = [_rows(name, "insert", "x") for name in ("change", "payment", "event")]
    assert side_by_side(tables) == [tables]


def test_new_and_moved_rows_of_a_table_are_written_at_once() -> None:
    """New counters and moved ones are different rows, so neither has to see the other."""
    tables = [_rows("tally", "insert", "x", "y"), _rows("tally", "update", "z")]
    assert side_by_side(tables) == [tables]
    assert side_by_side(tables[::-1]) == [tables[::-1]]


def test_row_that_is_new_and_moved_is_written_twice() -> None:
    """What follows the making of a row waits for it, and so does all that comes after."""
    tables = [
        _rows("tally", "insert", "x"), _rows("other", "insert", "a"),
        _rows("tally", "update", "y", "x"), _rows("event", "insert", "e"),
    ]  # fmt: skip
    assert _names(side_by_side(tables)) == [["tally", "other"], ["tally", "event"]]


def test_doubt_keeps_apart() -> None:
    """Where keys cannot be compared, or both may touch what is there, one follows the other."""
    new = _rows("timer", "insert", "x")
    for other in (
        _rows("timer", "delete", "y"),
        _rows("timer", "versioned", "y"),
        _rows("timer", "insert", "y"),
        _rows("timer", "update", "y", columns=("n", "id")),
    ):
        assert side_by_side([other, new]) == [[other], [new]]
        assert side_by_side([new, other]) == [[new], [other]]


def test_nothing_to_write_is_one_group() -> None:
    """The epochs are looked at even when there is no row."""
    assert side_by_side([]) == [[]]
    assert side_by_side([_rows("event", "insert")]) == [[]]


_modes = st.sampled_from(["insert", "update", "versioned", "delete"])
_tables = st.lists(
    st.builds(
        lambda table, mode, keys: _rows(table, mode, *keys),
        st.sampled_from("abc"),
        _modes,
        st.lists(st.sampled_from("xyz"), max_size=3),
    ),
    max_size=8,
)


@given(tables=_tables)
def test_no_group_touches_a_row_twice(tables: list[TableRows]) -> None:
    """Nothing is lost or moved, and within a group no key of a table stands in two writes."""
    groups = side_by_side(tables)
    assert [one for group in groups for one in group] == [one for one in tables if one.rows]
    for group in groups:
        seen: set[tuple[str, str]] = set()
        for one in group:
            keys = {(one.table, row[0]) for row in one.rows}
            assert not seen & keys
            seen |= keys
