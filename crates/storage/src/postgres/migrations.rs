//! Migrations in PostgreSQL: by one migrator at a time, beside any number of servers, none of which waits for it for long.
//!
//! What changes a table gives up after half a second in which somebody else holds it, because whoever comes behind it waits as
//! well; it is tried again later. Rows are moved in small batches with a pause as long as each has taken.
//!
//! Nothing but transactions is relied upon, so that a pooler may stand before the database: each has its settings, and that of the
//! guard stands for as long as the migration takes.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::address::Address;
use super::columns::number;
use super::limits::{
    GUARD_PROBES, MIGRATION_LOCK_MS, MIGRATION_MS, MIGRATION_PAUSE_MS, MIGRATION_TRIES, MOVED_AT_ONCE,
};
use super::opening::{self, told, transaction};
use super::presence;
use super::versions::{self, gave_up};
use crate::durability::Durability;
use crate::error::StoreError;
use crate::migrations::{Schema, Stage, Step};

/// "SIX6": tells our locks from others in the database; the second half of the key is the schema's.
const LOCKS: i32 = 0x5349_5836;

/// The first version whose change is written down; those before were one step each.
const FIRST_IN_STEPS: u32 = 2;

/// What a version needs besides its statements.
struct Move {
    version: u32,
    /// Gives the rows of a batch of `$2` behind the key `$1` their new form: how many were looked at, the last key, how many moved.
    batch: &'static str,
    /// What holds of all rows from then on: table, name and condition.
    holds: (&'static str, &'static str, &'static str),
}

const MOVES: &[Move] = &[Move {
    version: 2,
    // Leases are held in the order of their ids, and nothing behind them: nobody waits in a circle.
    batch: "WITH page AS MATERIALIZED (SELECT id FROM lease WHERE id > coalesce($1::text, '00000000-0000-0000-0000-000000000000')::uuid
                                       ORDER BY id LIMIT $2),
                 old AS MATERIALIZED (SELECT l.id, l.tree FROM lease l JOIN page p ON p.id = l.id WHERE l.contract IS NULL
                                      ORDER BY l.id FOR NO KEY UPDATE OF l),
                 moved AS (UPDATE lease l SET contract =
                               coalesce((SELECT d.contract FROM dataset d WHERE d.tree = o.tree AND d.part = 0), 0)
                           FROM old o WHERE l.id = o.id RETURNING 1)
            SELECT (SELECT id::text FROM page ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM moved)",
    holds: ("lease", "lease_has_contract", "contract IS NOT NULL"),
}];

/// Where the schema of the store at an address stands. Servers may go on meanwhile.
pub async fn status(address: &Address) -> Result<Schema, StoreError> {
    let client = opening::connect(address).await?;
    found(&client, address, known_version()).await
}

/// Brings the schema of the store at an address up to date, and tells after each step. [`StoreError::Busy`] while another one does.
pub async fn up(
    address: &Address,
    durability: Durability,
    tell: &mut (dyn FnMut(&Schema) + Send),
) -> Result<Schema, StoreError> {
    bring(address, known_version(), durability, Aim::Current, tell).await
}

/// The same as a build would that knows only this version of the schema.
#[cfg(feature = "conformance")]
pub async fn up_as(
    address: &Address,
    known: u32,
    durability: Durability,
    tell: &mut (dyn FnMut(&Schema) + Send),
) -> Result<Schema, StoreError> {
    bring(address, known, durability, Aim::Current, tell).await
}

/// Finalizes the version of the store at an address: builds of the version before are refused from then on. [`StoreError::Busy`]
/// while one of their servers runs.
pub async fn finalize(
    address: &Address,
    durability: Durability,
    tell: &mut (dyn FnMut(&Schema) + Send),
) -> Result<Schema, StoreError> {
    bring(address, known_version(), durability, Aim::Finalized, tell).await
}

/// Where a schema is brought.
#[derive(Clone, Copy)]
enum Aim {
    Current,
    Finalized,
}

