//! What is told of a stock rule: what is there, and what keeps the rest away.

use std::time::Duration;

use sixpack::wire::{Doubted, RuleState, RuleStock, Starved, StarvedCode, StockHistory, StockRule};

use super::history;
use crate::contracts::owner;
use crate::fault::Fault;
use crate::paging::or_dash;
use crate::printing::Output;
use crate::times::{moment, span};

/// The columns of the list.
pub(super) const HEADER: [&str; 8] =
    ["RULE", "CONTRACT", "READY", "COMING", "OLDEST", "HIT RATE", "LAST DAY", "STATE"];

/// The row of a rule under [`HEADER`].
pub(super) fn row(rule: &StockRule, history: Option<&StockHistory>) -> [String; 8] {
    [
        rule.name.clone(),
        rule.contract.clone(),
        format!("{}/{}", rule.stock.ready, rule.target),
        rule.stock.coming.to_string(),
        or_dash(rule.stock.oldest_age_ms.map(millis)),
        or_dash(hit_rate(&rule.stock)),
        or_dash(history.and_then(history::spark)),
        state(rule),
    ]
}

/// What keeps a rule from being filled, and what it has from being handed out, a line each.
pub(super) fn reasons(rule: &StockRule) -> Vec<String> {
    let starved = starved(rule).map(in_a_line);
    let doubted = rule.stock.doubted.as_ref().map(doubted_in_a_line);
    broken(rule).into_iter().chain(starved).chain(doubted).collect()
}

/// What is wrong with the rule itself: the first fault, and how many there are besides.
fn broken(rule: &StockRule) -> Option<String> {
    let (first, more) = rule.faults.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        count => format!("; and {count} more: `sixpack stock show {}`", rule.name),
    };
    Some(format!("✖ broken: {first}{more}"))
}

/// Why a rule is not being filled that should be filled now.
fn starved(rule: &StockRule) -> Option<&Starved> {
    rule.stock.starved.as_ref().filter(|_| rule.state == RuleState::Active && !is_closed(rule))
}

/// Reason, owner, and what follows.
fn doubted_in_a_line(doubted: &Doubted) -> String {
    format!("✖ doubted: {}; owner {}; none is handed out", doubted.message, owner(&doubted.owner))
}

/// Reason, owner, and when it goes on.
fn in_a_line(starved: &Starved) -> String {
    let owner = match owner(&starved.owner) {
        owner if owner.is_empty() => String::new(),
        owner => format!("; owner {owner}"),
    };
    format!("✖ {}{owner}; tried again {}", starved.message, again(starved))
}

/// Prints everything that is known of a rule.
pub(super) fn told(
    rule: &StockRule,
    history: Option<&StockHistory>,
    output: &mut Output,
) -> Result<(), Fault> {
    output.line(format!("rule         {}  {}", rule.name, state(rule)))?;
    output.line(format!("contract     {}", rule.contract))?;
    output.line(format!("input        {}", rule.input))?;
    output.line(format!("target       {}", rule.target))?;
    output.line(format!("stock        {}", level(&rule.stock)))?;
    output.line(format!("served       {}", served(&rule.stock)))?;
    output.line(format!("refilled     {} made, {} failed", rule.stock.made, rule.stock.failed))?;
    for (name, told) in history.map(history::lines).into_iter().flatten() {
        output.line(format!("{name:<12} {told}"))?;
    }
    output.line(format!("priority     {}", rule.priority))?;
    let age = rule.max_age_s.map_or_else(|| "any".to_owned(), seconds);
    output.line(format!("max age      {age}"))?;
    let check = rule
        .check_every_s
        .map_or_else(|| "only at hand-over".to_owned(), |s| format!("every {}", seconds(s)));
    output.line(format!("checked      {check}"))?;
    match &rule.window {
        None => output.line("window       always open")?,
        Some(window) => {
            let now = if window.is_open { "open" } else { "closed" };
            let next = match &window.next_opening_at {
                Some(next) => format!("opens next {} UTC", moment(next)),
                None => "never opens again".to_owned(),
            };
            let (opens, zone, long) = (&window.opens, &window.time_zone, seconds(window.for_s));
            output.line(format!("window       `{opens}` in {zone} for {long}: {now}, {next}"))?;
        }
    }
    output.line(format!("changed      {} UTC, revision {}", moment(&rule.changed_at), rule.revision))?;
    for fault in &rule.faults {
        output.line(format!("✖ {fault}"))?;
    }
    for warning in &rule.warnings {
        output.line(format!("⚠ {warning}"))?;
    }
    if let Some(doubted) = &rule.stock.doubted {
        output.line(format!("✖ doubted since {} UTC: {}", moment(&doubted.since), doubted.message))?;
        output.line(format!("  owner      {}", owner(&doubted.owner)))?;
        output.line(format!("  again      once three probes in a row hold; {} did", doubted.held))?;
    }
    starved(rule).map_or(Ok(()), |starved| in_rows(starved, output))
}

