-- The profiles that an Observation claims, as one concept: a set of uris.
ALTER TABLE observation ADD COLUMN profile BIGINT;

-- `system|` asks for all codings of a system.
CREATE INDEX term_scope ON term (scope) WHERE kind = 2;

-- Sorting by a code asks for the codings of each row's concept.
CREATE INDEX concept_coding_concept ON concept_coding (concept, coding);

-- What a reference term (kind 5) refers to, as the tables of resources say it: chains join through it.
CREATE TABLE referent (
    term INTEGER PRIMARY KEY,
    kind SMALLINT NOT NULL,
    key BLOB NOT NULL
);
CREATE UNIQUE INDEX referent_key ON referent (kind, key);
INSERT INTO referent (term, kind, key)
SELECT id, scope,
    CASE WHEN length(text) = 36 AND text GLOB '????????-????-????-[89ab]???-????????????'
              AND length(replace(text, '-', '')) = 32 AND NOT text GLOB '*[^0-9a-f-]*'
         THEN unhex(replace(text, '-', ''))
         ELSE CAST(text AS BLOB) END
FROM term WHERE kind = 5;

-- The components of the Observations that stand.
CREATE TABLE component (
    seq BIGINT NOT NULL,
    n SMALLINT NOT NULL,
    concept BIGINT NOT NULL,
    value DOUBLE,
    unit BIGINT,
    canonical DOUBLE,
    value_concept BIGINT,
    PRIMARY KEY (seq, n)
) WITHOUT ROWID;
CREATE INDEX component_concept ON component (concept, canonical);

-- Values of one element that are searched together (composite parameters). What does not apply is 0.
CREATE TABLE ix_pair (
    param BIGINT NOT NULL,
    first BIGINT NOT NULL,
    second BIGINT NOT NULL,
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    unit BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (param, first, second, low, high, unit, seq)
) WITHOUT ROWID;
CREATE INDEX ix_pair_seq ON ix_pair (seq);
