-- Money-market funds, points and coupons. Days are text, YYYY-MM-DD, of Asia/Shanghai.

-- A fund: its terms, the income run under way, and up to which day its bank's advances are cleared.
CREATE TABLE zhihui.fund (
    fund       text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    body       text   NOT NULL
) WITH (fillfactor = 70);

-- A customer's holding: what of it earns, and the part of a fen that is owed. Written by the first
-- order, and then by the income runs alone.
CREATE TABLE zhihui.wealth_holding (
    units_account text   PRIMARY KEY,
    version       bigint NOT NULL,
    change_seq    bigint NOT NULL,
    app           text   NOT NULL,
    fund          text   NOT NULL,
    body          text   NOT NULL
) WITH (fillfactor = 70);
-- An income run walks over the holders of a fund in the order of their accounts.
CREATE INDEX wealth_holding_fund ON zhihui.wealth_holding (fund, units_account);

-- Status 'accepted' → 'confirmed' (bought) or 'paid' (redeemed), by way of 'unpaid' when an account
-- was closed or frozen; instant redemptions begin as 'paid'.
CREATE TABLE zhihui.wealth_order (
    order_id      text   PRIMARY KEY,
    version       bigint NOT NULL,
    change_seq    bigint NOT NULL,
    app           text   NOT NULL,
    units_account text   NOT NULL,
    status        text   NOT NULL,
    body          text   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX wealth_order_open ON zhihui.wealth_order (units_account)
 WHERE status IN ('accepted', 'unpaid');

-- Units that come and go, each with the first day on which they earn or no longer do: kind
-- 'subscribe', 'redeem', 'instant' or 'income'. Up to a day, their sum earns on that day.
CREATE TABLE zhihui.wealth_flow (
    flow_id       text   PRIMARY KEY,
    change_seq    bigint NOT NULL,
    units_account text   NOT NULL,
    kind          text   NOT NULL,
    units_minor   bigint NOT NULL CHECK (units_minor <> 0),
    earns_from    text   NOT NULL
);
CREATE INDEX wealth_flow_account ON zhihui.wealth_flow (units_account, earns_from);

-- A day's income of one holder. carried is in hundred-millionths of a fen. credited_to is the units
-- account, the cash account when that was closed, or empty when both were.
CREATE TABLE zhihui.wealth_income (
    units_account text   NOT NULL,
    day           text   NOT NULL,
    change_seq    bigint NOT NULL,
    fund          text   NOT NULL,
    units_minor   bigint NOT NULL,
    rate          bigint NOT NULL,
    income_minor  bigint NOT NULL CHECK (income_minor >= 0),
    carried       bigint NOT NULL CHECK (carried >= 0),
    credited_to   text   NOT NULL,
    PRIMARY KEY (units_account, day)
);

-- A day's income that all holders have. rate is per 10,000 units, in 1/10,000 yuan.
CREATE TABLE zhihui.fund_income (
    fund         text   NOT NULL,
    day          text   NOT NULL,
    change_seq   bigint NOT NULL,
    rate         bigint NOT NULL,
    holders      bigint NOT NULL,
    units_minor  bigint NOT NULL,
    income_minor bigint NOT NULL,
    PRIMARY KEY (fund, day)
);

-- What a fund paid back of its bank's advances for the orders of a day.
CREATE TABLE zhihui.fund_clearing (
    fund         text   NOT NULL,
    ordered_on   text   NOT NULL,
    change_seq   bigint NOT NULL,
    cleared_on   text   NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    PRIMARY KEY (fund, ordered_on, change_seq)
);

CREATE TRIGGER wealth_flow_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.wealth_flow
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER wealth_income_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.wealth_income
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER fund_income_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.fund_income
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER fund_clearing_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.fund_clearing
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();

-- The batches of a points account; together they are its balance in the ledger.
CREATE TABLE zhihui.points_wallet (
    points_account text   PRIMARY KEY,
    version        bigint NOT NULL,
    change_seq     bigint NOT NULL,
    app            text   NOT NULL,
    account_id     text   NOT NULL,
    body           text   NOT NULL
) WITH (fillfactor = 70);

-- What one leg of a payment took of which batch, and what came back with refunds.
CREATE TABLE zhihui.points_use (
    use_id         text   PRIMARY KEY,
    version        bigint NOT NULL,
    change_seq     bigint NOT NULL,
    app            text   NOT NULL,
    points_account text   NOT NULL,
    body           text   NOT NULL
) WITH (fillfactor = 90);

-- Status 'issued' → 'used' → 'issued' again when the whole payment was refunded; 'revoked' is final.
CREATE TABLE zhihui.coupon (
    coupon_id  text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    campaign   text   NOT NULL,
    status     text   NOT NULL,
    body       text   NOT NULL
) WITH (fillfactor = 80);

-- What all points that are out are worth.
INSERT INTO zhihui.account
VALUES ('points:reserve', 0, 'bank', 'points:reserve', 'internal', 'CNY', NULL, NULL, 'open', 'epoch',
        '', '');
INSERT INTO zhihui.balance VALUES ('points:reserve', 0, 0, 0);
