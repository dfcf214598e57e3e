"""The daily large-value report: collected from what is committed, written as CSV.

Every move of money has a row that says from which account to which: a payment, a deposit, the
capture of a hold, or a transfer. The report sums these, for each customer and direction.
"""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from typing import Any, cast

import msgspec

from actors.customers.masking import mask_name
from actors.regulation.calendar import start_of_day
from actors.regulation.large_value import LARGE_VALUE, LargeValueRules, MoveKind, PartyKind

__all__ = ("Fetch", "PartyTotal", "collect", "report_csv")

# Runs a statement and returns its rows.
Fetch = Callable[..., Awaitable[Sequence[Sequence[Any]]]]

# Who is known by no customer id is a customer by himself.
_SUMS = """
WITH made AS MATERIALIZED (
    SELECT seq FROM zhihui.change WHERE at >= $1 AND at < $2 AND outcome = 'committed'
), moved AS (
    SELECT change_seq, payer AS debit, payee AS credit, amount_minor
      FROM zhihui.payment WHERE status <> 'order' AND currency = 'CNY'
    UNION ALL
    SELECT change_seq, source, account_id, amount_minor
      FROM zhihui.deposit WHERE currency = 'CNY'
    UNION ALL
    SELECT s.change_seq, h.account_id, s.payee, s.amount_minor
      FROM zhihui.hold_step AS s JOIN zhihui.hold AS h USING (hold_id)
     WHERE s.kind = 'captured' AND h.asset = 'CNY'
    UNION ALL
    SELECT change_seq, debit, credit, amount_minor FROM zhihui.transfer WHERE asset = 'CNY'
), account AS (
    SELECT account_id, app, type, holder,
           coalesce(nullif(customer_id, ''), account_id) AS party
      FROM zhihui.account
), side AS (
    SELECT mine.*, s.direction, other.account_id AS other, s.amount_minor
      FROM (SELECT debit AS mine, credit AS other, amount_minor, 'out' AS direction
              FROM moved JOIN made ON seq = change_seq
            UNION ALL
            SELECT credit, debit, amount_minor, 'in'
              FROM moved JOIN made ON seq = change_seq) AS s
      JOIN account AS mine ON mine.account_id = s.mine
      JOIN account AS other ON other.account_id = s.other
     WHERE mine.app <> 'bank' AND mine.party <> other.party
       AND NOT other.account_id LIKE ANY ($3::text[])
), total AS (
    SELECT party, direction,
           CASE WHEN other = ANY ($4::text[]) THEN 'cash' ELSE 'transfer' END AS what,
           bool_or(type = ANY ($5::text[])) AS company,
           bool_and(type = 'corporate') AS public, min(holder) AS holder,
           count(*) AS moves, sum(amount_minor)::bigint AS total, max(amount_minor) AS largest
      FROM side GROUP BY 1, 2, 3
)
SELECT party, holder, company, public, direction, what, moves, total, largest
  FROM total
 WHERE total >= CASE WHEN what = 'cash' THEN $6::bigint WHEN company THEN $7::bigint
                     ELSE $8::bigint END
 ORDER BY party, what, direction
"""

_HEADER = (
    "day", "due", "party", "name", "kind", "direction", "what", "moves", "total_yuan",
    "largest_yuan", "threshold_yuan",
)  # fmt: skip


class PartyTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What one customer moved in one direction in a day; amounts in minor units.

    ``name`` is masked, unless it is that of a company, which is public.
    """

    party: str
    name: str
    kind: PartyKind
    direction: str
    what: MoveKind
    moves: int
    total_minor: int
    largest_minor: int


async def collect(
    fetch: Fetch, day: date, rules: LargeValueRules = LARGE_VALUE
) -> list[PartyTotal]:
    """Return what has to be reported of a day in Asia/Shanghai, by party."""
    rows = await fetch(
        _SUMS,
        start_of_day(day),
        start_of_day(day + timedelta(days=1)),
        [f"{prefix}%" for prefix in rules.exempt_account_prefixes],
        list(rules.cash_accounts),
        list(rules.company_account_types),
        rules.cash_minor,
        rules.company_transfer_minor,
        rules.person_transfer_minor,
    )
    return [
        PartyTotal(
            party=party,
            name=holder if public else mask_name(holder),
            kind="company" if company else "person",
            direction=direction,
            what=cast("MoveKind", what),
            moves=moves,
            total_minor=total,
            largest_minor=largest,
        )
        for party, holder, company, public, direction, what, moves, total, largest in rows
    ]


def report_csv(
    totals: Sequence[PartyTotal], day: date, rules: LargeValueRules = LARGE_VALUE
) -> str:
    """Return the report as CSV with a header, also when there is nothing to report."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEADER)
    due = rules.due(day)
    for one in totals:
        writer.writerow(
            (day, due, one.party, _plain(one.name), one.kind, one.direction, one.what, one.moves,
             _yuan(one.total_minor), _yuan(one.largest_minor),
             _yuan(rules.threshold_minor(one.kind, one.what)))
        )  # fmt: skip
    return out.getvalue()


def _yuan(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _plain(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
