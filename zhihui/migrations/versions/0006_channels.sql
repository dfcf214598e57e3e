-- Orders at payment channels, what payments want of them, and the choices of the router.

-- What a payment wants of the channels; status 'open' → 'paid' or 'given_up'. The body has the
-- attempts in order.
CREATE TABLE zhihui.channel_payment (
    payment_id text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    status     text   NOT NULL,
    body       text   NOT NULL
) WITH (fillfactor = 80);

-- One order at one channel, under our number there. kind 'pay' or 'refund'. state of an attempt:
-- 'open', 'paid', 'failed', 'closed', 'not_received', 'paid_late' (given up, then paid, and given
-- back); of a refund: 'open', 'paid', 'failed'. next_at is when an open one is asked about next;
-- reconciled_at is set once a line of the channel's books has matched it.
CREATE TABLE zhihui.channel_order (
    order_id      text        PRIMARY KEY,
    version       bigint      NOT NULL,
    change_seq    bigint      NOT NULL,
    app           text        NOT NULL,
    kind          text        NOT NULL,
    channel       text        NOT NULL,
    reference     text        NOT NULL,
    payment_id    text        NOT NULL,
    amount_minor  bigint      NOT NULL,
    state         text        NOT NULL,
    created_at    timestamptz NOT NULL,
    next_at       timestamptz,
    settled_at    timestamptz,
    reconciled_at timestamptz,
    body          text        NOT NULL
) WITH (fillfactor = 70);

-- Two orders with one number would be one order at the channel, whatever they are here.
CREATE UNIQUE INDEX channel_order_reference ON zhihui.channel_order (channel, reference);
CREATE INDEX channel_order_payment ON zhihui.channel_order (payment_id);
CREATE INDEX channel_order_created ON zhihui.channel_order (channel, created_at);
-- Only open orders have a next step; a condition on it proves to the planner that this serves.
CREATE INDEX channel_order_next ON zhihui.channel_order (next_at) WHERE next_at IS NOT NULL;

-- Why a payment went to a channel: one row for each choice, in the change of its attempt.
CREATE TABLE zhihui.route_choice (
    payment_id     text        NOT NULL,
    number         integer     NOT NULL,
    change_seq     bigint      NOT NULL,
    app            text        NOT NULL,
    at             timestamptz NOT NULL,
    chosen         text        NOT NULL,
    propensity_ppm integer     NOT NULL CHECK (propensity_ppm > 0),
    rules_version  bigint      NOT NULL,
    body           text        NOT NULL,
    PRIMARY KEY (payment_id, number)
);
CREATE TRIGGER route_choice_is_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON zhihui.route_choice
    FOR EACH STATEMENT EXECUTE FUNCTION zhihui.refuse_rewrite();
