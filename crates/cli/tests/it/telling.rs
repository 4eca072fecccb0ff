//! What the commands tell of that which is there: every column filled, every part by its name, every end when it has come.

use serde_json::Value;

use crate::program::{Ended, Place, Running};
use crate::shop::{SCENARIO, Shop};

/// One account for each name.
const LOOP: &str = r#"scenario: checkout/accounts
owner: { team: Checkout }
description: A customer with some accounts.
input: { type: object, properties: { owners: { type: array, items: { type: string }, default: [ann, bob] } } }
steps:
  customer: { uses: customer/active-customer, with: { country: FR } }
  accounts:
    uses: billing/payment-account
    for_each: input.owners
    with: { customer_id: "${{ each.value }}", country: FR }
    needs: [customer]
output: { accounts: "${{ steps.accounts }}" }
"#;

/// A server, its suppliers and both scenarios.
fn landscape() -> (Place, Running, Shop) {
    let mut place = Place::new();
    let server = place.start_dev(&[]);
    let shop = Shop::open(&place);
    place.put("scenarios/paying.yaml", SCENARIO);
    place.put("scenarios/accounts.yaml", LOOP);
    place.run(&["apply", "-f", "scenarios"]).expect(0);
    (place, server, shop)
}

fn requested(place: &Place, arguments: &[&str]) -> Value {
    place.run(&[&["request"], arguments, &["--json"]].concat()).expect(0).json()
}

fn lease(request: &Value) -> (&str, &str) {
    let lease = &request["leases"][0];
    (lease["id"].as_str().unwrap(), lease["dataset"]["id"].as_str().unwrap())
}

/// The cells of the row that begins with this text, by the columns of the header above it.
fn row(table: &str, header: &str, first: &str) -> Vec<(String, String)> {
    let mut lines = table.lines().skip_while(|line| !line.starts_with(header));
    let columns = lines.next().unwrap_or_else(|| panic!("{header} in\n{table}"));
    let row = lines.find(|line| line.trim_start().starts_with(first));
    let row: Vec<char> = row.unwrap_or_else(|| panic!("{first} in\n{table}")).chars().collect();
    let starts: Vec<usize> = (0..columns.len())
        .filter(|at| !columns[*at..].starts_with(' '))
        .filter(|at| *at == 0 || columns[..*at].ends_with("  "))
        .collect();
    let cell = |(index, start): (usize, &usize)| {
        let end = starts.get(index + 1).copied().unwrap_or(usize::MAX);
        let text = |from: usize, to: usize| {
            row.get(from.min(row.len())..to.min(row.len())).unwrap_or_default().iter().collect::<String>()
        };
        let name = columns[*start..end.min(columns.len())].trim_end();
        (name.to_owned(), text(*start, end).trim_end().to_owned())
    };
    starts.iter().enumerate().map(cell).collect()
}

fn cell(row: &[(String, String)], column: &str) -> String {
    let found = row.iter().find(|(name, _)| name == column);
    found.unwrap_or_else(|| panic!("{column} in {row:?}")).1.clone()
}

#[test]
fn environments_count_live_sessions_and_held_leases() {
    let (place, _server, _shop) = landscape();
    let made = requested(&place, &["checkout/paying-customer"]);
    let counted = |place: &Place| {
        let listed = place.run(&["environments"]).expect(0).stdout;
        let row = row(&listed, "NAME", "default");
        ["CONTRACTS", "LIVE SESSIONS", "HELD LEASES"].map(|column| cell(&row, column))
    };
    assert_eq!(counted(&place), ["4", "2", "1"]);
    place.run(&["lease", "release", lease(&made).0]).expect(0);
    assert_eq!(counted(&place), ["4", "2", "0"]);
    let json = place.run(&["environments", "--json"]).expect(0).json();
    assert_eq!((&json["items"][0]["sessions"], &json["items"][0]["leases"]), (&2.into(), &0.into()));
}

#[test]
fn the_last_use_of_a_token_is_told_at_once_and_after_a_restart() {
    let mut place = Place::new();
    let mut server = place.start_dev(&[]);
    let made = place.run(&["token", "create", "ci", "--role", "consumer", "--json"]).expect(0).json();
    let used = |place: &Place| {
        let listed = place.run(&["token", "list"]).expect(0).stdout;
        cell(&row(&listed, "ID", made["id"].as_str().unwrap()), "LAST USED")
    };
    assert_eq!(used(&place), "-");
    let admin = place.token();
    place.set("SIXPACK_TOKEN", made["token"].as_str().unwrap());
    place.run(&["requests"]).expect(0);
    place.set("SIXPACK_TOKEN", &admin);
    let told = used(&place);
    assert_ne!(told, "-");
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    let _again = place.start_dev(&[]);
    assert_eq!(used(&place), told);
}

