-- What was odd about a version that was taken nevertheless, as the issues of an OperationOutcome.
CREATE TABLE oddity (
    seq BIGINT PRIMARY KEY,
    issues TEXT NOT NULL
);
