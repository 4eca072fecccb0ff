-- Trust: capabilities that are doubted because of what they say about stock, and those that fail whoever refills with them.

-- What a capability has said about the datasets in stock that it was asked about last, one row a dataset, the youngest with the
-- highest place. Rows exist only while one of them is invalid, and there are ten of a capability at most.
CREATE TABLE capability_said (
    place    INTEGER PRIMARY KEY,
    contract INTEGER NOT NULL REFERENCES contract (id),
    tree     BLOB NOT NULL,
    holds    INTEGER NOT NULL,
    UNIQUE (contract, tree)
) STRICT;

-- A row exists only while a capability is doubted.
CREATE TABLE capability_doubt (
    contract  INTEGER PRIMARY KEY REFERENCES contract (id),
    since     INTEGER NOT NULL,
    invalid   INTEGER NOT NULL,
    of        INTEGER NOT NULL,
    message   TEXT NOT NULL,
    held      INTEGER NOT NULL, -- probes in a row
    probe     BLOB,             -- the tree that is asked about, until it was
    probed_at INTEGER
) STRICT;

-- A row exists only while several lines fail because of one contract, and until one that needs it gets through.
CREATE TABLE stock_trouble_shared (
    contract INTEGER PRIMARY KEY REFERENCES contract (id),
    failures INTEGER NOT NULL,
    pauses   INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    failure  TEXT NOT NULL,
    probe    BLOB               -- the tree of the refill that is tried
) STRICT;
