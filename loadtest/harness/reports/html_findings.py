"""What observers added to a result, as tables: chaos, cost, and whatever else there will be."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from loadtest.harness.reports.html import Cell, Markup, element, table
from loadtest.harness.reports.html_tables import left_out
from loadtest.harness.reports.words import MISSING, count, figure

__all__ = ("attachment_tables",)

# What is neither a table nor a list is shown up to this size, and whole in the JSON file.
_ATTACHMENT_CHARACTERS_MAX = 4_000
_NESTED_MAX = 3


def attachment_tables(attachments: Mapping[str, object], *, limit: int) -> list[Markup]:
    """Return what observers added, each part in the plainest form that suits its shape.

    ``limit`` bounds the number of parts and the lines of each.
    """
    parts = [
        part
        for key in sorted(attachments)
        for part in _attachment(_words(key).capitalize(), attachments[key], _NESTED_MAX, limit)
    ]
    if len(parts) <= limit:
        return parts
    left = f"The JSON file has {len(parts) - limit} more."
    return [*parts[:limit], element("p", left, class_="muted")]


def _words(key: str) -> str:
    return key.replace("_", " ")


def _attachment(title: str, value: object, deeper: int, limit: int) -> Iterator[Markup]:
    found = _records(title, value, limit)
    if found is not None:
        yield found
    elif isinstance(value, Mapping) and deeper:
        yield from _mapping(title, value, deeper, limit)
    elif _are_records(value) and deeper:
        # Records with parts of their own: one after the other, each under what names it.
        for number, one in enumerate(value[:limit], 1):
            yield from _attachment(f"{title}: {_name(one, number)}", one, deeper - 1, limit)
    else:
        yield _as_it_is(title, value)


def _name(record: Mapping[str, object], number: int) -> str:
    return next((one for one in record.values() if isinstance(one, str)), str(number))


def _mapping(title: str, value: Mapping[str, object], deeper: int, limit: int) -> Iterator[Markup]:
    """Return what has a name and a plain value in one table, and lists after it."""
    rows: list[list[Cell]] = []
    rest: list[tuple[str, object]] = []
    waiting = [(_words(str(key)), one, deeper) for key, one in value.items()]
    while waiting:
        name, one, levels = waiting.pop(0)
        if (text := _scalar(one)) is not None:
            rows.append([name, text])
        elif isinstance(one, Mapping) and levels:
            below = [(f"{name}: {_words(str(key))}", part, levels - 1) for key, part in one.items()]
            waiting = below + waiting
        elif one:
            rest.append((name, one))
    if rows:
        caption = title + left_out(len(rows), limit)
        yield table(caption, ("what", "value"), rows[:limit], text_columns=(1,))
    for name, one in rest:
        yield from _attachment(f"{title}: {name}", one, deeper - 1, limit)


def _are_records(value: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    return isinstance(value, Sequence) and all(isinstance(one, Mapping) for one in value)


def _records(title: str, value: object, limit: int) -> Markup | None:
    """Return a list of flat records as a table, None when it is something else."""
    if not _are_records(value):
        return None
    records = value[:limit]
    names = list(dict.fromkeys(str(name) for one in records for name in one))
    cells = [[_scalar(one.get(name, "")) for name in names] for one in records]
    texts = {
        column
        for column, name in enumerate(names)
        if any(isinstance(one.get(name), str) for one in records)
    }
    if not names or any(cell is None for row in cells for cell in row):
        return None
    return table(
        title + left_out(len(value), limit),
        [_words(name) for name in names],
        [[cell or "" for cell in row] for row in cells],
        text_columns=texts,
    )


def _as_it_is(title: str, value: object) -> Markup:
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if len(text) > _ATTACHMENT_CHARACTERS_MAX:
        text = f"{text[:_ATTACHMENT_CHARACTERS_MAX]}\n… the JSON file has the rest"
    return element(
        "details", element("summary", element("b", title)), element("pre", text, tabindex="0")
    )


def _scalar(value: object) -> str | None:
    """Return a plain value as text, None where it is no plain value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return figure(value)
    if value is None:
        return MISSING
    return value if isinstance(value, str) else None
