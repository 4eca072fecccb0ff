-- What came back: datasets that were somebody's or set aside, and are in stock again. They may be more than a rule asks for.

-- 1 for what came back: it stays in stock beyond the target, until it is taken, too old, or nobody keeps it any more. What is asked about
-- because its contract has changed keeps the mark meanwhile.
ALTER TABLE stock ADD COLUMN came_back INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stock_coming ADD COLUMN came_back INTEGER NOT NULL DEFAULT 0;
