//! Migrations in PostgreSQL: beside servers of two builds, ended in the middle, by several at once, and not back behind the end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sixpack_model::lease::{Lease, LeaseStatus};
use sixpack_model::stock::LineCounts;
use sixpack_storage::conformance::{Fixture, PgBouncer, PostgresServer};
use sixpack_storage::leases::{LeaseFilter, Leases, Renewed};
use sixpack_storage::migrations::{Schema, Stage, Step};
use sixpack_storage::page::Page;
use sixpack_storage::postgres::migrations::{Migrator, finalize, status, up, up_as};
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::stock::Stock;
use sixpack_storage::stock_history::{NotedLevel, StockHistory};
use sixpack_storage::{Durability, ManualClock, StoreError};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// Leases of before, of which a batch is only a part.
const BEFORE: u64 = 2_501;

/// The version with which rows got a new form, the one before it, and that of this build, which only adds.
const OLDER: u32 = 1;
const NEWER: u32 = 2;
const ADDS: u32 = 3;

/// Nothing that is waited for takes as long on any machine.
const SOON: Duration = Duration::from_secs(60);

const LAX: Durability = Durability::TestsOnly;

fn settings() -> Settings {
    Settings { connections: 3, durability: LAX, carried: Duration::ZERO, ..Settings::default() }
}

/// A store of the older version, with what the store itself has written: one held lease, and many that have ended.
struct OldStore {
    server: &'static PostgresServer,
    address: Address,
    lease: Lease,
}

impl OldStore {
    async fn new() -> Self {
        let server = PostgresServer::shared();
        let address = server.new_address();
        let clock = server.migrate_with(&address, ManualClock::at(Fixture::start())).await;
        let store = PostgresStore::open(&address, settings()).await.unwrap();
        let fixture = Fixture::new(Arc::new(store), clock, ());
        let (_, lease) = fixture.leased().await;
        drop(fixture);
        let old = Self { server, address, lease };
        let columns = "tree, environment, request, unit, holder, token, fence, 1, ttl_ms, granted_at, expires_at, ended_at, \
                       outcome, note, revoked_by";
        old.run(&format!(
            "DROP TABLE stock_level;
             ALTER TABLE stock_line DROP COLUMN made, DROP COLUMN failed;
             ALTER TABLE lease DROP COLUMN contract;
             DROP TABLE schema_change;
             DELETE FROM refinery_schema_history WHERE version > {OLDER};
             INSERT INTO lease SELECT gen_random_uuid(), {columns} FROM lease, generate_series(2, {BEFORE})"
        ))
        .await;
        old
    }

    async fn run(&self, sql: &str) {
        self.server.run(&format!("SET search_path = {}; {sql}", self.address.schema())).await;
    }

    /// A connection of somebody else.
    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.server.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path = {}", self.address.schema())).await.unwrap();
        client
    }

    /// Waits until there are such rows.
    async fn has(&self, rows: &str) {
        let (client, count) = (self.client().await, format!("SELECT count(*) FROM {rows}"));
        let seen = async {
            while client.query_one(&count, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, seen).await.expect("there are such rows soon");
    }

    async fn count(&self, rows: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {rows}");
        self.client().await.query_one(&count, &[]).await.unwrap().get(0)
    }

    /// A server of the build before: it knows the older version, and leaves out what that does not have.
    async fn older(&self) -> PostgresStore {
        let schema = self.address.schema();
        let address = format!("{}?schema={schema}&application_name=older", self.server.url());
        PostgresStore::open_as(&address.parse().unwrap(), settings(), OLDER).await.unwrap()
    }

    async fn leave_out_what_the_older_build_does_not_know(&self) {
        self.run(
            "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF current_setting('application_name') = 'older' THEN NEW.contract := NULL; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER leave_out BEFORE INSERT ON lease FOR EACH ROW EXECUTE FUNCTION leave_out()",
        )
        .await;
    }

    /// Servers of the older version that are there.
    fn present(&self) -> String {
        format!(
            "pg_locks JOIN pg_stat_activity a USING (pid)
             WHERE locktype = 'advisory' AND granted AND objid::bigint = {OLDER}
               AND classid::bigint = hashtext('{} servers')::bigint & 4294967295",
            self.address.schema()
        )
    }

    async fn is_renewed_by(&self, store: &PostgresStore) {
        let renewed = store.renew_lease(self.lease.id, self.lease.fence, None).await.unwrap();
        assert!(matches!(renewed, Renewed::Until(_)), "{renewed:?}");
    }

    async fn up(&self) -> Result<Schema, StoreError> {
        up_as(&self.address, NEWER, LAX, &mut |_| {}).await
    }

    async fn finalize(&self) -> Result<Schema, StoreError> {
        finalize(&self.address, LAX, &mut |_| {}).await
    }

    async fn schema(&self) -> (u32, Stage, u64) {
        let schema = status(&self.address).await.unwrap();
        (schema.version, schema.stage, schema.moved)
    }
}

