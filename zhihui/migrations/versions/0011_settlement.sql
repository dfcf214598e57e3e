-- Merchants, the legs of their payments, and their settlements.

-- A merchant, under the id of its collection account; body is JSON. Payments keep what they read of
-- it until change_seq shows a newer version.
CREATE TABLE zhihui.merchant (
    merchant_id text   PRIMARY KEY,
    version     bigint NOT NULL,
    change_seq  bigint NOT NULL,
    app         text   NOT NULL,
    body        text   NOT NULL
);
CREATE INDEX merchant_change_seq ON zhihui.merchant (change_seq);

-- Money that came to a merchant ('payment'; 'share' of another merchant's payment) or went back
-- ('refund', 'share_back', with negative amounts), written by the change that moved it.
-- net = gross − fee − shared. shares is JSON: [[account, amount], …]. The key serves the one way in
-- which legs are read, and there is no other index, since each would cost every payment.
CREATE TABLE zhihui.settlement_leg (
    merchant_id  text        NOT NULL,
    change_seq   bigint      NOT NULL,
    leg_id       text        NOT NULL,
    kind         text        NOT NULL,
    app          text        NOT NULL,
    payment_id   text        NOT NULL,
    method       text        NOT NULL,
    at           timestamptz NOT NULL,
    gross_minor  bigint      NOT NULL,
    fee_minor    bigint      NOT NULL,
    shared_minor bigint      NOT NULL,
    net_minor    bigint      NOT NULL,
    shares       text        NOT NULL,
    PRIMARY KEY (merchant_id, change_seq, leg_id)
);

-- Where a merchant's settlement stands; body is JSON.
CREATE TABLE zhihui.settlement_standing (
    merchant_id text   PRIMARY KEY,
    version     bigint NOT NULL,
    change_seq  bigint NOT NULL,
    app         text   NOT NULL,
    body        text   NOT NULL
) WITH (fillfactor = 70);

-- A settlement holds the merchant's legs with after_seq < change_seq <= to_seq, and
-- net + carried_in = payout + carried_out once it is 'settled' or 'failed'.
CREATE TABLE zhihui.settlement (
    settlement_id     text   PRIMARY KEY,
    version           bigint NOT NULL,
    change_seq        bigint NOT NULL,
    app               text   NOT NULL,
    merchant_id       text   NOT NULL,
    number            bigint NOT NULL,
    day               text   NOT NULL,
    state             text   NOT NULL,
    after_seq         bigint NOT NULL,
    to_seq            bigint NOT NULL,
    net_minor         bigint NOT NULL,
    carried_in_minor  bigint NOT NULL,
    carried_out_minor bigint NOT NULL,
    payout_minor      bigint NOT NULL,
    body              text   NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX settlement_number ON zhihui.settlement (merchant_id, number);

-- Which legs a settlement holds. The ranges of a merchant begin where others end, so the key lets
-- no leg into two settlements.
CREATE TABLE zhihui.settlement_range (
    merchant_id   text   NOT NULL,
    after_seq     bigint NOT NULL,
    change_seq    bigint NOT NULL,
    to_seq        bigint NOT NULL,
    settlement_id text   NOT NULL,
    PRIMARY KEY (merchant_id, after_seq)
);

-- What each account got of an app's payments in a settlement, less what it gave back. Role is
-- 'merchant', 'participant' or 'bank'.
CREATE TABLE zhihui.clearing (
    day           text   NOT NULL,
    app           text   NOT NULL,
    account_id    text   NOT NULL,
    role          text   NOT NULL,
    settlement_id text   NOT NULL,
    change_seq    bigint NOT NULL,
    legs          bigint NOT NULL,
    amount_minor  bigint NOT NULL,
    PRIMARY KEY (day, app, account_id, role, settlement_id)
);

CREATE TRIGGER settlement_leg_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.settlement_leg
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER settlement_range_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.settlement_range
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER clearing_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.clearing
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
