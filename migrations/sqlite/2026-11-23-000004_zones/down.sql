DROP TABLE observation_zone;