async fn bring(
    address: &Address,
    known: u32,
    durability: Durability,
    aim: Aim,
    tell: &mut (dyn FnMut(&Schema) + Send),
) -> Result<Schema, StoreError> {
    let mut migrator = Migrator::begin_knowing(address, durability, known).await?;
    let done = async {
        loop {
            let step = match aim {
                Aim::Current => migrator.step().await?,
                Aim::Finalized => migrator.close().await?,
            };
            let schema = migrator.schema().await?;
            if step == Step::Done {
                return Ok(schema);
            }
            tell(&schema);
        }
    };
    let done = done.await;
    migrator.end().await;
    done
}

/// The one who migrates a store, for as long as it lives.
pub struct Migrator {
    client: Client,
    // Its transaction holds the lock, so that it ends with this process whatever happens.
    guard: Client,
    address: Address,
    known: u32,
    /// Those of every transaction.
    settings: String,
    /// How long the last batch took: as long as the next one waits.
    pause: Duration,
}

impl Migrator {
    /// Takes the place of the one migrator; [`StoreError::Busy`] when somebody else has it.
    pub async fn begin(address: &Address, durability: Durability) -> Result<Self, StoreError> {
        Self::begin_knowing(address, durability, known_version()).await
    }

    /// The same as a build would that knows only this version of the schema.
    #[cfg(feature = "conformance")]
    pub async fn begin_as(address: &Address, durability: Durability, known: u32) -> Result<Self, StoreError> {
        Self::begin_knowing(address, durability, known).await
    }

    async fn begin_knowing(
        address: &Address,
        durability: Durability,
        known: u32,
    ) -> Result<Self, StoreError> {
        let (guard, client) = (opening::connect(address).await?, opening::connect(address).await?);
        opening::check_server(&guard, durability).await?;
        let take = "SELECT pg_try_advisory_xact_lock($1, hashtext($2))";
        stand(&guard, address).await.map_err(|cause| told("beginning a migration", cause))?;
        let taken = guard.query_typed_one(take, &[(&LOCKS, Type::INT4), (&address.schema, Type::TEXT)]).await;
        if !taken.map_err(|cause| told("looking for another migration", cause))?.get::<_, bool>(0) {
            return Err(StoreError::Busy { reason: format!("{address} is being migrated by somebody else") });
        }
        Ok(Self::with(guard, client, address, known))
    }

    /// Where the schema stands.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        found(&self.client, &self.address, self.known).await
    }

    /// Does the next step towards the version of this build.
    pub async fn step(&mut self) -> Result<Step, StoreError> {
        self.stands().await?;
        let schema = self.schema().await?;
        if schema.version == 0 {
            self.create().await?;
        } else if schema.version < schema.known {
            if schema.stage != Stage::Finalized {
                return Err(schema.unfinished(&self.address));
            }
            self.run(schema.version + 1).await?;
        } else if schema.version > schema.known || schema.stage != Stage::Expanded {
            return Ok(Step::Done);
        } else if self.move_some(schema).await? == Step::Done {
            self.mark(schema, "moved_at").await?;
        }
        Ok(Step::More)
    }

    /// Does the next step towards the end of the version that is there.
    pub async fn close(&mut self) -> Result<Step, StoreError> {
        self.stands().await?;
        let schema = self.schema().await?;
        if schema.known < schema.version {
            return Err(schema.newer(&self.address));
        }
        let marked = match schema.stage {
            Stage::Finalized => return Ok(Step::Done),
            Stage::Expanded if self.move_some(schema).await? == Step::More => return Ok(Step::More),
            Stage::Expanded => "moved_at",
            Stage::Moved => {
                self.refuse_older(schema).await?;
                "closed_at"
            }
            // What builds of the version before have written since the rows were moved; then nobody can any more, and what the last
            // of them wrote until then.
            Stage::Closed if self.move_some(schema).await? == Step::More => return Ok(Step::More),
            Stage::Closed if self.hold(schema).await? == Step::More => return Ok(Step::More),
            Stage::Closed => "finalized_at",
        };
        self.mark(schema, marked).await?;
        Ok(Step::More)
    }
}