#[test]
fn a_timeline_tells_operations_and_durations_and_a_tree_the_turns_of_a_loop() {
    let (place, _server, _shop) = landscape();
    let made = requested(&place, &["checkout/accounts"]);
    let (_, dataset) = lease(&made);
    let shown = place.run(&["datasets", "show", dataset]).expect(0).stdout;
    for part in ["├─ customer ", "├─ accounts[0] ", "└─ accounts[1] "] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let json = place.run(&["datasets", "show", dataset, "--json"]).expect(0).json();
    let entries = json["timeline"].as_array().unwrap();
    let done: Vec<_> = entries
        .iter()
        .filter(|entry| entry["kind"] == "task.done")
        .map(|entry| (entry["path"].as_str().unwrap(), entry["operation"].as_str().unwrap()))
        .collect();
    for performed in [
        ("customer", "produce"),
        ("customer", "check"),
        ("accounts[0]", "produce"),
        ("accounts[1]", "produce"),
    ] {
        assert!(done.contains(&performed), "{performed:?} in {done:?}");
    }
    assert!(
        entries.iter().all(|entry| entry["kind"] != "task.done" || entry["duration_ms"].is_u64()),
        "{json}"
    );
    let rows = shown.split("timeline from").nth(1).unwrap();
    let row = row(rows, "AFTER", "+");
    assert_eq!((cell(&row, "WHAT"), cell(&row, "TOOK")), ("dataset.building".to_owned(), String::new()));
    let performed = rows.lines().filter(|line| line.contains("task.done") && line.contains("produce"));
    assert!(performed.clone().count() >= 3 && performed.clone().all(|line| line.contains(" ms")), "{rows}");
}

#[test]
fn events_say_which_part_and_which_operation() {
    let (place, _server, _shop) = landscape();
    let made = requested(&place, &["checkout/paying-customer"]);
    let told = place.run(&["events", "--request", made["id"].as_str().unwrap()]).expect(0).stdout;
    let done = told.lines().find(|line| line.contains("task.done") && line.contains("  payment  "));
    let done = done.unwrap_or_else(|| panic!("{told}"));
    assert!(done.contains("  payment  produce  ") && done.contains(" ms"), "{done}");
    let json = place.run(&["events", "--json"]).expect(0).stdout;
    let events: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in events.iter().filter(|event| event["dataset_id"].is_string()) {
        assert!(event["path"].is_string(), "{event}");
    }
}

#[test]
fn the_root_of_a_failed_dataset_points_at_the_part_that_failed() {
    let (place, _server, _shop) = landscape();
    let asked = ["request", "checkout/paying-customer", "--set", "country=DE", "--json"];
    let failed = place.run(&asked).expect(20).json();
    let part = failed["failure"]["dataset_id"].as_str().unwrap();
    let root = part.rsplit_once('_').unwrap().0;
    // What was made before is undone by then, and the request does not wait for it.
    place.run(&["cancel", failed["id"].as_str().unwrap()]).expect(1);
    let shown = place.run(&["datasets", "show", root]).expect(0).stdout;
    for said in [
        "country_closed",
        "part     payment › billing/payment-account@1",
        "Billing · billing@shop.test",
        &format!("see      sixpack datasets show {part}"),
    ] {
        assert!(shown.contains(said), "{said} in\n{shown}");
    }
    let shown = place.run(&["datasets", "show", part]).expect(0).stdout;
    assert!(shown.contains("country_closed") && !shown.contains("  see  "), "{shown}");
}

#[test]
fn undone_is_said_when_it_is() {
    let (place, _server, shop) = landscape();
    let account =
        ["billing/payment-account", "--set", "customer_id=c-1", "--set", "country=IT", "--holder", "me"];
    let in_italy = requested(&place, &account);
    shop.open_sweden();
    let owing = place.run(&["lease", "release", lease(&in_italy).0, "--wait"]).expect(1);
    assert!(owing.stdout.contains("some of what was made for it could not be undone"), "{owing:?}");
    assert!(owing.stderr.contains("sixpack debts"), "{owing:?}");
    let debts = place.run(&["debts"]).expect(0).stdout;
    assert!(debts.contains("has_bookings") && debts.contains("Billing"), "{debts}");
    let id = place.run(&["debts", "--json"]).expect(0).json()["items"][0]["dataset_id"]
        .as_str()
        .unwrap()
        .to_owned();
    place.run(&["debts", "resolve", &id]).expect(64);
    let resolved = place.run(&["debts", "resolve", &id, "--reason", "cancelled by hand"]).expect(0).stdout;
    assert!(resolved.starts_with(&format!("{id} owes nothing any more: cancelled by hand (")), "{resolved}");
    let again = place.run(&["debts", "resolve", &id, "--reason", "once more", "--json"]).expect(0).json();
    assert_eq!(again["resolved"]["reason"], "cancelled by hand", "{again}");
    let none = place.run(&["debts", "list"]).expect(0);
    assert!(none.stderr.contains("there are no debts"), "{none:?}");
    let shown = place.run(&["datasets", "show", &id]).expect(0).stdout;
    assert!(shown.contains("resolved cancelled by hand; "), "{shown}");

    let done = requested(&place, &["checkout/paying-customer"]);
    let released = place.run(&["lease", "release", lease(&done).0, "--wait"]).expect(0);
    assert_eq!(
        (released.stdout.as_str(), released.stderr.as_str()),
        (format!("released {}; what was made for it is undone\n", lease(&done).0).as_str(), "")
    );
}

