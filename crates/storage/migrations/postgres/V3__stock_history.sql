-- History of stock: what every line has had over the last day, and what its refills came to.

INSERT INTO schema_change (version, expanded_at) VALUES (3, sixpack_now());

-- What a line had when it was first looked at in a span of five minutes, and what it had come to by then. At most a day's of a line;
-- rows are added and taken away, and never changed. A build of the version before writes none.
CREATE TABLE stock_level (
    line   bigint NOT NULL,
    at     bigint NOT NULL,  -- when the span began
    ready  integer NOT NULL,
    coming integer NOT NULL,
    target integer NOT NULL, -- how many its rules wanted ready
    hits   bigint NOT NULL,
    misses bigint NOT NULL,
    made   bigint NOT NULL,
    failed bigint NOT NULL,
    PRIMARY KEY (line, at)
);

-- Datasets that refills have made for a line, and refills that failed. A build of the version before leaves them as they are. The last
-- statement, because it keeps everybody away.
ALTER TABLE stock_line ADD COLUMN made bigint NOT NULL DEFAULT 0, ADD COLUMN failed bigint NOT NULL DEFAULT 0;
