//! Stock: rules applied with scenarios, listed, shown, edited while they are at work, deleted; what is there handed out.

use crate::program::{Place, Running};
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
    assert_eq!(rows[1][..2], ["any-customer", "customer/active-customer"], "{listed}");
    assert!(rows[1][2].ends_with("/5") && rows[1].last() == Some(&"active"), "{listed}");
    assert_eq!(place.run(&["stock", "--json", "--limit", "1"]).expect(0).json()["more"], true);
    let shown = place.run(&["stock", "show", "paying-fr"]).expect(0).stdout;
    for part in [
        "paying-fr  active",
        "target       20",
        "refilled     ",
        "last day     ",
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
    assert!(absent.stderr.contains("never") && absent.stderr.contains("sixpack stock`"), "{absent:?}");
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

/// A server and its suppliers, with one rule; and the events from the beginning.
fn with_rule(rule: &str) -> (Place, Running, Shop, Running) {
    let mut place = Place::new();
    let server = place.start_dev(&[]);
    let shop = Shop::open(&place);
    let file = place.put("stock.yaml", &format!("stock:\n  kept: {rule}\n"));
    place.run(&["apply", "-f", &file]).expect(0);
    let events = place.start(&["events", "--follow", "--after", "0"]);
    (place, server, shop, events)
}

/// The row of the only rule, and what stands below it.
fn listed(place: &Place) -> (Vec<String>, Vec<String>) {
    let listed = place.run(&["stock"]).expect(0).stdout;
    let mut lines = listed.lines().skip(1).map(str::to_owned);
    let row = lines.next().unwrap_or_else(|| panic!("{listed}"));
    let cells = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    (cells.map(str::to_owned).collect(), lines.collect())
}

#[test]
fn a_request_is_served_from_stock_and_the_list_tells_what_is_there() {
    let (place, _server, shop, mut events) =
        with_rule("{ contract: customer/active-customer, input: { country: FR }, target: 2 }");
    let mut fulfilled = || drop(events.line(|line| line.contains("request.fulfilled")));
    (0..2).for_each(|_| fulfilled());
    let (row, below) = listed(&place);
    assert_eq!(row[..4], ["kept", "customer/active-customer", "2/2", "0"], "{row:?}");
    // What the day was like before depends on when the server looked.
    assert_eq!((row[5].as_str(), row[7].as_str(), below.len()), ("-", "active", 0), "{row:?} {below:?}");
    assert!(row[6].chars().all(|block| "▁▂▃▄▅▆▇█".contains(block)), "{row:?}");

    let ask = ["request", "customer/active-customer", "--source", "stock_only", "--set"];
    let fixed = place.run(&[&ask[..], &["country=FR", "--prefer", "country=CZ"]].concat()).expect(65).stderr;
    assert!(fixed.contains("`/prefer/country`: \"country\" is given by the input"), "{fixed}");
    let made = place.run(&[&ask[..], &["country=FR"]].concat()).expect(0);
    assert!(made.stdout.contains("customer/active-customer@1  fulfilled in"), "{made:?}");
    assert!(made.stdout.contains("customer_id"), "{made:?}");
    // The request itself, and the refill behind it.
    (0..2).for_each(|_| fulfilled());
    let (row, _) = listed(&place);
    assert_eq!((row[2].as_str(), row[5].as_str()), ("2/2", "100 %"), "{row:?}");
    let shown = place.run(&["stock", "show", "kept"]).expect(0).stdout;
    for part in ["stock        2 ready, 0 coming; the oldest is ", "served       1 of 1 from stock (100 %)"] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let requests = place.run(&["requests"]).expect(0).stdout;
    assert_eq!(requests.matches("(refills kept)").count(), 3, "{requests}");
    let only = place.run(&["requests", "--refills"]).expect(0).stdout;
    assert_eq!(only.matches("(refills kept)").count(), 3, "{only}");
    let others = place.run(&["requests", "--no-refills"]).expect(0).stdout;
    assert!(!others.contains("(refills kept)") && others.contains("fulfilled"), "{others}");
    place.run(&["requests", "--refills", "--no-refills"]).expect(64);
    let all = place.run(&["requests", "--json"]).expect(0).json();
    let refill =
        all["items"].as_array().unwrap().iter().find(|request| request["refills"] == "kept").unwrap();
    let refill = place.run(&["requests", "show", refill["id"].as_str().unwrap()]).expect(0).stdout;
    assert!(refill.contains("refills the stock rule kept"), "{refill}");

    let absent = place.run(&[&ask[..], &["country=CZ"]].concat()).expect(31);
    for part in ["no stock rule keeps it", "409 out_of_stock", "next: `sixpack stock` shows what is kept"] {
        assert!(absent.stderr.contains(part), "{part} in\n{}", absent.stderr);
    }
    let absent = place.run(&[&ask[..], &["country=CZ", "--json"]].concat()).expect(31).json();
    assert_eq!((&absent["code"], &absent["exit"]), (&"out_of_stock".into(), &31.into()), "{absent}");

    shop.close();
    let unknown = place.run(&[&ask[..], &["country=FR", "--prefer", "cuntry=FR"]].concat()).expect(65).stderr;
    assert!(unknown.contains("did you mean \"country\"?"), "{unknown}");
    let made = place.run(&[&ask[..], &["country=FR"]].concat()).expect(0);
    assert!(!made.stderr.contains("not connected"), "it needs nobody any more: {made:?}");
    let (row, below) = listed(&place);
    assert_eq!((row[2].as_str(), row[row.len() - 1].as_str()), ("1/2", "active, starved"), "{row:?}");
    let why = "  ✖ no supplier of customer/active-customer is connected; owner Customer · customer@shop.test; tried again as soon \
               as one connects";
    assert_eq!(below, [why]);
}

#[test]
fn choices_that_cannot_be_are_refused_and_those_that_contradict_each_other_are_not_sent() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let refused = |flags: &[&str], exit: i32| {
        let ask = ["request", "customer/active-customer", "--set", "country=FR"];
        place.run(&[&ask[..], flags].concat()).expect(exit).stderr
    };
    let unmarked = refused(&["--select", "customer_id=c-1"], 65);
    assert!(unmarked.contains("x-selectable") && unmarked.contains("/select/customer_id"), "{unmarked}");
    let prefer = refused(&["--prefer-json", "{\"country\":\"CZ\"}", "--source", "fresh"], 65);
    assert!(prefer.contains("`prefer` chooses from stock"), "{prefer}");
    refused(&["--source", "stock_only", "--channel", "ada"], 65);
    refused(&["--source", "stock_only", "--fresh"], 64);
    refused(&["--source", "somewhere"], 64);
    refused(&["--select", "customer_id"], 64);
    refused(&["--prefer", "=FR"], 64);
    refused(&["--prefer-json", "[]"], 65);
}

