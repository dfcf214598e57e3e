-- Plugins: what every node should have, and the archives to load it from.

-- The plan is one row, under the key 'plan'; body is JSON. Its version is that of the plan.
CREATE TABLE zhihui.plugin_plan (
    plan       text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    body       text   NOT NULL
);

-- An archive under its digest: how many parts it has and which of them came, and, once it is whole,
-- what it says of itself and who signed it. Name and plugin_version are '' until then.
CREATE TABLE zhihui.plugin_archive (
    sha256         text   PRIMARY KEY,
    version        bigint NOT NULL,
    change_seq     bigint NOT NULL,
    app            text   NOT NULL,
    name           text   NOT NULL,
    plugin_version text   NOT NULL,
    body           text   NOT NULL
);

-- A part under '<sha256>/<index>': 40 KiB of the archive, compressed by zlib, as base64 in JSON.
CREATE TABLE zhihui.plugin_archive_part (
    part       text   PRIMARY KEY,
    version    bigint NOT NULL,
    change_seq bigint NOT NULL,
    app        text   NOT NULL,
    body       text   NOT NULL
);

-- The documents that another version of a plugin wrote: those it cannot read, or has to migrate.
-- Not of a part of the rows: a prepared query could not prove that it may use such an index.
CREATE INDEX document_state_version ON zhihui.document (pack, collection, state_version);
