"""What the audit claims of funds and points; see :mod:`zhihui.audit.checks` for the form."""

from zhihui.audit.check import Check

__all__ = ("PRODUCT_CHECKS",)

_FUND_BACKING = """
SELECT 'fund ' || split_part(account_id, ':', 2) AS row, min(account_id) AS account_id,
       NULL::bigint AS change_seq, sum(posted_minor)::text AS found, '0' AS expected
  FROM zhihui.balance WHERE account_id ~ '^fund:[A-Z0-9]+:(cash|units|advance|pledged)$'
 GROUP BY split_part(account_id, ':', 2), account_id ~ ':(cash|units)$'
HAVING sum(posted_minor) <> 0
"""

_FUND_INCOME_SUMS = """
SELECT format('%s on %s', f.fund, f.day) AS row, NULL::text AS account_id, f.change_seq,
       f.income_minor::text AS found, coalesce(sum(w.income_minor), 0)::text AS expected
  FROM zhihui.fund_income AS f
  LEFT JOIN zhihui.wealth_income AS w
       ON w.fund = f.fund AND w.day = f.day AND w.credited_to <> ''
 GROUP BY f.fund, f.day, f.change_seq, f.income_minor
HAVING f.income_minor <> coalesce(sum(w.income_minor), 0)
"""

_POINTS_BATCHES = """
SELECT 'points of ' || w.points_account AS row, w.points_account AS account_id, w.change_seq,
       b.posted_minor::text AS found, s.points::text AS expected
  FROM zhihui.points_wallet AS w JOIN zhihui.balance AS b ON b.account_id = w.points_account
 CROSS JOIN LATERAL (SELECT coalesce(sum((x->>'points')::numeric), 0) AS points
                       FROM jsonb_array_elements(coalesce(w.body::jsonb->'batches', '[]')) AS x)
       AS s
 WHERE b.posted_minor <> s.points
"""

_POINTS_RESERVE = """
SELECT 'points:reserve' AS row, b.account_id, NULL::bigint AS change_seq,
       b.posted_minor::text AS found, s.worth::text AS expected
  FROM zhihui.balance AS b
 CROSS JOIN (SELECT coalesce(sum(div((x->>'points')::numeric,
                                     nullif((x->>'points_per_fen')::numeric, 0))), 0) AS worth
               FROM zhihui.points_wallet AS w,
                    jsonb_array_elements(coalesce(w.body::jsonb->'batches', '[]')) AS x) AS s
 WHERE b.account_id = 'points:reserve' AND b.posted_minor <> s.worth
"""

PRODUCT_CHECKS: tuple[Check, ...] = (
    Check(
        name="fund_backing",
        claim="A fund's money equals its units, and its bank's advances the pledged units.",
        tables=("balance",),
        sql=_FUND_BACKING,
    ),
    Check(
        name="fund_income_sums",
        claim="What a fund distributed for a day is what its holders were credited.",
        tables=("fund_income", "wealth_income"),
        sql=_FUND_INCOME_SUMS,
    ),
    Check(
        name="points_batches",
        claim="The batches of a points account are its balance.",
        tables=("points_wallet", "balance"),
        sql=_POINTS_BATCHES,
    ),
    Check(
        name="points_reserve",
        claim="The reserve holds what all points are worth.",
        tables=("points_wallet", "balance"),
        sql=_POINTS_RESERVE,
    ),
)
