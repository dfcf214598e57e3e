"""Elements of HTML, with everything that is text escaped."""

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ("Cell", "Markup", "element", "table", "text_of")


class Markup(str):
    """HTML that is safe as it is; every other string is text."""

    __slots__ = ()


# What a cell of a table may be: markup, or text to escape.
Cell = Markup | str


def text_of(content: Cell) -> str:
    """Return markup as it is, and text escaped."""
    return content if isinstance(content, Markup) else escape(content)


def element(name: str, *contents: Cell, **attributes: str | None) -> Markup:
    """Return an element. ``class_`` stands for ``class``; an attribute that is None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{''.join(map(text_of, contents))}</{name}>")


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    text_columns: Iterable[int] = (),
    last_is_total: bool = False,
    group_rows: int = 1,
) -> Markup:
    """Return a table that a screen reader can walk; the first column names the row.

    ``text_columns`` are aligned left and may wrap; all others hold figures. ``group_rows`` in a row
    belong to one name, which is written once.
    """
    texts = frozenset(text_columns)

    def kind(column: int) -> str | None:
        return "text" if column in texts else None

    head = element(
        "tr",
        *(
            element("th", heading, scope="col", class_=kind(column))
            for column, heading in enumerate(headings)
        ),
    )
    lines = []
    found = list(rows)
    for index, row in enumerate(found):
        cells = [element("td", cell, class_=kind(column)) for column, cell in enumerate(row[1:], 1)]
        if group_rows > 1 and index % group_rows == 0:
            span = str(group_rows)
            cells.insert(0, element("th", row[0], scope="rowgroup", rowspan=span))
        elif group_rows == 1:
            cells.insert(0, element("th", row[0], scope="row"))
        total = last_is_total and index == len(found) - 1
        lines.append(element("tr", *cells, class_="total" if total else None))
    made = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *lines),
    )
    # One that is wider than its place can be scrolled with the keyboard as well.
    return element("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)
