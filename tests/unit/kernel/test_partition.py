"""Partitions: part of the stored state, so the same for ever."""

from collections import Counter

import pytest

from kernel.partition import PARTITIONS, partition_of


@pytest.mark.parametrize(
    ("kind", "key", "partition"),
    [
        ("journal", "0", 39),
        ("payment", "acct_1", 9),
        ("pack.parking", "京A12345", 49),
        ("", "", 13),
    ],
)
def test_partition_never_changes(kind: str, key: str, partition: int) -> None:
    """A key is found where earlier versions put it."""
    assert partition_of(kind, key) == partition


def test_kind_and_key_are_kept_apart() -> None:
    """Where kind ends and key begins makes a difference."""
    assert partition_of("ab", "c") != partition_of("a", "bc")


def test_keys_are_spread_evenly() -> None:
    """No partition has twice its share of many similar keys."""
    counts = Counter(partition_of("vehicle", f"京A{number:05}") for number in range(64_000))
    assert len(counts) == PARTITIONS
    assert max(counts.values()) < 2 * 64_000 / PARTITIONS
    assert min(counts.values()) > 64_000 / PARTITIONS / 2
