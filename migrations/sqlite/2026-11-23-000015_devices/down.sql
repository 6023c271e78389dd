DROP TABLE spent;
DROP TABLE claim;
DROP TABLE credential;
