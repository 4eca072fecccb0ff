-- Stock: datasets that are ready before anybody asks.

-- Datasets of one contract made from one input. A row that was made stays, because trees refer to it; it is small.
CREATE TABLE stock_line (
    id       INTEGER PRIMARY KEY,
    contract INTEGER NOT NULL REFERENCES contract (id),
    input    TEXT NOT NULL,    -- defaults filled in, keys in order
    hits     INTEGER NOT NULL,
    misses   INTEGER NOT NULL,
    UNIQUE (contract, input)
) STRICT;

-- A row exists only while a dataset can be taken; the key is the order in which they are.
CREATE TABLE stock (
    line        INTEGER NOT NULL,
    ready_at    INTEGER NOT NULL,
    tree        BLOB NOT NULL,
    version     INTEGER NOT NULL, -- of the root
    pins        INTEGER NOT NULL,
    checked_at  INTEGER NOT NULL,
    fresh_until INTEGER NOT NULL,
    selectable  TEXT,
    PRIMARY KEY (line, ready_at, tree)
) STRICT, WITHOUT ROWID;

-- A row exists only while a dataset is being made for stock.
CREATE TABLE stock_coming (
    line INTEGER NOT NULL,
    tree BLOB NOT NULL,
    PRIMARY KEY (line, tree)
) STRICT, WITHOUT ROWID;

-- A row exists only while somebody waits for a dataset that is being made for them and could have come from stock: when
-- one comes into stock earlier, the first in line gets it, and stock gets what was being made.
CREATE TABLE stock_waiting (
    line     INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    request  BLOB NOT NULL,
    unit     INTEGER NOT NULL,
    tree     BLOB NOT NULL,
    PRIMARY KEY (line, priority, request, unit)
) STRICT, WITHOUT ROWID;

-- A row exists only while a unit of an open request has no dataset, because the one that it was given from stock was found
-- not to hold.
CREATE TABLE unit_vacant (
    request BLOB NOT NULL,
    unit    INTEGER NOT NULL,
    PRIMARY KEY (request, unit)
) STRICT, WITHOUT ROWID;

-- A row exists only while a line cannot be filled.
CREATE TABLE stock_trouble (
    line     INTEGER PRIMARY KEY,
    failures INTEGER NOT NULL,
    pauses   INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    failure  TEXT NOT NULL
) STRICT;

-- Of requests that refill stock: the line, and the rule that asks for it.
ALTER TABLE request ADD COLUMN line INTEGER;
ALTER TABLE request ADD COLUMN refills TEXT;
-- Which of what would do the consumer wants, as JSON; NULL when anything will.
ALTER TABLE request ADD COLUMN selection TEXT;

-- The line that a tree was made for or has come from, and where it is kept: 0 with its request, 1 with it and coming, 2
-- with it while its request waits in line, 3 in stock, 4 apart: asked about, set aside or taken down. The last two
-- belong to no request.
ALTER TABLE tree ADD COLUMN line INTEGER;
ALTER TABLE tree ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
-- Set while the whole dataset is asked about again, as JSON.
ALTER TABLE tree ADD COLUMN recheck TEXT;

-- The trees of a request in the order of its units; and no unit has two.
DROP INDEX tree_by_request;
CREATE UNIQUE INDEX tree_by_request ON tree (request, unit) WHERE place < 3;

-- A tree may go from one request to another: its timeline is found by the tree itself, that of a request holds what is
-- told of no tree.
DROP INDEX event_by_request;
CREATE INDEX event_by_request ON event (request) WHERE tree IS NULL;
CREATE INDEX event_by_tree ON event (tree) WHERE tree IS NOT NULL;
