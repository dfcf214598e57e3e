-- The first schema: ownership, the journal with its idempotency record, the ledger, payments,
-- documents of scenario packs, the outbox of events and the dead letters.
--
-- Hot tables carry no foreign keys: every row of them is written by the journal in one commit with
-- the rows it points to, a foreign key check costs a lookup a row, and `zhihui audit` proves the
-- references from the data alone.

CREATE SCHEMA zhihui;

-- Who may write what. A commit names the epochs it was decided under and fails if one is stale.
CREATE TABLE zhihui.partition (
    partition   smallint    PRIMARY KEY,
    owner       text        NOT NULL,
    epoch       bigint      NOT NULL,
    lease_until timestamptz NOT NULL
);
INSERT INTO zhihui.partition
SELECT p, '', 0, 'epoch' FROM generate_series(0, 63) AS p;

-- Locks the named partitions against a change of owner until the transaction ends, and fails with
-- the partitions whose epoch is no longer the one given.
CREATE FUNCTION zhihui.fence(partitions smallint[], epochs bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stale smallint[];
BEGIN
    PERFORM 1 FROM zhihui.partition AS p
     WHERE p.partition = ANY (partitions) ORDER BY p.partition FOR SHARE;
    SELECT array_agg(g.partition ORDER BY g.partition) INTO stale
      FROM unnest(partitions, epochs) AS g(partition, epoch)
      LEFT JOIN zhihui.partition AS p USING (partition)
     WHERE p.epoch IS DISTINCT FROM g.epoch;
    IF stale IS NOT NULL THEN
        RAISE EXCEPTION 'stale epoch' USING ERRCODE = 'ZH001', DETAIL = array_to_string(stale, ',');
    END IF;
END $$;

-- One row for every request that was decided: the idempotency record with its answer.
-- outcome is 'committed' or the code of the remembered rejection.
CREATE TABLE zhihui.change (
    app        text        NOT NULL,
    request_id text        NOT NULL,
    seq        bigint      NOT NULL,
    operation  text        NOT NULL,
    digest     bytea       NOT NULL,
    outcome    text        NOT NULL,
    answer     text        NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (app, request_id)
);
-- Unique, so that two writers can never both believe to be the one: their numbers collide.
CREATE UNIQUE INDEX change_seq ON zhihui.change (seq);

CREATE TABLE zhihui.account (
    account_id    text        PRIMARY KEY,
    change_seq    bigint      NOT NULL,
    app           text        NOT NULL,
    holder        text        NOT NULL,
    type          text        NOT NULL,
    asset         text        NOT NULL,
    floor_minor   bigint,
    ceiling_minor bigint,
    status        text        NOT NULL,
    opened_at     timestamptz NOT NULL
);

-- Credit positive. The fill factor leaves room for updates in place, which touch no index.
CREATE TABLE zhihui.balance (
    account_id   text   PRIMARY KEY,
    posted_minor bigint NOT NULL,
    entries      bigint NOT NULL
) WITH (fillfactor = 60);

-- Entries of an account are numbered without gaps from 1. Credit positive.
CREATE TABLE zhihui.entry (
    account_id          text   NOT NULL,
    number              bigint NOT NULL,
    change_seq          bigint NOT NULL,
    amount_minor        bigint NOT NULL CHECK (amount_minor <> 0),
    balance_after_minor bigint NOT NULL,
    PRIMARY KEY (account_id, number)
);
CREATE INDEX entry_change_seq ON zhihui.entry USING brin (change_seq);

CREATE TABLE zhihui.deposit (
    deposit_id   text        PRIMARY KEY,
    change_seq   bigint      NOT NULL,
    app          text        NOT NULL,
    account_id   text        NOT NULL,
    source       text        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL,
    created_at   timestamptz NOT NULL
);

CREATE TABLE zhihui.payment (
    payment_id   text        PRIMARY KEY,
    change_seq   bigint      NOT NULL,
    app          text        NOT NULL,
    request_id   text        NOT NULL,
    method       text        NOT NULL,
    status       text        NOT NULL,
    payer        text        NOT NULL,
    payee        text        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL,
    reference    text        NOT NULL,
    created_at   timestamptz NOT NULL
);

-- State of one identity of a scenario pack; body is JSON.
CREATE TABLE zhihui.document (
    pack       text   NOT NULL,
    collection text   NOT NULL,
    key        text   NOT NULL,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    body       text   NOT NULL,
    PRIMARY KEY (pack, collection, key)
);

-- The outbox. seq is given in commit order by the journal, so a cursor is enough to relay it.
CREATE TABLE zhihui.event (
    seq        bigint      PRIMARY KEY,
    change_seq bigint      NOT NULL,
    app        text        NOT NULL,
    type       text        NOT NULL,
    subject    text        NOT NULL,
    data       text        NOT NULL,
    at         timestamptz NOT NULL
);
CREATE TABLE zhihui.event_cursor (
    stream text   PRIMARY KEY,
    seq    bigint NOT NULL
);

CREATE TABLE zhihui.dead_letter (
    dead_letter_id text        PRIMARY KEY,
    at             timestamptz NOT NULL,
    node           text        NOT NULL,
    kind           text        NOT NULL,
    key            text        NOT NULL,
    type           text        NOT NULL,
    app            text        NOT NULL,
    reason         text        NOT NULL,
    attempts       integer     NOT NULL,
    body           bytea       NOT NULL
);

CREATE FUNCTION zhihui.refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never updated or deleted: post a correcting change instead',
        TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER entry_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.entry
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER change_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.change
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER event_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.event
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();

-- Where money comes from and goes to outside the bank: no floor, since their balance is the
-- mirror of all that came in.
INSERT INTO zhihui.account
SELECT name, 0, 'bank', name, 'external', 'CNY', NULL, NULL, 'open', 'epoch'
  FROM unnest(ARRAY['external:cash', 'external:unionpay', 'external:netsunion',
                    'external:wechat', 'external:alipay']) AS name;
INSERT INTO zhihui.balance
SELECT account_id, 0, 0 FROM zhihui.account;
