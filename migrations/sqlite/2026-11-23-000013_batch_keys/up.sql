-- Keys by which senders name their batches (Idempotency-Key), the hash of what came under them, and what was answered:
-- nothing yet while the batch is in hand. Kept for 48 hours.
CREATE TABLE batch_key (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    hash BLOB NOT NULL,
    status SMALLINT,
    answer BLOB,
    at INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX batch_key_at ON batch_key (at);
