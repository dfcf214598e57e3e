"""Runs the checks over one snapshot."""

import asyncpg

from kernel.clock import Clock, SystemClock
from zhihui.audit.check import Check
from zhihui.audit.checks import CHECKS
from zhihui.audit.report import AuditReport, CheckResult, Holding, Offence, Totals

__all__ = ("AUDIT_TIMEOUT_S", "run_audit")

# For one query: the slowest took 6 s over two million payments on two busy cores.
AUDIT_TIMEOUT_S = 900.0

# Enough to see the pattern of a fault; the count tells its size.
_OFFENCES_SHOWN_MAX = 20

# A hash table may use twice the memory given here before it spills, and a query has up to three
# processes: below 1 GB in all, and five million payments still fit without many batches.
_SETTINGS = (
    "SET LOCAL work_mem = '128MB'",
    # Compiling the queries costs more than it saves below tens of millions of rows.
    "SET LOCAL jit = off",
    # A table filled a moment ago has no statistics yet, and a nested loop chosen by a wrong guess
    # would never end. None of the checks wants one.
    "SET LOCAL enable_nestloop = off",
)

# Those that the totals count, and all that a check looks at.
_TABLES = sorted({"document", "dead_letter", *(name for one in CHECKS for name in one.tables)})


async def run_audit(
    dsn: str, *, timeout_s: float = AUDIT_TIMEOUT_S, clock: Clock | None = None
) -> AuditReport:
    """Prove the ledger from the database alone, in one read-only snapshot.

    The service may go on writing meanwhile. ``timeout_s`` bounds each query, in seconds; a query
    that takes longer raises :class:`TimeoutError`.
    """
    clock = clock or SystemClock()
    started_s = clock.monotonic_s()
    connection = await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for setting in _SETTINGS:
                await connection.execute(setting)
            rows = await _count_rows(connection)
            totals = await _totals(connection, rows)
            checks = [await _run_check(connection, check, rows, clock) for check in CHECKS]
    finally:
        await connection.close(timeout=timeout_s)
    return AuditReport(
        checks=tuple(checks), totals=totals, duration_s=clock.monotonic_s() - started_s
    )


async def _run_check(
    connection: asyncpg.Connection, check: Check, rows: dict[str, int], clock: Clock
) -> CheckResult:
    started_s = clock.monotonic_s()
    records = await connection.fetch(
        # The text is a constant of `checks`.
        f"SELECT *, count(*) OVER () AS offending FROM ({check.sql}) AS o "  # noqa: S608
        "ORDER BY change_seq NULLS FIRST, row LIMIT $1",
        _OFFENCES_SHOWN_MAX,
    )
    return CheckResult(
        name=check.name,
        claim=check.claim,
        rows=sum(rows[table] for table in check.tables),
        offending=records[0]["offending"] if records else 0,
        offences=tuple(
            Offence(
                row=record["row"],
                account_id=record["account_id"],
                change_seq=record["change_seq"],
                found=record["found"],
                expected=record["expected"],
            )
            for record in records
        ),
        duration_s=clock.monotonic_s() - started_s,
    )


async def _count_rows(connection: asyncpg.Connection) -> dict[str, int]:
    rows = {
        table: int(await connection.fetchval(f"SELECT count(*) FROM zhihui.{table}"))  # noqa: S608
        for table in _TABLES
        if table != "change"
    }
    outcomes = await connection.fetchrow(
        "SELECT count(*) AS decided, count(*) FILTER (WHERE outcome = 'committed') AS committed "
        "FROM zhihui.change"
    )
    assert outcomes is not None
    return rows | {"change": outcomes["decided"], "committed": outcomes["committed"]}


async def _totals(connection: asyncpg.Connection, rows: dict[str, int]) -> Totals:
    holdings = await connection.fetch(
        "SELECT type, asset, count(*) AS accounts, "
        "       coalesce(sum(posted_minor), 0) AS posted_minor "
        "FROM zhihui.account LEFT JOIN zhihui.balance USING (account_id) "
        "GROUP BY type, asset ORDER BY asset, type"
    )
    return Totals(
        accounts=rows["account"],
        payments=rows["payment"],
        deposits=rows["deposit"],
        holds=rows["hold"],
        entries=rows["entry"],
        events=rows["event"],
        documents=rows["document"],
        dead_letters=rows["dead_letter"],
        changes_committed=rows["committed"],
        changes_rejected=rows["change"] - rows["committed"],
        holdings=tuple(
            Holding(
                type=holding["type"],
                asset=holding["asset"],
                accounts=holding["accounts"],
                posted_minor=int(holding["posted_minor"]),
            )
            for holding in holdings
        ),
    )
