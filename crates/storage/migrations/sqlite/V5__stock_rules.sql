-- Stock rules: what is kept ready before anybody asks.
--
-- The table has a thousand rows an environment at most, and is read by environment as a whole: its key is enough.

CREATE TABLE stock_rule (
    environment      INTEGER NOT NULL REFERENCES environment (id),
    name             TEXT NOT NULL,
    contract         INTEGER NOT NULL REFERENCES contract (id),
    input            TEXT NOT NULL, -- as it was written
    target           INTEGER NOT NULL,
    max_age_s        INTEGER,
    check_every_s    INTEGER,
    priority         INTEGER NOT NULL,
    state            INTEGER NOT NULL,
    window_opens     TEXT,
    window_for_s     INTEGER,
    window_time_zone TEXT,
    revision         INTEGER NOT NULL, -- of the catalogue with the last change, so that a rule made anew has no old one
    created_at       INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    PRIMARY KEY (environment, name),
    -- A window is there as a whole or not at all.
    CHECK ((window_opens IS NULL) = (window_for_s IS NULL) AND (window_opens IS NULL) = (window_time_zone IS NULL))
) STRICT, WITHOUT ROWID;
