"""What the audit claims: each claim once, as the query that returns the rows that break it.

Every query returns the same five columns: ``row`` (what it is about), ``account_id`` and
``change_seq`` (null where there is none), ``found`` and ``expected``. Each is set-based, one scan
of a table a side and a hash join or a hash aggregate, because the tables hold millions of rows: a
window over the entries in the order of their index took three times as long as the hash join.
Sums are numeric, so that a damaged row is reported and does not overflow the query.
"""

from zhihui.audit.check import Check
from zhihui.audit.product_checks import PRODUCT_CHECKS
from zhihui.audit.service_checks import SERVICE_CHECKS
from zhihui.audit.settlement_checks import SETTLEMENT_CHECKS

__all__ = ("CHECKS",)


_ASSET_TOTALS = """
SELECT 'asset ' || coalesce(asset, 'of unknown accounts') AS row,
       NULL::text AS account_id, NULL::bigint AS change_seq,
       format('credits %s, debits %s', credits, debits) AS found,
       'debits equal to credits' AS expected
  FROM (SELECT a.asset,
               coalesce(sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0), 0) AS credits,
               coalesce(-sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0), 0) AS debits
          FROM zhihui.entry AS e LEFT JOIN zhihui.account AS a USING (account_id)
         GROUP BY a.asset) AS s
 WHERE credits <> debits
"""

_CHANGE_BALANCES = """
SELECT format('change %s', change_seq) AS row, NULL::text AS account_id, change_seq,
       format('entries in %s sum to %s', coalesce(asset, 'unknown accounts'), total) AS found,
       '0' AS expected
  FROM (SELECT e.change_seq, a.asset, sum(e.amount_minor) AS total
          FROM zhihui.entry AS e LEFT JOIN zhihui.account AS a USING (account_id)
         GROUP BY e.change_seq, a.asset HAVING sum(e.amount_minor) <> 0) AS s
"""

# An entry is proved by its predecessor, which the primary key makes unique; so it is a join of the
# table with itself, and no sort.
_ENTRY_CHAIN = """
SELECT format('entry %s of %s', e.number, e.account_id) AS row, e.account_id, e.change_seq,
       format('amount %s, balance after %s', e.amount_minor, e.balance_after_minor) AS found,
       CASE WHEN e.number <> 1 AND p.number IS NULL
            THEN format('an entry %s before it', e.number - 1)
            ELSE format('balance after %s',
                        e.amount_minor::numeric
                        + CASE WHEN e.number = 1 THEN 0 ELSE p.balance_after_minor END)
       END AS expected
  FROM zhihui.entry AS e
  LEFT JOIN zhihui.entry AS p ON p.account_id = e.account_id AND p.number = e.number - 1
 WHERE e.balance_after_minor IS DISTINCT FROM
       e.amount_minor + CASE WHEN e.number = 1 THEN 0::numeric ELSE p.balance_after_minor END
"""

_BALANCE_SUMS = """
SELECT 'balance of ' || account_id AS row, account_id, NULL::bigint AS change_seq,
       format('posted %s, entries %s', coalesce(b.posted_minor::text, 'missing'),
              coalesce(b.entries::text, 'missing')) AS found,
       format('sum %s, count %s, highest number %s',
              coalesce(total, 0), coalesce(entries_found, 0), coalesce(highest, 0)) AS expected
  FROM zhihui.balance AS b
  FULL JOIN (SELECT account_id, sum(amount_minor) AS total, count(*) AS entries_found,
                    max(number) AS highest
               FROM zhihui.entry GROUP BY account_id) AS e USING (account_id)
 WHERE b.posted_minor IS DISTINCT FROM coalesce(total, 0)
    OR b.entries IS DISTINCT FROM coalesce(entries_found, 0)
    OR b.entries IS DISTINCT FROM coalesce(highest, 0)
"""

