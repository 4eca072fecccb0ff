//! Moving: only whole files into empty stores, and nothing left of what did not come to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use sixpack_storage::conformance::{Fixture, PostgresServer, StockLoop, Supplier};
use sixpack_storage::moving::MoveError;
use sixpack_storage::postgres::{self, Address, PostgresStore};
use sixpack_storage::sqlite::{self, SqliteStore};
use sixpack_storage::tokens::Tokens;
use sixpack_storage::{Durability, ManualClock, StoreError};
use tempfile::TempDir;
use tokio_postgres::NoTls;

const LAX: Durability = Durability::TestsOnly;

/// A folder with the store of a fixture, which nobody has open, and a file that it was exported to.
struct Exported {
    folder: TempDir,
    file: PathBuf,
}

fn open(folder: &Path) -> Arc<SqliteStore> {
    let clock = Arc::new(ManualClock::at(Fixture::start()));
    let settings = sqlite::Settings { clock, readers: 1, durability: LAX };
    Arc::new(SqliteStore::open(folder, settings).unwrap())
}

impl Exported {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("data"), folder.path().join("export"));
        let fixture = Fixture::new(open(&data), ManualClock::at(Fixture::start()), ());
        fixture.leased().await;
        let session = fixture.supplier(Supplier::of(&["shop/customer"])).await;
        fixture.one("shop/customer").await;
        assert!(!fixture.claim(session, 100).await.is_empty());
        StockLoop::filled(fixture, 3).await.take(1, 1).await;
        sqlite::moving::export(&data, &file, &mut |_| {}).await.unwrap();
        Self { folder, file }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    /// A file with other lines.
    fn changed(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("changed");
        std::fs::write(&file, text).unwrap();
        file
    }
}

async fn into_folder(file: &Path, folder: &Path) -> Result<u64, MoveError> {
    let tables = sqlite::moving::import(file, folder, &mut |_| {}).await?;
    Ok(tables.iter().map(|table| table.rows).sum())
}

async fn into_schema(file: &Path, address: &Address) -> Result<u64, MoveError> {
    let tables = postgres::moving::import(file, address, LAX, &mut |_| {}).await?;
    Ok(tables.iter().map(|table| table.rows).sum())
}

#[tokio::test]
async fn a_damaged_file_is_refused_by_line_and_leaves_nothing() {
    let exported = Exported::new().await;
    let text = exported.text();
    let lines: Vec<&str> = text.lines().collect();
    let line = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    let lease = line("{\"table\":\"lease\"") + 1;
    let without = |gone: usize| {
        let kept = lines.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, line)| *line);
        kept.collect::<Vec<_>>().join("\n") + "\n"
    };
    let other = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines.join("\n") + "\n"
    };
    let longer = lines[lease].replace("\"a test\"", "\"a tester\"");
    let wider = lines[lease].replacen('[', "[0,", 1);
    let event = line("{\"end\":\"event\"");
    let cases = [
        ("cut off within a row", text[..text.len() / 2].to_owned(), None),
        ("cut off behind a table", lines[..=event].join("\n") + "\n", None),
        ("without a row", without(lease), Some("lease")),
        ("with another value", other(lease, &longer), Some("lease")),
        ("with another number of values", other(lease, &wider), Some("lease")),
        ("with a row that is none", other(lease, "[\"x\""), Some("lease")),
        (
            "with a value of another kind",
            other(lease, &lines[lease].replacen("[\"", "[\"x", 1)),
            Some("lease"),
        ),
        ("without a table", without(line("{\"table\":\"pins\"")), Some("pins")),
        ("without its end", without(lines.len() - 1), None),
        ("with more behind it", format!("{text}\n"), None),
        ("of another program", "dear grandmother\n".to_owned(), None),
        ("with nothing", String::new(), None),
    ];
    let address = PostgresServer::shared().new_address();
    let folder = exported.folder.path().join("new");
    for (what, text, table) in cases {
        let file = exported.changed(&text);
        for error in [into_folder(&file, &folder).await, into_schema(&file, &address).await] {
            let Err(MoveError::Damaged { why, line, .. }) = error else { panic!("{what}: {error:?}") };
            assert!(line > 0 && table.is_none_or(|table| why.contains(table)), "{what}: {line}: {why}");
        }
        let left = std::fs::read_dir(&folder).map_or(0, |entries| {
            entries.filter(|entry| entry.as_ref().unwrap().file_name() == "store.db").count()
        });
        assert_eq!(left, 0, "{what}");
    }
    for version in [0, 1, 2, 4] {
        let file = exported.changed(&text.replacen("\"schema\":3", &format!("\"schema\":{version}"), 1));
        assert!(matches!(into_folder(&file, &folder).await, Err(MoveError::OtherVersion(_))));
        assert!(matches!(into_schema(&file, &address).await, Err(MoveError::OtherVersion(_))));
    }
    // What was left takes the whole file.
    let rows = into_folder(&exported.file, &folder).await.unwrap();
    assert_eq!(into_schema(&exported.file, &address).await.unwrap(), rows);
    open(&folder).tokens().await.unwrap();
}

