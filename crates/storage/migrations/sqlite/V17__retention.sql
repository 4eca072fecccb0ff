-- Retention: what has ended goes after a while.

-- Since when the dataset is gone or failed. Those that had ended before this migration count from the first look at them.
ALTER TABLE tree ADD COLUMN ended_at INTEGER;

-- Which datasets open requests ask for again: they stay. A row for each such request, nearly always none.
CREATE INDEX request_open_rerun ON request (rerun_of) WHERE rerun_of IS NOT NULL AND status < 2;
-- What goes when a tree goes. Trees are younger the larger their ids are: rows come at the end of it.
CREATE INDEX entity_by_tree ON entity (tree);

-- The newest event that was taken away: whoever has seen none behind it has missed some.
ALTER TABLE meta ADD COLUMN events_gone INTEGER NOT NULL DEFAULT 0;
