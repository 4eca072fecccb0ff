//! What is told of a dataset that was made again: whether its facts are the same, and which are not.

use serde_json::Value;
use sixpack::wire::{Difference, Rerun, RerunFacts};

use crate::fault::Fault;
use crate::leases::plain;
use crate::printing::Output;

/// Prints how a dataset relates to the one that it was made after.
pub(super) fn told(rerun: &Rerun, output: &mut Output) -> Result<(), Fault> {
    output.line(headline(rerun))?;
    if !rerun.differences.is_empty() {
        output.table(["PART", "FACT", "BEFORE", "NOW"], rerun.differences.iter().map(row))?;
    }
    if rerun.more > 0 {
        output.line(format!("and {} more", rerun.more))?;
    }
    Ok(())
}

fn headline(rerun: &Rerun) -> String {
    let count = rerun.differences.len() as u64 + rerun.more;
    let of = &rerun.of;
    match rerun.facts {
        RerunFacts::Equal => format!("rerun of {of}: its facts are the same"),
        RerunFacts::Different if count == 1 => format!("rerun of {of}: one fact differs"),
        RerunFacts::Different => format!("rerun of {of}: {count} facts differ"),
        RerunFacts::Pending => format!("rerun of {of}: not made yet"),
        RerunFacts::Undecided => format!("rerun of {of}: there are no facts to compare"),
        facts => format!("rerun of {of}: {facts}"),
    }
}

fn row(difference: &Difference) -> [String; 4] {
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), plain);
    let named = |text: &str, otherwise: &str| match text {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    [
        named(&difference.path, "(all)"),
        named(&difference.pointer, "(all)"),
        value(&difference.before),
        value(&difference.after),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rerun(facts: &str, differences: Value, more: u64) -> Rerun {
        let rerun = json!({"of": "ds_1", "facts": facts, "differences": differences, "more": more});
        serde_json::from_value(rerun).unwrap()
    }

    #[test]
    fn how_many_facts_differ_is_said_first() {
        let one = json!([{"path": "a", "pointer": "/x", "before": 1}]);
        for (rerun, said) in [
            (rerun("equal", json!([]), 0), "its facts are the same"),
            (rerun("different", one.clone(), 0), "one fact differs"),
            (rerun("different", one, 7), "8 facts differ"),
            (rerun("pending", json!([]), 0), "not made yet"),
            (rerun("unknown", json!([]), 0), "there are no facts to compare"),
            (rerun("of another release", json!([]), 0), "of another release"),
        ] {
            assert_eq!(headline(&rerun), format!("rerun of ds_1: {said}"));
        }
    }

    #[test]
    fn what_is_not_there_is_a_dash_and_null_is_null() {
        let differences = json!([
            {"path": "ready › payment", "pointer": "/status", "before": "OPEN", "after": null},
            {"path": "", "pointer": "", "after": {"a": 1}}
        ]);
        let rows: Vec<_> = rerun("different", differences, 0).differences.iter().map(row).collect();
        assert_eq!(rows[0], ["ready › payment", "/status", "OPEN", "null"]);
        assert_eq!(rows[1], ["(all)", "(all)", "-", "{\"a\":1}"]);
    }
}
