//! A supplier under development beside the deployed ones, as a domain engineer and a tester meet it.

use serde_json::Value;

use crate::program::{Place, Running};
use crate::shop::{SCENARIO, Shop};

const CHANNEL: &str = "ada-laptop";

fn open_with_scenario(place: &mut Place) -> (Running, Shop) {
    let server = place.start_dev(&[]);
    let shop = Shop::open(place);
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", "-f", &file]).expect(0);
    (server, shop)
}

fn account(request: &Value) -> &str {
    request["leases"][0]["dataset"]["output"]["account_id"].as_str().unwrap_or_else(|| panic!("{request}"))
}

#[test]
fn of_two_requests_at_once_each_is_served_by_the_right_build() {
    let mut place = Place::new();
    let (_server, shop) = open_with_scenario(&mut place);
    let _ours = shop.develop(&place, CHANNEL);
    let ask = ["request", "checkout/paying-customer", "--json"];
    let mut asking = [
        (place.start(&ask), "a-", None),
        (place.start(&[&ask[..], &["--channel", CHANNEL]].concat()), "work-", Some(CHANNEL)),
        (place.start(&ask), "a-", None),
    ];
    for (asking, build, channel) in &mut asking {
        let request: Value = serde_json::from_str(&asking.line(|_| true)).unwrap();
        assert!(asking.ended().success(), "{request}");
        assert!(account(&request).starts_with(*build), "{request}");
        assert_eq!(request["channel"].as_str(), *channel, "{request}");
    }
    place.set("SIXPACK_CHANNEL", CHANNEL);
    let by_variable = place.run(&ask).expect(0).json();
    assert!(account(&by_variable).starts_with("work-"), "{by_variable}");
}

#[test]
fn the_channel_is_seen_where_people_look() {
    let mut place = Place::new();
    let (_server, shop) = open_with_scenario(&mut place);
    let _ours = shop.develop(&place, CHANNEL);
    let suppliers = place.run(&["suppliers"]).expect(0).stdout;
    assert!(suppliers.lines().next().unwrap().contains("CHANNEL"), "{suppliers}");
    assert!(suppliers.lines().any(|row| row.starts_with("billing") && row.contains(CHANNEL)), "{suppliers}");
    let listed = place.run(&["contracts", "--channel", CHANNEL, "--domain", "billing"]).expect(0).stdout;
    assert!(
        listed.contains("payment-account@1000000000") && listed.contains("online in ada-laptop"),
        "{listed}"
    );
    let deployed = place.run(&["contracts", "--domain", "billing"]).expect(0).stdout;
    assert!(deployed.contains("payment-account@1 ") && !deployed.contains(CHANNEL), "{deployed}");
    let show = ["contracts", "show", "billing/payment-account", "--channel", CHANNEL];
    let shown = place.run(&show).expect(0).stdout;
    assert!(
        shown.contains("billing/payment-account@1000000000  capability  online in ada-laptop"),
        "{shown}"
    );
    let made = place.run(&["request", "checkout/paying-customer", "--channel", CHANNEL]).expect(0).stdout;
    for part in ["in the channel ada-laptop", "channel  ada-laptop", "billing/payment-account@1000000000"] {
        assert!(made.contains(part), "{part} in\n{made}");
    }
}

#[test]
fn what_the_channel_breaks_is_refused_at_once_and_a_channel_that_is_gone_by_name() {
    let mut place = Place::new();
    let (_server, shop) = open_with_scenario(&mut place);
    let ours = shop.develop_a_break(&place, CHANNEL);
    let broken = place.run(&["request", "checkout/paying-customer", "--channel", CHANNEL]).expect(1);
    for part in ["the channel `ada-laptop`", "account_id"] {
        assert!(broken.stderr.contains(part), "{part} in\n{}", broken.stderr);
    }
    place.run(&["request", "checkout/paying-customer"]).expect(0);
    shop.end(ours);
    let _other = shop.develop(&place, "bob");
    let gone = place.run(&["request", "checkout/paying-customer", "--channel", CHANNEL]).expect(1);
    for part in ["ada-laptop", "Live channels are `bob`"] {
        assert!(gone.stderr.contains(part), "{part} in\n{}", gone.stderr);
    }
    place.run(&["request", "checkout/paying-customer", "--channel", "Ada's laptop"]).expect(65);
}

#[test]
fn what_was_made_in_a_channel_is_undone_by_the_deployed_supplier_when_the_channel_is_gone() {
    let mut place = Place::new();
    let (_server, shop) = open_with_scenario(&mut place);
    let ours = shop.develop(&place, CHANNEL);
    let ask = ["request", "checkout/paying-customer", "--channel", CHANNEL, "--json"];
    let request = place.run(&ask).expect(0).json();
    shop.end(ours);
    let lease = request["leases"][0]["id"].as_str().unwrap();
    place.run(&["lease", "release", lease]).expect(0);
    let id = request["id"].as_str().unwrap();
    let mut events = place.start(&["events", "--request", id, "--follow", "--after", "0"]);
    events.line(|line| line.contains("dataset.gone"));
    let dataset = request["leases"][0]["dataset"]["id"].as_str().unwrap();
    let shown = place.run(&["datasets", "show", dataset, "--json"]).expect(0).json();
    assert_eq!((&shown["status"], &shown["channel"]), (&"gone".into(), &CHANNEL.into()));
}
