-- Many nodes, durable timers, and the apps that may connect.

-- A node lives until lives_until, which it extends about once a second. A node that leaves says so
-- first, and the others share its partitions. instance tells one process of a name from the next:
-- the last to join under a name is the one that counts.
CREATE TABLE zhihui.node (
    name        text        PRIMARY KEY,
    instance    text        NOT NULL,
    started_at  timestamptz NOT NULL,
    lives_until timestamptz NOT NULL,
    leaving     boolean     NOT NULL
);

-- A message that is due later. A row stands from the commit of the change that set it until the
-- actor has given a definite answer, or until a change cancels it.
CREATE TABLE zhihui.timer (
    timer_id   text        PRIMARY KEY,
    change_seq bigint      NOT NULL,
    partition  smallint    NOT NULL,
    due_at     timestamptz NOT NULL,
    every_s    bigint      NOT NULL CHECK (every_s >= 0),
    kind       text        NOT NULL,
    key        text        NOT NULL,
    type       text        NOT NULL,
    app        text        NOT NULL,
    body       bytea       NOT NULL
);
CREATE INDEX timer_due ON zhihui.timer (due_at);

-- The backends that may connect. Only the public half of a key is kept; limits of 0 are none.
CREATE TABLE zhihui.app (
    app           text        PRIMARY KEY,
    public_key    text        NOT NULL,
    rate_per_s    integer     NOT NULL CHECK (rate_per_s >= 0),
    in_flight_max integer     NOT NULL CHECK (in_flight_max >= 0),
    created_at    timestamptz NOT NULL,
    rotated_at    timestamptz,
    revoked_at    timestamptz
);
