-- What devices prove themselves by. Of secrets only hashes lie here.
CREATE TABLE credential (
    id TEXT PRIMARY KEY NOT NULL,
    device TEXT NOT NULL,
    -- key: a public key that its assertions are signed with; secret: a key that it sends; certificate: of its connection
    kind TEXT NOT NULL,
    public_key TEXT,
    -- SHA-256 of the secret, or of the certificate
    hash BLOB,
    -- SHA-256 of what uploaders send that hash the secret themselves
    alias BLOB,
    label TEXT NOT NULL,
    made_by TEXT NOT NULL,
    -- µs UTC
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT
);
CREATE INDEX credential_device ON credential (device);
CREATE UNIQUE INDEX credential_hash ON credential (hash) WHERE hash IS NOT NULL;
CREATE UNIQUE INDEX credential_alias ON credential (alias) WHERE alias IS NOT NULL;

-- Codes that a device may take a credential with, once.
CREATE TABLE claim (
    hash BLOB PRIMARY KEY NOT NULL,
    device TEXT NOT NULL,
    made_by TEXT NOT NULL,
    expires BIGINT NOT NULL
);

-- What may be used once, and was.
CREATE TABLE spent (
    hash BLOB PRIMARY KEY NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX spent_expires ON spent (expires);
