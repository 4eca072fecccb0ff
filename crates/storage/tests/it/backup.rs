//! Backups: made of a store in use, whole or not there, restored into an empty place only.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;
use sixpack_storage::conformance::{Fixture, Order};
use sixpack_storage::health::Health;
use sixpack_storage::leases::Leases;
use sixpack_storage::requests::Requests;
use sixpack_storage::sqlite::backup::{BackupError, back_up, restore, verify};
use sixpack_storage::sqlite::{Durability, Settings, SqliteStore};
use sixpack_storage::{Clock, ManualClock, SystemClock};
use tempfile::TempDir;

/// Names the folder that a child works in.
const FOLDER: &str = "SIXPACK_TEST_BACKUPS";

const ROUNDS: usize = 12;

/// A store in use, and the folder that it lies in.
fn in_use() -> (TempDir, Arc<SqliteStore>, Fixture) {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(SystemClock.now());
    let settings = Settings { durability: Durability::TestsOnly, ..Settings::default() };
    let store = Arc::new(SqliteStore::open(&folder.path().join("data"), settings).unwrap());
    let fixture = Fixture::new(store.clone(), clock, ());
    (folder, store, fixture)
}

fn rows(backup: &sixpack_storage::sqlite::backup::Backup, table: &str) -> u64 {
    backup.rows.iter().find(|(name, _)| *name == table).unwrap().1
}

