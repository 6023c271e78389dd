-- Counts on whenever a stored search parameter is changed or becomes ready: a write that was indexed under another
-- count is indexed anew before it is committed.
ALTER TABLE log_head ADD COLUMN parameters BIGINT NOT NULL DEFAULT 0;

-- The versions of stored search parameters that everything is indexed by.
CREATE TABLE ready_parameter (
    seq BIGINT PRIMARY KEY
);

-- The last run of $reindex, and how far it has come.
CREATE TABLE reindexing (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    state SMALLINT NOT NULL,
    kinds TEXT NOT NULL,
    versions TEXT NOT NULL,
    place BIGINT NOT NULL,
    until BIGINT NOT NULL,
    done BIGINT NOT NULL,
    total BIGINT,
    started BIGINT NOT NULL,
    finished BIGINT,
    touched BIGINT NOT NULL
);
