-- Waveforms of the Observations that stand and count: between which values each lies, so that long times are drawn
-- without their samples, which lie in the body.
CREATE TABLE wave (
    seq BIGINT NOT NULL,
    lead SMALLINT NOT NULL,
    subject BIGINT NOT NULL,
    -- What is measured, and of what it is a part: the code of the component, and of the Observation.
    concept BIGINT NOT NULL,
    panel BIGINT NOT NULL,
    -- µs UTC
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    low DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    unit BIGINT,
    PRIMARY KEY (seq, lead)
);
CREATE INDEX wave_time ON wave (subject, starts);
