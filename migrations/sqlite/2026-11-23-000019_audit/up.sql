-- The audit trail: entries in blocks, each entry's hash committing to the one before it. What was recorded together
-- lies together: a block is what one transaction recorded.
CREATE TABLE audit_block (
    -- the number of its first entry; numbers have no gaps
    first INTEGER PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL,
    -- µs UTC: the times of its earliest and its latest entry
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    -- the hash of its last entry
    hash BLOB NOT NULL,
    -- the first four bytes of each entry's hash, so that a wrong one can be named
    marks BLOB NOT NULL,
    -- the entries as lines of JSON, compressed
    body BLOB NOT NULL
);

-- In which blocks somebody or something is named: hashes of the names.
CREATE TABLE audit_key (
    key BIGINT NOT NULL,
    first BIGINT NOT NULL,
    PRIMARY KEY (key, first)
) WITHOUT ROWID;

-- The last entry.
CREATE TABLE audit_head (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL
);
