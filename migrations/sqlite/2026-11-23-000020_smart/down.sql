DROP TABLE smart_key;
DROP TABLE smart_grant;
DROP TABLE smart_ticket;
DROP TABLE smart_client;
ALTER TABLE account DROP COLUMN resource;