fn why_unsound(file: &Path) -> String {
    match verify(file) {
        Err(BackupError::Unsound { path, why }) => {
            assert_eq!(path, file);
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_backup_holds_what_was_committed_before_it_and_goes_on_where_it_is_restored() {
    let (folder, store, f) = in_use();
    let (tree, lease) = f.leased().await;
    let file = folder.path().join("monday.sixpack");
    let backup = back_up(&folder.path().join("data"), &file).unwrap();
    let (later, _) = f.accept(Order::of(&["shop/customer"])).await;
    assert_eq!((rows(&backup, "request"), rows(&backup, "lease")), (1, 1));
    assert_eq!(backup.schema_version, store.schema_version());
    assert_eq!(verify(&file).unwrap(), backup);
    assert_eq!(mode(&file), 0o600, "it holds hashes of tokens");
    assert!(!partial(&file).exists());

    let place = folder.path().join("restored");
    let (read, restored) = restore(&file, &place, "monday.sixpack").await.unwrap();
    assert_eq!((read, restored.leases), (backup, 1));
    assert_eq!(verify(&file).unwrap().bytes, rows_bytes(&file), "the backup itself is left alone");
    let store = SqliteStore::open(&place, Settings::default()).unwrap();
    assert!(store.request(tree.request).await.unwrap().is_some());
    assert!(store.request(later.id).await.unwrap().is_none());
    let held = store.lease(lease.id).await.unwrap().unwrap();
    assert!(held.expires_at <= SystemClock.now(), "nobody holds it any more");
    assert_eq!(entries(&place), ["lock", "store.db", "store.db-shm", "store.db-wal"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_made_while_others_write_is_the_store_at_one_moment() {
    let (folder, store, f) = in_use();
    let data = folder.path().join("data");
    let (acknowledged, begun) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let write = async {
        while !stop.load(Ordering::SeqCst) {
            begun.fetch_add(1, Ordering::SeqCst);
            f.accept(Order::of(&["shop/customer"])).await;
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    };
    let back_up_again_and_again = async {
        for round in 0..ROUNDS {
            // Something is written between two of them.
            let so_far = acknowledged.load(Ordering::SeqCst);
            while acknowledged.load(Ordering::SeqCst) == so_far {
                tokio::task::yield_now().await;
            }
            let before = acknowledged.load(Ordering::SeqCst);
            let (data, file) = (data.clone(), folder.path().join(format!("{round}.sixpack")));
            let made = tokio::task::spawn_blocking(move || (back_up(&data, &file).unwrap(), file)).await;
            let (backup, file) = made.unwrap();
            let after = begun.load(Ordering::SeqCst);
            let requests = rows(&backup, "request");
            assert!((before..=after).contains(&requests), "{before} <= {requests} <= {after}");
            assert_eq!(requests, rows(&backup, "tree"), "a request is there with its dataset, or not at all");
            assert_eq!(verify(&file).unwrap(), backup);
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(write, back_up_again_and_again);
    let place = folder.path().join("restored");
    let (last, _) =
        restore(&folder.path().join(format!("{}.sixpack", ROUNDS - 1)), &place, "last").await.unwrap();
    let restored = SqliteStore::open(&place, Settings::default()).unwrap();
    let listed = restored.requests(&Default::default(), all()).await.unwrap().rows.len() as u64;
    assert_eq!(listed, rows(&last, "request").min(u64::from(all().limit)));
    drop(store);
}

#[tokio::test]
async fn nothing_is_written_over() {
    let (folder, store, f) = in_use();
    f.one("shop/customer").await;
    let (data, file) = (folder.path().join("data"), folder.path().join("b"));
    back_up(&data, &file).unwrap();
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(back_up(&data, &file), Err(BackupError::Occupied(path)) if path == file));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let occupied = restore(&file, &data, "b").await.unwrap_err();
    assert!(matches!(&occupied, BackupError::Occupied(path) if path.starts_with(&data)), "{occupied}");
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("letter"), "to my grandmother").unwrap();
    let occupied = restore(&file, &other, "b").await.unwrap_err();
    assert!(matches!(&occupied, BackupError::Occupied(path) if path == &other.join("letter")), "{occupied}");
    assert_eq!(entries(&other), ["letter"]);
    assert!(matches!(restore(&file, &file, "b").await, Err(BackupError::Occupied(path)) if path == file));
    drop((f, store));
    assert!(matches!(back_up(&folder.path().join("no"), &other.join("x")), Err(BackupError::NoStore(_))));
}

#[tokio::test]
async fn a_file_that_is_no_whole_backup_of_ours_is_refused_and_restores_nothing() {
    let (folder, _store, f) = in_use();
    for _ in 0..50 {
        f.one("shop/customer").await;
    }
    let sound = folder.path().join("sound");
    back_up(&folder.path().join("data"), &sound).unwrap();
    let bytes = std::fs::read(&sound).unwrap();
    let put = |name: &str, bytes: &[u8]| -> PathBuf {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    let mut torn = bytes.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 4096].fill(0xa5);
    let foreign = folder.path().join("foreign");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let newer = put("newer", &bytes);
    let later = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (900, 'x', 'x', 'x')";
    Connection::open(&newer).unwrap().execute_batch(later).unwrap();
    for (file, why) in [
        (put("empty", b""), "no store of Sixpack"),
        (put("letter", "dear grandmother, ".repeat(500).as_bytes()), "not a database"),
        (put("torn", &torn), ""),
        (put("cut", &bytes[..bytes.len() / 2]), ""),
        (foreign, "no store of Sixpack"),
        (newer, "schema version 900"),
    ] {
        let told = why_unsound(&file);
        assert!(told.contains(why), "{}: {told}", file.display());
        let place = folder.path().join("place");
        assert!(matches!(restore(&file, &place, "x").await, Err(BackupError::Unsound { .. })));
        assert!(!place.exists(), "{}", file.display());
    }
    assert!(matches!(verify(&folder.path().join("no")), Err(BackupError::Io { .. })));
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_whole_backups_and_whole_stores_or_none() {
    let (folder, store, f) = in_use();
    for _ in 0..100 {
        f.accept(Order::of(&["shop/customer", "shop/account"])).await;
    }
    drop((f, store));
    let (mut backups, mut stores) = (0, 0);
    for round in 0..ROUNDS {
        work_until_killed(folder.path(), 2 + round);
        for name in entries(folder.path()) {
            let path = folder.path().join(&name);
            if name.ends_with(".sixpack") {
                assert_eq!(rows(&verify(&path).unwrap(), "request"), 100, "{name} in round {round}");
                backups += 1;
            } else if name.starts_with("place-") && path.join("store.db").exists() {
                let store = SqliteStore::open(&path, Settings::default()).unwrap();
                assert_eq!(store.requests(&Default::default(), all()).await.unwrap().rows.len(), 100);
                stores += 1;
            } else if name.starts_with("place-") {
                let source = folder.path().join("first.sixpack");
                let (_, restored) = restore(&source, &path, "again").await.unwrap();
                assert_eq!(restored.leases, 0, "what was left of a restore is in nobody's way");
            }
        }
        for name in entries(folder.path()).iter().filter(|name| name.as_str() != "data") {
            let path = folder.path().join(name);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    assert!(backups > ROUNDS && stores > 0, "{backups} backups, {stores} stores");
}

/// Not a test of its own: what the killed process does.
#[tokio::test]
async fn the_child_backs_up_and_restores_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let say = || {
        writeln!(std::io::stdout(), "begins").unwrap();
        std::io::stdout().flush().unwrap();
    };
    back_up(&folder.join("data"), &folder.join("first.sixpack")).unwrap();
    for number in 0.. {
        say();
        back_up(&folder.join("data"), &folder.join(format!("{number}.sixpack"))).unwrap();
        say();
        let place = folder.join(format!("place-{number}"));
        restore(&folder.join("first.sixpack"), &place, "first").await.unwrap();
    }
}

/// Starts a process that backs up and restores, and kills it while it is at one of both.
fn work_until_killed(folder: &Path, steps: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backup::the_child_backs_up_and_restores_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let begun = lines.filter(|line| line.contains("begins")).take(steps).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(begun, steps);
}

fn all() -> sixpack_storage::page::Page<sixpack_model::ids::RequestId> {
    sixpack_storage::page::Page::first(1_000)
}

fn partial(file: &Path) -> PathBuf {
    file.with_file_name(format!("{}.partial", file.file_name().unwrap().to_str().unwrap()))
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn rows_bytes(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().len()
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}
