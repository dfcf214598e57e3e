-- A bank of $payers customers with money and $payees merchants without, as if they had opened their
-- accounts and the customers had paid in cash: every row that the product would have written is
-- here, so that the audit holds. For a database without changes. The relay starts after the events.

CREATE TEMP TABLE opened ON COMMIT DROP AS
SELECT n AS seq,
       CASE WHEN n <= $payers THEN 'acct_payer' || lpad(n::text, 15, '0')
            ELSE 'acct_payee' || lpad((n - $payers)::text, 15, '0') END AS account_id,
       CASE WHEN n <= $payers THEN 'customer' ELSE 'merchant' END AS type,
       'open-' || n AS request_id,
       date_trunc('milliseconds', now()) AS at
  FROM generate_series(1, $payers + $payees) AS n;

CREATE TEMP TABLE paid_in ON COMMIT DROP AS
SELECT n AS number, $payers + $payees + n AS seq,
       'acct_payer' || lpad(n::text, 15, '0') AS account_id,
       'dep_' || lpad(n::text, 27, '0') AS deposit_id,
       'deposit-' || n AS request_id,
       date_trunc('milliseconds', now()) AS at
  FROM generate_series(1, $payers) AS n;

INSERT INTO zhihui.account
SELECT account_id, seq, '$app', 'Bench ' || seq, type, 'CNY', 0, NULL, 'open', at, '', ''
  FROM opened;

INSERT INTO zhihui.balance
SELECT account_id, $opening, 1 FROM paid_in
UNION ALL SELECT account_id, 0, 0 FROM opened WHERE type = 'merchant';

UPDATE zhihui.balance SET posted_minor = -$opening * $payers, entries = $payers
 WHERE account_id = 'external:cash';

INSERT INTO zhihui.entry
SELECT 'external:cash', number, seq, -$opening, -$opening * number FROM paid_in
UNION ALL SELECT account_id, 1, seq, $opening, $opening FROM paid_in;

INSERT INTO zhihui.deposit
SELECT deposit_id, seq, '$app', account_id, 'external:cash', $opening, 'CNY', at FROM paid_in;

CREATE TEMP TABLE told ON COMMIT DROP AS
SELECT seq, request_id, 'account.open' AS operation, 'account.opened' AS type,
       account_id AS subject, at,
       json_build_object('account_id', account_id, 'holder', 'Bench ' || seq, 'type', type,
                         'currency', 'CNY', 'status', 'open',
                         'opened_at', to_json(at))::text AS answer
  FROM opened
UNION ALL
SELECT seq, request_id, 'account.deposit', 'deposit.succeeded', deposit_id, at,
       json_build_object('deposit_id', deposit_id, 'account_id', account_id,
                         'source', 'external:cash', 'amount_minor', $opening,
                         'currency', 'CNY', 'created_at', to_json(at))::text
  FROM paid_in;

INSERT INTO zhihui.change
SELECT '$app', request_id, seq, operation, decode(md5(answer), 'hex'), 'committed', answer, at
  FROM told;

INSERT INTO zhihui.event
SELECT seq, seq, '$app', type, subject, answer, at FROM told;

INSERT INTO zhihui.event_cursor
SELECT '$stream', max(seq) FROM zhihui.event
ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq;
