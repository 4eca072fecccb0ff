//! How a contract has been doing, in a few lines.

use std::time::Duration;

use serde::Serialize;
use sixpack::wire::{Contract, ContractStatistics, FailureCause, Spread};

use super::owner;
use crate::fault::Fault;
use crate::printing::Output;
use crate::times::{moment, span};

/// A contract with how it has been doing, as one object.
#[derive(Serialize)]
pub(super) struct WithStatistics<'a> {
    #[serde(flatten)]
    pub(super) contract: &'a Contract,
    /// Of what a channel offers nothing is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statistics: Option<&'a ContractStatistics>,
}

/// Prints how a contract has been doing; nothing when there was nothing of it yet.
pub(super) fn show(statistics: &ContractStatistics, output: &mut Output) -> Result<(), Fault> {
    for line in lines(statistics) {
        output.line(line)?;
    }
    let failures = statistics.failures.as_deref().unwrap_or_default();
    if failures.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let rows = failures.iter().map(|cause| {
        [
            cause.count.to_string(),
            moment(&cause.last_at),
            cause.contract.clone(),
            format!(
                "{}{}",
                cause.class,
                cause.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default()
            ),
            cause.message.lines().next().unwrap_or_default().to_owned(),
            owner(&cause.owner),
        ]
    });
    output.table(["FAILED", "LAST", "WHAT", "HOW", "WHY", "OWNER"], rows)
}

fn lines(statistics: &ContractStatistics) -> Vec<String> {
    let mut lines = Vec::new();
    let requests = &statistics.requests;
    let of = requests.fulfilled + requests.failed + requests.expired;
    if of > 0 {
        let mut line = format!("lately   {} of the last {of} requests were fulfilled", requests.fulfilled);
        if requests.from_stock > 0 {
            line.push_str(&format!(", {} from stock", requests.from_stock));
        }
        lines.push(line);
    }
    if let Some(took) = &requests.from_stock_ms {
        lines.push(format!("stock    {} from stock", typical(took)));
    }
    // What somebody waited for says more than what was made for stock or as a part of something else.
    if let Some(took) = requests.made_ms.as_ref().or(statistics.datasets.made_ms.as_ref()) {
        lines.push(format!("made     {} to make one", typical(took)));
    }
    if let Some(FailureCause { last_at, contract, message, .. }) = &statistics.last_failure {
        lines.push(format!("failed   last at {}: {contract}: {message}", moment(last_at)));
    }
    lines
}

fn typical(spread: &Spread) -> String {
    let [median, p90] = [spread.median, spread.p90].map(|ms| span(Duration::from_millis(ms)));
    format!("{median} half of the time, at most {p90} in 9 of 10,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(statistics: serde_json::Value) -> Vec<String> {
        lines(&serde_json::from_value(statistics).unwrap())
    }

    #[test]
    fn what_was_never_asked_for_says_nothing() {
        assert!(told(json!({ "contract": "a/b" })).is_empty());
    }

    #[test]
    fn requests_say_how_many_got_what_they_wanted_and_how_soon() {
        let lines = told(json!({
            "contract": "a/b",
            "requests": { "fulfilled": 9, "failed": 1, "expired": 0, "cancelled": 3, "from_stock": 7,
                          "from_stock_ms": { "median": 4, "p90": 9 }, "made_ms": { "median": 1200, "p90": 4000 } },
            "last_failure": { "contract": "x/y", "class": "rejected", "message": "no", "count": 1,
                              "last_at": "2026-11-22T10:41:07.000Z" },
        }));
        assert_eq!(
            lines,
            [
                "lately   9 of the last 10 requests were fulfilled, 7 from stock",
                "stock    4 ms half of the time, at most 9 ms in 9 of 10, from stock",
                "made     1.2 s half of the time, at most 4.0 s in 9 of 10, to make one",
                "failed   last at 2026-11-22 10:41:07: x/y: no",
            ]
        );
    }
}
