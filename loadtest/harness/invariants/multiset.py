"""A multiset of payments as a few numbers: equal numbers mean equal multisets.

Each member, a request id with its amount, is hashed with a secret key to 128 bits. A multiset is
kept as how many members it has, the exact sum of their hashes, and their exclusive or. Adding is
commutative, so several processes add up, and so can a database in whatever order it scans.

**Chance of missing a difference.** Let two multisets differ, and let ``2**v`` be the largest power
of two that divides the difference of multiplicities of *every* member. With SHA-256 under a random
key in place of a random function, their sums agree with probability at most ``2**-(128 - v)``. A
member lost, doubled once or altered has ``v = 0``: 3e-39. Because ``v`` is at most the logarithm of
the number of copies, 2**32 repetitions of one request would still be missed with 2**-96 only. The
count and the exclusive or are not needed for that bound; they tell what kind of a difference it is.
"""

import hashlib
import secrets
from collections.abc import Iterable

import msgspec

__all__ = ("KEY_BYTES", "MultisetSum", "MultisetTally", "new_key", "sum_of")

# One block of SHA-256 takes 55 bytes: key, id and amount fit into it as a rule.
KEY_BYTES = 16
_HASH_BYTES = 16


class MultisetSum(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a multiset. ``total`` and ``mixed`` are hexadecimal, as JSON has no such ints.

    ``amount_minor`` is the sum of all amounts, for people to read.
    """

    count: int = 0
    total: str = "0"
    mixed: str = "0"
    amount_minor: int = 0

    def __add__(self, other: "MultisetSum") -> "MultisetSum":
        """Return the sum of the union, each member as often as in both together."""
        return MultisetSum.of(
            self.count + other.count,
            int(self.total, 16) + int(other.total, 16),
            int(self.mixed, 16) ^ int(other.mixed, 16),
            self.amount_minor + other.amount_minor,
        )

    @classmethod
    def of(cls, count: int, total: int, mixed: int, amount_minor: int) -> "MultisetSum":
        """Return the sum of these numbers."""
        return cls(count=count, total=f"{total:x}", mixed=f"{mixed:x}", amount_minor=amount_minor)


class MultisetTally:
    """Adds up members as they come, in constant memory. Adding one takes about a microsecond."""

    __slots__ = ("_amount_minor", "_count", "_keyed", "_mixed", "_total")

    def __init__(self, key: bytes) -> None:
        # Copying a hash that has taken the key costs less than joining key and member each time.
        self._keyed = hashlib.sha256(key)
        self._count = 0
        self._total = 0
        self._mixed = 0
        self._amount_minor = 0

    def add(self, request_id: bytes, amount_minor: int) -> None:
        """Add one member."""
        keyed = self._keyed.copy()
        keyed.update(b"%b|%d" % (request_id, amount_minor))
        number = int.from_bytes(keyed.digest()[:_HASH_BYTES], "big")
        self._count += 1
        self._total += number
        self._mixed ^= number
        self._amount_minor += amount_minor

    def sum(self) -> MultisetSum:
        """Return the numbers so far."""
        return MultisetSum.of(self._count, self._total, self._mixed, self._amount_minor)


def new_key() -> bytes:
    """Return a key for one run: with a key of their own, no two ids can be made to collide."""
    return secrets.token_bytes(KEY_BYTES)


def sum_of(key: bytes, members: Iterable[tuple[bytes, int]]) -> MultisetSum:
    """Return the sum of these members."""
    tally = MultisetTally(key)
    for request_id, amount_minor in members:
        tally.add(request_id, amount_minor)
    return tally.sum()
