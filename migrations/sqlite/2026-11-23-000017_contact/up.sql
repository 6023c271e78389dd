-- When each device was last heard of. What is a few seconds old is missing here; who follows the log knows it.
CREATE TABLE contact (
    device TEXT PRIMARY KEY NOT NULL,
    -- µs UTC: when what it sent last was measured, and when it came
    measured BIGINT NOT NULL,
    received BIGINT NOT NULL,
    -- Percent.
    battery DOUBLE PRECISION
);
