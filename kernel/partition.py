"""Where an identity lives: keys are hashed to a fixed number of partitions."""

from zlib import crc32

__all__ = ("PARTITIONS", "partition_of")

# Enough to spread over dozens of nodes, few enough that a node renews all leases in one statement.
# It is part of the stored state: changing it means moving every identity.
PARTITIONS = 64


def partition_of(kind: str, key: str) -> int:
    """Return the partition of the actor ``(kind, key)``; the same in every process and version."""
    return crc32(f"{kind}\0{key}".encode()) % PARTITIONS