#[test]
fn a_starved_rule_says_below_its_row_why_whom_to_ask_and_when_it_is_tried_again() {
    let (place, _server, _shop, mut events) =
        with_rule("{ contract: billing/payment-account, input: { customer_id: c, country: DE }, target: 1 }");
    events.line(|line| line.contains("request.failed"));
    let (row, below) = listed(&place);
    assert_eq!(row[row.len() - 1], "active, starved", "{row:?}");
    assert_eq!(below.len(), 1, "{below:?}");
    for part in [
        "  ✖ billing/payment-account rejected ",
        ": no accounts in \\x1b[31mDE\\x1b[0m until Monday; owner Billing · billing@shop.test; tried again ",
    ] {
        assert!(below[0].contains(part), "{part} in {below:?}");
    }
    let shown = place.run(&["stock", "show", "kept"]).expect(0).stdout;
    for part in [
        "kept  active, starved",
        "✖ failing since ",
        "  owner      Billing · billing@shop.test",
        "  again      ",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    place.run(&["stock", "pause", "kept"]).expect(0);
    let (row, below) = listed(&place);
    assert_eq!((row[row.len() - 1].as_str(), below.len()), ("paused", 0), "nobody wants it filled");
}

#[test]
fn a_request_that_waits_for_stock_tells_its_place_in_line() {
    let (place, _server, shop, mut events) =
        with_rule("{ contract: billing/payment-account, input: { customer_id: c, country: SE }, target: 1 }");
    events.line(|line| line.contains("request.building"));
    let ask = ["request", "billing/payment-account", "--set", "customer_id=c", "--set", "country=SE"];
    let mut asking = place.start(&ask);
    asking.log(|line| line == "  next in line for stock");
    let id = place.run(&[&ask[..], &["--no-wait"]].concat()).expect(0).stdout;
    let shown = place.run(&["requests", "show", id.trim()]).expect(0).stdout;
    assert!(shown.contains("in line for stock, 1 ahead"), "{shown}");
    shop.open_sweden();
    assert_eq!(asking.ended().code(), Some(0));
}

#[test]
fn a_child_from_stock_is_told_with_what_it_was_and_where_it_is() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let mut events = place.start(&["events", "--follow", "--json"]);
    let rows = place.put("customers.csv", "input.country,output.customer_id\nFR,old-1\n");
    let imported = place.run(&["import", "customer/active-customer", &rows, "--json"]).expect(0).json();
    let stocked = imported["datasets"][0].as_str().unwrap();
    events.line(|line| line.contains("\"dataset.ready\""));
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", "-f", &file]).expect(0);

    let ask = ["request", "checkout/paying-customer", "--set", "country=FR", "--json"];
    let taken = place.run(&ask).expect(0).json();
    assert_eq!(taken["progress"]["steps"][0]["from_stock"]["dataset_id"], stocked, "{taken}");
    let dataset = taken["leases"][0]["dataset"]["id"].as_str().unwrap();
    let shown = place.run(&["datasets", "show", dataset]).expect(0).stdout;
    assert!(shown.contains(&format!("from stock, was {stocked}")), "{shown}");
    let part = place.run(&["datasets", "show", &format!("{dataset}_1")]).expect(0).stdout;
    assert!(part.contains(&format!("stock    it was {stocked} there")), "{part}");
    let over = place.run(&["datasets", "show", stocked]).expect(0).stdout;
    assert!(over.contains(&format!("joined   it is {dataset}_1 now")), "{over}");
}
