-- History of stock: what every line has had over the last day, and what its refills came to.

INSERT INTO schema_change (version, expanded_at) VALUES (19, unixepoch('subsec') * 1000);

-- What a line had when it was first looked at in a span of five minutes, and what it had come to by then. At most a day's of a line.
-- A build of the version before writes none.
CREATE TABLE stock_level (
    line   INTEGER NOT NULL,
    at     INTEGER NOT NULL, -- when the span began
    ready  INTEGER NOT NULL,
    coming INTEGER NOT NULL,
    target INTEGER NOT NULL, -- how many its rules wanted ready
    hits   INTEGER NOT NULL,
    misses INTEGER NOT NULL,
    made   INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (line, at)
) STRICT, WITHOUT ROWID;

-- Datasets that refills have made for a line, and refills that failed. A build of the version before leaves them as they are.
ALTER TABLE stock_line ADD COLUMN made INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stock_line ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
