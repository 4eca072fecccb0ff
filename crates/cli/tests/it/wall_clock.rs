//! A wall clock that is decades off: client commands work, because nothing in them asks it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::program::Place;
use crate::shop::Shop;

#[test]
fn client_commands_work_whatever_the_wall_clock_says() {
    for (year, then) in [("1970", 3_600), ("2100", 4_102_448_400)] {
        let mut place = Place::new();
        let _server = place.start_dev(&[]);
        let _shop = Shop::open(&place);
        let library = moved_clock(&place);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let offset_s = (then - i64::try_from(now).unwrap()).to_string();
        let asked = Command::new("date")
            .args(["-u", "+%Y"])
            .env("LD_PRELOAD", &library)
            .env("WALL_CLOCK_OFFSET_S", &offset_s)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), year, "the clock is moved");
        place.set("LD_PRELOAD", library.to_str().unwrap());
        place.set("WALL_CLOCK_OFFSET_S", &offset_s);

        let request = ["request", "customer/active-customer", "--set", "country=FR", "--ttl", "10m"];
        let made = place.run(&[&request[..], &["--json"]].concat()).expect(0).json();
        let (lease, dataset) =
            (made["leases"][0]["id"].as_str().unwrap(), &made["leases"][0]["dataset"]["id"]);
        let told = place.run(&request).expect(0).stdout;
        assert!(told.contains("fulfilled in") && told.contains("min"), "{year}: {told}");
        let listed = place.run(&["lease", "list"]).expect(0).stdout;
        assert!(listed.contains(lease), "{year}: {listed}");
        place.run(&["lease", "renew", lease, "--ttl", "1h"]).expect(0);
        place.run(&["datasets", "show", dataset.as_str().unwrap()]).expect(0);
        place.run(&["requests", "list"]).expect(0);
        place.run(&["suppliers"]).expect(0);
        place.run(&["events", "--request", made["id"].as_str().unwrap()]).expect(0);
        place.run(&["token", "create", "ci", "--role", "consumer", "--quiet"]).expect(0);
        place.run(&["lease", "release", lease]).expect(0);
    }
}

/// Builds the library that moves the wall clock of a process.
fn moved_clock(place: &Place) -> PathBuf {
    place.put("wall_clock.c", include_str!("../../../../sdks/rust/tests/it/wall_clock.c"));
    let library = place.path("wall_clock.so");
    // The linker that every build of this repository needs is a C compiler.
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(Path::new(&place.path("wall_clock.c")));
    let output = compiler.arg("-ldl").output().expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}
