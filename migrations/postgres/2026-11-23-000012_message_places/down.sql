DROP INDEX message_place;
ALTER TABLE message DROP COLUMN place;
