DROP TABLE reindexing;
DROP TABLE ready_parameter;
ALTER TABLE log_head DROP COLUMN parameters;
