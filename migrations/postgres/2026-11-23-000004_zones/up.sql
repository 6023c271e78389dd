-- Between which values the Observations of a concept lie in each stretch of the log (zone = seq / 1024): a search for
-- values that are rare or nowhere leaves out the stretches that have none. It may say more than there is, never less.
CREATE TABLE observation_zone (
    concept BIGINT NOT NULL,
    zone BIGINT NOT NULL,
    value_low DOUBLE PRECISION NOT NULL,
    value_high DOUBLE PRECISION NOT NULL,
    canonical_low DOUBLE PRECISION NOT NULL,
    canonical_high DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (concept, zone)
);
INSERT INTO observation_zone (concept, zone, value_low, value_high, canonical_low, canonical_high)
SELECT COALESCE(concept, 0), seq / 1024, MIN(value), MAX(value), MIN(canonical), MAX(canonical)
FROM observation
WHERE value IS NOT NULL AND canonical IS NOT NULL
GROUP BY COALESCE(concept, 0), seq / 1024;