/// The newest version of this build.
pub(crate) fn known_version() -> u32 {
    versions::newest()
}

/// The newest migration of this build, and the newest that brings rows to a new form: what trials of migrations go through.
#[cfg(feature = "conformance")]
pub fn newest() -> (u32, u32) {
    let moving = MOVES.iter().map(|moving| moving.version).max();
    (known_version(), moving.unwrap_or_else(known_version))
}

/// Looks at the server, and makes the store if there is none; one that is there must be of a version that a build can work with that
/// knows this one.
pub(super) async fn prepare(address: &Address, durability: Durability, known: u32) -> Result<(), StoreError> {
    let client = opening::connect(address).await?;
    opening::check_server(&client, durability).await?;
    if found(&client, address, known).await?.version == 0 {
        create(address, known).await?;
    }
    found(&client, address, known).await?.check(address)
}

/// Where the schema stands; nothing of ours, and nothing of anybody else's, is version 0.
pub(super) async fn found(client: &Client, address: &Address, known: u32) -> Result<Schema, StoreError> {
    let mut schema = Schema { version: 0, stage: Stage::Finalized, moved: 0, known };
    if !opening::is_ours(client, address).await? {
        return Ok(schema);
    }
    let read = |cause| told("reading the version of the schema", cause);
    let newest =
        format!("SELECT coalesce(max(version), 0)::bigint FROM {}.refinery_schema_history", address.schema);
    let version: i64 = client.query_typed_one(&newest, &[]).await.map_err(read)?.get(0);
    schema.version = u32::try_from(version).unwrap_or(u32::MAX);
    if schema.version < FIRST_IN_STEPS {
        return Ok(schema);
    }
    let state = format!(
        "SELECT moved, moved_at IS NOT NULL, closed_at IS NOT NULL, finalized_at IS NOT NULL
         FROM {}.schema_change WHERE version = $1",
        address.schema
    );
    if let Some(row) = client.query_typed_opt(&state, &[(&version, Type::INT8)]).await.map_err(read)? {
        schema.moved = number(&row, 0).map_err(|fault| fault.told("reading the version of the schema"))?;
        schema.stage = match (row.get(3), row.get(2), row.get(1)) {
            (true, ..) => Stage::Finalized,
            (_, true, _) => Stage::Closed,
            (.., true) => Stage::Moved,
            _ => Stage::Expanded,
        };
    }
    Ok(schema)
}

/// Makes a store of this version that is not there; whoever else does so is waited for.
async fn create(address: &Address, known: u32) -> Result<(), StoreError> {
    let (guard, client) = (opening::connect(address).await?, opening::connect(address).await?);
    let take = format!(
        "SET LOCAL lock_timeout = {MIGRATION_MS}; SELECT pg_advisory_xact_lock({LOCKS}, hashtext('{}'))",
        address.schema
    );
    let waited = async {
        stand(&guard, address).await?;
        guard.batch_execute(&take).await
    };
    waited.await.map_err(|cause| told("waiting for another migration", cause))?;
    let mut migrator = Migrator::with(guard, client, address, known);
    let done = async {
        if migrator.schema().await?.version == 0 {
            migrator.create().await?;
        }
        Ok::<(), StoreError>(())
    };
    let done = done.await;
    migrator.end().await;
    done
}

/// Begins the transaction of the guard, which stands for as long as the migration takes.
async fn stand(guard: &Client, address: &Address) -> Result<(), tokio_postgres::Error> {
    let settings = patient(address);
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {settings}; SET LOCAL idle_in_transaction_session_timeout = 0; {GUARD_PROBES}"
    );
    guard.batch_execute(&begin).await
}

/// The settings of a transaction that may take long and waits for nobody.
fn patient(address: &Address) -> String {
    address.of_a_transaction(&[("statement_timeout", MIGRATION_MS), ("lock_timeout", MIGRATION_LOCK_MS)])
}