_ACCOUNT_BALANCES = """
SELECT CASE WHEN a.account_id IS NULL THEN 'balance of ' ELSE 'account ' END
       || account_id AS row,
       account_id, a.change_seq,
       CASE WHEN a.account_id IS NULL THEN 'no account' ELSE 'no balance' END AS found,
       'one account with one balance' AS expected
  FROM zhihui.account AS a FULL JOIN zhihui.balance AS b USING (account_id)
 WHERE a.account_id IS NULL OR b.account_id IS NULL
"""

# The floor of a credit line moves with its limit, and what was drawn above a lower one stays drawn.
_LIMITS = """
SELECT 'balance of ' || account_id AS row, account_id, NULL::bigint AS change_seq,
       format('posted %s, held %s', posted_minor, held_minor) AS found,
       format('available above floor %s, posted below ceiling %s',
              coalesce(floor_minor::text, 'none'), coalesce(ceiling_minor::text, 'none'))
       AS expected
  FROM zhihui.account JOIN zhihui.balance USING (account_id)
 WHERE type <> 'credit_line'
   AND (posted_minor - held_minor::numeric < floor_minor OR posted_minor > ceiling_minor)
UNION ALL
SELECT format('entry %s of %s', e.number, e.account_id), e.account_id, e.change_seq,
       format('balance after %s', e.balance_after_minor), format('floor %s', a.floor_minor)
  FROM zhihui.entry AS e JOIN zhihui.account AS a USING (account_id)
 WHERE e.balance_after_minor < a.floor_minor AND a.type <> 'credit_line'
"""

# One change may hold several payments, equal ones among them, so per change the multiset of the
# entries is compared: +1 for each that is there, −1 for each that should be. What a capture moved
# stands in the steps of its hold, what a transfer up to a balance moved in a row of its own, and so
# does all that a payment with a history of its own ('order') moves.
_ENTRIES_EXPLAINED = """
SELECT format('entries of %s in change %s', account_id, change_seq) AS row, account_id, change_seq,
       format('%s of %s', there, amount_minor) AS found,
       format('%s, by payments, deposits, captures and transfers', there - surplus) AS expected
  FROM (SELECT change_seq, account_id, amount_minor,
               sum(n) AS surplus, count(*) FILTER (WHERE n > 0) AS there
          FROM (SELECT change_seq, account_id, amount_minor, 1 AS n FROM zhihui.entry
                UNION ALL
                SELECT change_seq, payer, -amount_minor, -1 FROM zhihui.payment
                 WHERE status <> 'order'
                UNION ALL
                SELECT change_seq, payee, amount_minor, -1 FROM zhihui.payment
                 WHERE status <> 'order'
                UNION ALL
                SELECT change_seq, source, -amount_minor, -1 FROM zhihui.deposit
                UNION ALL
                SELECT change_seq, account_id, amount_minor, -1 FROM zhihui.deposit
                UNION ALL
                SELECT s.change_seq, h.account_id, -s.amount_minor, -1
                  FROM zhihui.hold_step AS s JOIN zhihui.hold AS h USING (hold_id)
                 WHERE s.kind = 'captured'
                UNION ALL
                SELECT change_seq, payee, amount_minor, -1 FROM zhihui.hold_step
                 WHERE kind = 'captured'
                UNION ALL
                SELECT change_seq, debit, -amount_minor, -1 FROM zhihui.transfer
                UNION ALL
                SELECT change_seq, credit, amount_minor, -1 FROM zhihui.transfer) AS both_sides
         GROUP BY change_seq, account_id, amount_minor HAVING sum(n) <> 0) AS s
"""

