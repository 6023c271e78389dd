-- Everything that repeats is interned here once and referred to by its integer.
-- kind: 1 uri, 2 coding (scope = its system), 3 concept (a set of codings), 4 unit (scope = its system),
--       5 reference (scope = resource type), 6 search parameter (scope = resource type)
CREATE TABLE term (
    id INTEGER PRIMARY KEY,
    kind SMALLINT NOT NULL,
    scope BIGINT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (kind, text, scope)
);

-- Which concepts hold a coding: `code=LOINC|8867-4` finds every concept that has it among others.
CREATE TABLE concept_coding (
    coding BIGINT NOT NULL,
    concept BIGINT NOT NULL,
    PRIMARY KEY (coding, concept)
) WITHOUT ROWID;

-- The last sequence number given. Its row is locked by whoever writes, so that `seq` follows commit order.
CREATE TABLE log_head (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    seq BIGINT NOT NULL
);
INSERT INTO log_head (one, seq) VALUES (1, 0);

-- The current version of every Observation, with what is searched most as columns.
CREATE TABLE observation (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    updated BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    subject BIGINT,
    concept BIGINT,
    -- what the effective time covers, µs UTC, half open; without one both are the least integer
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    value DOUBLE,
    unit BIGINT,
    canonical DOUBLE,
    status SMALLINT NOT NULL,
    category BIGINT,
    device BIGINT,
    encounter BIGINT,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX observation_id ON observation (id);
CREATE INDEX observation_series ON observation (subject, concept, starts DESC);
CREATE INDEX observation_recent ON observation (concept, seq DESC);

-- The longest time that any Observation covers: it bounds how far before a date its readings may begin.
CREATE TABLE observation_span (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    longest BIGINT NOT NULL
);
INSERT INTO observation_span (one, longest) VALUES (1, 0);

-- The current version of every other resource.
CREATE TABLE resource (
    seq INTEGER PRIMARY KEY,
    rtype SMALLINT NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    updated BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX resource_id ON resource (rtype, id);
CREATE INDEX resource_recent ON resource (rtype, seq DESC);

-- Superseded versions only: a version that stands is its own history.
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    rtype SMALLINT NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    updated BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX history_id ON history (rtype, id, version);

-- Index rows of the current versions: one table a kind of value, `param` is the interned (type, parameter).
CREATE TABLE ix_term (
    param BIGINT NOT NULL,
    term BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (param, term, seq)
) WITHOUT ROWID;
CREATE INDEX ix_term_seq ON ix_term (seq);

CREATE TABLE ix_string (
    param BIGINT NOT NULL,
    folded TEXT NOT NULL,
    exact TEXT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (param, folded, exact, seq)
) WITHOUT ROWID;
CREATE INDEX ix_string_seq ON ix_string (seq);

CREATE TABLE ix_date (
    param BIGINT NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (param, starts, ends, seq)
) WITHOUT ROWID;
CREATE INDEX ix_date_seq ON ix_date (seq);

CREATE TABLE ix_quantity (
    param BIGINT NOT NULL,
    canonical DOUBLE NOT NULL,
    value DOUBLE NOT NULL,
    unit BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (param, canonical, value, unit, seq)
) WITHOUT ROWID;
CREATE INDEX ix_quantity_seq ON ix_quantity (seq);

-- How far each reader of the log has come. A cursor moves only under the epoch that its reader holds.
CREATE TABLE reader (
    name TEXT PRIMARY KEY NOT NULL,
    seq BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    -- the node that reads, and until when nobody else may (µs UTC)
    holder TEXT NOT NULL,
    leased BIGINT NOT NULL
);

CREATE TABLE account (
    id TEXT PRIMARY KEY NOT NULL,
    username TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE session (
    hash BLOB PRIMARY KEY NOT NULL,
    account TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX session_expires ON session (expires);