impl Migrator {
    fn with(guard: Client, client: Client, address: &Address, known: u32) -> Self {
        let (settings, pause) = (patient(address), Duration::ZERO);
        Self { client, guard, address: address.clone(), known, settings, pause }
    }

    /// Finds out whether the place is still its own: what ends transactions that stand for long ends that of the guard as well.
    async fn stands(&self) -> Result<(), StoreError> {
        let asked = self.guard.simple_query("SELECT 1").await;
        asked.map(|_| ()).map_err(|cause| told("keeping the place of the one migrator", cause))
    }

    /// Gives the place up at once, in place of when the database notices that the connection is gone.
    async fn end(self) {
        // Whatever becomes of it: the connection goes in any case.
        let _ = self.guard.batch_execute("ROLLBACK").await;
    }

    /// Makes a new store, which nobody of an older build has ever written to.
    async fn create(&mut self) -> Result<(), StoreError> {
        let create = format!("CREATE SCHEMA IF NOT EXISTS {}", self.address.schema);
        self.client.batch_execute(&create).await.map_err(|cause| told("creating the schema", cause))?;
        // All of it in one transaction: nobody finds a store of an older version.
        let all = self.run_to(self.known).await;
        all.map_err(|cause| opening::broken(MIGRATING, cause))?;
        while self.close().await? == Step::More {}
        Ok(())
    }

    /// Runs the statements of one version, when those who use its tables let it.
    async fn run(&mut self, version: u32) -> Result<(), StoreError> {
        for _ in 0..MIGRATION_TRIES {
            match self.run_to(version).await {
                Ok(()) => return Ok(()),
                Err(cause) if gave_up(&cause) => pause().await,
                Err(cause) => return Err(opening::broken(MIGRATING, cause)),
            }
        }
        Err(self.crowded())
    }

    async fn run_to(&mut self, version: u32) -> Result<(), refinery::Error> {
        versions::run(&mut self.client, &self.address.schema, &self.settings, version).await
    }

    /// Gives the rows of one batch their new form, and notes how far that goes.
    async fn move_some(&mut self, schema: Schema) -> Result<Step, StoreError> {
        let Some(moving) = MOVES.iter().find(|moving| moving.version == schema.version) else {
            return Ok(Step::Done);
        };
        tokio::time::sleep(self.pause).await;
        for _ in 0..MIGRATION_TRIES {
            let begun = Instant::now();
            let moved = self.batch(moving, i64::from(schema.version)).await;
            self.pause = begun.elapsed();
            match moved {
                Ok(step) => return Ok(step),
                Err(cause) if gave_up(&cause) => pause().await,
                Err(cause) => return Err(told(MIGRATING, cause)),
            }
        }
        Err(self.crowded())
    }

    async fn batch(&mut self, moving: &Move, version: i64) -> Result<Step, tokio_postgres::Error> {
        let transaction = transaction(&mut self.client, &self.settings).await?;
        let behind = "SELECT behind FROM schema_change WHERE version = $1";
        let behind: Option<String> =
            transaction.query_typed_one(behind, &[(&version, Type::INT8)]).await?.get(0);
        let page = [(&behind as &(dyn ToSql + Sync), Type::TEXT), (&MOVED_AT_ONCE, Type::INT8)];
        let row = transaction.query_typed_one(moving.batch, &page).await?;
        let (last, moved): (Option<String>, i64) = (row.get(0), row.get(1));
        if last.is_none() {
            return Ok(Step::Done);
        }
        let note = "UPDATE schema_change SET behind = $2, moved = moved + $3 WHERE version = $1";
        let noted =
            [(&version as &(dyn ToSql + Sync), Type::INT8), (&last, Type::TEXT), (&moved, Type::INT8)];
        transaction.execute_typed(note, &noted).await?;
        transaction.commit().await?;
        Ok(Step::More)
    }

