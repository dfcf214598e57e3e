-- Credit lines, quotes and repayment plans. body is the state as JSON.

-- A line's accounts in the ledger are <line_id> (its floor is −limit) and <line_id>:charges.
-- Status 'pending' → 'active' ⇄ 'frozen' → 'closed', or 'pending' → 'declined' or 'closed'.
CREATE TABLE zhihui.credit_line (
    line_id     text   PRIMARY KEY,
    version     bigint NOT NULL,
    change_seq  bigint NOT NULL,
    app         text   NOT NULL,
    customer_id text   NOT NULL,
    status      text   NOT NULL,
    body        text   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX credit_line_customer ON zhihui.credit_line (customer_id);

CREATE TABLE zhihui.credit_quote (
    quote_id   text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    line_id    text   NOT NULL,
    body       text   NOT NULL
) WITH (fillfactor = 80);

-- principal_minor is what is outstanding of the principal, charges_minor what is charged of fees,
-- interest and penalties and is not paid: together with the other plans of the line, what the
-- line's two accounts owe. payment_id is empty for a loan that was paid out.
-- Status 'active' ⇄ 'overdue' → 'paid', 'settled' or 'refunded'.
CREATE TABLE zhihui.credit_plan (
    plan_id         text   PRIMARY KEY,
    version         bigint NOT NULL,
    change_seq      bigint NOT NULL,
    app             text   NOT NULL,
    line_id         text   NOT NULL,
    payment_id      text   NOT NULL,
    status          text   NOT NULL,
    principal_minor bigint NOT NULL,
    charges_minor   bigint NOT NULL,
    body            text   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX credit_plan_line ON zhihui.credit_plan (line_id, plan_id);
CREATE INDEX credit_plan_payment ON zhihui.credit_plan (payment_id);