#[test]
fn undoing_is_said_while_it_goes_on() {
    let (place, _server, shop) = landscape();
    let mut asking = place.start(&["request", "checkout/paying-customer", "--set", "country=SE"]);
    let told = asking.log(|line| line.starts_with("req_"));
    let id = told.split_whitespace().next().unwrap().to_owned();
    asking.log(|line| line.contains("  payment  ") && line.contains("building"));
    let under_way = |ended: Ended, what: &str, see: &str| {
        assert_eq!(ended.stdout, format!("{what}; what was made for it is being undone\n"), "{ended:?}");
        assert!(ended.stderr.contains(see), "{ended:?}");
    };
    let cancelled = place.run(&["cancel", &id]).expect(0);
    under_way(cancelled, &format!("cancelled {id}"), &format!("sixpack requests show {id}"));
    let mut waiting = place.start(&["cancel", &id, "--wait"]);
    shop.open_sweden();
    waiting.line(|line| line == format!("cancelled {id}; what was made for it is undone"));
    assert_eq!(waiting.ended().code(), Some(0));
    let events = place.run(&["events", "--request", &id]).expect(0).stdout;
    assert!(events.contains("dataset.gone"), "{events}");
}

#[test]
fn a_lease_is_released_before_all_of_it_is_undone() {
    let (place, _server, shop) = landscape();
    // Made while Sweden is open, undone while it is closed again.
    shop.open_sweden();
    let made = requested(&place, &["checkout/paying-customer", "--set", "country=SE"]);
    let (lease, dataset) = lease(&made);
    shop.close_sweden();
    let released = place.run(&["lease", "release", lease]).expect(0);
    assert_eq!(released.stdout, format!("released {lease}; what was made for it is being undone\n"));
    assert!(released.stderr.contains(&format!("sixpack datasets show {dataset}")), "{released:?}");
}

#[test]
fn waiting_for_an_undo_says_who_is_awaited_and_has_an_end() {
    let (place, _server, shop) = landscape();
    let made = requested(&place, &["checkout/paying-customer"]);
    let (lease, dataset) = lease(&made);
    shop.close();
    let late = place.run(&["lease", "release", lease, "--wait", "--timeout", "1"]).expect(75);
    assert_eq!(late.stdout, format!("released {lease}; what was made for it is being undone\n"));
    for part in [
        "gave up after 1.0 s: waiting since 2",
        "billing/payment-account (owner Billing · billing@shop.test), of which no supplier is connected, to undo `payment`",
        &format!("sixpack datasets show {dataset}"),
    ] {
        assert!(late.stderr.contains(part), "{part} in\n{}", late.stderr);
    }
    let json = place.run(&["lease", "release", lease, "--wait", "--timeout", "1", "--json"]).expect(75);
    assert_eq!(json.json()["status"], "released");
    assert!(json.stderr.contains("gave up after"), "{json:?}");
    place.run(&["lease", "release", lease, "--timeout", "1"]).expect(64);
    // It goes on where it stopped, and tells until then who is waited for.
    let mut waiting = place.start(&["lease", "release", lease, "--wait"]);
    waiting.log(|line| line.starts_with("waiting since ") && line.contains("billing/payment-account"));
    let _again = Shop::open(&place);
    waiting.line(|line| line == format!("released {lease}; what was made for it is undone"));
    assert_eq!(waiting.ended().code(), Some(0));
}

#[test]
fn an_input_that_nothing_reads_is_warned_of() {
    let (place, _server, _shop) = landscape();
    let made = place.run(&["request", "checkout/paying-customer", "--set", "contry=CZ"]).expect(0);
    let warned = "nothing reads the input `contry` of checkout/paying-customer (did you mean \"country\"?)";
    assert!(made.stderr.contains(warned), "{made:?}");
    let machine = ["request", "checkout/paying-customer", "--set", "contry=CZ", "--json"];
    assert_eq!(place.run(&machine).expect(0).json()["status"], "fulfilled");
}

#[test]
fn contracts_are_listed_with_and_without_the_word() {
    let (place, _server, _shop) = landscape();
    let listed = place.run(&["contracts", "list"]).expect(0).stdout;
    assert_eq!(listed, place.run(&["contracts"]).expect(0).stdout);
    assert_eq!(listed.lines().count(), 5, "{listed}");
}
