"""What the audit claims of merchants and their settlements; see `checks` for the form."""

from zhihui.audit.check import Check

__all__ = ("SETTLEMENT_CHECKS",)

# The first settlement of a merchant begins at 0 with nothing carried, each later one where the one
# before it ended. The one that is still open has its own row and no range yet.
_CHAIN = """
SELECT format('settlement %s of %s', number, merchant_id) AS row, merchant_id AS account_id,
       change_seq,
       format('after change %s, carrying %s in', after_seq, carried_in_minor) AS found,
       format('after change %s, carrying %s in, as number %s', ended, carried, number_due)
       AS expected
  FROM (SELECT *, coalesce(lag(to_seq) OVER w, 0) AS ended,
               coalesce(lag(carried_out_minor) OVER w, 0) AS carried,
               row_number() OVER w AS number_due
          FROM zhihui.settlement WINDOW w AS (PARTITION BY merchant_id ORDER BY number)) AS s
 WHERE after_seq <> ended OR carried_in_minor <> carried OR number <> number_due
    OR to_seq < after_seq
UNION ALL
SELECT format('range of %s after change %s', coalesce(s.merchant_id, r.merchant_id),
              coalesce(s.after_seq, r.after_seq)),
       coalesce(s.merchant_id, r.merchant_id), r.change_seq,
       coalesce(format('to %s in %s', r.to_seq, r.settlement_id), 'no range'),
       coalesce(format('to %s in %s', s.to_seq, s.settlement_id), 'no range')
  FROM (SELECT * FROM zhihui.settlement WHERE state <> 'open' AND to_seq > after_seq) AS s
  FULL JOIN zhihui.settlement_range AS r USING (settlement_id)
 WHERE (s.merchant_id, s.after_seq, s.to_seq)
       IS DISTINCT FROM (r.merchant_id, r.after_seq, r.to_seq)
"""

# Ranges do not overlap, so a leg's settlement is the last one that begins before it: one sort of
# the legs, and no join by a range.
_SUMS = """
WITH placed AS (
    SELECT merchant_id, net_minor, gross_minor, kind, change_seq,
           max(begins) OVER (PARTITION BY merchant_id ORDER BY change_seq, is_leg) AS after_seq
      FROM (SELECT merchant_id, change_seq, 1 AS is_leg, NULL::bigint AS begins, net_minor,
                   gross_minor, kind
              FROM zhihui.settlement_leg
            UNION ALL
            SELECT merchant_id, after_seq, 2, after_seq, 0, 0, ''
              FROM zhihui.settlement_range) AS both_kinds
), summed AS (
    SELECT r.settlement_id, coalesce(sum(p.net_minor), 0) AS net,
           coalesce(sum(p.gross_minor) FILTER (WHERE p.kind IN ('payment', 'refund')), 0) AS gross
      FROM zhihui.settlement_range AS r
      LEFT JOIN placed AS p
        ON p.merchant_id = r.merchant_id AND p.after_seq = r.after_seq AND p.kind <> ''
           AND p.change_seq <= r.to_seq
     GROUP BY r.settlement_id
), cleared AS (
    SELECT settlement_id, sum(amount_minor) AS cleared FROM zhihui.clearing GROUP BY settlement_id
)
SELECT format('settlement %s of %s', s.number, s.merchant_id) AS row,
       s.merchant_id AS account_id, s.change_seq,
       format('net %s, clearing %s, payout %s, carried %s to %s', s.net_minor,
              coalesce(c.cleared, 0), s.payout_minor, s.carried_in_minor, s.carried_out_minor)
       AS found,
       format('net %s and clearing %s by the legs, payout and carried out equal to net and '
              'carried in', coalesce(l.net, 0), coalesce(l.gross, 0)) AS expected
  FROM zhihui.settlement AS s
  LEFT JOIN summed AS l USING (settlement_id)
  LEFT JOIN cleared AS c USING (settlement_id)
 WHERE s.state <> 'open'
   AND (s.net_minor <> coalesce(l.net, 0) OR coalesce(c.cleared, 0) <> coalesce(l.gross, 0)
        OR (s.state IN ('settled', 'failed')
            AND s.payout_minor::numeric + s.carried_out_minor
                <> s.net_minor::numeric + s.carried_in_minor)
        OR (s.state = 'failed' AND s.payout_minor <> 0) OR s.payout_minor < 0)
"""