/// A clock by which ids are above all of before.
/// Does it until nobody else is at it.
async fn once_free<T>(does: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let done = async {
        loop {
            match does().await {
                Err(StoreError::Busy { .. }) => tokio::task::yield_now().await,
                other => break other.unwrap(),
            }
        }
    };
    timeout(SOON, done).await.expect("whoever was at it has gone")
}

fn later() -> ManualClock {
    let clock = ManualClock::at(Fixture::start());
    clock.advance_ms(1_000);
    clock
}

/// How many leases of the contract of the fixture are held, as the store lists them.
async fn held_of_the_contract(store: &PostgresStore) -> usize {
    let (status, contract) = (Some(LeaseStatus::Held), Some("shop/ready-customer".to_owned()));
    let filter = LeaseFilter { status, contract, ..LeaseFilter::default() };
    store.leases(&filter, Page::first(100)).await.unwrap().rows.len()
}

#[tokio::test]
async fn a_store_is_migrated_and_finalized_while_servers_of_two_builds_work_with_it() {
    let old = OldStore::new().await;
    assert_eq!(old.schema().await, (OLDER, Stage::Finalized, 0));
    let Err(StoreError::Older { reason }) = PostgresStore::open(&old.address, settings()).await else {
        panic!("a newer build works with an older schema that nobody has migrated");
    };
    assert!(reason.contains("sixpack migrate up"), "{reason}");
    let older = Arc::new(old.older().await);
    old.is_renewed_by(&older).await;

    let migrated = old.up().await.unwrap();
    assert_eq!((migrated.version, migrated.stage, migrated.moved), (NEWER, Stage::Moved, BEFORE));
    assert_eq!(old.up().await.unwrap(), migrated, "done twice, it is done once");
    old.leave_out_what_the_older_build_does_not_know().await;
    let newer = PostgresStore::open_as(&old.address, settings(), NEWER).await.unwrap();
    let by_older = Fixture::new(older.clone(), later(), ());
    by_older.leased().await;
    assert_eq!(old.count("lease WHERE contract IS NULL").await, 1);
    for store in [&*older, &newer] {
        old.is_renewed_by(store).await;
        assert_eq!(held_of_the_contract(store).await, 2);
    }

    // Its presence is known when its second connection is there.
    old.has(&old.present()).await;
    let Err(StoreError::Busy { reason }) = old.finalize().await else {
        panic!("it is finalized beside a server of the build before");
    };
    assert!(reason.contains("1 servers"), "{reason}");
    older.check().await.unwrap();
    drop((by_older, older));
    let finalized = once_free(async || old.finalize().await).await;
    assert_eq!((finalized.stage, finalized.moved), (Stage::Finalized, BEFORE + 1));
    assert_eq!(old.count("lease WHERE contract IS NULL").await, 0);
    assert_eq!(held_of_the_contract(&newer).await, 2);
    newer.check().await.unwrap();
    let Err(StoreError::Newer { reason }) = PostgresStore::open_as(&old.address, settings(), OLDER).await
    else {
        panic!("the build before works with a version that was finalized");
    };
    assert!(reason.contains("this one knows 1"), "{reason}");
}

#[tokio::test]
async fn behind_a_pooler_a_store_is_migrated_and_its_servers_are_known_to_be_there() {
    let old = OldStore::new().await;
    let through = PgBouncer::shared().address(old.address.schema());
    let older = PostgresStore::open_as(&through, settings(), OLDER).await.unwrap();
    let migrated = up_as(&through, NEWER, LAX, &mut |_| {}).await.unwrap();
    assert_eq!((migrated.version, migrated.stage, migrated.moved), (NEWER, Stage::Moved, BEFORE));
    old.is_renewed_by(&older).await;
    old.has(&old.present()).await;
    let finalized = finalize(&through, LAX, &mut |_| {}).await;
    assert!(matches!(finalized, Err(StoreError::Busy { .. })), "{finalized:?}");
    let standing = format!("{} AND state = 'idle in transaction'", old.present());
    old.has(&standing).await;
    let keeps_rows = format!("{standing} AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)");
    assert_eq!(
        old.count(&keeps_rows).await,
        0,
        "a transaction that stands keeps no row from being cleaned up"
    );
    drop(older);
    let finalized = once_free(async || finalize(&through, LAX, &mut |_| {}).await).await;
    assert_eq!((finalized.stage, finalized.moved), (Stage::Finalized, BEFORE));
}

