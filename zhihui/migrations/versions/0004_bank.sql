-- Limits of accounts, tallies, rule sets, and the bank's own accounts.

-- Whose account it is, and its class ('I', 'II', 'III'); empty where that is not known.
ALTER TABLE zhihui.account ADD COLUMN customer_id text NOT NULL DEFAULT '';
ALTER TABLE zhihui.account ADD COLUMN class text NOT NULL DEFAULT '';
ALTER TABLE zhihui.account ALTER COLUMN customer_id DROP DEFAULT;
ALTER TABLE zhihui.account ALTER COLUMN class DROP DEFAULT;

-- What may leave and enter an account in a day and a year of Asia/Shanghai, and what did on `day`
-- (a proleptic ordinal) and in `year`. Null is no limit. Moves with `exempt` are not counted.
CREATE TABLE zhihui.account_limit (
    account_id   text   PRIMARY KEY,
    day_out_max  bigint,
    day_in_max   bigint,
    year_out_max bigint,
    year_in_max  bigint,
    exempt       text   NOT NULL,
    day          bigint NOT NULL,
    day_out      bigint NOT NULL,
    day_in       bigint NOT NULL,
    year         bigint NOT NULL,
    year_out     bigint NOT NULL,
    year_in      bigint NOT NULL
) WITH (fillfactor = 80);

-- Counters that move in the same commit as what they count. The period is part of the id.
CREATE TABLE zhihui.tally (
    tally_id     text    PRIMARY KEY,
    count        bigint  NOT NULL CHECK (count >= 0),
    amount_minor bigint  NOT NULL CHECK (amount_minor >= 0),
    closed       boolean NOT NULL
) WITH (fillfactor = 70);

-- What a move was for, such as a fee; a move without a payment or a deposit has a row here.
ALTER TABLE zhihui.transfer ADD COLUMN purpose text NOT NULL DEFAULT 'transfer';
ALTER TABLE zhihui.transfer ALTER COLUMN purpose DROP DEFAULT;

-- Rules that can be changed while the service runs; body is JSON. Each version is kept.
CREATE TABLE zhihui.rule_set (
    name       text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    body       text   NOT NULL
);
CREATE TABLE zhihui.rule_set_version (
    name       text        NOT NULL,
    version    bigint      NOT NULL,
    change_seq bigint      NOT NULL,
    body       text        NOT NULL,
    put_at     timestamptz NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE TRIGGER rule_set_version_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.rule_set_version
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();

-- The bank's own accounts. None has a floor: they are the other side of what customers have.
INSERT INTO zhihui.account
SELECT name, 0, 'bank', name, 'internal', asset, NULL, NULL, 'open', 'epoch', '', ''
  FROM (VALUES ('escrow:guaranteed', 'CNY'),
               ('income:merchant_fee', 'CNY'), ('income:credit_fee', 'CNY'),
               ('income:credit_interest', 'CNY'), ('income:credit_penalty', 'CNY'),
               ('income:advance_interest', 'CNY'),
               ('expense:marketing', 'CNY'), ('expense:channel_fee', 'CNY'),
               ('points:issued', 'POINTS'), ('points:redeemed', 'POINTS'),
               ('points:expired', 'POINTS'), ('points:expense', 'CNY')) AS a(name, asset);
INSERT INTO zhihui.account
SELECT format('channel:%s:%s', channel, side), 0, 'bank', format('channel:%s:%s', channel, side),
       'internal', 'CNY', NULL, NULL, 'open', 'epoch', '', ''
  FROM unnest(ARRAY['own_bank', 'wechat', 'alipay', 'unionpay', 'netsunion']) AS channel
 CROSS JOIN unnest(ARRAY['expected', 'suspense']) AS side;
INSERT INTO zhihui.account
VALUES ('external:own_bank', 0, 'bank', 'external:own_bank', 'external', 'CNY', NULL, NULL, 'open',
        'epoch', '', '');
INSERT INTO zhihui.balance
SELECT account_id, 0, 0 FROM zhihui.account AS a
 WHERE NOT EXISTS (SELECT 1 FROM zhihui.balance AS b WHERE b.account_id = a.account_id);
