"""Which rows of a commit may be written at once.

A statement that writes several tables sees all of them as they were before. So rows that follow one
another, such as a timer that is taken away and set again, belong to one *group* after the other. A
batch in which every table occurs once is one group: one statement, one way there and back.
"""

from kernel.book import TableRows

__all__ = ("side_by_side",)


def side_by_side(tables: list[TableRows]) -> list[list[TableRows]]:
    """Return the tables as groups to be written one after the other; there is at least one."""
    groups: list[list[TableRows]] = [[]]
    # Table -> its rows in the group that is being gathered.
    gathered: dict[str, list[TableRows]] = {}
    for table in tables:
        if not table.rows:
            continue
        before = gathered.get(table.table, ())
        if not all(_apart(one, table) for one in before):
            groups.append([])
            gathered = {}
        gathered.setdefault(table.table, []).append(table)
        groups[-1].append(table)
    return groups


def _apart(one: TableRows, other: TableRows) -> bool:
    """Tell whether two writes to one table are seen not to touch the same row."""
    if {one.mode, other.mode} != {"insert", "update"} or one.columns[0] != other.columns[0]:
        return False
    updated = one if one.mode == "update" else other
    if updated.key != updated.columns[:1]:
        return False
    return {row[0] for row in one.rows}.isdisjoint(row[0] for row in other.rows)