#[tokio::test]
async fn a_migration_that_was_ended_in_the_middle_goes_on_where_it_was() {
    let old = OldStore::new().await;
    let mut migrator = Migrator::begin_as(&old.address, LAX, NEWER).await.unwrap();
    assert_eq!(migrator.step().await.unwrap(), Step::More);
    assert_eq!(old.schema().await, (NEWER, Stage::Expanded, 0));
    migrator.step().await.unwrap();
    drop(migrator);
    let (_, stage, moved) = old.schema().await;
    assert!(stage == Stage::Expanded && 0 < moved && moved < BEFORE, "{moved}");
    PostgresStore::open_as(&old.address, settings(), NEWER).await.unwrap().close().await;
    // The database may not have noticed yet that the one before is gone.
    let migrated = once_free(async || old.up().await).await;
    assert_eq!((migrated.stage, migrated.moved), (Stage::Moved, BEFORE));

    old.run("UPDATE lease SET contract = NULL").await;
    let mut steps = 0;
    // A new one for each step: whatever it is ended behind, the next one goes on.
    while once_free(async || Migrator::begin_as(&old.address, LAX, NEWER).await).await.close().await.unwrap()
        != Step::Done
    {
        steps += 1;
    }
    assert!(steps > 4, "{steps}");
    assert_eq!(old.schema().await, (NEWER, Stage::Finalized, 2 * BEFORE));
    assert_eq!(old.count("lease WHERE contract IS NULL").await, 0);
    assert_eq!(old.count("pg_constraint WHERE conrelid = 'lease'::regclass AND conname = 'lease_has_contract' AND convalidated").await, 1);
}

#[tokio::test]
async fn there_is_one_migrator_at_a_time_and_two_do_no_harm() {
    let old = OldStore::new().await;
    let first = Migrator::begin(&old.address, LAX).await.unwrap();
    assert!(matches!(old.up().await, Err(StoreError::Busy { .. })));
    assert!(matches!(old.finalize().await, Err(StoreError::Busy { .. })));
    drop(first);
    once_free(async || {
        let (one, other) = tokio::join!(old.up(), old.up());
        for outcome in [&one, &other] {
            assert!(matches!(outcome, Ok(_) | Err(StoreError::Busy { .. })), "{outcome:?}");
        }
        one.or(other)
    })
    .await;
    assert_eq!(old.schema().await, (NEWER, Stage::Moved, BEFORE));
}

#[tokio::test]
async fn a_migration_gives_way_to_whoever_holds_a_table_and_comes_back() {
    let old = OldStore::new().await;
    let older = old.older().await;
    let busy = old.client().await;
    busy.batch_execute("BEGIN; LOCK TABLE lease IN ROW EXCLUSIVE MODE").await.unwrap();
    let address = old.address.clone();
    let migrating = tokio::spawn(async move { up_as(&address, NEWER, LAX, &mut |_| {}).await });
    // It waits for the table, and everybody else behind it, until it gives up.
    old.has("pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = 'lease'::regclass")
        .await;
    old.is_renewed_by(&older).await;
    old.is_renewed_by(&older).await;
    assert!(!migrating.is_finished());
    busy.batch_execute("COMMIT").await.unwrap();
    let migrated = timeout(SOON, migrating).await.expect("it has the table to itself now");
    assert_eq!(migrated.unwrap().unwrap().moved, BEFORE);
}

#[tokio::test]
async fn leases_are_renewed_while_rows_are_moved() {
    let old = OldStore::new().await;
    let older = old.older().await;
    let mut migrator = Migrator::begin_as(&old.address, LAX, NEWER).await.unwrap();
    let mut steps = 0;
    while migrator.step().await.unwrap() == Step::More {
        old.is_renewed_by(&older).await;
        steps += 1;
    }
    assert!(steps > 2, "{steps}");
    assert_eq!(old.schema().await, (NEWER, Stage::Moved, BEFORE));
}

