-- When a browser signed in (µs UTC), and what it says it is: so that people can tell their sessions apart.
ALTER TABLE session ADD COLUMN opened BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN agent TEXT NOT NULL DEFAULT '';