    /// Has the database hold what is true of all rows from now on, or has been since a version before, which a new store has come
    /// through at once; `More` when it did not yet, so that some may have been written until this moment.
    async fn hold(&mut self, schema: Schema) -> Result<Step, StoreError> {
        for moving in MOVES.iter().filter(|moving| moving.version <= schema.version) {
            if self.hold_one(schema, moving).await? == Step::More {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done)
    }

    async fn hold_one(&mut self, schema: Schema, moving: &Move) -> Result<Step, StoreError> {
        let (table, name, condition) = moving.holds;
        let held = "SELECT convalidated FROM pg_constraint
                    WHERE conrelid = to_regclass($1) AND conname = $2";
        let table_of = format!("{}.{table}", self.address.schema);
        let held = self.client.query_typed_opt(held, &[(&table_of, Type::TEXT), (&name, Type::TEXT)]).await;
        match held.map_err(|cause| told(MIGRATING, cause))?.map(|row| row.get::<_, bool>(0)) {
            None => {
                // Noted first: whoever ends behind the next statement is followed by somebody who looks at all rows.
                self.look_again(schema).await?;
                let add = format!("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID");
                self.alter(&add).await?;
                Ok(Step::More)
            }
            Some(false) => {
                // It looks at every row, and keeps nobody from writing meanwhile.
                self.alter(&format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")).await?;
                Ok(Step::Done)
            }
            Some(true) => Ok(Step::Done),
        }
    }

    async fn alter(&mut self, statement: &str) -> Result<(), StoreError> {
        for _ in 0..MIGRATION_TRIES {
            match self.change(statement).await {
                Ok(()) => return Ok(()),
                Err(cause) if gave_up(&cause) => pause().await,
                Err(cause) => return Err(told(MIGRATING, cause)),
            }
        }
        Err(self.crowded())
    }

    /// Nobody who knows only the version before may still be there.
    async fn refuse_older(&self, schema: Schema) -> Result<(), StoreError> {
        let servers = presence::servers(&self.client, &self.address.schema, schema.version).await?;
        if servers == 0 {
            return Ok(());
        }
        let (address, version, before) = (&self.address, schema.version, schema.version.saturating_sub(1));
        Err(StoreError::Busy {
            reason: format!(
                "{servers} servers of {address} know only schema version {before}: stop them or replace them, then finalize version {version}"
            ),
        })
    }

    /// Notes that a stage is reached, also by the versions before, which a new store has come through at once; rows are looked at from
    /// the first again.
    async fn mark(&mut self, schema: Schema, stage: &str) -> Result<(), StoreError> {
        let mark = format!(
            "UPDATE schema_change SET {stage} = coalesce({stage}, sixpack_now()), behind = NULL WHERE version <= {}",
            schema.version
        );
        self.change(&mark).await.map_err(|cause| told(MIGRATING, cause))
    }

    async fn look_again(&mut self, schema: Schema) -> Result<(), StoreError> {
        let again = format!("UPDATE schema_change SET behind = NULL WHERE version = {}", schema.version);
        self.change(&again).await.map_err(|cause| told(MIGRATING, cause))
    }

    /// Runs a statement in a transaction of its own.
    async fn change(&mut self, statement: &str) -> Result<(), tokio_postgres::Error> {
        let transaction = transaction(&mut self.client, &self.settings).await?;
        transaction.batch_execute(statement).await?;
        transaction.commit().await
    }

    fn crowded(&self) -> StoreError {
        let address = &self.address;
        StoreError::Busy {
            reason: format!(
                "what a migration of {address} has to change was held by others each of {MIGRATION_TRIES} times; what it has done \
                 so far stays: look for long transactions (pg_stat_activity), and run it again"
            ),
        }
    }
}

const MIGRATING: &str = "migrating the database";

/// A random pause: those who waited behind a statement that gave up get on meanwhile.
async fn pause() {
    let ms = fastrand::u64(MIGRATION_PAUSE_MS..=2 * MIGRATION_PAUSE_MS);
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
