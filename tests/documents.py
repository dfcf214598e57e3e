"""The pages for people, taken apart: their examples, links, headings and tables."""

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ("PAGES", "ROOT", "RUN_PAGES", "Block", "anchors", "blocks", "links", "rows")

ROOT = Path(__file__).parents[1]

# Their examples are typed one after the other, each page in a checkout of its own.
RUN_PAGES = (
    "README.md",
    "docs/access.md",
    "docs/backup.md",
    "docs/channels.md",
    "docs/credit.md",
    "docs/customers.md",
    "docs/for-backends.md",
    "docs/intake-and-events.md",
    "docs/load.md",
    "docs/operations.md",
    "docs/payments.md",
    "docs/plugin-host.md",
    "docs/risk.md",
    "docs/security.md",
    "docs/routing.md",
    "docs/settlement.md",
    "docs/wealth.md",
    "docs/writing-a-pack.md",
)
# Those that tests of their own follow.
PAGES = (*RUN_PAGES, "docs/first-pack.md")

# An example that is a file says so in its first line.
_FILE_NAME = re.compile(r"# ([\w./-]+\.\w+)$")


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One fenced example; ``line`` is that of its first line in the page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """Return the place, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """Return the name of the file that the example is, or None."""
        found = _FILE_NAME.match(self.text.split("\n", 1)[0])
        return found[1] if found else None


def blocks(page: str) -> list[Block]:
    """Return the fenced examples of a page in order."""
    return [
        Block(page=page, line=_line(token) + 1, language=token.info.strip(), text=token.content)
        for token in _tokens(page)
        if token.type == "fence"
    ]


def links(page: str) -> list[tuple[int, str]]:
    """Return the line and the target of every link and picture."""
    found = []
    for token in _tokens(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                found.append((_line(token), str(target)))
        if token.type == "html_block":
            found += [
                (_line(token), target)
                for target in re.findall(r'(?:href|src)="([^"]+)"', token.content)
            ]
    return found


def anchors(page: str) -> set[str]:
    """Return the anchors that the headings of a page get where it is shown."""
    seen: Counter[str] = Counter()
    found = set()
    for opening, inline in pairwise(_tokens(page)):
        if opening.type != "heading_open":
            continue
        text = re.sub(r"[`*]", "", inline.content)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table after a heading, without its head, as cells."""
    tokens = iter(_tokens(page))
    for token in tokens:
        if token.type == "inline" and token.content == heading:
            break
    found: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            found.append([])
        elif token.type == "inline" and found:
            found[-1].append(token.content)
        elif token.type == "table_close":
            break
    return found[1:]


@cache
def _tokens(page: str) -> list[Token]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return MarkdownIt("commonmark").enable("table").parse(text)


def _line(token: Token) -> int:
    return 0 if token.map is None else token.map[0] + 1
