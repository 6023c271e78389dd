DROP TABLE ix_pair;
DROP TABLE component;
DROP TABLE referent;
DROP INDEX term_scope;
ALTER TABLE observation DROP COLUMN profile;
