-- Who somebody with an account is as a resource: Practitioner/…, Patient/…
ALTER TABLE account ADD COLUMN resource TEXT;

-- Apps and services that ask for tokens. Of secrets only hashes lie here.
CREATE TABLE smart_client (
    id TEXT PRIMARY KEY NOT NULL,
    -- what RFC 7591 calls client metadata, as JSON
    metadata TEXT NOT NULL,
    secret BLOB,
    made_by TEXT NOT NULL,
    -- µs UTC
    created BIGINT NOT NULL,
    disabled BIGINT
);

-- What is good once: a request that waits for its user, a launch, a code, a refresh token. Used ones are kept until
-- they expire, so that a second use is known for what it is.
CREATE TABLE smart_ticket (
    hash BLOB PRIMARY KEY NOT NULL,
    -- request, launch, code, refresh
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT
);
CREATE INDEX smart_ticket_expires ON smart_ticket (expires);

-- What a user, or the registration, has granted to a client.
CREATE TABLE smart_grant (
    id TEXT PRIMARY KEY NOT NULL,
    client TEXT NOT NULL,
    account TEXT,
    -- the session that it lasts with
    session BLOB,
    body TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BIGINT
);
CREATE INDEX smart_grant_client ON smart_grant (client);
CREATE INDEX smart_grant_account ON smart_grant (account);
CREATE INDEX smart_grant_expires ON smart_grant (expires);

-- Keys that sign id tokens, sealed under the server's own key.
CREATE TABLE smart_key (
    kid TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL,
    created BIGINT NOT NULL
);
