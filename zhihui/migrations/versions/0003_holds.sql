-- Holds, the status of accounts, and transfers of what a balance allows.

-- What the open holds of the account keep of its balance. Available is posted less held.
ALTER TABLE zhihui.balance ADD COLUMN held_minor bigint NOT NULL DEFAULT 0;

-- Status 'open' → 'captured' (all of it, or a final part), 'voided' or 'expired'; never back, and
-- from none of the three to another. An open hold keeps amount − captured − released. payee is
-- empty when each capture names its own. steps is the number of the hold's last step.
CREATE TABLE zhihui.hold (
    hold_id        text        PRIMARY KEY,
    change_seq     bigint      NOT NULL,
    app            text        NOT NULL,
    account_id     text        NOT NULL,
    payee          text        NOT NULL,
    asset          text        NOT NULL,
    purpose        text        NOT NULL,
    capturable     boolean     NOT NULL,
    reference      text        NOT NULL,
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    placed_at      timestamptz NOT NULL,
    expires_at     timestamptz,
    captured_minor bigint      NOT NULL,
    released_minor bigint      NOT NULL,
    status         text        NOT NULL,
    steps          bigint      NOT NULL
) WITH (fillfactor = 80);

-- All that ever happened to a hold: 'placed' first, then 'captured' parts, then at most one of
-- 'released' (the rest of a final capture), 'voided' and 'expired'. payee is set for captures.
CREATE TABLE zhihui.hold_step (
    hold_id      text   NOT NULL,
    number       bigint NOT NULL,
    change_seq   bigint NOT NULL,
    kind         text   NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    payee        text   NOT NULL,
    PRIMARY KEY (hold_id, number)
);

-- Moves whose amount the ledger found; those that found nothing are not here.
CREATE TABLE zhihui.transfer (
    change_seq   bigint NOT NULL,
    number       bigint NOT NULL,
    debit        text   NOT NULL,
    credit       text   NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    asset        text   NOT NULL,
    PRIMARY KEY (change_seq, number)
);

-- Every change of an account's status; the last one is what account.status says.
CREATE TABLE zhihui.account_status (
    change_seq bigint NOT NULL,
    number     bigint NOT NULL,
    account_id text   NOT NULL,
    status     text   NOT NULL,
    PRIMARY KEY (change_seq, number)
);

CREATE TRIGGER hold_step_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.hold_step
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER transfer_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
CREATE TRIGGER account_status_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.account_status
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();

-- Finds the payments of a change without a price for the journal: changes and payments grow in the
-- same order.
CREATE INDEX payment_change_seq ON zhihui.payment
    USING brin (change_seq) WITH (pages_per_range = 32, autosummarize = on);
