DROP TABLE oddity;
