//! `sixpack dev`: started, watched, restarted.

use crate::program::{Place, mode};
use crate::shop::{SCENARIO, Shop};

#[test]
fn a_developer_starts_a_server_and_its_client_commands_find_it() {
    let mut place = Place::new();
    let mut server = place.start_dev(&[]);
    assert_eq!(mode(&place.path(".sixpack/token")), 0o600);
    assert_eq!(mode(&place.path(".sixpack")), 0o700);
    assert_eq!(std::fs::read_to_string(place.path(".sixpack/.gitignore")).unwrap(), "*\n");
    let tokens = place.run(&["token", "list", "--json"]).expect(0).json();
    assert_eq!(tokens["items"][0]["role"], "admin", "{tokens}");
    let version = place.run(&["version", "--server", "--json"]).expect(0).json();
    assert_eq!(version["server"]["version"], version["version"]);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_server_that_takes_calls_without_a_token_warns_of_it() {
    let mut place = Place::new();
    let mut server = place.start_dev(&["--insecure-dev"]);
    let warned = server.log(|line| line.contains("--insecure-dev"));
    assert!(
        warned.starts_with("warning: ") && warned.contains("everybody on this machine is an administrator"),
        "{warned}"
    );
}

#[test]
fn a_restarted_server_has_its_token_and_its_scenarios() {
    let mut place = Place::new();
    let mut server = place.start_dev(&[]);
    let shop = Shop::open(&place);
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", "-f", &file]).expect(0);
    let token = place.token();
    drop(shop);
    server.signal("KILL");
    server.ended();
    let _again = place.start_dev(&[]);
    assert_eq!(place.token(), token);
    let shown = place.run(&["contracts", "show", "checkout/paying-customer", "--json"]).expect(0).json();
    assert_eq!(shown["version"], 1);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let second = place.run(&["dev", "--listen", "127.0.0.1:0"]).expect(75);
    assert!(second.stderr.contains(".sixpack is in use by another server"), "{second:?}");
    assert!(second.stderr.contains("--data"), "{second:?}");
    let third = place.run(&["serve", "--listen", "127.0.0.1:0"]).expect(75);
    assert!(third.stderr.contains("in use by another server"), "{third:?}");
}

#[test]
fn a_watched_folder_is_applied_when_it_can_be_and_again_when_a_file_is_saved() {
    let mut place = Place::new();
    place.put("scenarios/paying.yaml", SCENARIO);
    let mut server = place.start_dev(&["--watch", "scenarios"]);
    // Nobody publishes what the scenario uses: a report, and another try when somebody does.
    server.log(|line| line.contains("unknown_contract"));
    let _shop = Shop::open(&place);
    server.line(|line| line == "applied checkout/paying-customer@1 (new)");
    place.put("scenarios/paying.yaml", &SCENARIO.replace("default: FR", "default: CZ"));
    server.line(|line| line.starts_with("applied checkout/paying-customer@2 ("));
    place.put(
        "scenarios/paying.yaml",
        &SCENARIO.replace("steps.customer.customer_id", "steps.customer.customerid"),
    );
    server.log(|line| line.contains("did you mean"));
}
