"""Amounts and times as the channels write them."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

__all__ = (
    "BEIJING",
    "beijing",
    "compact",
    "fen",
    "iso_beijing",
    "rfc3339",
    "unix_seconds",
    "yuan",
)

BEIJING = ZoneInfo("Asia/Shanghai")

# Far above any amount, and short enough that nobody can make us compute with a book of digits.
_YUAN = re.compile(r"(\d{1,12})(?:\.(\d{1,2}))?")


def yuan(amount_minor: int) -> str:
    """Return an amount in yuan with two decimals, as Alipay writes it; exact."""
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def fen(text: object) -> int | None:
    """Return the fen of a text in yuan with at most two decimals, or None; exact."""
    found = _YUAN.fullmatch(text) if isinstance(text, str) and text.isascii() else None
    if found is None:
        return None
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def beijing(at: datetime) -> str:
    """Return a time as ``2026-11-25 09:30:00`` in Beijing, as Alipay writes it."""
    return at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def compact(at: datetime) -> str:
    """Return a time as ``20261125093000`` in Beijing, as UnionPay writes it."""
    return at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S")


def rfc3339(at: datetime) -> str:
    """Return a time as ``2026-11-25T09:30:00+08:00``, as WeChat Pay writes it."""
    return at.astimezone(BEIJING).isoformat(timespec="seconds")


def unix_seconds(at: datetime) -> str:
    """Return a time in Unix seconds, as the signed headers carry it."""
    return str(int(at.astimezone(UTC).timestamp()))


def iso_beijing(at: datetime) -> str:
    """Return a time as ``2026-11-25T09:30:00`` in Beijing, as NetsUnion writes it."""
    return at.astimezone(BEIJING).strftime("%Y-%m-%dT%H:%M:%S")
