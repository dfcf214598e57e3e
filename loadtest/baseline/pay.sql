-- The baseline's payment: one call, one transaction, the rows and checks of the product.
-- It runs in a database of its own on the product's schema.

CREATE SCHEMA baseline;

-- The numbers have gaps after rejected payments, which only the product's relay would mind.
CREATE SEQUENCE baseline.change_seq;
CREATE SEQUENCE baseline.event_seq;
SELECT setval('baseline.change_seq', (SELECT coalesce(max(seq), 0) + 1 FROM zhihui.change), false);
SELECT setval('baseline.event_seq', (SELECT coalesce(max(seq), 0) + 1 FROM zhihui.event), false);

-- Remembers a rejection under the request's id and returns it.
CREATE FUNCTION baseline.reject(
    p_app text, p_request_id text, p_digest bytea, p_at timestamptz,
    p_code text, p_field text, p_message text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_answer text := json_build_object('code', p_code, 'message', p_message, 'field', p_field,
                                       'retryable', false, 'retry_after_s', NULL);
BEGIN
    INSERT INTO zhihui.change
    VALUES (p_app, p_request_id, nextval('baseline.change_seq'), 'payment.create', p_digest,
            p_code, v_answer, p_at);
    RETURN v_answer;
END $$;

-- The counter that the product's default risk rules keep of each customer's day, and its limit.
CREATE FUNCTION baseline.count_day(p_payer text, p_amount bigint, p_at timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO zhihui.tally AS t
    VALUES (format('risk:customer-day:%s:%s', p_payer,
                   (extract(epoch FROM p_at)::bigint + 28800) / 86400), 1, p_amount, false)
        ON CONFLICT (tally_id) DO UPDATE
       SET count = t.count + 1, amount_minor = t.amount_minor + excluded.amount_minor
     WHERE t.amount_minor + excluded.amount_minor <= 500000000;
    RETURN FOUND;
END $$;

-- Returns (committed, answer): whether the payment stands, and the result or the error as JSON.
-- Two calls with one request id at once may end in a unique violation: call again, and the first
-- one's answer is found.
CREATE FUNCTION baseline.pay(
    p_app text, p_request_id text, p_digest bytea, p_payment_id text, p_payer text, p_payee text,
    p_amount bigint, p_currency text, p_reference text, p_answer text, p_at timestamptz,
    OUT committed boolean, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    v_first record;
    v_payer record;
    v_payee record;
    v_seq   bigint;
BEGIN
    -- Both locks in the order of the ids, so that two payments never wait for each other. Who had to
    -- wait for a lock reads the row as the holder left it.
    IF p_payer < p_payee THEN
        SELECT a.app, a.asset, a.status, a.floor_minor, b.posted_minor, b.entries INTO v_payer
          FROM zhihui.balance AS b JOIN zhihui.account AS a USING (account_id)
         WHERE b.account_id = p_payer FOR NO KEY UPDATE OF b;
        SELECT a.asset, a.status, a.ceiling_minor, b.posted_minor, b.entries INTO v_payee
          FROM zhihui.balance AS b JOIN zhihui.account AS a USING (account_id)
         WHERE b.account_id = p_payee FOR NO KEY UPDATE OF b;
    ELSE
        SELECT a.asset, a.status, a.ceiling_minor, b.posted_minor, b.entries INTO v_payee
          FROM zhihui.balance AS b JOIN zhihui.account AS a USING (account_id)
         WHERE b.account_id = p_payee FOR NO KEY UPDATE OF b;
        SELECT a.app, a.asset, a.status, a.floor_minor, b.posted_minor, b.entries INTO v_payer
          FROM zhihui.balance AS b JOIN zhihui.account AS a USING (account_id)
         WHERE b.account_id = p_payer FOR NO KEY UPDATE OF b;
    END IF;

    SELECT c.digest, c.outcome, c.answer INTO v_first
      FROM zhihui.change AS c WHERE c.app = p_app AND c.request_id = p_request_id;
    IF FOUND THEN
        IF v_first.digest <> p_digest THEN
            committed := false;
            answer := json_build_object('code', 'conflict', 'message',
                'request_id was used before with another body', 'field', 'request_id',
                'retryable', false, 'retry_after_s', NULL);
        ELSE
            committed := v_first.outcome = 'committed';
            answer := v_first.answer;
        END IF;
        RETURN;
    END IF;

    committed := false;
    IF v_payer IS NULL OR v_payer.app <> p_app THEN
        answer := baseline.reject(p_app, p_request_id, p_digest, p_at, 'not_found', 'payer',
                                  'payer is not an account of this app');
    ELSIF v_payee IS NULL THEN
        answer := baseline.reject(p_app, p_request_id, p_digest, p_at, 'not_found', 'payee',
                                  'payee is not an account');
    ELSIF v_payer.status <> 'open' OR v_payee.status <> 'open' THEN
        answer := baseline.reject(p_app, p_request_id, p_digest, p_at, 'invalid_state', NULL,
                                  'both accounts must be open');
    ELSIF v_payer.asset <> p_currency OR v_payee.asset <> p_currency THEN
        answer := baseline.reject(p_app, p_request_id, p_digest, p_at, 'invalid_state', NULL,
                                  'both accounts must be kept in the currency');
    ELSIF v_payer.posted_minor - p_amount < v_payer.floor_minor THEN
        answer := baseline.reject(p_app, p_request_id, p_digest, p_at, 'insufficient_funds',
                                  'payer', 'the balance does not cover the amount');
    ELSIF v_payee.posted_minor + p_amount > v_payee.ceiling_minor THEN
        answer := baseline.reject(p_app, p_request_id, p_digest, p_at, 'balance_limit', 'payee',
                                  'the balance would rise above the ceiling');
    ELSIF NOT baseline.count_day(p_payer, p_amount, p_at) THEN
        answer := baseline.reject(p_app, p_request_id, p_digest, p_at, 'risk_declined',
                                  'amount_minor', 'the customer moved enough today');
    ELSE
        v_seq := nextval('baseline.change_seq');
        INSERT INTO zhihui.change
        VALUES (p_app, p_request_id, v_seq, 'payment.create', p_digest, 'committed', p_answer,
                p_at);
        UPDATE zhihui.balance
           SET posted_minor = posted_minor - p_amount, entries = entries + 1
         WHERE account_id = p_payer;
        UPDATE zhihui.balance
           SET posted_minor = posted_minor + p_amount, entries = entries + 1
         WHERE account_id = p_payee;
        INSERT INTO zhihui.entry
        VALUES (p_payer, v_payer.entries + 1, v_seq, -p_amount, v_payer.posted_minor - p_amount),
               (p_payee, v_payee.entries + 1, v_seq, p_amount, v_payee.posted_minor + p_amount);
        INSERT INTO zhihui.payment
        VALUES (p_payment_id, v_seq, p_app, p_request_id, 'quick', 'succeeded', p_payer, p_payee,
                p_amount, p_currency, p_reference, p_at);
        INSERT INTO zhihui.event
        VALUES (nextval('baseline.event_seq'), v_seq, p_app, 'payment.succeeded', p_payment_id,
                p_answer, p_at);
        committed := true;
        answer := p_answer;
    END IF;
END $$;