_CURRENCIES = """
SELECT moved.what || ' ' || moved.id AS row,
       CASE WHEN f.asset IS DISTINCT FROM currency THEN source ELSE target END AS account_id,
       moved.change_seq,
       format('%s from %s to %s', currency, coalesce(f.asset, 'an unknown account'),
              coalesce(t.asset, 'an unknown account')) AS found,
       'two accounts in ' || currency AS expected
  FROM (SELECT 'payment' AS what, payment_id AS id, change_seq, payer AS source, payee AS target,
               currency
          FROM zhihui.payment WHERE status <> 'order'
        UNION ALL
        SELECT 'deposit', deposit_id, change_seq, source, account_id, currency
          FROM zhihui.deposit
        UNION ALL
        SELECT 'hold', hold_id, change_seq, account_id, coalesce(nullif(payee, ''), account_id),
               asset
          FROM zhihui.hold
        UNION ALL
        SELECT 'capture', format('%s of %s', s.number, s.hold_id), s.change_seq, h.account_id,
               s.payee, h.asset
          FROM zhihui.hold_step AS s JOIN zhihui.hold AS h USING (hold_id)
         WHERE s.kind = 'captured'
        UNION ALL
        SELECT 'transfer', format('%s of change %s', number, change_seq), change_seq, debit,
               credit, asset
          FROM zhihui.transfer) AS moved
  LEFT JOIN zhihui.account AS f ON f.account_id = moved.source
  LEFT JOIN zhihui.account AS t ON t.account_id = moved.target
 WHERE (f.asset = currency AND t.asset = currency) IS NOT TRUE
"""

# The accounts that the migration seeds belong to no change and no app, so they have no event.
# Holds of other purposes than these two belong to services that tell of them in their own words.
_EVENTS = """
SELECT type || ' of ' || id AS row,
       CASE WHEN type LIKE 'account.%' THEN id END AS account_id, change_seq,
       format('%s events', events) AS found, format('%s events', events - surplus) AS expected
  FROM (SELECT type, id, change_seq, sum(n) AS surplus, count(*) FILTER (WHERE n > 0) AS events
          FROM (SELECT 'payment.succeeded' AS type, payment_id AS id, change_seq, -1 AS n
                  FROM zhihui.payment WHERE status <> 'order'
                UNION ALL
                SELECT 'deposit.succeeded', deposit_id, change_seq, -1 FROM zhihui.deposit
                UNION ALL
                SELECT 'account.opened', account_id, change_seq, -1 FROM zhihui.account
                 WHERE app <> 'bank'
                UNION ALL
                SELECT CASE t.status WHEN 'open' THEN 'account.unfrozen'
                       ELSE 'account.' || t.status END, account_id, t.change_seq, -1
                  FROM zhihui.account_status AS t JOIN zhihui.account AS a USING (account_id)
                 WHERE a.app <> 'bank'
                UNION ALL
                SELECT CASE WHEN h.purpose = 'hold' OR s.kind = 'expired' THEN 'hold.' || s.kind
                            WHEN s.kind = 'placed' THEN 'account.frozen'
                            ELSE 'account.unfrozen' END,
                       CASE WHEN h.purpose = 'hold' OR s.kind = 'expired' THEN h.hold_id
                            ELSE h.account_id END, s.change_seq, -1
                  FROM zhihui.hold_step AS s JOIN zhihui.hold AS h USING (hold_id)
                 WHERE h.purpose IN ('hold', 'freeze')
                   AND (s.kind = 'expired' OR (s.kind <> 'released' AND h.purpose = 'hold')
                        OR (s.kind IN ('placed', 'voided') AND h.purpose = 'freeze'))
                UNION ALL
                SELECT 'payment.' || event, payment_id, change_seq, -1 FROM zhihui.payment_step
                UNION ALL
                SELECT type, subject, change_seq, 1 FROM zhihui.event
                 WHERE type LIKE 'payment.%' OR type IN ('deposit.succeeded', 'account.opened',
                                'account.frozen', 'account.unfrozen', 'account.closed',
                                'hold.placed', 'hold.captured', 'hold.voided', 'hold.expired')
               ) AS both_sides
         GROUP BY type, id, change_seq HAVING sum(n) <> 0) AS s
"""

