DROP TABLE audit_head;
DROP TABLE audit_key;
DROP TABLE audit_block;
