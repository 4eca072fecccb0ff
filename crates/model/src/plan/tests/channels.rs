//! Channels: a tree runs on what its channel had put over the catalogue when it was begun.

use super::*;
use crate::limits::CHANNEL_VERSIONS_FROM as FIRST;

const PAYMENT: &str = "billing/payment-account";

fn scene() -> Scene {
    let landscape = shop(MAKE_AND_UNDO).version(PAYMENT, FIRST + 2);
    Scene::begin_in(Some("ada"), landscape, "checkout/ready-customer", json!({}))
}

#[test]
fn parts_of_the_channel_have_its_versions_and_the_others_the_deployed_ones() {
    let mut scene = scene();
    scene.produce("customer");
    assert_eq!(scene.tree.channel.as_deref(), Some("ada"));
    assert_eq!((scene.part("customer").version, scene.part("payment").version), (1, FIRST + 2));
    let versions: Vec<u32> = scene.open.values().map(|task| task.version).collect();
    assert_eq!(versions, [FIRST + 2, 1], "payment and address are asked for");
    assert_eq!(Overlay::of_tree(&scene.tree).version(&PAYMENT.parse().unwrap()), Some(FIRST + 2));
}

#[test]
fn what_the_channel_offers_later_is_not_for_a_tree_that_was_begun_before() {
    let mut scene = scene();
    scene.landscape = std::mem::take(&mut scene.landscape).version(PAYMENT, FIRST + 3);
    scene.produce("customer");
    assert_eq!(scene.part("payment").version, FIRST + 2);
}

#[test]
fn an_orchestrator_obtains_what_the_channel_offered_when_the_tree_was_begun() {
    let landscape = shop(MAKE).capability("qa/two-buyers", MAKE).version(PAYMENT, FIRST + 2);
    let mut scene = Scene::begin_in(Some("ada"), landscape, "qa/two-buyers", json!({}));
    scene.landscape = std::mem::take(&mut scene.landscape).version(PAYMENT, 7);
    let wish = Wish { name: "payer".to_owned(), contract: PAYMENT.parse().unwrap(), input: json!({}) };
    scene.answer("", Answer::Obtain { children: vec![wish] });
    assert_eq!(scene.part("payer").version, FIRST + 2);
}

#[test]
fn a_tree_without_a_channel_pins_nothing_of_any() {
    let scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
    assert!(scene.tree.channel.is_none() && Overlay::of_tree(&scene.tree).is_empty());
    assert!(!scene.tree.pins.contains_key(&"checkout/ready-customer".parse().unwrap()));
}

#[test]
fn a_part_whose_channel_is_gone_fails_and_names_it_and_another_part_does_not() {
    let since = "2026-01-01T00:00:07Z".parse().unwrap();
    let mut in_channel = scene();
    in_channel.produce("customer");
    let unserved = |scene: &Scene, steps: &str| Happened::Unserved {
        part: scene.at(steps),
        serial: scene.part(steps).task.as_ref().unwrap().serial,
        since,
    };
    in_channel.happen(unserved(&in_channel, "payment"));
    let failure = in_channel.failure();
    assert_eq!(failure.class, FailureClass::SupplierOffline);
    assert_eq!(failure.path, "payment › billing/payment-account@1000000002");
    for part in ["in the channel `ada` since 2026-01-01T00:00:07Z", "request without the channel"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    let mut deployed = scene();
    deployed.happen(unserved(&deployed, "customer"));
    assert!(!deployed.failure().message.contains("ada"), "{}", deployed.failure().message);
}
