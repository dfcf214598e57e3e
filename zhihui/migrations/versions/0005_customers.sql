-- Customers, the opening of their accounts, their sealed data, and who saw it.

-- A customer of one app. party_id, a keyed hash of the identity number or the credit code, is the
-- same in all apps. body is masked.
CREATE TABLE zhihui.customer (
    customer_id text   PRIMARY KEY,
    version     bigint NOT NULL,
    change_seq  bigint NOT NULL,
    app         text   NOT NULL,
    party_id    text   NOT NULL,
    body        text   NOT NULL
);
CREATE INDEX customer_party ON zhihui.customer (party_id);

-- An opening or a binding, from the request to the decision. body is masked.
CREATE TABLE zhihui.account_case (
    case_id     text   PRIMARY KEY,
    version     bigint NOT NULL,
    change_seq  bigint NOT NULL,
    app         text   NOT NULL,
    customer_id text   NOT NULL,
    status      text   NOT NULL,
    body        text   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX account_case_status ON zhihui.account_case (status, case_id);
CREATE INDEX account_case_customer ON zhihui.account_case (customer_id);

-- The card that an account is bound to now; card_lookup is a keyed hash.
CREATE TABLE zhihui.bound_card (
    account_id  text   PRIMARY KEY,
    version     bigint NOT NULL,
    change_seq  bigint NOT NULL,
    app         text   NOT NULL,
    customer_id text   NOT NULL,
    card_lookup text   NOT NULL,
    body        text   NOT NULL
);
CREATE INDEX bound_card_lookup ON zhihui.bound_card (card_lookup);

-- Names and numbers of persons, encrypted and bound to their place: owner_id is a customer or a
-- case. lookup is a keyed hash under the index key, key_id the data key that opens sealed.
CREATE TABLE zhihui.personal_data (
    owner_id   text   NOT NULL,
    field      text   NOT NULL,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    key_id     text   NOT NULL,
    lookup     text   NOT NULL,
    sealed     text   NOT NULL,
    PRIMARY KEY (owner_id, field)
);
CREATE INDEX personal_data_lookup ON zhihui.personal_data (lookup);
-- For rotation, which looks for what is not under the active key.
CREATE INDEX personal_data_key ON zhihui.personal_data (key_id, owner_id, field);

-- Who saw or decided what, and why: one row in the same commit as what was done.
CREATE TABLE zhihui.audit_trail (
    entry_id   text        PRIMARY KEY,
    change_seq bigint      NOT NULL,
    app        text        NOT NULL,
    actor      text        NOT NULL,
    action     text        NOT NULL,
    subject    text        NOT NULL,
    detail     text        NOT NULL,
    reason     text        NOT NULL,
    at         timestamptz NOT NULL
);
CREATE INDEX audit_trail_subject ON zhihui.audit_trail (subject, at);
CREATE INDEX audit_trail_actor ON zhihui.audit_trail (actor, at);
CREATE TRIGGER audit_trail_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();

-- What went back to the bound cards.
CREATE TABLE zhihui.card_withdrawal (
    withdrawal_id text        PRIMARY KEY,
    change_seq    bigint      NOT NULL,
    app           text        NOT NULL,
    account_id    text        NOT NULL,
    target        text        NOT NULL,
    amount_minor  bigint      NOT NULL CHECK (amount_minor > 0),
    currency      text        NOT NULL,
    created_at    timestamptz NOT NULL
);

-- The accounts of a customer. Accounts that belong to no known customer are not in it.
CREATE INDEX account_customer ON zhihui.account (customer_id) WHERE customer_id <> '';
