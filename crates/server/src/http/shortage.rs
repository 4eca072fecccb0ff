//! Shortages: the refusal of a request that only stock may serve, in words and for machines.

use serde::Serialize;
use sixpack_engine::Shortage;
use sixpack_model::name::ContractName;
use sixpack_model::stock::{RuleName, RuleState};
use utoipa::ToSchema;

use super::shapes::doubted::DoubtedJson;
use super::shapes::owner::OwnerJson;
use super::shapes::scalar::{Text, Time};
use crate::edge::problem::Problem;
use http::StatusCode;

/// When to ask again while something is being made of which nobody knows how long it takes.
const UNKNOWN_S: u64 = 5;

/// When to ask again while a capability is doubted: it is probed as often.
const PROBED_S: u64 = 10;

/// The longest time after which to ask again: what a person changes meanwhile is noticed.
const LONGEST_S: u64 = 300;

/// What is there of what a request that only stock may serve asks for, what is being made, and when to ask again.
#[derive(Serialize, ToSchema)]
#[schema(as = Shortage)]
pub(in crate::http) struct ShortageJson<'a> {
    /// The first contract of which there is not enough.
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    /// How many of it were asked for.
    asked: u64,
    /// How many there are, whether or not they meet criteria or can be handed out.
    ready: u64,
    /// The stock rule that keeps it; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    rule: Option<Text<&'a RuleName>>,
    /// How many are being made for stock.
    coming: u64,
    /// Since when the one that is being made longest is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    coming_since: Option<Time>,
    /// When that one is expected, going by how long the last ones took; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expected_at: Option<Time>,
    /// When the window of the rule opens next; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    opens_at: Option<Time>,
    /// Why stock is not being filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    starved: Option<ShortStarvedJson<'a>>,
    /// Why nothing of what is there is handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubted: Option<DoubtedJson<'a>>,
}

/// Why stock is not being filled, as far as it helps whoever asks.
#[derive(Serialize, ToSchema)]
#[schema(as = ShortStarved)]
struct ShortStarvedJson<'a> {
    /// `failing` or `offline`.
    code: &'static str,
    /// Which capability, how often, and why.
    message: &'a str,
    /// The contract to blame.
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    owner: OwnerJson<'a>,
    /// When it is tried again; absent when it is as soon as a supplier connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    retry_at: Option<Time>,
}

/// The refusal of a request that only stock may serve.
pub(super) fn out_of_stock(shortage: &Shortage) -> Problem {
    let shown =
        serde_json::to_value(ShortageJson::from(shortage)).expect("names, numbers and times are JSON");
    let problem = Problem::new(StatusCode::CONFLICT, "out_of_stock", "Not in stock")
        .detail(told(shortage))
        .member("stock", shown);
    match retry_after_s(shortage) {
        Some(seconds) => problem.retry_after_s(seconds),
        None => problem,
    }
}

fn retry_after_s(shortage: &Shortage) -> Option<u64> {
    shortage.rule.as_ref()?;
    if shortage.doubted.is_some() {
        return Some(PROBED_S);
    }
    let wait = shortage.changes_at().map(|at| at.duration_since(shortage.at).as_millis());
    let seconds = wait.map(|ms| u64::try_from(ms).unwrap_or(0).div_ceil(1000).clamp(1, LONGEST_S));
    seconds.or((shortage.coming > 0).then_some(UNKNOWN_S))
}

fn told(shortage: &Shortage) -> String {
    let Shortage { contract, asked, ready, .. } = shortage;
    if let Some(doubted) = &shortage.doubted {
        return format!(
            "Nothing of {contract} is handed out from stock now: {}. It is asked about every ten seconds, and handed out again once it is \
             found to be right; `source: fresh` has one made.",
            doubted.told()
        );
    }
    let counted = if *ready == u64::from(Shortage::COUNTED) { " or more" } else { "" };
    if shortage.is_chosen && *ready > 0 {
        return format!(
            "Of {contract}, {ready}{counted} in stock are of this input, and not enough of them meet `select` or can be handed out; change \
             the criteria, or request it without them. Nothing is made to meet criteria."
        );
    }
    let Some(rule) = &shortage.rule else {
        return format!(
            "There is not enough of {contract} in stock that fits: {ready} of {asked} are there, and no stock rule keeps it for this input; \
             request it with `source: stock_first` or `fresh` to have it made, or put a stock rule."
        );
    };
    let there = if ready < asked {
        format!("{ready} of {asked} are there")
    } else {
        format!("{ready}{counted} are there, and not all of them can be handed out now")
    };
    let name = &rule.name;
    let why = [coming(shortage), starved(shortage)].into_iter().flatten().collect::<Vec<_>>();
    let why = if why.is_empty() { at_rest(shortage, rule.state) } else { why.join("; ") };
    format!("There is not enough of {contract} in stock that fits: {there}. Stock rule `{name}`: {why}.")
}

/// What is being made, since when, and when it is expected.
fn coming(shortage: &Shortage) -> Option<String> {
    let (count, are) = match shortage.coming {
        0 => return None,
        1 => ("1".to_owned(), "is"),
        many => (many.to_string(), "are"),
    };
    let since = shortage.coming_since.map(|since| format!(" since {since:.0}")).unwrap_or_default();
    let expected = match shortage.expected_at {
        Some(at) if at <= shortage.at => ", and the next may be there at any moment".to_owned(),
        Some(at) => format!(", and the next is expected at {at:.0}"),
        None => ", and nobody knows yet how long that takes".to_owned(),
    };
    Some(format!("{count} {are} being made{since}{expected}"))
}

