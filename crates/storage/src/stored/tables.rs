//! Tables: every one that holds what a store knows, with its columns as both databases have them.

/// What a column holds, whatever each database keeps it as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Real,
    Bool,
    Text,
    Id,
    Bytes,
    /// A token's id or the number of an environment, as text.
    Owner,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// In whose order rows are written, and its first columns.
    pub(crate) key: &'static str,
    columns: &'static str,
}

impl Table {
    pub(crate) fn columns(&self) -> Vec<Column> {
        let words: Vec<&'static str> = self.columns.split_whitespace().collect();
        words.chunks(2).map(|pair| Column { name: pair[0], kind: kind(pair[1]) }).collect()
    }

    /// The names of its columns, with commas between.
    pub(crate) fn names(&self) -> String {
        self.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The column that a database numbers by itself.
    pub(crate) fn numbered(&self) -> Option<&'static str> {
        ["environment", "contract", "queue", "idempotency", "pins", "stock_line", "capability_said"]
            .contains(&self.name)
            .then_some(self.key)
    }
}

fn kind(word: &str) -> Kind {
    match word {
        "int" => Kind::Int,
        "real" => Kind::Real,
        "bool" => Kind::Bool,
        "text" => Kind::Text,
        "id" => Kind::Id,
        "bytes" => Kind::Bytes,
        "owner" => Kind::Owner,
        other => unreachable!("no column is of the kind {other}; a test reads all of them"),
    }
}

const fn table(name: &'static str, key: &'static str, columns: &'static str) -> Table {
    Table { name, key, columns }
}

/// All tables, those that others refer to first, and the row about the store itself last.
pub(crate) const TABLES: &[Table] = &[
    table("environment", "id", "id int name text revision int created_at int"),
    table(
        "contract",
        "id",
        "id int environment int name text offered bool drifted int offered_version int",
    ),
    table(
        "contract_version",
        "contract, version",
        "contract int version int kind int definition text fingerprint text change text changes text published_at int
         channel text since int stands_in_for int",
    ),
    table(
        "queue",
        "id",
        "id int contract int channel text concurrency int rate_per_s real timeout_ms int paid_until_us int served_until int",
    ),
    table(
        "session",
        "id",
        "id id environment int domain text instance text channel text build text sdk text token id capabilities text
         status int created_at int seen_at int ended_at int",
    ),
    table("session_service", "session, queue", "session id queue int oldest_version int version int"),
    table(
        "request",
        "id",
        "id id environment int contract int units text trees int listed bool source int ttl_ms int holder text token id
         priority int channel text status int revision int ready int created_at int deadline_at int ended_at int failure text
         line int refills text selection text rerun_of id",
    ),
    table("idempotency", "place", "place int token id key text body bytes request id created_at int"),
    table("pins", "id", "id int pins text"),
    table(
        "tree",
        "id",
        "id id version int environment int request id unit int priority int channel text pins int seed int unique_text text
         status int lease id ending int made int fence int due_at int line int place int recheck text owns text
         takes_stock bool ended_at int",
    ),
    table("tree_unwanted", "tree", "tree id"),
    table(
        "dataset",
        "tree, part",
        "tree id part int parent int step text place int contract int version int status int failed bool created_at int
         started_at int input text output text facts text detail text",
    ),
    table(
        "task_ready",
        "queue, priority, ready_at, tree, part, serial",
        "queue int priority int ready_at int tree id part int serial int attempt int operation int version int
         tree_version int",
    ),
    table(
        "task_claim",
        "tree, part, serial",
        "tree id part int serial int attempt int session id queue int priority int ready_at int claimed_at int
         deadline_at int cancelled bool operation int version int tree_version int",
    ),
    table("task_withdrawn", "tree, part, serial", "tree id part int serial int"),
    table(
        "lease",
        "id",
        "id id tree id environment int request id unit int holder text token id fence int status int ttl_ms int
         granted_at int expires_at int ended_at int outcome int note text revoked_by text contract int",
    ),
    table("quota_use", "scope, owner", "scope int owner owner leases int"),
    table(
        "entity",
        "environment, kind, key, tree, part",
        "environment int kind text key text tree id part int used bool",
    ),
    table(
        "entity_held",
        "environment, kind, key",
        "environment int kind text key text lease id tree id",
    ),
    table(
        "stock_rule",
        "environment, name",
        "environment int name text contract int input text target int max_age_s int check_every_s int priority int
         state int window_opens text window_for_s int window_time_zone text revision int created_at int changed_at int",
    ),
    table("stock_line", "id", "id int contract int input text hits int misses int made int failed int"),
    table(
        "stock",
        "line, ready_at, tree",
        "line int ready_at int tree id version int pins int checked_at int fresh_until int selectable text imported bool
         came_back bool",
    ),
    table(
        "stock_level",
        "line, at",
        "line int at int ready int coming int target int hits int misses int made int failed int",
    ),
    table("stock_coming", "line, tree", "line int tree id imported bool came_back bool"),
    table(
        "stock_waiting",
        "line, priority, request, unit",
        "line int priority int request id unit int tree id",
    ),
    table("unit_vacant", "request, unit", "request id unit int"),
    table(
        "stock_trouble",
        "line",
        "line int failures int pauses int since int retry_at int failure text",
    ),
    table(
        "stock_trouble_shared",
        "contract",
        "contract int failures int pauses int since int retry_at int failure text probe id",
    ),
    table("capability_said", "place", "place int contract int tree id holds bool"),
    table(
        "capability_doubt",
        "contract",
        "contract int since int invalid int of int message text held int probe id probed_at int",
    ),
    table(
        "token",
        "id",
        "id id name text role int environment text domain text hash bytes created_at int expires_at int revoked_at int
         last_used_at int",
    ),
    table(
        "event",
        "sequence",
        "sequence int at int environment text kind text request id tree id part int data text duration_ms int",
    ),
    table("meta", "one", "one int fence_epoch int created_at int events_gone int"),
];

/// Tables that say what the schema is, and not what the store knows.
#[cfg(test)]
pub(crate) const OF_THE_SCHEMA: &[&str] = &["refinery_schema_history", "schema_change"];
