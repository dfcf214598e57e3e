"""The same numbers over what the ledger holds, worked out by Postgres in one scan.

The ledger can be asked in three ways, each of which looks at the committed changes of a run.
*Documents* have the amounts of their rows in ``payment``: what the bank says that it did. *Money*
has what their entries credited: what it really moved. A payment whose money moved twice under one
document differs in the second only. In both, what is no payment has the amount 0. *Changes* have 0
throughout, for a generator that does not know the amounts.
"""

from collections.abc import Sequence
from typing import Any, Literal

import asyncpg
import msgspec

from loadtest.harness.invariants.multiset import MultisetSum

__all__ = ("LedgerRun", "Recorded", "Source", "find_recorded", "find_repeated", "ledger_sum")

Source = Literal["documents", "money", "changes"]

# A scan of two million payments takes six seconds on two busy cores.
_TIMEOUT_S = 900.0

_MASK = (1 << 64) - 1

# Every request id of a run begins with the run's own prefix, and the sequence number that the
# ledger was at when the run began spares a scan of what was there before.
_DOCUMENTS = """
SELECT coalesce(p.request_id, c.request_id) AS request_id,
       coalesce(p.amount_minor, 0)::numeric AS amount_minor
  FROM zhihui.change AS c
  LEFT JOIN (SELECT * FROM zhihui.payment WHERE change_seq > $3) AS p
    ON p.change_seq = c.seq AND p.app = c.app
 WHERE c.app = $1 AND starts_with(c.request_id, $2) AND c.seq > $3 AND c.outcome = 'committed'
"""

_MONEY = """
SELECT c.request_id,
       CASE WHEN p.change_seq IS NULL THEN 0 ELSE coalesce(e.moved, 0) END AS amount_minor
  FROM zhihui.change AS c
  LEFT JOIN (SELECT DISTINCT change_seq FROM zhihui.payment WHERE change_seq > $3) AS p
    ON p.change_seq = c.seq
  LEFT JOIN (SELECT change_seq, sum(amount_minor) AS moved
               FROM zhihui.entry WHERE change_seq > $3 AND amount_minor > 0
              GROUP BY change_seq) AS e ON e.change_seq = c.seq
 WHERE c.app = $1 AND starts_with(c.request_id, $2) AND c.seq > $3 AND c.outcome = 'committed'
"""

_CHANGES = """
SELECT request_id, 0::numeric AS amount_minor
  FROM zhihui.change
 WHERE app = $1 AND starts_with(request_id, $2) AND seq > $3 AND outcome = 'committed'
"""

_ROWS: dict[Source, str] = {"documents": _DOCUMENTS, "money": _MONEY, "changes": _CHANGES}

# A bigint is signed: the upper half may be so, as the Python side reads the number unsigned and the
# two differ by whole 2**128 only; those are added back by counting.
_SUM = """
SELECT count(*) AS count, coalesce(sum(amount_minor), 0) AS amount_minor,
       coalesce(sum(high), 0) AS high, count(*) FILTER (WHERE high < 0) AS high_negative,
       coalesce(sum(low), 0) AS low, count(*) FILTER (WHERE low < 0) AS low_negative,
       coalesce(bit_xor(high), 0) AS high_mixed, coalesce(bit_xor(low), 0) AS low_mixed
  FROM (SELECT amount_minor,
               ('x' || encode(substr(hash, 1, 8), 'hex'))::bit(64)::bigint AS high,
               ('x' || encode(substr(hash, 9, 8), 'hex'))::bit(64)::bigint AS low
          FROM (SELECT amount_minor,
                       sha256($4::bytea || convert_to(request_id || '|' || amount_minor, 'UTF8'))
                       AS hash
                  FROM ({rows}) AS r) AS h) AS halves
"""

# Enough to see the pattern of a fault.
_SHOWN_MAX = 20


class LedgerRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows belong to a run: those of ``app`` with the run's prefix, after ``from_seq``."""

    app: str
    id_prefix: str
    from_seq: int = 0


class Recorded(msgspec.Struct, frozen=True):
    """A request that the ledger holds, and its amount in minor units."""

    request_id: str
    amount_minor: int


async def ledger_sum(
    connection: "asyncpg.Connection[Any]", run: LedgerRun, source: Source, *, key: bytes
) -> MultisetSum:
    """Return the numbers of all that the ledger holds of a run."""
    row = await connection.fetchrow(
        _SUM.format(rows=_ROWS[source]),
        run.app,
        run.id_prefix,
        run.from_seq,
        key,
        timeout=_TIMEOUT_S,
    )
    assert row is not None
    high = int(row["high"]) + (row["high_negative"] << 64)
    low = int(row["low"]) + (row["low_negative"] << 64)
    mixed = (row["high_mixed"] & _MASK) << 64 | row["low_mixed"] & _MASK
    return MultisetSum.of(row["count"], (high << 64) + low, mixed, int(row["amount_minor"]))


async def find_recorded(
    connection: "asyncpg.Connection[Any]",
    run: LedgerRun,
    source: Source,
    request_ids: Sequence[str],
) -> list[Recorded]:
    """Return those of ``request_ids`` that the ledger holds, each as often as it does."""
    rows = await connection.fetch(
        f"SELECT request_id, amount_minor FROM ({_ROWS[source]}) AS r"  # noqa: S608 - our own text
        " WHERE request_id = ANY($4)",
        run.app,
        run.id_prefix,
        run.from_seq,
        list(request_ids),
        timeout=_TIMEOUT_S,
    )
    return [Recorded(row["request_id"], int(row["amount_minor"])) for row in rows]


async def find_repeated(
    connection: "asyncpg.Connection[Any]", run: LedgerRun, source: Source
) -> list[str]:
    """Return some request ids of which the ledger holds more than one."""
    rows = await connection.fetch(
        f"SELECT request_id FROM ({_ROWS[source]}) AS r"  # noqa: S608 - our own text
        " GROUP BY request_id HAVING count(*) > 1 ORDER BY request_id LIMIT $4",
        run.app,
        run.id_prefix,
        run.from_seq,
        _SHOWN_MAX,
        timeout=_TIMEOUT_S,
    )
    return [row["request_id"] for row in rows]
