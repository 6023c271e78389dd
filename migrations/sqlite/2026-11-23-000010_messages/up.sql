-- HL7 messages as they came, byte for byte, with what they were answered and what they made.
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,          -- µs UTC
    channel TEXT NOT NULL,
    peer TEXT NOT NULL,
    kind TEXT NOT NULL,                 -- ORU^R01; empty when it could not be read
    sender TEXT NOT NULL,               -- MSH-3 and MSH-4
    control TEXT NOT NULL,              -- MSH-10
    hash BLOB NOT NULL,                 -- SHA-256 of the bytes
    verdict TEXT NOT NULL,              -- AA, AE, AR
    issues TEXT NOT NULL,               -- what was wrong, as the issues of an OperationOutcome
    made TEXT NOT NULL,                 -- versions that it made, separated by spaces
    settled BOOLEAN NOT NULL,           -- false: somebody has to look at it
    replays INTEGER,                    -- the message that this one is sent again for
    body BLOB NOT NULL                  -- the bytes, zstd
);
CREATE INDEX message_control ON message (sender, control);
CREATE INDEX message_open ON message (id) WHERE settled = 0;
CREATE INDEX message_received ON message (received);