fn in_rows(starved: &Starved, output: &mut Output) -> Result<(), Fault> {
    let since = starved.since.as_ref().map_or(String::new(), |since| format!(" since {} UTC", moment(since)));
    output.line(format!("✖ {}{since}: {}", starved.code, starved.message))?;
    output.line(format!("  owner      {}", owner(&starved.owner)))?;
    output.line(format!("  again      {}", again(starved)))
}

/// When it is tried again.
fn again(starved: &Starved) -> String {
    match (starved.retry_in_ms, starved.code) {
        (Some(0), _) => "now".to_owned(),
        (Some(wait), _) => format!("in {}", millis(wait)),
        (None, StarvedCode::Offline) => "as soon as one connects".to_owned(),
        (None, _) => "later".to_owned(),
    }
}

fn level(stock: &RuleStock) -> String {
    let oldest =
        stock.oldest_age_ms.map_or(String::new(), |age| format!("; the oldest is {} old", millis(age)));
    let of_them = [(stock.imported, "imported"), (stock.came_back, "came back")];
    let of_them: Vec<String> = of_them
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, how)| format!("{count} of them {how}"))
        .collect();
    let of_them = if of_them.is_empty() { String::new() } else { format!(" ({})", of_them.join(", ")) };
    format!("{} ready{of_them}, {} coming{oldest}", stock.ready, stock.coming)
}

fn served(stock: &RuleStock) -> String {
    match hit_rate(stock) {
        None => "nobody has asked yet".to_owned(),
        Some(rate) => {
            format!("{} of {} from stock ({rate})", stock.hits, stock.hits.saturating_add(stock.misses))
        }
    }
}

/// Rounded down, so that only what never missed is at 100 %.
fn hit_rate(stock: &RuleStock) -> Option<String> {
    let asked = u128::from(stock.hits) + u128::from(stock.misses);
    (asked > 0).then(|| format!("{} %", u128::from(stock.hits) * 100 / asked))
}

/// Its state, and what keeps it from being filled or handed out, if anything does.
fn state(rule: &StockRule) -> String {
    let but = match rule {
        _ if !rule.faults.is_empty() => ", broken",
        _ if rule.state == RuleState::Active && is_closed(rule) => ", closed",
        _ if rule.stock.doubted.is_some() => ", doubted",
        _ if starved(rule).is_some() => ", starved",
        _ => "",
    };
    format!("{}{but}", rule.state)
}

fn is_closed(rule: &StockRule) -> bool {
    rule.window.as_ref().is_some_and(|window| !window.is_open)
}

fn millis(millis: u64) -> String {
    span(Duration::from_millis(millis))
}