# Entries and documents carry no app: the change's is theirs. A hold is the app's that owns the
# account, but a dispute freezes at a payee of whichever app; the platform itself and the back
# office may act on what is an app's. Names are put together outside the join, where only offending
# rows arrive.
_CHANGES_COMMITTED = """
SELECT CASE WHEN number IS NOT NULL AND id IS NOT NULL
            THEN format('%s %s of %s', what, number, id)
            ELSE concat_ws(' ', what, id, number) END AS row,
       CASE WHEN what IN ('entry', 'account') THEN id END AS account_id, r.change_seq,
       CASE WHEN c.seq IS NULL THEN 'no such change'
            WHEN c.outcome <> 'committed' THEN 'rejected: ' || c.outcome
            ELSE 'app ' || r.app END AS found,
       CASE WHEN c.outcome = 'committed' THEN 'app ' || c.app
            ELSE 'a committed change' END AS expected
  FROM (SELECT 'entry' AS what, account_id AS id, number, change_seq, NULL::text AS app
          FROM zhihui.entry
        UNION ALL
        SELECT 'payment', payment_id, NULL, change_seq, app FROM zhihui.payment
        UNION ALL
        SELECT 'deposit', deposit_id, NULL, change_seq, app FROM zhihui.deposit
        UNION ALL
        SELECT 'event', NULL, seq, change_seq, app FROM zhihui.event
        UNION ALL
        SELECT 'account', account_id, NULL, change_seq, nullif(app, 'bank') FROM zhihui.account
         WHERE change_seq <> 0
        UNION ALL
        SELECT 'document', concat_ws('/', pack, collection, key), NULL, change_seq, NULL
          FROM zhihui.document
        UNION ALL
        SELECT 'hold', hold_id, NULL, change_seq,
               CASE WHEN purpose <> 'dispute' THEN nullif(app, 'bank') END
          FROM zhihui.hold
        UNION ALL
        SELECT 'step', s.hold_id, s.number, s.change_seq,
               CASE WHEN h.purpose <> 'dispute' THEN nullif(h.app, 'bank') END
          FROM zhihui.hold_step AS s JOIN zhihui.hold AS h USING (hold_id)
        UNION ALL
        SELECT 'transfer', 'change ' || change_seq, number, change_seq, NULL FROM zhihui.transfer
        UNION ALL
        SELECT 'status', 'change ' || change_seq, number, change_seq, NULL
          FROM zhihui.account_status
        UNION ALL
        SELECT 'payment state', payment_id, NULL, change_seq, app FROM zhihui.payment_order
        UNION ALL
        SELECT 'payment step', payment_id, NULL, change_seq, NULL FROM zhihui.payment_step
        UNION ALL
        SELECT 'mandate', mandate_id, NULL, change_seq, app FROM zhihui.mandate
        UNION ALL
        SELECT 'code', code_id, NULL, change_seq, app FROM zhihui.qr_code) AS r
  LEFT JOIN zhihui.change AS c ON c.seq = r.change_seq
 WHERE c.outcome IS DISTINCT FROM 'committed'
    OR (r.app <> c.app AND c.app NOT IN ('bank', 'ops'))
"""

_HELD_SUMS = """
SELECT 'balance of ' || account_id AS row, account_id, NULL::bigint AS change_seq,
       format('held %s', coalesce(b.held_minor::text, 'missing')) AS found,
       format('%s, by open holds', coalesce(remaining, 0)) AS expected
  FROM zhihui.balance AS b
  FULL JOIN (SELECT account_id,
                    sum(amount_minor::numeric - captured_minor - released_minor) AS remaining
               FROM zhihui.hold WHERE status = 'open' GROUP BY account_id) AS h USING (account_id)
 WHERE b.held_minor IS DISTINCT FROM coalesce(remaining, 0)
"""

