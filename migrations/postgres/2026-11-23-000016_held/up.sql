-- Readings that wait: of a device that was at nobody whom this server knows of, or of a time that cannot be.
CREATE TABLE held (
    -- The id that the Observation will have.
    reading TEXT PRIMARY KEY NOT NULL,
    device TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- µs UTC
    starts BIGINT NOT NULL,
    received BIGINT NOT NULL,
    -- The Observation; its subject says nothing yet.
    body BYTEA NOT NULL
);
CREATE INDEX held_device ON held (device, starts);
