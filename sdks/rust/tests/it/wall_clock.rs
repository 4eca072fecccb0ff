//! A wall clock that is decades off: suppliers and consumers work, because nothing in the SDK asks it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use sixpack::wire::EventFilter;
use sixpack::{Client, DynamicCapability, Owner, Supplier};

use crate::server::{DEADLINE, Server};

/// Seconds from 1970 to an hour into that year, and into 2100.
const YEARS: [(&str, i64); 2] = [("1970", 3_600), ("2100", 4_102_448_400)];

const CONTRACT: &str = "shop/customer";

#[tokio::test]
async fn a_supplier_and_a_consumer_work_whatever_their_wall_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let library = moved_clock(folder.path());
    let server = Server::start().await;
    for (year, then) in YEARS {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let offset_s = then - i64::try_from(now).unwrap();
        let mut living = Command::new(std::env::current_exe().unwrap());
        living
            .args(["--exact", "--ignored", "--nocapture", "wall_clock::a_life_in_another_year"])
            .env("LD_PRELOAD", &library)
            .env("WALL_CLOCK_OFFSET_S", offset_s.to_string())
            .env("SIXPACK_URL", &server.url)
            .env("SIXPACK_TOKEN", &server.token);
        let Output { status, stdout, stderr } =
            tokio::task::spawn_blocking(move || living.output().unwrap()).await.unwrap();
        let told = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{year}: {told}");
        let hours = then / 3_600;
        assert!(told.contains(&format!("hours since 1970: {hours}")), "the clock was moved, {year}: {told}");
    }
}

#[tokio::test]
#[ignore = "a process of the test above, which starts it under another clock"]
async fn a_life_in_another_year() {
    let hours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600;
    let customer = DynamicCapability::new("customer", |cx, _input| async move {
        // Deadlines of tasks count from their claim.
        assert!(cx.remaining() > Duration::from_secs(30), "{:?}", cx.remaining());
        Ok(json!({ "id": cx.unique() }))
    });
    let mut running = Supplier::new("shop").owner(Owner::new("Shop")).dynamic(customer).start().unwrap();
    running.ready().await.unwrap();
    let client = Client::from_env().unwrap();
    let used = async {
        let lease = client.request(CONTRACT).ttl(Duration::from_secs(3_600)).send().await.unwrap();
        assert!(
            lease.is_usable() && lease.usable_for() > Duration::from_secs(2_000),
            "{:?}",
            lease.usable_for()
        );
        assert!(lease.json()["id"].is_string());
        lease.release().await.unwrap();
        let mut events = client.events(&EventFilter::default(), Some(0));
        while events.next().await.unwrap().kind != "request.fulfilled" {}
    };
    tokio::time::timeout(DEADLINE, used).await.unwrap();
    tokio::time::timeout(DEADLINE, running.drain()).await.unwrap().unwrap();
    // Last, so that whoever reads it knows that everything before held.
    let told = format!("hours since 1970: {hours}\n");
    std::io::Write::write_all(&mut std::io::stdout(), told.as_bytes()).unwrap();
}

/// Builds the library that moves the wall clock of a process.
fn moved_clock(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("wall_clock.c"), folder.join("wall_clock.so"));
    std::fs::write(&source, include_str!("wall_clock.c")).unwrap();
    // The linker that every build of this repository needs is a C compiler.
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let output = compiler.output().expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}