# A hold is proved by its steps: placed first and once, captured in parts, ended at most once, and
# nothing after that. The last kind says which status there must be.
_HOLD_STEPS = """
SELECT 'hold ' || hold_id AS row, h.account_id, h.change_seq,
       format('%s: %s, captured %s, released %s, in %s steps', coalesce(h.status, 'no hold'),
              h.amount_minor, h.captured_minor, h.released_minor, h.steps) AS found,
       format('%s: %s, captured %s, released %s, in %s steps', ended, placed, captured, released,
              coalesce(s.steps, 0)) AS expected
  FROM zhihui.hold AS h
  FULL JOIN (SELECT hold_id, placed, captured, released, steps, first_seq,
                    CASE WHEN number <> steps OR placements <> 1 OR endings > 1
                              OR captured + released > placed OR strange > 0
                              OR (ended_at IS NOT NULL AND ended_at <> steps) THEN 'no hold'
                         WHEN captured + released < placed THEN 'open'
                         WHEN voided > 0 THEN 'voided'
                         WHEN expired > 0 THEN 'expired' ELSE 'captured' END AS ended
               FROM (SELECT hold_id, count(*) AS steps, max(number) AS number,
                            coalesce(sum(amount_minor) FILTER (WHERE kind = 'placed'), 0) AS placed,
                            coalesce(sum(amount_minor) FILTER (WHERE kind = 'captured'), 0)
                            AS captured,
                            coalesce(sum(amount_minor)
                                     FILTER (WHERE kind NOT IN ('placed', 'captured')), 0)
                            AS released,
                            count(*) FILTER (WHERE kind = 'placed' AND number = 1) AS placements,
                            count(*) FILTER (WHERE kind IN ('released', 'voided', 'expired'))
                            AS endings,
                            min(number) FILTER (WHERE kind IN ('released', 'voided', 'expired'))
                            AS ended_at,
                            count(*) FILTER (WHERE kind = 'voided') AS voided,
                            count(*) FILTER (WHERE kind = 'expired') AS expired,
                            count(*) FILTER (WHERE kind NOT IN ('placed', 'captured', 'released',
                                                                'voided', 'expired')
                                                OR (kind = 'placed' AND number <> 1)) AS strange,
                            min(change_seq) AS first_seq
                       FROM zhihui.hold_step GROUP BY hold_id) AS counted) AS s USING (hold_id)
 WHERE (h.status = ended AND h.amount_minor = placed AND h.captured_minor = captured
        AND h.released_minor = released AND h.steps = s.steps AND h.change_seq = first_seq)
       IS NOT TRUE
"""

_ACCOUNT_STATUSES = """
SELECT 'account ' || account_id AS row, account_id, s.change_seq,
       format('%s, posted %s, held %s', coalesce(a.status, 'no account'), b.posted_minor,
              b.held_minor) AS found,
       CASE WHEN a.status = 'closed' AND s.status = 'closed' THEN 'nothing in it'
            ELSE coalesce(s.status, 'open') END AS expected
  FROM zhihui.account AS a
  FULL JOIN (SELECT DISTINCT ON (account_id) account_id, change_seq, status
               FROM zhihui.account_status ORDER BY account_id, change_seq DESC, number DESC) AS s
       USING (account_id)
  LEFT JOIN zhihui.balance AS b USING (account_id)
 WHERE a.status IS DISTINCT FROM coalesce(s.status, 'open')
    OR a.status NOT IN ('open', 'frozen', 'closed')
    OR (a.status = 'closed' AND (b.posted_minor <> 0 OR b.held_minor <> 0))
"""

_CHANGE_SEQUENCE = """
SELECT format('change %s', seq) AS row, NULL::text AS account_id, seq AS change_seq,
       format('%s changes under this number', count(*)) AS found,
       '1 change under a positive number' AS expected
  FROM zhihui.change GROUP BY seq HAVING count(*) > 1 OR seq < 1
"""

_EVENT_SEQUENCE = """
SELECT format('event %s', e.seq) AS row, NULL::text AS account_id, e.change_seq,
       format('no event %s before it', e.seq - 1) AS found,
       'numbers from 1 without a gap' AS expected
  FROM zhihui.event AS e LEFT JOIN zhihui.event AS p ON p.seq = e.seq - 1
 WHERE e.seq <> 1 AND p.seq IS NULL
"""

