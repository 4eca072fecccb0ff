//! Killed: what was answered survives the sudden end of the process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use sixpack_model::ids::RequestId;
use sixpack_storage::conformance::{Fixture, Order};
use sixpack_storage::requests::Requests;
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::trees::Trees;
use sixpack_storage::{ManualClock, SystemClock};

/// Names the folder that the child writes to.
const FOLDER: &str = "SIXPACK_TEST_FOLDER";

const ROUNDS: usize = 20;

#[tokio::test]
async fn no_answered_write_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        answered.extend(write_until_killed(folder.path(), 1 + round * 9));
        let store = SqliteStore::open(folder.path(), Settings::default()).unwrap();
        for id in &answered {
            assert!(store.request(*id).await.unwrap().is_some(), "{id} is lost in round {round}");
            let trees = store.trees_of(*id).await.unwrap();
            assert_eq!(store.load_tree(trees[0]).await.unwrap().unwrap().parts.len(), 3);
        }
        drop(store);
        let file = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
        let whole: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    }
    assert!(answered.len() >= ROUNDS, "{}", answered.len());
}

/// Not a test of its own: what the killed process does.
#[tokio::test]
async fn the_child_writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = Arc::new(SqliteStore::open(Path::new(&folder), Settings::default()).unwrap());
    // Ids of one round must not meet those of another: they begin with the time.
    let clock = ManualClock::at(sixpack_storage::Clock::now(&SystemClock));
    let fixture = Fixture::new(store, clock, ());
    loop {
        let accept = async || fixture.accept(Order::of(&["shop/customer", "shop/account"])).await.0.id;
        let ids = futures::future::join_all((0..8).map(|_| accept())).await;
        let lines: String = ids.iter().map(|id| format!("answered {id}\n")).collect();
        std::io::stdout().write_all(lines.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    }
}

/// Starts a process that writes, and kills it in the middle after so many answers.
fn write_until_killed(folder: &Path, answers: usize) -> Vec<RequestId> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::the_child_writes_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answered = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        answered.extend(line.split_once("answered ").map(|(_, id)| id.parse::<RequestId>().unwrap()));
        if answered.len() == answers {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    answered
}