# The last version of a settled settlement is the change that paid it.
_PAYOUTS = """
SELECT format('payout of %s', coalesce(s.merchant_id, t.debit)) AS row,
       coalesce(s.merchant_id, t.debit) AS account_id,
       coalesce(s.change_seq, t.change_seq) AS change_seq,
       coalesce(t.amount_minor::text, 'nothing') || ' moved' AS found,
       coalesce(s.payout_minor::text, 'nothing') || ' by a settlement' AS expected
  FROM (SELECT merchant_id, change_seq, payout_minor FROM zhihui.settlement
         WHERE state = 'settled' AND payout_minor > 0) AS s
  FULL JOIN (SELECT debit, change_seq, amount_minor FROM zhihui.transfer
              WHERE purpose = 'merchant.payout') AS t
    ON t.debit = s.merchant_id AND t.change_seq = s.change_seq
 WHERE s.payout_minor IS DISTINCT FROM t.amount_minor
"""

_LEGS = """
SELECT format('legs of %s in change %s', merchant_id, change_seq) AS row,
       merchant_id AS account_id, change_seq,
       format('fee %s, shared %s', coalesce(l.fee, 0), coalesce(l.shared, 0)) AS found,
       format('fee %s, shared %s, as moved', coalesce(m.fee, 0), coalesce(m.shared, 0))
       AS expected
  FROM (SELECT merchant_id, change_seq, sum(fee_minor) AS fee, sum(shared_minor) AS shared
          FROM zhihui.settlement_leg GROUP BY merchant_id, change_seq) AS l
  FULL JOIN (SELECT CASE WHEN purpose IN ('merchant.fee', 'merchant.split') THEN debit
                         ELSE credit END AS merchant_id, change_seq,
                    sum(CASE purpose WHEN 'merchant.fee' THEN amount_minor
                                     WHEN 'merchant.fee_back' THEN -amount_minor ELSE 0 END)
                    AS fee,
                    sum(CASE purpose WHEN 'merchant.split' THEN amount_minor
                                     WHEN 'merchant.split_back' THEN -amount_minor ELSE 0 END)
                    AS shared
               FROM zhihui.transfer
              WHERE purpose IN ('merchant.fee', 'merchant.fee_back', 'merchant.split',
                                'merchant.split_back')
              GROUP BY 1, 2) AS m USING (merchant_id, change_seq)
 WHERE coalesce(l.fee, 0) <> coalesce(m.fee, 0) OR coalesce(l.shared, 0) <> coalesce(m.shared, 0)
UNION ALL
SELECT format('leg %s of %s', leg_id, merchant_id), merchant_id, change_seq,
       format('net %s', net_minor),
       format('net %s', gross_minor::numeric - fee_minor - shared_minor)
  FROM zhihui.settlement_leg
 WHERE net_minor <> gross_minor::numeric - fee_minor - shared_minor
"""

SETTLEMENT_CHECKS: tuple[Check, ...] = (
    Check(
        name="merchant_legs",
        claim="Every fee and share of a merchant's payments moved as its legs say, and no other.",
        tables=("settlement_leg", "transfer"),
        sql=_LEGS,
    ),
    Check(
        name="settlement_chain",
        claim="Settlements of a merchant follow each other without a gap or an overlap, so none of"
        " its legs is settled twice.",
        tables=("settlement", "settlement_range"),
        sql=_CHAIN,
    ),
    Check(
        name="settlement_sums",
        claim="Every settlement is the sum of its legs, and its payout and what it carries on are"
        " its net and what was carried to it.",
        tables=("settlement", "settlement_leg", "clearing"),
        sql=_SUMS,
    ),
    Check(
        name="settlement_payouts",
        claim="Every settlement was paid out once, and nothing else was.",
        tables=("settlement", "transfer"),
        sql=_PAYOUTS,
    ),
)
