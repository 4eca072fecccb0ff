//! Keeping: what the rules for one line come to at one moment.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{RuleState, StockRule};
use crate::ids::LineId;
use crate::name::ContractName;

/// Datasets of one contract that were made from one input: what stock keeps apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number.
    pub id: LineId,
    /// What its datasets are instances of.
    pub contract: ContractName,
    /// What they are made from, defaults filled in.
    pub input: Arc<Value>,
}

/// How many datasets of a line are to be there, and how good.
///
/// Rules for the same contract and input do not add up: the largest target counts, and the strictest of the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Up to how many the line is filled now; 0 when no rule is at work.
    pub fill_to: u32,
    /// How many may stay; what is beyond is undone.
    pub keep: u32,
    /// How old a dataset may get, in seconds.
    pub max_age_s: Option<u32>,
    /// How often each is checked, in seconds.
    pub check_every_s: Option<u32>,
    /// Which line is filled first, the highest first.
    pub priority: u8,
}

impl Keeping {
    /// What rules for one line come to; `fits` says whether one can be filled with what is on offer.
    pub fn of<'a>(rules: impl IntoIterator<Item = (&'a StockRule, bool)>, now: Timestamp) -> Self {
        let mut keeping = Self::default();
        for (rule, fits) in rules {
            let stays = rule.state != RuleState::Draining;
            let open = rule.window.as_ref().is_none_or(|window| window.is_open(now));
            let fills = fits && open && rule.state == RuleState::Active;
            keeping.fill_to = keeping.fill_to.max(if fills { rule.target } else { 0 });
            keeping.keep = keeping.keep.max(if stays { rule.target } else { 0 });
            keeping.max_age_s = strictest(keeping.max_age_s, rule.max_age_s);
            keeping.check_every_s = strictest(keeping.check_every_s, rule.check_every_s);
            keeping.priority = keeping.priority.max(rule.priority);
        }
        keeping
    }
}

fn strictest(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    [one, other].into_iter().flatten().min()
}

/// The first pause of a line that could not be filled.
const FIRST_PAUSE_MS: u64 = 1_000;

/// The longest pause: what was mended is noticed within five minutes.
const LONGEST_PAUSE_MS: u64 = 300_000;

/// How long a line is left alone after so many failures one after another, 1 for the first: the pause doubles each time.
pub fn pause_ms(failures: u32) -> u64 {
    let doubled = failures.saturating_sub(1).min(16);
    (FIRST_PAUSE_MS << doubled).min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stock::RuleDraft;

    fn now() -> Timestamp {
        "2026-01-05T12:00:00Z".parse().unwrap()
    }

    fn rule(rule: Value) -> StockRule {
        let mut whole = json!({ "contract": "a/b", "target": 10 });
        whole.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        RuleDraft::read("rule".parse().unwrap(), &whole, now()).unwrap().into_rule(None)
    }

    fn of(rules: &[(StockRule, bool)]) -> Keeping {
        Keeping::of(rules.iter().map(|(rule, fits)| (rule, *fits)), now())
    }

    #[test]
    fn a_line_without_a_rule_keeps_nothing() {
        assert_eq!(of(&[]), Keeping::default());
    }

    #[test]
    fn only_an_active_rule_that_fits_in_an_open_window_fills() {
        let closed = json!({ "window": { "opens": "0 3 * * *", "for_s": 60, "time_zone": "UTC" } });
        let open = json!({ "window": { "opens": "0 11 * * *", "for_s": 7200, "time_zone": "UTC" } });
        let mut draining = rule(json!({}));
        draining.state = RuleState::Draining;
        for (rule, fits, fill_to, keep) in [
            (rule(json!({})), true, 10, 10),
            (rule(json!({})), false, 0, 10),
            (rule(json!({ "paused": true })), true, 0, 10),
            (rule(closed), true, 0, 10),
            (rule(open), true, 10, 10),
            (draining, true, 0, 0),
        ] {
            let keeping = of(&[(rule.clone(), fits)]);
            assert_eq!((keeping.fill_to, keeping.keep), (fill_to, keep), "{rule:?}");
        }
    }

    #[test]
    fn of_several_rules_the_largest_target_and_the_strictest_terms_count() {
        let night = rule(json!({ "target": 50, "max_age_s": 900, "check_every_s": 300, "priority": 10 }));
        let day = rule(json!({ "target": 20, "max_age_s": 600, "priority": 70 }));
        let both =
            Keeping { fill_to: 50, keep: 50, max_age_s: Some(600), check_every_s: Some(300), priority: 70 };
        assert_eq!(of(&[(night, true), (day, true)]), both);
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let pauses: Vec<u64> = [1, 2, 3, 9, 10, 1_000_000].into_iter().map(pause_ms).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 256_000, 300_000, 300_000]);
    }
}
