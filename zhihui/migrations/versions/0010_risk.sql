-- Which risk rules fired, and where customers paid. Counters of risk are tallies named `risk:…`.

-- One row for each rule that fired for a movement, live or shadow; movements for which none fired
-- have none. effect is what the rule asked for (a shadow rule: would have asked for), outcome what
-- was decided: 'approve', 'review', 'step_up' or 'decline'. The change is rejected when risk
-- refused.
CREATE TABLE zhihui.risk_hit (
    change_seq    bigint      NOT NULL,
    number        bigint      NOT NULL,
    app           text        NOT NULL,
    request_id    text        NOT NULL,
    subject       text        NOT NULL,
    customer      text        NOT NULL,
    payer         text        NOT NULL,
    payee         text        NOT NULL,
    method        text        NOT NULL,
    amount_minor  bigint      NOT NULL,
    currency      text        NOT NULL,
    rule_id       text        NOT NULL,
    kind          text        NOT NULL,
    stage         text        NOT NULL,
    action        text        NOT NULL,
    reason        text        NOT NULL,
    effect        text        NOT NULL,
    outcome       text        NOT NULL,
    rules_version bigint      NOT NULL,
    at            timestamptz NOT NULL,
    PRIMARY KEY (change_seq, number)
);
CREATE INDEX risk_hit_at ON zhihui.risk_hit (at);
CREATE INDEX risk_hit_subject ON zhihui.risk_hit (subject);
CREATE INDEX risk_hit_request ON zhihui.risk_hit (request_id, app);
CREATE INDEX risk_hit_outcome ON zhihui.risk_hit (outcome, change_seq);
CREATE TRIGGER risk_hit_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.risk_hit
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();

-- Where and when a customer paid, in millionths of a degree; only while a rule about speed is in
-- force. Rows older than a day are read no more and may be deleted.
CREATE TABLE zhihui.risk_place (
    change_seq     bigint      NOT NULL,
    customer       text        NOT NULL,
    latitude_udeg  bigint      NOT NULL,
    longitude_udeg bigint      NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (customer, change_seq)
);

-- What was refused because a limit was used up. It costs a payment that stands nothing.
CREATE INDEX change_limit_exceeded ON zhihui.change (at) WHERE outcome = 'limit_exceeded';
