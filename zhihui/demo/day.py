"""A recorded day of a scenario backend, and what must come of it; see the day's generator."""

import gzip
from pathlib import Path

import msgspec

__all__ = ("BUNDLED_DAY", "Day", "DayLine", "LotTotals", "Manifest", "load_day")

BUNDLED_DAY = Path(__file__).parents[2] / "plugins" / "parking" / "samples"

_NAME_MARK = b'"@acct:'


class DayLine(msgspec.Struct, frozen=True, kw_only=True):
    """One message and its expected outcome; the fields are explained by the generator."""

    at: int
    lane: str
    subject_tail: str
    expect: str
    expect_result: dict[str, int] = {}
    body: msgspec.Raw = msgspec.Raw()
    raw_hex: str | None = None
    defines: str = ""
    setup: bool = False

    def payload(self, account_ids: dict[str, str]) -> bytes:
        """Return the bytes to send, with the ids of accounts in place of their names."""
        if self.raw_hex is not None:
            return bytes.fromhex(self.raw_hex)
        body = bytes(self.body)
        if _NAME_MARK not in body:
            return body
        fields = msgspec.json.decode(body, type=dict[str, object])
        return msgspec.json.encode(
            {
                field: account_ids[value]
                if isinstance(value, str) and value.startswith("@acct:")
                else value
                for field, value in fields.items()
            }
        )


class LotTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What one lot's operator has at the end; ``account`` is the name of its account."""

    account: str
    balance_minor: int
    payments: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What must come of the whole day; outcomes are counted by operation and outcome."""

    name: str
    app: str
    messages: int
    setup_messages: int
    outcomes: dict[str, dict[str, int]]
    payments: int
    lots: dict[str, LotTotals]
    arrears_minor: int
    arrears: dict[str, int]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """All lines of a day, those that come before it, and its manifest."""

    setup: list[DayLine]
    lines: list[DayLine]
    manifest: Manifest


def load_day(folder: Path = BUNDLED_DAY) -> Day:
    """Read ``day.jsonl.gz`` and ``day.manifest.json`` of a folder."""
    decode = msgspec.json.Decoder(DayLine).decode
    content = gzip.decompress((folder / "day.jsonl.gz").read_bytes())
    lines = [decode(line) for line in content.splitlines()]
    manifest = (folder / "day.manifest.json").read_bytes()
    return Day(
        setup=[line for line in lines if line.setup],
        lines=[line for line in lines if not line.setup],
        manifest=msgspec.json.decode(manifest, type=Manifest),
    )
