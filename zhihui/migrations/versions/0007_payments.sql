-- Payments with a history, mandates and payment codes.

-- The state of a payment that was not made at once by one account, and of one to which something
-- followed; body is JSON. payment.status is 'order' for the former kind, so what it moved stands in
-- transfer and hold_step; 'succeeded' is the latter's, whose posting is in the change of its row.
CREATE TABLE zhihui.payment_order (
    payment_id text    PRIMARY KEY,
    version    bigint  NOT NULL,
    change_seq bigint  NOT NULL,
    app        text    NOT NULL,
    payer      text    NOT NULL,
    payee      text    NOT NULL,
    status     text    NOT NULL,
    one_shot   boolean NOT NULL,
    body       text    NOT NULL
) WITH (fillfactor = 80);
-- For lists; ids sort by time. Payments made at once by one account pay for none of these.
CREATE INDEX payment_order_payer ON zhihui.payment_order (payer, payment_id);
CREATE INDEX payment_order_payee ON zhihui.payment_order (payee, payment_id);
CREATE INDEX payment_order_status ON zhihui.payment_order (status, payment_id);

-- Every step of a payment: the event `payment.<event>` told of it, and status is the one after it.
-- The first step of a payment that was made at once is its row in payment, and has none here.
CREATE TABLE zhihui.payment_step (
    change_seq   bigint      NOT NULL,
    payment_id   text        NOT NULL,
    event        text        NOT NULL,
    status       text        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor >= 0),
    at           timestamptz NOT NULL,
    PRIMARY KEY (payment_id, change_seq)
);
CREATE TRIGGER payment_step_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.payment_step
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();

-- What was used of a mandate stands in tallies named after it. token is '<type>:<value>', or empty.
CREATE TABLE zhihui.mandate (
    mandate_id text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    token      text   NOT NULL,
    status     text   NOT NULL,
    body       text   NOT NULL
);
CREATE INDEX mandate_token ON zhihui.mandate (token, app) WHERE token <> '';

CREATE TABLE zhihui.qr_code (
    code_id    text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    body       text   NOT NULL
);

-- Keeps what had to leave escrow:guaranteed and has no account to go back to.
INSERT INTO zhihui.account
VALUES ('escrow:unclaimed', 0, 'bank', 'escrow:unclaimed', 'internal', 'CNY', NULL, NULL, 'open',
        'epoch', '', '');
INSERT INTO zhihui.balance VALUES ('escrow:unclaimed', 0, 0);
