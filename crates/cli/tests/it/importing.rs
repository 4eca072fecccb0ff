//! Importing with the program: files of rows, what is taken from stock afterwards, and faults by their lines.

use crate::program::Place;
use crate::shop::Shop;

const CUSTOMERS: &str = "\
input.country,output.customer_id
FR,old-1
FR,old-2
";

#[test]
fn existing_customers_are_imported_from_a_table_and_from_lines_and_taken_from_stock() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let mut events = place.start(&["events", "--follow", "--json"]);
    let table = place.put("customers.csv", CUSTOMERS);
    let imported = place.run(&["import", "customer/active-customer", &table]).expect(0);
    assert_eq!(imported.stdout, "2 datasets of customer/active-customer@1 imported\n");
    assert!(imported.stderr.contains("checked before it can be taken"), "{imported:?}");
    let see = "sixpack datasets list --contract customer/active-customer";
    assert!(imported.stderr.contains(see) && imported.stderr.contains("failed did not hold"), "{imported:?}");
    for _ in 0..2 {
        events.line(|line| line.contains("\"dataset.ready\""));
    }
    let row = "{\"input\":{\"country\":\"FR\"},\"output\":{\"customer_id\":\"old-3\"}}\n";
    let lines = place.put("customers.jsonl", row);
    let json = place.run(&["import", "customer/active-customer", &lines, "--json"]).expect(0).json();
    let dataset = json["datasets"][0].as_str().unwrap().to_owned();
    events.line(|line| line.contains("\"dataset.ready\""));
    let shown = place.run(&["datasets", "show", &dataset]).expect(0).stdout;
    assert!(shown.contains("origin   imported; never undone"), "{shown}");
    let contract = place.run(&["contracts", "show", "customer/active-customer"]).expect(0).stdout;
    assert!(contract.contains("imported  3 in stock"), "{contract}");
    let ask =
        ["request", "customer/active-customer", "--set", "country=FR", "--source", "stock_only", "--json"];
    let taken = place.run(&ask).expect(0).json();
    let customer = taken["leases"][0]["dataset"]["output"]["customer_id"].as_str().unwrap();
    assert!(["old-1", "old-2", "old-3"].contains(&customer), "{taken}");
    let again = place.run(&["import", "customer/active-customer", &table]).expect(65);
    for part in ["customers.csv:2", "customers.csv:3", "`customer:old-1` belongs to", "nothing was imported"]
    {
        assert!(again.stderr.contains(part), "{part} in\n{}", again.stderr);
    }
    let lease = taken["leases"][0]["id"].as_str().unwrap();
    let released = place.run(&["lease", "release", lease, "--wait"]).expect(0).stdout;
    assert_eq!(
        released,
        format!("released {lease}; nothing was made for it: the data stays in its service as it is\n")
    );
    let taken = place.run(&ask).expect(0).json();
    let lease = taken["leases"][0]["id"].as_str().unwrap();
    let unused = place.run(&["lease", "release", lease, "--outcome", "unused", "--wait"]).expect(0).stdout;
    assert_eq!(unused, format!("released {lease}; it is in stock again\n"));
}

#[test]
fn every_fault_of_a_file_is_told_with_its_line_and_nothing_is_imported() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let refused = |name: &str, text: &str, parts: &[&str]| {
        let file = place.put(name, text);
        let refused = place.run(&["import", "customer/active-customer", &file]).expect(65);
        for part in parts.iter().chain(&["nothing was imported"]) {
            assert!(refused.stderr.contains(part), "{part} in\n{}", refused.stderr);
        }
    };
    refused(
        "bad.csv",
        "input.country,output.customer_id\nFR,a\n,b\nFR,\nFR,a\n",
        &["bad.csv:3", "input", "bad.csv:4", "output", "bad.csv:5", "is in line 2 already"],
    );
    refused(
        "mixed.csv",
        "input.country,output.customer_id\nFR,a\nFR\n,b\nFR,\nFR,a\n",
        &[
            "mixed.csv:3: has 1 values",
            "mixed.csv:4",
            "mixed.csv:5",
            "mixed.csv:6",
            "is in line 2 already",
            "4 faults",
        ],
    );
    refused(
        "mixed.jsonl",
        "{\"output\":{}}\n{\n{\"input\":{\"country\":7},\"output\":{\"customer_id\":\"a\"}}\n",
        &["mixed.jsonl:1: ", "mixed.jsonl:2:1: is no JSON", "mixed.jsonl:3: input.country: "],
    );
    refused("head.csv", "country,output.customer_id\nFR,a\n", &["head.csv:1:1: country: is no column"]);
    refused("long.csv", "input.country,output.customer_id\nFR,a,b\n", &["long.csv:2: has 3 values"]);
    refused(
        "bad.jsonl",
        "{\"output\":{}}\n{\n[]\n",
        &["bad.jsonl:2:1: is no JSON", "bad.jsonl:3: must be an object"],
    );
    let row = "{\"input\":{\"country\":7},\"output\":{\"customer_id\":\"a\"}}\n";
    refused("typed.jsonl", row, &["typed.jsonl:1: input.country: "]);
    let other = place.put("customers.txt", CUSTOMERS);
    let wrong = place.run(&["import", "customer/active-customer", &other]).expect(64);
    assert!(wrong.stderr.contains("neither a .csv nor a .jsonl file"), "{wrong:?}");
    place.run(&["import", "customer/active-customer", "absent.csv"]).expect(65);
    let listed =
        place.run(&["datasets", "list", "--contract", "customer/active-customer", "--json"]).expect(0);
    assert_eq!(listed.json()["items"], serde_json::json!([]));
}
