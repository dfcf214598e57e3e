"""A recorded day of a scenario backend, and what must come of it; see the day's generator."""

import gzip
import re
from pathlib import Path
from typing import Any

import msgspec

from zhihui.demo.days.bundled import DAY_FILE, MANIFEST_FILE
from zhihui.demo.days.manifest import Manifest
from zhihui.demo.days.shapes import read_manifest

__all__ = ("BUNDLED_DAY", "Day", "DayLine", "load_day")

BUNDLED_DAY = Path(__file__).parents[2] / "plugins" / "parking" / "samples"

_NAME_MARKS = (b'"@', b"{@")
_IN_BRACES = re.compile(r"\{@([a-z0-9-]+)\.([a-z_]+)\}")


class DayLine(msgspec.Struct, frozen=True, kw_only=True):
    """One message and its expected outcome; the fields are explained by the generator.

    In the body ``@acct:<name>`` stands for the account that the line with that ``defines`` opened,
    and ``@<name>.<field>`` for a field of the result that the line with that ``keeps`` had. ``app``
    is who sends it; empty for the day's own. A read with ``until`` is repeated until it is answered
    as expected. ``phase`` is the place of its phase in the manifest.
    """

    at: int
    lane: str
    subject_tail: str
    expect: str
    expect_result: dict[str, Any] = {}
    body: msgspec.Raw = msgspec.Raw()
    raw_hex: str | None = None
    defines: str = ""
    setup: bool = False
    app: str = ""
    keeps: str = ""
    until: bool = False
    # Left out where it is not known, as in the city, whose phases are told by ``at``.
    phase: int | msgspec.UnsetType = msgspec.UNSET

    def renamed(self, old: str, new: str) -> "DayLine":
        """Return the line with another app in the place of ``old``."""
        return self if old == new else _renamed(self, old, new)

    def payload(self, account_ids: dict[str, str], kept: dict[str, Any] | None = None) -> bytes:
        """Return the bytes to send, with what was learned in place of the names."""
        if self.raw_hex is not None:
            return bytes.fromhex(self.raw_hex)
        body = bytes(self.body)
        if not any(mark in body for mark in _NAME_MARKS):
            return body
        return msgspec.json.encode(_named(msgspec.json.decode(body), account_ids, kept or {}))


def _renamed(line: "DayLine", old: str, new: str) -> "DayLine":
    body = bytes(line.body)
    marked = f'"for_app":"{old}"'.encode()
    return msgspec.structs.replace(
        line,
        app=new if line.app == old else line.app,
        body=msgspec.Raw(body.replace(marked, f'"for_app":"{new}"'.encode())),
    )


def _named(value: Any, account_ids: dict[str, str], kept: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {field: _named(one, account_ids, kept) for field, one in value.items()}
    if isinstance(value, list):
        return [_named(one, account_ids, kept) for one in value]
    if not isinstance(value, str):
        return value
    if not value.startswith("@"):
        return _filled(value, kept) if "{@" in value else value
    if value in account_ids:
        return account_ids[value]
    name, _, field = value[1:].partition(".")
    return kept[name][field]


def _filled(text: str, kept: dict[str, Any]) -> str:
    """Return the text with what stands in braces, as in ``external:card:{@anna.account_id}``."""
    return _IN_BRACES.sub(lambda found: str(kept[found[1]][found[2]]), text)


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """All lines of a day in the order of their arrival, and its manifest."""

    lines: list[DayLine]
    manifest: Manifest

    def of_phase(self, number: int) -> list[DayLine]:
        """Return the lines of a phase; of a day that numbers none, the setup or the rest."""
        return [
            line
            for line in self.lines
            if (int(not line.setup) if line.phase is msgspec.UNSET else line.phase) == number
        ]


def load_day(folder: Path = BUNDLED_DAY) -> Day:
    """Read a day and its manifest from a folder."""
    decode = msgspec.json.Decoder(DayLine).decode
    content = gzip.decompress((folder / DAY_FILE).read_bytes())
    return Day(
        lines=[decode(line) for line in content.splitlines()],
        manifest=read_manifest((folder / MANIFEST_FILE).read_bytes()),
    )