#[tokio::test]
async fn a_row_that_no_store_takes_is_refused_although_the_file_is_whole() {
    let exported = Exported::new().await;
    let data = exported.folder.path().join("data");
    // Two live leases on one dataset: the index that forbids it was taken away by hand.
    Connection::open(data.join("store.db"))
        .unwrap()
        .execute_batch(
            "DROP INDEX lease_held;
             CREATE TABLE twice AS SELECT * FROM lease WHERE status = 0 LIMIT 1;
             UPDATE twice SET id = randomblob(16);
             INSERT INTO lease SELECT * FROM twice;
             DROP TABLE twice",
        )
        .unwrap();
    let file = exported.folder.path().join("twice");
    sqlite::moving::export(&data, &file, &mut |_| {}).await.unwrap();
    let address = PostgresServer::shared().new_address();
    let folder = exported.folder.path().join("new");
    for error in [into_folder(&file, &folder).await, into_schema(&file, &address).await] {
        let Err(MoveError::Damaged { why, .. }) = error else { panic!("{error:?}") };
        assert!(why.contains("table lease does not take"), "{why}");
    }
    assert!(!folder.join("store.db").exists());
    into_schema(&exported.file, &address).await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_over_and_nobody_moves_what_is_in_use() {
    let exported = Exported::new().await;
    let (data, file) = (exported.folder.path().join("data"), exported.folder.path().join("another"));
    assert!(matches!(into_folder(&exported.file, &data).await, Err(MoveError::Occupied(_))));
    let again = sqlite::moving::export(&data, &exported.file, &mut |_| {}).await;
    assert!(matches!(again, Err(MoveError::Occupied(_))), "{again:?}");
    let store = open(&data);
    let in_use = sqlite::moving::export(&data, &file, &mut |_| {}).await;
    assert!(matches!(in_use, Err(MoveError::Store(StoreError::InUse { .. }))), "{in_use:?}");
    drop(store);

    let server = PostgresServer::shared();
    let address = server.new_address();
    into_schema(&exported.file, &address).await.unwrap();
    let twice = into_schema(&exported.file, &address).await;
    assert!(matches!(twice, Err(MoveError::Occupied(_))), "{twice:?}");
    let store = PostgresStore::open(&address, crate::postgres_opening::settings()).await.unwrap();
    loop {
        // Its presence is known when its second connection is there.
        let file = exported.folder.path().join("third");
        match postgres::moving::export(&address, &file, &mut |_| {}).await {
            Ok(_) => std::fs::remove_file(file).unwrap(),
            Err(MoveError::Store(StoreError::Busy { reason })) => {
                assert!(reason.contains("1 servers"), "{reason}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    store.ping().await.unwrap();

    let change = "UPDATE schema_change SET finalized_at = NULL, closed_at = NULL";
    Connection::open(data.join("store.db")).unwrap().execute_batch(change).unwrap();
    let unfinished = sqlite::moving::export(&data, &file, &mut |_| {}).await;
    assert!(matches!(unfinished, Err(MoveError::Store(StoreError::Older { .. }))), "{unfinished:?}");
    assert!(!file.exists());
}

#[tokio::test]
async fn an_export_names_every_table_and_column_of_a_schema() {
    let exported = Exported::new().await;
    let server = PostgresServer::shared();
    let address = server.new_address();
    postgres::create(&address, LAX).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let columns = "SELECT c.table_name::text, c.column_name::text FROM information_schema.columns c
                   WHERE c.table_schema = $1 AND c.table_name NOT IN ('refinery_schema_history', 'schema_change')
                     AND c.table_name NOT LIKE 'event\\__%'";
    let rows = client.query(columns, &[&address.schema()]).await.unwrap();
    let mut there: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut named = Vec::new();
    for line in exported.text().lines().filter(|line| line.starts_with("{\"table\"")) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for column in line["columns"].as_array().unwrap() {
            named.push((line["table"].as_str().unwrap().to_owned(), column.as_str().unwrap().to_owned()));
        }
    }
    there.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, there);
}