_EVENT_CURSOR = """
SELECT 'cursor of ' || stream AS row, NULL::text AS account_id, NULL::bigint AS change_seq,
       format('at event %s', seq) AS found, format('between 0 and %s', last) AS expected
  FROM zhihui.event_cursor,
       (SELECT coalesce(max(seq), 0) AS last FROM zhihui.event) AS m
 WHERE seq > last OR seq < 0
"""

CHECKS: tuple[Check, ...] = (
    Check(
        name="asset_totals",
        claim="Debits equal credits in every asset.",
        tables=("entry",),
        sql=_ASSET_TOTALS,
    ),
    Check(
        name="change_balances",
        claim="The entries of every change sum to zero in every asset.",
        tables=("entry",),
        sql=_CHANGE_BALANCES,
    ),
    Check(
        name="entry_chain",
        claim="Entries are numbered from 1 without gaps, and each continues the balance before it.",
        tables=("entry",),
        sql=_ENTRY_CHAIN,
    ),
    Check(
        name="balance_sums",
        claim="Every balance is the sum of its entries and counts them.",
        tables=("balance", "entry"),
        sql=_BALANCE_SUMS,
    ),
    Check(
        name="account_balances",
        claim="Every account has one balance, and every balance an account.",
        tables=("account", "balance"),
        sql=_ACCOUNT_BALANCES,
    ),
    Check(
        name="limits",
        claim="No available balance is below its account's floor, none posted above its ceiling,"
        " nor ever was below its floor.",
        tables=("balance", "entry"),
        sql=_LIMITS,
    ),
    Check(
        name="entries_explained",
        claim="Every payment, deposit, capture and transfer has exactly its two entries, and there"
        " are no others.",
        tables=("entry", "payment", "deposit", "hold_step", "transfer"),
        sql=_ENTRIES_EXPLAINED,
    ),
    Check(
        name="currencies",
        claim="Every payment, deposit, hold, capture and transfer joins two accounts that are kept"
        " in its currency.",
        tables=("payment", "deposit", "hold", "hold_step", "transfer"),
        sql=_CURRENCIES,
    ),
    Check(
        name="events",
        claim="Every payment and step of a payment, deposit, opened account, status and step of a"
        " hold has exactly one event, and no other has.",
        tables=(
            "payment",
            "payment_step",
            "deposit",
            "account",
            "account_status",
            "hold_step",
            "event",
        ),
        sql=_EVENTS,
    ),
    Check(
        name="changes_committed",
        claim="Every row belongs to a committed change of its app; rejected changes left none.",
        tables=(
            "entry",
            "payment",
            "deposit",
            "event",
            "account",
            "document",
            "hold",
            "hold_step",
            "transfer",
            "account_status",
            "payment_order",
            "payment_step",
            "mandate",
            "qr_code",
        ),
        sql=_CHANGES_COMMITTED,
    ),
    Check(
        name="held_sums",
        claim="What is held of every balance is what its open holds keep.",
        tables=("balance", "hold"),
        sql=_HELD_SUMS,
    ),
    Check(
        name="hold_steps",
        claim="Every hold is the sum of its steps, was resolved at most once and never beyond its"
        " amount.",
        tables=("hold", "hold_step"),
        sql=_HOLD_STEPS,
    ),
    Check(
        name="account_statuses",
        claim="Every account has the status that was last given to it, and closed ones are empty.",
        tables=("account", "account_status"),
        sql=_ACCOUNT_STATUSES,
    ),
    Check(
        name="change_sequence",
        claim="Every change, rejected ones too, has a number of its own.",
        tables=("change",),
        sql=_CHANGE_SEQUENCE,
    ),
    Check(
        name="event_sequence",
        claim="Events are numbered from 1 without gaps.",
        tables=("event",),
        sql=_EVENT_SEQUENCE,
    ),
    Check(
        name="event_cursor",
        claim="No relay is ahead of the last event.",
        tables=("event_cursor",),
        sql=_EVENT_CURSOR,
    ),
    *SERVICE_CHECKS,
    *SETTLEMENT_CHECKS,
    *PRODUCT_CHECKS,
)
