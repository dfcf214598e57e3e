"""The city's story as a file, and what must come of it; see :mod:`zhihui.demo.city.story`."""

import gzip
import hashlib
from pathlib import Path

import msgspec

from zhihui.demo.city.script import APP, Script
from zhihui.demo.day import DayLine

__all__ = ("BUNDLED_CITY", "City", "CityManifest", "load_city", "write_city")

BUNDLED_CITY = Path(__file__).parent

_LINES = "story.jsonl.gz"
_MANIFEST = "story.manifest.json"


class CityManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What must come of the story.

    ``outcomes`` are counted by operation, ``balances`` are of accounts as bodies refer to them, in
    minor units. A phase that begins with ``@`` is no message: the date moves, a channel fails.
    """

    name: str
    app: str
    content_sha256: str
    messages: int
    phases: list[str]
    outcomes: dict[str, dict[str, int]]
    balances: dict[str, int]


class City(msgspec.Struct, frozen=True, kw_only=True):
    """All lines of the story, and its manifest."""

    lines: list[DayLine]
    manifest: CityManifest


def load_city(folder: Path = BUNDLED_CITY) -> City:
    """Read the story of a folder."""
    decode = msgspec.json.Decoder(DayLine).decode
    content = gzip.decompress((folder / _LINES).read_bytes())
    manifest = (folder / _MANIFEST).read_bytes()
    return City(
        lines=[decode(line) for line in content.splitlines()],
        manifest=msgspec.json.decode(manifest, type=CityManifest),
    )


def write_city(script: Script, folder: Path = BUNDLED_CITY) -> None:
    """Write a story: the same bytes for the same story."""
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in script.lines)
    (folder / _LINES).write_bytes(gzip.compress(content, mtime=0))
    manifest = CityManifest(
        name="a city's day, and the year after it",
        app=APP,
        content_sha256=hashlib.sha256(content).hexdigest(),
        messages=sum(not line.subject_tail.startswith("@") for line in script.lines),
        phases=script.phases,
        outcomes=script.outcomes(),
        balances=_balances(script),
    )
    pretty = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / _MANIFEST).write_bytes(pretty + b"\n")


def _balances(script: Script) -> dict[str, int]:
    """Return the model's balances of what is an account of the city's."""
    plain = {line.defines for line in script.lines if line.defines}
    kept = {line.keeps for line in script.lines if line.keeps}
    balances = {}
    for name, money in sorted(script.money.items()):
        if f"@acct:{name}" in plain:
            balances[f"@acct:{name}"] = money
        elif name in kept:
            balances[f"@{name}.account_id"] = money
    return balances
