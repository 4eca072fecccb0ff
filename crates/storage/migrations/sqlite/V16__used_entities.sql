-- Used entities: a dataset is found by what it was given as well as by what it has made.

-- Whether the part was only given the entity: that is in many hands, and nobody's for that.
ALTER TABLE entity ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
