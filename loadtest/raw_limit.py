"""How many payments a second Postgres itself takes, in batches, when nobody asks questions.

One connection, one transaction a batch, COPY into the same tables, one update of the balances, one
upsert of the customers' counters. No bus, no idempotency check, no decision: nothing that writes
these rows through one connection can be faster on this machine.
"""

import hashlib
import time
from datetime import UTC, datetime

import asyncpg
import msgspec

from loadtest.workload import APP, OPENING_MINOR, Draw, Population, draw_payments
from schemas.payments import Payment

__all__ = ("RawLimit", "measure_raw_limit")

# On two cores the figure stops growing at about 2,000 payments a transaction.
_BATCH = 2_000

_DRAWS = 1 << 17

_UPDATE_BALANCES = """
UPDATE zhihui.balance AS b SET posted_minor = u.posted_minor, entries = u.entries
  FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS u(account_id, posted_minor, entries)
 WHERE b.account_id = u.account_id
"""

_COUNT_DAYS = """
INSERT INTO zhihui.tally AS t
SELECT u.tally_id, u.count, u.amount_minor, false
  FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS u(tally_id, count, amount_minor)
    ON CONFLICT (tally_id) DO UPDATE
   SET count = excluded.count, amount_minor = excluded.amount_minor
"""

_Row = tuple[object, ...]


class RawLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection achieved; ``seconds`` leaves out the making of the rows."""

    payments: int
    seconds: float
    per_second: float
    batch: int
    copy_ms_p50: float


class _Batch:
    """The rows of one transaction."""

    def __init__(self) -> None:
        self.changes: list[_Row] = []
        self.payments: list[_Row] = []
        self.entries: list[_Row] = []
        self.events: list[_Row] = []
        self.touched: set[str] = set()
        self.payers: set[str] = set()


class _Writer:
    """Makes the rows that a payment has, with balances kept in memory."""

    def __init__(self, change_seq: int, event_seq: int) -> None:
        self._change_seq = change_seq
        self._event_seq = event_seq
        # account → posted balance and number of entries, as `seed.sql` left them.
        self._posted: dict[str, int] = {}
        self._entries: dict[str, int] = {}
        # payer → count and sum of the day, as the risk rules count them.
        self._days: dict[str, list[int]] = {}
        self._encoder = msgspec.json.Encoder()

    def batch(self, draws: list[Draw]) -> _Batch:
        """Return the rows of these payments."""
        rows = _Batch()
        now = datetime.now(UTC)
        for draw in draws:
            self._add(rows, draw, now)
        return rows

    def balances(self, accounts: set[str]) -> tuple[list[str], list[int], list[int]]:
        """Return columns: account, posted balance, number of entries."""
        names = sorted(accounts)
        return names, [self._posted[n] for n in names], [self._entries[n] for n in names]

    def days(self, payers: set[str]) -> tuple[list[str], list[int], list[int]]:
        """Return columns: tally of the payer's day, its count and its sum."""
        names = sorted(payers)
        counted = [self._days[name] for name in names]
        return (
            [f"risk:customer-day:{name}:0" for name in names],
            [one[0] for one in counted],
            [one[1] for one in counted],
        )

    def _add(self, rows: _Batch, draw: Draw, now: datetime) -> None:
        self._change_seq += 1
        self._event_seq += 1
        seq = self._change_seq
        payment = Payment(
            payment_id=f"pay_{seq:027x}",
            request_id=f"raw-{seq}",
            method="quick",
            status="succeeded",
            payer=draw.payer,
            payee=draw.payee,
            amount_minor=draw.amount_minor,
            currency="CNY",
            reference="",
            created_at=now,
        )
        answer = self._encoder.encode(payment).decode()
        digest = hashlib.blake2b(answer.encode(), digest_size=16).digest()
        rows.changes.append(
            (APP, payment.request_id, seq, "payment.create", digest, "committed", answer, now)
        )
        rows.payments.append(
            (payment.payment_id, seq, APP, payment.request_id, payment.method, payment.status,
             draw.payer, draw.payee, draw.amount_minor, payment.currency, payment.reference, now)
        )  # fmt: skip
        day = self._days.setdefault(draw.payer, [0, 0])
        day[0] += 1
        day[1] += draw.amount_minor
        rows.payers.add(draw.payer)
        rows.entries.append(self._entry(rows, draw.payer, -draw.amount_minor, OPENING_MINOR, seq))
        rows.entries.append(self._entry(rows, draw.payee, draw.amount_minor, 0, seq))
        rows.events.append(
            (self._event_seq, seq, APP, "payment.succeeded", payment.payment_id, answer, now)
        )

    def _entry(self, rows: _Batch, account: str, amount: int, opening: int, seq: int) -> _Row:
        posted = self._posted.get(account, opening) + amount
        number = self._entries.get(account, int(opening > 0)) + 1
        self._posted[account] = posted
        self._entries[account] = number
        rows.touched.add(account)
        return account, number, seq, amount, posted


async def measure_raw_limit(
    dsn: str, *, seconds: float, population: Population, seed: int
) -> RawLimit:
    """Write batches into a freshly seeded database for ``seconds`` and count."""
    draws = draw_payments(population, _DRAWS, seed)
    connection = await asyncpg.connect(dsn)
    try:
        writer = _Writer(
            await connection.fetchval("SELECT coalesce(max(seq), 0) FROM zhihui.change"),
            await connection.fetchval("SELECT coalesce(max(seq), 0) FROM zhihui.event"),
        )
        took: list[float] = []
        while sum(took) < seconds:
            start = len(took) * _BATCH % (_DRAWS - _BATCH)
            rows = writer.batch(draws[start : start + _BATCH])
            columns, days = writer.balances(rows.touched), writer.days(rows.payers)
            began = time.perf_counter()
            await _commit(connection, rows, columns, days)
            took.append(time.perf_counter() - began)
    finally:
        await connection.close()
    payments = len(took) * _BATCH
    return RawLimit(
        payments=payments,
        seconds=sum(took),
        per_second=payments / sum(took),
        batch=_BATCH,
        copy_ms_p50=sorted(took)[len(took) // 2] * 1000,
    )


async def _commit(
    connection: "asyncpg.Connection[asyncpg.Record]",
    rows: _Batch,
    columns: tuple[list[str], list[int], list[int]],
    days: tuple[list[str], list[int], list[int]],
) -> None:
    tables = (
        ("change", rows.changes),
        ("payment", rows.payments),
        ("entry", rows.entries),
        ("event", rows.events),
    )
    async with connection.transaction():
        for table, records in tables:
            await connection.copy_records_to_table(table, schema_name="zhihui", records=records)
        await connection.execute(_UPDATE_BALANCES, *columns)
        await connection.execute(_COUNT_DAYS, *days)
