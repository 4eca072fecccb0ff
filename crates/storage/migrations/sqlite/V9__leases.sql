-- Leases: who has taken one away, how many there are, and what they own.

-- The name of the token; `note` then says why.
ALTER TABLE lease ADD COLUMN revoked_by TEXT;

-- How many leases a token (scope 0, its id) and an environment (scope 1, its number) have, held ones and those of open
-- requests: counted with every change, because a request must not have to look at all of them. A row for each token that
-- ever had one, and each environment.
CREATE TABLE quota_use (
    scope  INTEGER NOT NULL,
    owner  ANY NOT NULL,
    leases INTEGER NOT NULL,
    PRIMARY KEY (scope, owner)
) STRICT, WITHOUT ROWID;

INSERT INTO quota_use (scope, owner, leases)
WITH counted (token, environment, leases) AS (
    SELECT token, environment, 1 FROM lease WHERE status = 0
    UNION ALL
    SELECT token, environment, trees FROM request WHERE status < 2 AND line IS NULL
)
SELECT 0, token, sum(leases) FROM counted GROUP BY token
UNION ALL
SELECT 1, environment, sum(leases) FROM counted GROUP BY environment;

-- What a tree owns since it is ready, as JSON: [[part, kind, key], …]; nothing when NULL.
ALTER TABLE tree ADD COLUMN owns TEXT;

-- The owners of entities, as long as their leases live: two live leases that own one entity cannot be written. Leases from
-- before this migration own nothing.
CREATE TABLE entity_held (
    environment INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    key         TEXT NOT NULL,
    lease       BLOB NOT NULL,
    PRIMARY KEY (environment, kind, key)
) STRICT, WITHOUT ROWID;

-- What goes when a lease ends.
CREATE INDEX entity_held_by_lease ON entity_held (lease);
