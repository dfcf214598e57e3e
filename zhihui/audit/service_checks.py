"""What the audit claims of the bank's services, in the form of :mod:`zhihui.audit.checks`."""

from zhihui.audit.check import Check

__all__ = ("SERVICE_CHECKS",)

_RISK_HITS = """
SELECT format('hit %s of change %s', r.number, r.change_seq) AS row, NULL::text AS account_id,
       r.change_seq, coalesce('change ' || c.outcome, 'no such change') AS found,
       'risk outcome ' || r.outcome AS expected
  FROM zhihui.risk_hit AS r LEFT JOIN zhihui.change AS c ON c.seq = r.change_seq
 WHERE (c.outcome = 'committed') IS DISTINCT FROM (r.outcome IN ('approve', 'review'))
"""

# A usage is of one day and one year, so a limit that was lowered later may be below it.
_ACCOUNT_LIMITS = """
SELECT 'limits of ' || account_id AS row, account_id, NULL::bigint AS change_seq,
       format('out %s a day, %s a year; in %s and %s', l.day_out, l.year_out, l.day_in, l.year_in)
       AS found,
       'an account, nothing negative, no day above its year' AS expected
  FROM zhihui.account_limit AS l LEFT JOIN zhihui.account AS a USING (account_id)
 WHERE a.account_id IS NULL OR least(day_out, day_in, year_out, year_in) < 0
    OR (year = extract(year FROM (date '0001-01-01' + (day::integer - 1)))
        AND (day_out > year_out OR day_in > year_in))
"""

_ACCOUNT_COUNTS = """
SELECT format('accounts of class %s of %s', class, party_id) AS row, NULL::text AS account_id,
       NULL::bigint AS change_seq, format('%s open', coalesce(open, 0)) AS found,
       format('%s counted', coalesce(counted, 0)) AS expected
  FROM (SELECT c.party_id, a.class, count(*) AS open
          FROM zhihui.account AS a JOIN zhihui.customer AS c USING (customer_id)
         WHERE a.class IN ('II', 'III') AND a.status <> 'closed'
         GROUP BY c.party_id, a.class) AS o
  FULL JOIN (SELECT split_part(tally_id, ':', 3) AS party_id,
                    split_part(tally_id, ':', 2) AS class, count AS counted
               FROM zhihui.tally WHERE tally_id LIKE 'accounts:%') AS t USING (party_id, class)
 WHERE coalesce(open, 0) <> coalesce(counted, 0)
"""

_PERSONAL_DATA = """
SELECT format('%s of %s', field, owner_id) AS row, NULL::text AS account_id, change_seq,
       'a value that is not sealed' AS found, 'sealed, with its keyed hash' AS expected
  FROM zhihui.personal_data
 WHERE NOT starts_with(sealed, format('zs1.%s.', key_id)) OR lookup !~ '^[0-9a-f]{8}:[0-9a-f]{64}$'
"""

_PAYMENT_STEPS = """
SELECT 'payment ' || payment_id AS row, NULL::text AS account_id, o.change_seq,
       format('%s in change %s', coalesce(o.status, 'no order'), o.change_seq) AS found,
       format('%s in change %s', coalesce(s.status, 'no step'), s.last) AS expected
  FROM zhihui.payment_order AS o
  FULL JOIN (SELECT payment_id, max(change_seq) AS last,
                    (array_agg(status ORDER BY change_seq DESC))[1] AS status
               FROM zhihui.payment_step GROUP BY payment_id) AS s USING (payment_id)
 WHERE o.status IS DISTINCT FROM s.status OR o.change_seq < s.last
"""

_CREDIT_BOOKS = """
SELECT 'account ' || account_id AS row, account_id, NULL::bigint AS change_seq,
       format('owes %s', -posted_minor::numeric) AS found,
       format('%s, by its plans', coalesce(owed, 0)) AS expected
  FROM (SELECT account_id, posted_minor
          FROM zhihui.account JOIN zhihui.balance USING (account_id)
         WHERE type IN ('credit_line', 'credit_charges')) AS a
  FULL JOIN (SELECT line_id AS account_id, sum(principal_minor) AS owed
               FROM zhihui.credit_plan GROUP BY line_id
             UNION ALL
             SELECT line_id || ':charges', sum(charges_minor)
               FROM zhihui.credit_plan GROUP BY line_id) AS p USING (account_id)
 WHERE posted_minor::numeric IS DISTINCT FROM -coalesce(owed, 0)
UNION ALL
SELECT 'plan ' || plan_id, line_id, change_seq,
       format('%s, and owes %s', status, principal_minor::numeric + charges_minor), 'nothing owed'
  FROM zhihui.credit_plan
 WHERE status NOT IN ('active', 'overdue') AND (principal_minor <> 0 OR charges_minor <> 0)
"""

_PAYMENTS_ADD_UP = """
SELECT 'escrow' AS row, 'escrow:guaranteed' AS account_id, NULL::bigint AS change_seq,
       format('posted %s', b.posted_minor) AS found,
       format('%s, by payments', coalesce(s.total, 0)) AS expected
  FROM zhihui.balance AS b
  CROSS JOIN (SELECT sum((leg->'paid'->>'amount_minor')::numeric
                         - (leg->'paid'->>'refunded_minor')::numeric) AS total
                FROM zhihui.payment_order, jsonb_array_elements(body::jsonb->'legs') AS leg
               WHERE body::jsonb->>'place' = 'escrow') AS s
 WHERE b.account_id = 'escrow:guaranteed' AND b.posted_minor IS DISTINCT FROM coalesce(s.total, 0)
UNION ALL
SELECT 'payment ' || payment_id, payee, change_seq,
       format('captured %s, refunded %s', body::jsonb->>'captured_minor',
              body::jsonb->>'refunded_minor'),
       'refunded at most what was captured'
  FROM zhihui.payment_order
 WHERE (body::jsonb->>'refunded_minor')::numeric > (body::jsonb->>'captured_minor')::numeric
"""

SERVICE_CHECKS: tuple[Check, ...] = (
    Check(
        name="payment_steps",
        claim="Every payment with a history has the status of its last step.",
        tables=("payment_order", "payment_step"),
        sql=_PAYMENT_STEPS,
    ),
    Check(
        name="payments_add_up",
        claim="What is in escrow is what the payments that wait there have in it, and no payment"
        " refunds more than it captured.",
        tables=("payment_order", "balance"),
        sql=_PAYMENTS_ADD_UP,
    ),
    Check(
        name="account_limits",
        claim="What left and entered limited accounts is counted, no day beyond its year.",
        tables=("account_limit",),
        sql=_ACCOUNT_LIMITS,
    ),
    Check(
        name="account_counts",
        claim="A person's open accounts of a class are as many as the limit counts.",
        tables=("account", "customer", "tally"),
        sql=_ACCOUNT_COUNTS,
    ),
    Check(
        name="personal_data_sealed",
        claim="Every value of a person is encrypted and has its keyed hash.",
        tables=("personal_data",),
        sql=_PERSONAL_DATA,
    ),
    Check(
        name="credit_books",
        claim="Every credit line owes exactly what its plans say, and plans that are over owe"
        " nothing.",
        tables=("credit_plan", "account", "balance"),
        sql=_CREDIT_BOOKS,
    ),
    Check(
        name="risk_hits",
        claim="Every risk rule that fired belongs to a decision, committed or refused as it says.",
        tables=("risk_hit",),
        sql=_RISK_HITS,
    ),
)
