-- Where the patient of a message lies that nobody could be found for: ward^room^bed^facility.
ALTER TABLE message ADD COLUMN place TEXT;
CREATE INDEX message_place ON message (place, id) WHERE place IS NOT NULL;
