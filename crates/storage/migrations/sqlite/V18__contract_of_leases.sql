-- Leases know their contract, and every further change of the schema is known by its state.

-- A change of the schema from when its statements were run until every row has the new form and nobody writes the old one any
-- more. A build of the version before it can go on with the store until it is closed. Every build reads this table of every
-- newer one: its columns stay what they are.
CREATE TABLE schema_change (
    version      INTEGER PRIMARY KEY,
    expanded_at  INTEGER NOT NULL,
    behind       TEXT,                       -- the key behind which rows have not been looked at yet; NULL before the first
    moved        INTEGER NOT NULL DEFAULT 0, -- rows that were brought to the new form
    moved_at     INTEGER,                    -- since when all that were there have been
    closed_at    INTEGER,                    -- since when builds of the version before are refused
    finalized_at INTEGER                     -- since when every row has the new form
) STRICT;
INSERT INTO schema_change (version, expanded_at) VALUES (18, unixepoch('subsec') * 1000);

-- The contract of the root: whoever lists leases of a contract need not read a dataset for each. NULL in leases that an older
-- build has written, 0 when their dataset was gone before anybody looked.
ALTER TABLE lease ADD COLUMN contract INTEGER;