#[tokio::test]
async fn a_server_finds_out_that_its_schema_has_left_it_behind() {
    let old = OldStore::new().await;
    old.up().await.unwrap();
    let older = old.older().await;
    older.check().await.unwrap();
    old.run("UPDATE schema_change SET closed_at = 1").await;
    assert!(matches!(older.check().await, Err(StoreError::Newer { .. })));
}

#[tokio::test]
async fn a_further_version_waits_until_the_one_before_is_finalized() {
    let old = OldStore::new().await;
    let unfinished = up(&old.address, LAX, &mut |_| {}).await;
    assert!(matches!(unfinished, Err(StoreError::Older { .. })), "{unfinished:?}");
    assert_eq!(old.finalize().await.unwrap().version, NEWER);
    let migrated = up(&old.address, LAX, &mut |_| {}).await.unwrap();
    assert_eq!((migrated.version, migrated.stage), (ADDS, Stage::Moved));
}

#[tokio::test]
async fn what_a_version_adds_is_left_as_it_is_by_servers_of_the_build_before() {
    let old = OldStore::new().await;
    old.up().await.unwrap();
    old.finalize().await.unwrap();
    let older = PostgresStore::open_as(&old.address, settings(), NEWER).await.unwrap();
    let migrated = up(&old.address, LAX, &mut |_| {}).await.unwrap();
    assert_eq!((migrated.version, migrated.stage, migrated.moved), (ADDS, Stage::Moved, 0));
    let newer = PostgresStore::open(&old.address, settings()).await.unwrap();
    let contract = "shop/customer".parse().unwrap();
    let line = newer.line("staging", &contract, &json!({})).await.unwrap();
    let counts = LineCounts { made: 3, ..LineCounts::default() };
    newer.count_in_lines(vec![(line, counts)]).await.unwrap();
    let level = NotedLevel { line, ready: 2, coming: 0, target: 2 };
    assert_eq!(newer.note_levels(vec![level]).await.unwrap(), 1);
    // As a server of the build before writes them.
    old.run(
        "INSERT INTO stock_line (contract, input, hits, misses) SELECT contract, '[]', 0, 0 FROM stock_line;
         UPDATE stock_line SET hits = hits + 1, misses = misses + 2",
    )
    .await;
    let lines = newer.lines(None, 10).await.unwrap();
    let of_both = LineCounts { hits: 1, misses: 2, ..counts };
    assert_eq!((lines[0].counts, lines[1].counts.made), (of_both, 0));
    let history = newer.stock_history(&[line], Timestamp::UNIX_EPOCH, 300).await.unwrap();
    assert_eq!((history[0].samples.len(), history[0].samples[0].counts), (1, counts));

    older.check().await.unwrap();
    drop(older);
    assert_eq!(once_free(async || old.finalize().await).await.stage, Stage::Finalized);
    let refused = PostgresStore::open_as(&old.address, settings(), NEWER).await;
    assert!(matches!(refused, Err(StoreError::Newer { .. })));
}

#[tokio::test]
async fn a_new_store_is_finalized_and_has_nothing_to_migrate() {
    let address = PostgresServer::shared().new_address();
    assert_eq!(status(&address).await.unwrap().version, 0);
    drop(PostgresStore::open(&address, settings()).await.unwrap());
    let schema = status(&address).await.unwrap();
    assert_eq!((schema.version, schema.stage), (schema.known, Stage::Finalized));
    assert_eq!(up(&address, LAX, &mut |_| {}).await.unwrap(), schema);
    assert_eq!(finalize(&address, LAX, &mut |_| {}).await.unwrap(), schema);
    let (client, connection) = tokio_postgres::connect(&PostgresServer::shared().url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = {}", address.schema())).await.unwrap();
    // As if it had come through all versions one by one.
    for held in [
        "pg_constraint WHERE conrelid = 'lease'::regclass AND conname = 'lease_has_contract' AND convalidated",
        "schema_change WHERE version = 2 AND moved_at IS NOT NULL AND closed_at IS NOT NULL AND finalized_at IS NOT NULL",
    ] {
        let count: i64 = client.query_one(&format!("SELECT count(*) FROM {held}"), &[]).await.unwrap().get(0);
        assert_eq!(count, 1, "{held}");
    }
}
