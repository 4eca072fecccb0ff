-- The first schema of the SQLite store.
--
-- Times are milliseconds since 1970, spans name their unit, ids are the 16 bytes of a UUID, states are the numbers of
-- `sqlite/codes.rs`, JSON is text. A table of the hot path has no row number of its own (WITHOUT ROWID), so that its
-- primary key is its only tree. Foreign keys hold the tables that change rarely; on the hot path parent and child are
-- written by the same transaction, and checking each child would cost a lookup.
--
-- Every index has its reason beside it: each one costs every write of its table.

-- One row about the store itself.
CREATE TABLE meta (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    fence_epoch INTEGER NOT NULL, -- minutes since 2025 at creation or restore: fences of this store are above all before
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE environment (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- A name of a contract in an environment; everything else refers to its number.
CREATE TABLE contract (
    id          INTEGER PRIMARY KEY,
    environment INTEGER NOT NULL REFERENCES environment (id),
    name        TEXT NOT NULL,
    offered     INTEGER NOT NULL, -- 0 when it is not in the catalogue (any more)
    UNIQUE (environment, name)
) STRICT;

CREATE TABLE contract_version (
    contract     INTEGER NOT NULL REFERENCES contract (id),
    version      INTEGER NOT NULL,
    kind         INTEGER NOT NULL, -- capability or scenario
    definition   TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    change       TEXT NOT NULL,
    changes      TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    PRIMARY KEY (contract, version)
) STRICT;

-- Where tasks of one capability wait: the deployed suppliers' queue has the channel ''.
CREATE TABLE queue (
    id           INTEGER PRIMARY KEY,
    contract     INTEGER NOT NULL REFERENCES contract (id),
    channel      TEXT NOT NULL,
    concurrency  INTEGER,
    rate_per_s   REAL,
    timeout_ms   INTEGER NOT NULL,
    paid_until_us INTEGER NOT NULL, -- how far the claims so far have used the rate up, in microseconds since 1970
    served_until INTEGER NOT NULL,  -- when the last session that left it was live
    UNIQUE (contract, channel)
) STRICT;

CREATE TABLE session (
    id           BLOB PRIMARY KEY,
    environment  INTEGER NOT NULL REFERENCES environment (id),
    domain       TEXT NOT NULL,
    instance     TEXT NOT NULL,
    channel      TEXT,
    build        TEXT,
    sdk          TEXT,
    token        BLOB NOT NULL,
    capabilities TEXT NOT NULL,
    status       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;

-- A new session looks for the older one of the same name; and two live ones are impossible.
CREATE UNIQUE INDEX session_live ON session (environment, domain, instance) WHERE status = 0;
-- The sweep reads live and draining sessions only, however many have ended. A heartbeat does not touch it.
CREATE INDEX session_open ON session (status) WHERE status < 2;

-- What a live session performs; the rows go when it is not live any more.
CREATE TABLE session_service (
    session        BLOB NOT NULL,
    queue          INTEGER NOT NULL REFERENCES queue (id),
    oldest_version INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    PRIMARY KEY (session, queue)
) STRICT, WITHOUT ROWID;

-- Is there anybody for this queue? Asked for every task of a channel and by the sweep for unserved tasks.
CREATE INDEX session_service_by_queue ON session_service (queue);

CREATE TABLE request (
    id          BLOB PRIMARY KEY,
    environment INTEGER NOT NULL,
    contract    INTEGER NOT NULL, -- of the first unit
    units       TEXT NOT NULL,
    trees       INTEGER NOT NULL,
    listed      INTEGER NOT NULL,
    source      INTEGER NOT NULL,
    ttl_ms      INTEGER NOT NULL,
    holder      TEXT NOT NULL,
    token       BLOB NOT NULL,
    priority    INTEGER NOT NULL,
    channel     TEXT,
    status      INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    ready       INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    ended_at    INTEGER,
    failure     TEXT
) STRICT, WITHOUT ROWID;

-- The sweep for overdue requests reads only those; a row is in it while the request is open.
CREATE INDEX request_due ON request (deadline_at) WHERE status < 2;
-- People look for what went wrong; the many fulfilled ones are not in it.
CREATE INDEX request_unhappy ON request (status) WHERE status > 2;
-- Who asks for this contract.
CREATE INDEX request_by_contract ON request (contract);

-- Keys in the order in which they came, so that the oldest are forgotten without an index on the time.
CREATE TABLE idempotency (
    place      INTEGER PRIMARY KEY,
    token      BLOB NOT NULL,
    key        TEXT NOT NULL,
    body       BLOB NOT NULL,
    request    BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (token, key)
) STRICT;

-- The few different sets of pinned versions; a tree refers to one.
CREATE TABLE pins (
    id   INTEGER PRIMARY KEY,
    pins TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE tree (
    id          BLOB PRIMARY KEY,
    version     INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    request     BLOB NOT NULL,
    unit        INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    channel     TEXT,
    pins        INTEGER NOT NULL,
    seed        INTEGER NOT NULL,
    unique_text TEXT NOT NULL,
    status      INTEGER NOT NULL, -- of the root
    lease       BLOB,
    ending      INTEGER,
    made        INTEGER NOT NULL,
    fence       INTEGER NOT NULL -- counts the leases of this tree
) STRICT, WITHOUT ROWID;

-- The trees of a request in the order of its units; and no unit has two.
CREATE UNIQUE INDEX tree_by_request ON tree (request, unit);
-- Roots by status for lists, and their number for metrics, without reading every tree.
CREATE INDEX tree_by_status ON tree (status);

-- Trees whose request has ended and that nobody has begun to take down.
CREATE TABLE tree_unwanted (
    tree BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- One row a part. What is searched has a column; the rest of a part is in `detail`.
CREATE TABLE dataset (
    tree       BLOB NOT NULL,
    part       INTEGER NOT NULL,
    parent     INTEGER,
    step       TEXT NOT NULL,
    place      INTEGER, -- in a for_each step
    contract   INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    failed     INTEGER NOT NULL, -- 1 when it has a failure
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    input      TEXT NOT NULL,
    output     TEXT,
    facts      TEXT,
    detail     TEXT NOT NULL,
    PRIMARY KEY (tree, part)
) STRICT, WITHOUT ROWID;

-- Instances of a contract, newest first; and how it has been doing lately.
CREATE INDEX dataset_by_contract ON dataset (contract, tree);
-- What is owed: few rows, ever.
CREATE INDEX dataset_debt ON dataset (status) WHERE status = 11;

-- A row exists only while a task waits to be handed out; the key is the order of handing out.
CREATE TABLE task_ready (
    queue        INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    ready_at     INTEGER NOT NULL,
    tree         BLOB NOT NULL,
    part         INTEGER NOT NULL,
    serial       INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    operation    INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    tree_version INTEGER NOT NULL,
    PRIMARY KEY (queue, priority, ready_at, tree, part, serial)
) STRICT, WITHOUT ROWID;

-- A row exists only while an attempt is in somebody's hands.
CREATE TABLE task_claim (
    tree         BLOB NOT NULL,
    part         INTEGER NOT NULL,
    serial       INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    session      BLOB NOT NULL,
    queue        INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    ready_at     INTEGER NOT NULL,
    claimed_at   INTEGER NOT NULL,
    deadline_at  INTEGER NOT NULL,
    cancelled    INTEGER NOT NULL,
    operation    INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    tree_version INTEGER NOT NULL,
    PRIMARY KEY (tree, part, serial)
) STRICT, WITHOUT ROWID;

-- What a session has in hand: with each heartbeat, and when it goes.
CREATE INDEX task_claim_by_session ON task_claim (session);
-- How many run at once, for capabilities with a limit.
CREATE INDEX task_claim_by_queue ON task_claim (queue);

CREATE TABLE task_withdrawn (
    tree   BLOB NOT NULL,
    part   INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    PRIMARY KEY (tree, part, serial)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    id          BLOB PRIMARY KEY,
    tree        BLOB NOT NULL,
    environment INTEGER NOT NULL,
    request     BLOB NOT NULL,
    unit        INTEGER NOT NULL,
    holder      TEXT NOT NULL,
    token       BLOB NOT NULL,
    fence       INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    ttl_ms      INTEGER NOT NULL,
    granted_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    outcome     INTEGER,
    note        TEXT
) STRICT, WITHOUT ROWID;

-- One holder: two live leases on one dataset cannot be written, whatever the code above believes.
CREATE UNIQUE INDEX lease_held ON lease (tree) WHERE status = 0;
-- The sweep for overdue leases reads only those.
CREATE INDEX lease_due ON lease (expires_at) WHERE status = 0;
-- What a request was given, in the order of its units.
CREATE INDEX lease_by_request ON lease (request, unit);

CREATE TABLE entity (
    environment INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    key         TEXT NOT NULL,
    tree        BLOB NOT NULL,
    part        INTEGER NOT NULL,
    PRIMARY KEY (environment, kind, key, tree, part)
) STRICT, WITHOUT ROWID;

-- Append only; the number is the order of the commits. Whoever deletes old rows keeps the newest, so that no number
-- is given out twice.
CREATE TABLE event (
    sequence    INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    environment TEXT NOT NULL,
    kind        TEXT NOT NULL,
    request     BLOB,
    tree        BLOB,
    part        INTEGER NOT NULL,
    data        TEXT NOT NULL
) STRICT;

-- The timeline of a request; that of a tree is found through its request.
CREATE INDEX event_by_request ON event (request) WHERE request IS NOT NULL;

CREATE TABLE token (
    id          BLOB PRIMARY KEY,
    name        TEXT NOT NULL,
    role        INTEGER NOT NULL,
    environment TEXT,
    domain      TEXT,
    hash        BLOB NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;
