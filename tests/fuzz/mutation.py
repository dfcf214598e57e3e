"""Inputs that are nearly right: changes to a tree of JSON, and to bytes."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

__all__ = ("INTEGERS", "TEXTS", "Mutator", "dump")

# What limits, conversions and databases stumble over.
INTEGERS = (
    0, 1, -1, 2, 99, 2**31 - 1, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63),
    2**64, 10**18, 10**30, -(10**30),
)  # fmt: skip
TEXTS = (
    "", " ", "a", "\x00", "\ufeff", "\ud800", "a\u0000b", "🏦", "付款", "\u202egnp", "a" * 65,
    "a" * 300,
    "a" * 5_000, "*", ">", "zh.node.v1.n1", "a.b", "a b", "a\r\nZh-Deadline-Ms: 1",
    "'; DROP TABLE x; --",
    "%s%n", "{}", "../../etc/passwd", "NaN", "1e400", "0x10", "true", "null",
    "2026-02-30T00:00:00Z",
    "2026-11-25T08:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-0", "CNY", "cny",
    "external:cash", "channel:wechat:suspense", "11010519491231002X",
)  # fmt: skip
_FLOATS = (0.0, -0.0, 1.5, 1e308, -1e308, 5e-324)
_TOKENS = (
    b'"', b"{", b"}", b"[", b"]", b":", b",",
    b"\\", b"\\u0000", b"\\ud800", b"null", b"true", b"1e999",
    b"-", b"0", b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n\n",
    b"9" * 400, b"[" * 1_100, b'{"a":' * 600, b"<!DOCTYPE x [", b"&#0;", b"[[", b"'''", b"\xc1",
    b"\xc7",
    b"\xdd\xff\xff\xff\xff", b"\xd9\xff", b"\x93",
)  # fmt: skip
_DEEP = (3, 40, 300)
_LONG = (2, 60, 400)


def dump(value: Any) -> bytes:
    """Return JSON of a value, with integers of any size and lone surrogates as escapes."""
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except RecursionError:
        # Deeper than Python writes; what is read may be as deep.
        return b'{"a":' * 1_000


class Mutator:
    """Changes, drawn from a seed. ``pools`` are values that exist, by the names of fields."""

    def __init__(self, random: Random, pools: dict[str, list[Any]] | None = None) -> None:
        self.random = random
        self.pools = pools if pools is not None else {}

    # Trees.

    def tree(self, value: Any, edits: int) -> Any:
        """Change a tree in that many places, in place where it can be; return it."""
        for _ in range(edits):
            value = self._edit(value)
        return value

    def filled(self, value: Any) -> Any:
        """Put values that exist in the place of those of a sample, mostly."""
        if isinstance(value, dict):
            for name, one in value.items():
                pool = self.pools.get(name)
                if pool and isinstance(one, str) and self.random.random() < 0.8:
                    value[name] = self.random.choice(pool)
                elif isinstance(one, dict | list):
                    self.filled(one)
        elif isinstance(value, list):
            for one in value:
                self.filled(one)
        return value

    def _edit(self, value: Any) -> Any:
        places: list[tuple[Any, Any]] = []
        _collect(value, places)
        if not places:
            return self._other(value)
        holder, key = self.random.choice(places)
        change = self.random.random()
        if change < 0.65:
            holder[key] = self._other(holder[key])
        elif change < 0.8 and isinstance(holder, dict):
            del holder[key]
        elif change < 0.9 and isinstance(holder, dict):
            holder[self.random.choice(TEXTS) or key] = self._other(holder[key])
        elif isinstance(holder, list):
            # Many of what is small: four edits in one place would make a billion of the large.
            count = 1 if isinstance(holder[key], dict | list) else self.random.choice(_LONG)
            if len(holder) <= _LONG[-1]:
                holder[key:key] = [holder[key]] * count
        else:
            holder[key] = self._nested(holder[key])
        return value

    def _other(self, value: Any) -> Any:
        draw = self.random.random()
        if isinstance(value, bool) or draw < 0.12:
            return self.random.choice((None, True, False, [], {}, "", 0, *_FLOATS))
        if isinstance(value, int):
            if draw < 0.4:
                return value + self.random.randint(-3, 3)
            return self.random.choice(INTEGERS)
        if isinstance(value, str):
            if draw < 0.3:
                return value + self.random.choice(TEXTS)
            if draw < 0.4:
                return value[: self.random.randint(0, len(value))]
            return self.random.choice(TEXTS)
        if draw < 0.5:
            return self.random.choice((*INTEGERS, *TEXTS))
        return self._nested(value)

    def _nested(self, value: Any) -> Any:
        for _ in range(self.random.choice(_DEEP)):
            value = [value] if self.random.random() < 0.5 else {"a": value}
        return value

    # Bytes.

    def flipped(self, data: bytes, others: Sequence[bytes] = ()) -> bytes:
        """Change bytes in a few places; ``others`` are inputs from which pieces may come."""
        found = bytearray(data)
        for _ in range(self.random.randint(1, 6)):
            self.random.choice(_BYTE_CHANGES)(self, found, others)
        return bytes(found)

    def _at(self, found: bytearray) -> int:
        return self.random.randrange(len(found) + 1)

    def _flip(self, found: bytearray, _others: Sequence[bytes]) -> None:
        if found:
            found[self.random.randrange(len(found))] ^= 1 << self.random.randrange(8)

    def _set(self, found: bytearray, _others: Sequence[bytes]) -> None:
        if found:
            found[self.random.randrange(len(found))] = self.random.randrange(256)

    def _insert(self, found: bytearray, _others: Sequence[bytes]) -> None:
        at = self._at(found)
        found[at:at] = self.random.choice(_TOKENS)

    def _cut(self, found: bytearray, _others: Sequence[bytes]) -> None:
        at = self._at(found)
        del found[at : at + self.random.choice((1, 2, 8, 64, len(found)))]

    def _repeat(self, found: bytearray, _others: Sequence[bytes]) -> None:
        at = self._at(found)
        piece = found[at : at + self.random.choice((1, 4, 32))]
        found[at:at] = piece * self.random.choice((1, 3, 50))

    def _splice(self, found: bytearray, others: Sequence[bytes]) -> None:
        if others:
            other = self.random.choice(others)
            start = self.random.randrange(len(other) + 1)
            at = self._at(found)
            found[at:at] = other[start : start + self.random.choice((4, 40, 400))]


_BYTE_CHANGES: tuple[Callable[[Mutator, bytearray, Sequence[bytes]], None], ...] = (
    Mutator._flip, Mutator._set, Mutator._insert, Mutator._cut, Mutator._repeat, Mutator._splice,
)  # fmt: skip


def _collect(value: Any, places: list[tuple[Any, Any]], depth: int = 0) -> None:
    if depth > 20:
        return
    if isinstance(value, dict):
        for key, one in value.items():
            places.append((value, key))
            _collect(one, places, depth + 1)
    elif isinstance(value, list):
        for number, one in enumerate(value[:20]):
            places.append((value, number))
            _collect(one, places, depth + 1)
