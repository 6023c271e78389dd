DROP TABLE ix_pair;
DROP TABLE component;
DROP TABLE referent;
DROP INDEX term_scope;
DROP INDEX concept_coding_concept;
ALTER TABLE observation DROP COLUMN profile;
