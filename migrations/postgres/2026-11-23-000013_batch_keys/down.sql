DROP TABLE batch_key;
