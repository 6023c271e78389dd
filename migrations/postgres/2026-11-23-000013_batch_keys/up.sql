-- Keys by which senders name their batches (Idempotency-Key), the hash of what came under them, and what was answered:
-- nothing yet while the batch is in hand. Kept for 48 hours.
CREATE TABLE batch_key (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    hash BYTEA NOT NULL,
    status SMALLINT,
    answer BYTEA,
    at BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX batch_key_at ON batch_key (at);
