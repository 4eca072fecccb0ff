-- Leases know their contract, and every further change of the schema is known by its state.

-- A change of the schema from when its statements were run until every row has the new form and nobody writes the old one any
-- more. Builds of the version before it work beside newer ones until it is closed. Every build reads this table of every newer
-- one: its columns stay what they are.
CREATE TABLE schema_change (
    version      bigint PRIMARY KEY,
    expanded_at  bigint NOT NULL,
    behind       text,                      -- the key behind which rows have not been looked at yet; NULL before the first
    moved        bigint NOT NULL DEFAULT 0, -- rows that were brought to the new form
    moved_at     bigint,                    -- since when all that were there have been
    closed_at    bigint,                    -- since when builds of the version before are refused
    finalized_at bigint                     -- since when every row has the new form
);
INSERT INTO schema_change (version, expanded_at) VALUES (2, sixpack_now());

-- The contract of the root: whoever lists leases of a contract need not read a dataset for each. NULL in leases that an older
-- build has written, 0 when their dataset was gone before anybody looked. The last statement, because it keeps everybody away.
ALTER TABLE lease ADD COLUMN contract bigint;
