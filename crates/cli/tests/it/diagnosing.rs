//! Diagnosing: whether leased data is still what it was, in three endings.

use crate::program::Place;
use crate::shop::{SCENARIO, Shop};

#[test]
fn a_lease_is_diagnosed_with_an_end_for_each_answer() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let shop = Shop::open(&place);
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", "-f", &file]).expect(0);
    let made = place.run(&["request", "checkout/paying-customer", "--json"]).expect(0).json();
    let lease = made["leases"][0]["id"].as_str().unwrap();
    let valid = place.run(&["diagnose", lease]).expect(0).stdout;
    assert!(valid.starts_with("✔ the data is still valid: 1 of 2 parts were asked about"), "{valid}");

    shop.block_customers();
    let changed = place.run(&["diagnose", lease]).expect(40).stdout;
    for part in [
        "✖ changed under your lease: `customer` says that customer › customer/active-customer@1",
        ": the customer is blocked; noticed at ",
        "owner    Customer · customer@shop.test",
        "/status",
        "ACTIVE",
        "BLOCKED",
        "valid at ",
        "invalid at ",
    ] {
        assert!(changed.contains(part), "{part} in\n{changed}");
    }
    let json = place.run(&["diagnose", lease, "--json"]).expect(40).json();
    assert_eq!((&json["verdict"], &json["first"]["owner"]["team"]), (&"changed".into(), &"Customer".into()));

    shop.close();
    let failed = place.run(&["diagnose", lease]).expect(41).stdout;
    assert!(
        failed.starts_with("✖ the check itself fails: customer › customer/active-customer@1: no supplier"),
        "{failed}"
    );

    place.run(&["lease", "release", lease]).expect(0);
    let ended = place.run(&["diagnose", lease]).expect(1);
    assert!(ended.stderr.contains(lease) && ended.stderr.contains("lease_ended"), "{ended:?}");
    let other = place.run(&["diagnose", "ds_1"]).expect(1);
    assert!(other.stderr.contains("the id begins with `lease_`"), "{other:?}");
}