fn seconds(seconds: u32) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        _ => span(Duration::from_secs(seconds.into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(more: Value) -> StockRule {
        let mut whole = json!({
            "name": "fr", "contract": "a/b", "target": 20, "state": "active",
            "stock": { "ready": 17, "coming": 3, "oldest_age_ms": 243_000, "hits": 999, "misses": 1 }
        });
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn window(is_open: bool) -> Value {
        json!({ "opens": "0 6 * * *", "for_s": 60, "time_zone": "UTC", "is_open": is_open })
    }

    fn with_starved(starved: Value) -> Value {
        let mut starved = starved;
        starved["owner"] = json!({ "team": "A", "contact": "a@shop.test" });
        json!({ "stock": { "starved": starved } })
    }

    #[test]
    fn a_level_says_what_was_imported_and_what_came_back() {
        for (stock, told) in [
            (json!({ "ready": 3 }), "3 ready, 0 coming"),
            (json!({ "ready": 3, "came_back": 1 }), "3 ready (1 of them came back), 0 coming"),
            (
                json!({ "ready": 3, "imported": 2, "came_back": 1 }),
                "3 ready (2 of them imported, 1 of them came back), 0 coming",
            ),
        ] {
            assert_eq!(level(&rule(json!({ "stock": stock })).stock), told);
        }
    }

    #[test]
    fn a_row_says_what_is_there_and_what_came_from_it() {
        let history = serde_json::from_value(
            json!({ "name": "fr", "ready": [0, 10, null, 20], "target": [20, 20, null, 20] }),
        )
        .unwrap();
        assert_eq!(
            row(&rule(json!({})), Some(&history)),
            ["fr", "a/b", "17/20", "3", "4 min 03 s", "99 %", "▁▅·█", "active"]
        );
        let none = rule(json!({ "stock": {}, "state": "paused" }));
        assert_eq!(row(&none, None)[2..], ["0/20", "0", "-", "-", "-", "paused"]);
    }

    #[test]
    fn a_rule_that_should_be_filled_and_is_not_says_why_whom_to_ask_and_when_it_goes_on() {
        let failing = with_starved(
            json!({ "code": "failing", "message": "a/b rejected 6 of 6: no", "retry_in_ms": 4_000 }),
        );
        let shown = rule(failing.clone());
        assert_eq!(state(&shown), "active, starved");
        assert_eq!(
            starved(&shown).map(in_a_line).unwrap(),
            "✖ a/b rejected 6 of 6: no; owner A · a@shop.test; tried again in 4.0 s"
        );
        let offline =
            with_starved(json!({ "code": "offline", "message": "no supplier of a/b is connected" }));
        assert_eq!(
            starved(&rule(offline)).map(in_a_line).unwrap(),
            "✖ no supplier of a/b is connected; owner A · a@shop.test; tried again as soon as one connects"
        );
        for (not_filled, told) in [("state", json!("paused")), ("window", window(false))] {
            let mut whole = failing.clone();
            whole[not_filled] = told;
            assert_eq!(starved(&rule(whole)), None, "{not_filled}");
        }
    }

    #[test]
    fn a_rule_whose_stock_is_not_handed_out_says_why_and_whom_to_ask() {
        let doubted = rule(json!({ "state": "paused", "stock": { "doubted": {
            "message": "a/b said invalid 8 of 10 times since 2026-01-01T10:42:00Z: no such table", "contract": "a/b",
            "owner": { "team": "A", "contact": "a@shop.test" }, "since": "2026-01-01T10:42:00Z", "invalid": 8, "of": 10
        } } }));
        assert_eq!(state(&doubted), "paused, doubted");
        let told = "✖ doubted: a/b said invalid 8 of 10 times since 2026-01-01T10:42:00Z: no such table; owner A · a@shop.test; \
                    none is handed out";
        assert_eq!(reasons(&doubted), [told]);
    }

    #[test]
    fn a_rule_that_is_broken_says_why_in_the_list() {
        let fault =
            |message: &str| json!({ "pointer": "/contract", "code": "contract_broken", "message": message });
        let one = rule(json!({ "faults": [fault("a/b is broken")] }));
        let told = reasons(&one);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("✖ broken: ") && told[0].contains("a/b is broken"), "{told:?}");
        let two = rule(json!({ "faults": [fault("x"), fault("y")] }));
        assert!(reasons(&two)[0].ends_with("; and 1 more: `sixpack stock show fr`"), "{:?}", reasons(&two));
    }

    #[test]
    fn a_state_says_what_keeps_the_rule_from_being_filled() {
        for (more, shown) in [
            (json!({ "window": window(true) }), "active"),
            (json!({ "window": window(false) }), "active, closed"),
            (json!({ "window": window(false), "state": "draining" }), "draining"),
            (json!({ "faults": [{ "code": "enum", "message": "no" }], "state": "paused" }), "paused, broken"),
        ] {
            assert_eq!(state(&rule(more)), shown);
        }
    }
}
