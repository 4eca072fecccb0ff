-- Joins: children of scenarios may be taken from stock.

-- Whether those of this tree may be. A part that is looked for has its tree due; what a part was made as, and where it is now,
-- is in its detail.
ALTER TABLE tree ADD COLUMN takes_stock INTEGER NOT NULL DEFAULT 0;
