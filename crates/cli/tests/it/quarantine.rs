//! Quarantine: what patrol has set aside is listed with its owner, and decided about.

use crate::program::Place;
use crate::shop::Shop;

/// Patrol looks as often as it may.
const STOCK: &str = "\
stock:
  customers: { contract: customer/active-customer, input: { country: FR }, target: 1, check_every_s: 1 }
";

#[test]
fn what_drifted_in_stock_is_listed_counted_and_decided_about() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let shop = Shop::open(&place);
    let none = place.run(&["quarantine"]).expect(0);
    assert!(none.stderr.contains("nothing is in quarantine"), "{none:?}");
    let file = place.put("stock.yaml", STOCK);
    let mut events = place.start(&["events", "--follow", "--json"]);
    place.run(&["apply", "-f", &file]).expect(0);
    events.line(|line| line.contains("\"dataset.ready\""));
    place.run(&["stock", "pause", "customers"]).expect(0);
    shop.block_customers();
    events.line(|line| line.contains("\"dataset.quarantined\""));
    let listed = place.run(&["quarantine", "list"]).expect(0).stdout;
    for part in
        ["customer/active-customer@1", "patrol", "Customer · customer@shop.test", "the customer is blocked"]
    {
        assert!(listed.contains(part), "{part} in\n{listed}");
    }
    let shown = place.run(&["contracts", "show", "customer/active-customer"]).expect(0).stdout;
    assert!(shown.contains("drifted  once it was the first"), "{shown}");
    let json = place.run(&["quarantine", "--json"]).expect(0).json();
    let id = json["items"][0]["dataset_id"].as_str().unwrap();
    let found = place.run(&["datasets", "list", "--status", "quarantined"]).expect(0).stdout;
    assert!(found.contains(id) && found.contains("  quarantined  "), "{found}");
    let none = place.run(&["datasets", "list", "--status", "suspect", "--json"]).expect(0).json();
    assert_eq!(none["items"], serde_json::json!([]));
    let shown = place.run(&["datasets", "show", id]).expect(0).stdout;
    assert!(shown.contains("✖ quarantined") && shown.contains("BLOCKED"), "{shown}");
    assert!(!shown.contains("✔ ready") && !shown.contains("  undoing  "), "{shown}");
    place.run(&["quarantine", "resolve", id, "retry"]).expect(64);
    shop.unblock_customers();
    let retried = place.run(&["quarantine", "resolve", id, "retry", "--reason", "unblocked"]).expect(0);
    assert_eq!(retried.stdout, format!("{id} is asked about again\n"));
    assert!(retried.stderr.contains("sixpack datasets show"), "{retried:?}");
    events.line(|line| line.contains("\"dataset.confirmed\""));
    let again = place.run(&["quarantine", "resolve", id, "undo", "--reason", "x"]).expect(1);
    assert!(again.stderr.contains("not_in_quarantine"), "{again:?}");
}
