//! Stock rules: applied with scenarios, listed, shown, edited while they are at work, deleted.

use crate::program::Place;
use crate::shop::{SCENARIO, Shop};

const STOCK: &str = "\
stock:
  paying-fr:
    contract: checkout/paying-customer
    input: { country: FR }
    target: 20
    max_age_s: 86400
    check_every_s: 900
    window: { opens: \"0 6 * * 1-5\", for_s: 43200, time_zone: Europe/Prague }
  any-customer: { contract: customer/active-customer, input: { country: CZ }, target: 5, priority: 70 }
";

#[test]
fn rules_are_applied_with_scenarios_listed_shown_edited_and_deleted() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let none = place.run(&["stock", "list"]).expect(0);
    assert!(none.stderr.contains("sixpack apply -f stock.yaml"), "{none:?}");
    place.put("all/paying.yaml", SCENARIO);
    place.put("all/stock.yaml", STOCK);
    let checked = place.run(&["apply", "-f", "all", "--check"]).expect(0).stdout;
    assert!(checked.contains("would apply stock rule paying-fr (new)  all/stock.yaml"), "{checked}");
    let applied = place.run(&["apply", "-f", "all"]).expect(0).stdout;
    assert_eq!(
        applied.lines().collect::<Vec<_>>(),
        [
            "applied checkout/paying-customer@1 (new)  all/paying.yaml",
            "applied stock rule any-customer (new)  all/stock.yaml",
            "applied stock rule paying-fr (new)  all/stock.yaml",
        ]
    );
    let again = place.run(&["apply", "-f", "all", "--json"]).expect(0).json();
    assert_eq!(again["rules"][1]["change"], "same", "{again}");

    let listed = place.run(&["stock", "list"]).expect(0).stdout;
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[1][..5],
        ["any-customer", "customer/active-customer", "{\"country\":\"CZ\"}", "5", "active"],
        "{listed}"
    );
    assert_eq!(place.run(&["stock", "list", "--json", "--limit", "1"]).expect(0).json()["more"], true);
    let shown = place.run(&["stock", "show", "paying-fr"]).expect(0).stdout;
    for part in [
        "paying-fr  active",
        "target       20",
        "1 d 00 h",
        "every 15 min 00 s",
        "`0 6 * * 1-5` in Europe/Prague for 12 h 00 min",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }

    let set = place.run(&["stock", "set", "paying-fr", "--target", "50", "--json"]).expect(0).json();
    assert_eq!((&set["target"], &set["state"]), (&50.into(), &"active".into()), "{set}");
    for (action, state) in
        [("pause", "paused"), ("drain", "draining"), ("resume", "active"), ("pause", "paused")]
    {
        let told = place.run(&["stock", action, "paying-fr"]).expect(0).stdout;
        assert!(told.starts_with(&format!("paying-fr has the target 50 and is {state}: ")), "{told}");
    }
    place.run(&["apply", "-f", "all"]).expect(0);
    let back = place.run(&["stock", "show", "paying-fr", "--json"]).expect(0).json();
    assert_eq!(
        (&back["target"], &back["state"]),
        (&20.into(), &"paused".into()),
        "the file says nothing of that"
    );
    let deleted = place.run(&["stock", "delete", "paying-fr", "--json"]).expect(0).json();
    assert_eq!(deleted["deleted"], "paying-fr");
}

#[test]
fn what_is_wrong_with_a_rule_is_shown_in_its_line_and_ends_with_bad_input() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let file = place.put(
        "stock.yaml",
        &STOCK
            .replace("customer/active-customer", "customer/active-custmer")
            .replace("Europe/Prague", "Mars/Olympus"),
    );
    let refused = place.run(&["apply", "-f", &file]).expect(65);
    for part in ["stock.yaml:8:", "Mars/Olympus", "time_zone", "nothing was applied"] {
        assert!(refused.stderr.contains(part), "{part} in\n{}", refused.stderr);
    }
    let file = place.put("stock.yaml", "stock:\n  a: { contract: customer/active-custmer, target: 1 }\n");
    let refused = place.run(&["apply", "-f", &file]).expect(65);
    assert!(refused.stderr.contains("did you mean `customer/active-customer`?"), "{}", refused.stderr);
    let neither = place.put("neither.yaml", "steps: {}\n");
    let refused = place.run(&["apply", "-f", &neither]).expect(65);
    assert!(refused.stderr.contains("neither a scenario nor stock rules"), "{}", refused.stderr);
    let absent = place.run(&["stock", "show", "never"]).expect(1);
    assert!(absent.stderr.contains("never") && absent.stderr.contains("sixpack stock list"), "{absent:?}");
    place.run(&["stock", "set", "never", "--target", "0"]).expect(64);
    place.run(&["stock", "set", "never"]).expect(64);
}

#[test]
fn a_watched_folder_applies_stock_rules_when_they_can_be_and_again_when_they_are_saved() {
    let mut place = Place::new();
    place.put("scenarios/paying.yaml", SCENARIO);
    place.put("scenarios/stock.yaml", STOCK);
    let mut server = place.start_dev(&["--watch", "scenarios"]);
    server.log(|line| line.contains("unknown_contract"));
    let _shop = Shop::open(&place);
    server.line(|line| line.starts_with("applied stock rule paying-fr (new)"));
    place.put("scenarios/stock.yaml", &STOCK.replace("target: 20", "target: 21"));
    server.line(|line| line.starts_with("applied stock rule paying-fr (changed)"));
}
