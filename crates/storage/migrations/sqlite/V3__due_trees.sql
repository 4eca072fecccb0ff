-- Trees that have to be looked at at a certain time, whatever else happens to them: a step runs out of time, or a pause
-- before another attempt is over.

ALTER TABLE tree ADD COLUMN due_at INTEGER;

-- The sweep for due trees reads only those; most trees are never in it.
CREATE INDEX tree_due ON tree (due_at) WHERE due_at IS NOT NULL;
