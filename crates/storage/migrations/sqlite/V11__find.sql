-- Existing data: what was found or imported has one owner as well, and is never undone.

-- The owners of entities: the leases whose datasets have made them, as long as they live; and the trees whose data was there
-- before, from the moment it is taken until they are over. Two owners of one entity cannot be written, whichever they are.
ALTER TABLE entity_held RENAME TO entity_held_by_leases;
DROP INDEX entity_held_by_lease;

CREATE TABLE entity_held (
    environment INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    key         TEXT NOT NULL,
    lease       BLOB,
    tree        BLOB,
    PRIMARY KEY (environment, kind, key),
    CHECK ((lease IS NULL) <> (tree IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO entity_held (environment, kind, key, lease)
SELECT environment, kind, key, lease FROM entity_held_by_leases;

DROP TABLE entity_held_by_leases;

-- What goes when a lease ends.
CREATE INDEX entity_held_by_lease ON entity_held (lease) WHERE lease IS NOT NULL;
-- What goes when a tree is over whose data was there before.
CREATE INDEX entity_held_by_tree ON entity_held (tree) WHERE tree IS NOT NULL;

-- 1 for what was imported: it stays in stock whatever the rules for its line say, and nobody waits for its check.
ALTER TABLE stock ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stock_coming ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