/// Why no more is being made, and when it is tried again.
fn starved(shortage: &Shortage) -> Option<String> {
    let starved = shortage.starved.as_ref()?;
    let again = match starved.retry_at {
        Some(at) if at <= shortage.at => "now".to_owned(),
        Some(at) => format!("at {at:.0}"),
        None => "as soon as one connects".to_owned(),
    };
    let what = if shortage.coming == 0 { "none is being made: " } else { "" };
    Some(format!("{what}{}; tried again {again}", starved.message))
}

/// Why nothing is being made although nothing is wrong.
fn at_rest(shortage: &Shortage, state: RuleState) -> String {
    match (state, shortage.opens_at) {
        (RuleState::Paused | RuleState::Draining, _) => {
            format!("it is {}, and nothing is being made", state.name())
        }
        (RuleState::Active, Some(opens)) => {
            format!("its window is closed, and nothing is made before it opens at {opens:.0}")
        }
        (RuleState::Active, None) => {
            "none is being made now; what is missing is begun within seconds".to_owned()
        }
    }
}

impl<'a> From<&'a Shortage> for ShortageJson<'a> {
    fn from(shortage: &'a Shortage) -> Self {
        Self {
            contract: Text(&shortage.contract),
            asked: shortage.asked,
            ready: shortage.ready,
            rule: shortage.rule.as_ref().map(|rule| Text(&rule.name)),
            coming: shortage.coming,
            coming_since: shortage.coming_since.map(Time),
            expected_at: shortage.expected_at.map(Time),
            opens_at: shortage.opens_at.map(Time),
            starved: shortage.starved.as_ref().map(|starved| ShortStarvedJson {
                code: starved.code,
                message: &starved.message,
                contract: Text(&starved.contract),
                owner: OwnerJson::from(&starved.owner),
                retry_at: starved.retry_at.map(Time),
            }),
            doubted: shortage.doubted.as_ref().map(DoubtedJson::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sixpack_engine::Starved;
    use sixpack_model::contract::Owner;
    use sixpack_model::stock::RuleDraft;

    use super::*;

    fn at(text: &str) -> jiff::Timestamp {
        format!("2026-01-05T{text}Z").parse().unwrap()
    }

    fn short(rule: Value) -> Shortage {
        let now = at("12:00:00");
        let mut whole = json!({ "contract": "a/b", "target": 50 });
        whole.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        let rule = RuleDraft::read("fr".parse().unwrap(), &whole, now).unwrap().into_rule(None);
        let window = rule.window.as_ref().filter(|window| !window.is_open(now));
        Shortage {
            contract: "a/b".parse().unwrap(),
            asked: 50,
            ready: 5,
            opens_at: window.and_then(|window| window.next_opening(now)),
            rule: Some(rule),
            coming: 0,
            coming_since: None,
            expected_at: None,
            starved: None,
            doubted: None,
            is_chosen: false,
            at: now,
        }
    }

    fn coming(expected_at: Option<jiff::Timestamp>) -> Shortage {
        Shortage { coming: 3, coming_since: Some(at("11:59:40")), expected_at, ..short(json!({})) }
    }

    fn starving(coming: u64, retry_at: Option<jiff::Timestamp>) -> Shortage {
        let owner = Owner { team: "A".to_owned(), contact: None, issues: None };
        let starved = Starved {
            code: "failing",
            message: "a/b rejected 6 of 6: no".to_owned(),
            contract: "a/b".parse().unwrap(),
            owner,
            since: None,
            retry_at,
        };
        Shortage { coming, starved: Some(starved), ..short(json!({})) }
    }

    #[test]
    fn a_shortage_says_what_is_there_what_is_coming_since_when_and_when_to_ask_again() {
        let window = json!({ "window": { "opens": "0 13 * * *", "for_s": 60, "time_zone": "UTC" } });
        let far = json!({ "window": { "opens": "0 3 * * *", "for_s": 60, "time_zone": "UTC" } });
        for (shortage, told, retry_after) in [
            (
                coming(Some(at("12:00:25"))),
                "3 are being made since 2026-01-05T11:59:40Z, and the next is expected at 2026-01-05T12:00:25Z.",
                Some(25),
            ),
            (coming(Some(at("12:00:00"))), "and the next may be there at any moment.", Some(1)),
            (coming(None), "and nobody knows yet how long that takes.", Some(5)),
            (
                starving(0, Some(at("12:00:31"))),
                "none is being made: a/b rejected 6 of 6: no; tried again at 2026-01-05T12:00:31Z.",
                Some(31),
            ),
            (starving(0, None), "tried again as soon as one connects.", None),
            (short(window), "nothing is made before it opens at 2026-01-05T13:00:00Z.", Some(300)),
            (short(far), "nothing is made before it opens at 2026-01-06T03:00:00Z.", Some(300)),
            (short(json!({ "paused": true })), "it is paused, and nothing is being made.", None),
            (short(json!({})), "what is missing is begun within seconds.", None),
        ] {
            let problem = out_of_stock(&shortage);
            let body: Value = serde_json::from_slice(&problem.render("r-1")).unwrap();
            let detail = body["detail"].as_str().unwrap();
            assert!(
                detail.contains("5 of 50 are there. Stock rule `fr`: ") && detail.ends_with(told),
                "{detail}"
            );
            assert_eq!(retry_after_s(&shortage), retry_after, "{detail}");
            assert_eq!(
                (&body["stock"]["rule"], &body["stock"]["asked"]),
                (&json!("fr"), &json!(50)),
                "{body}"
            );
        }
        let unkept = Shortage { rule: None, ..short(json!({})) };
        assert!(told(&unkept).contains("no stock rule keeps it for this input"));
        assert_eq!(retry_after_s(&unkept), None);
    }
}
