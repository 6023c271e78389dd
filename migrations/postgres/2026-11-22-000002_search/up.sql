-- The profiles that an Observation claims, as one concept: a set of uris.
ALTER TABLE observation ADD COLUMN profile BIGINT;

-- `system|` asks for all codings of a system.
CREATE INDEX term_scope ON term (scope) WHERE kind = 2;

-- Sorting by a code asks for the codings of each row's concept.
CREATE INDEX concept_coding_concept ON concept_coding (concept, coding);

-- What a reference term (kind 5) refers to, as the tables of resources say it: chains join through it.
CREATE TABLE referent (
    term BIGINT PRIMARY KEY,
    kind SMALLINT NOT NULL,
    key BYTEA NOT NULL
);
CREATE UNIQUE INDEX referent_key ON referent (kind, key);
INSERT INTO referent (term, kind, key)
SELECT id, scope,
    CASE WHEN text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
         THEN decode(replace(text, '-', ''), 'hex')
         ELSE convert_to(text, 'UTF8') END
FROM term WHERE kind = 5;

-- The components of the Observations that stand.
CREATE TABLE component (
    seq BIGINT NOT NULL,
    n SMALLINT NOT NULL,
    concept BIGINT NOT NULL,
    value DOUBLE PRECISION,
    unit BIGINT,
    canonical DOUBLE PRECISION,
    value_concept BIGINT,
    PRIMARY KEY (seq, n)
);
CREATE INDEX component_concept ON component (concept, canonical, seq);

-- Values of one element that are searched together (composite parameters). What does not apply is 0.
CREATE TABLE ix_pair (
    param BIGINT NOT NULL,
    first BIGINT NOT NULL,
    second BIGINT NOT NULL,
    low DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    unit BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (param, first, second, low, high, unit, seq)
);
CREATE INDEX ix_pair_seq ON ix_pair (seq);
