"""Exactly once: what was acknowledged is what the ledger holds, no more, no less, nothing altered.

The generator keeps a :class:`~loadtest.harness.invariants.multiset.MultisetTally` of the payments
that were acknowledged. A request without an answer may have been made or not, so those that the
ledger holds are taken as acknowledged, with the amount that was asked. A request that was refused
is on neither side; when the ledger holds it all the same, it is one too many.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from loadtest.harness.invariants.ledger_sums import (
    LedgerRun,
    Recorded,
    Source,
    find_recorded,
    find_repeated,
    ledger_sum,
)
from loadtest.harness.invariants.multiset import MultisetSum, sum_of

__all__ = ("PAYMENT_SOURCES", "Finding", "check_exactly_once")

# What a run of plain payments is held against.
PAYMENT_SOURCES: tuple[Source, ...] = ("documents", "money")

_CLAIMS: dict[Source, str] = {
    "documents": "every payment that was acknowledged is stored once, and no other",
    "money": "every payment that was acknowledged moved its amount once, and no other did",
    "changes": "every request that was acknowledged was carried out once, and no other",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A claim about the books that the run proved or refuted; ``name`` is stable."""

    name: str
    claim: str
    ok: bool
    detail: str


async def check_exactly_once(
    connection: "asyncpg.Connection[Any]",
    run: LedgerRun,
    *,
    key: bytes,
    acknowledged: MultisetSum,
    unknown: Sequence[Recorded] = (),
    sources: Sequence[Source] = PAYMENT_SOURCES,
) -> list[Finding]:
    """Compare what was acknowledged with the ledger of one moment.

    Nothing of the run may be under way any more. ``unknown`` are requests that got no answer.
    """
    asked = {one.request_id: one.amount_minor for one in unknown}
    findings = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL jit = off")
        # A table that was filled a moment ago has no statistics yet.
        await connection.execute("SET LOCAL enable_nestloop = off")
        for source in sources:
            stored = await find_recorded(connection, run, source, list(asked)) if asked else []
            # Each once: a second row of a request is one too many, whoever heard of it.
            made = sorted({one.request_id for one in stored})
            expected = acknowledged + sum_of(key, ((name.encode(), asked[name]) for name in made))
            found = await ledger_sum(connection, run, source, key=key)
            detail = f"{expected.count:,} acknowledged"
            if asked:
                detail += f" (of {len(asked):,} unknown {len(made):,} were made)"
            if found != expected:
                repeated = await find_repeated(connection, run, source)
                detail = f"{detail}, {_difference(expected, found, repeated)}"
            findings.append(
                Finding(
                    name=f"exactly_once_{source}",
                    claim=_CLAIMS[source],
                    ok=found == expected,
                    detail=detail,
                )
            )
    return findings


def _difference(expected: MultisetSum, found: MultisetSum, repeated: list[str]) -> str:
    """Say how two multisets differ that are not equal."""
    more = found.count - expected.count
    parts = [f"{found.count:,} found"]
    if more:
        parts.append(f"{abs(more):,} too {'many' if more > 0 else 'few'}")
    else:
        parts.append("as many, and not the same")
    off_minor = found.amount_minor - expected.amount_minor
    parts.append(f"{off_minor:+,} minor units in all")
    if repeated:
        parts.append(f"more than once: {', '.join(repeated)}")
    return ", ".join(parts)
