//! Calls: how many there were of each operation, how they were answered, and how long that took.

use std::time::Duration;

use http::StatusCode;
use sixpack_engine::{Counter, Histogram, QUICK};

/// Statuses that are told apart: those that this server answers with. Any other is counted behind them.
const STATUSES: [u16; 25] = [
    200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 414, 415, 417, 421, 422, 429,
    431, 500, 501, 503,
];

/// The calls of every operation, and behind them all that are of none: what no route takes, files, and heads that were refused.
#[derive(Debug)]
pub struct Calls(Box<[CallsOf]>);

/// The calls of one operation.
#[derive(Debug)]
pub struct CallsOf {
    /// By status as `STATUSES` has it, all others at last.
    statuses: [Counter; STATUSES.len() + 1],
    /// Until the answer began, of those that did not wait for news.
    pub took: Histogram,
}

impl Calls {
    pub(super) fn of(operations: usize) -> Self {
        let none_yet = |_| CallsOf { statuses: Default::default(), took: Histogram::of(&QUICK) };
        Self((0..=operations).map(none_yet).collect())
    }

    /// Counts a call; `took` is left out when it waited, because that says nothing of the server.
    pub(super) fn note(&self, operation: Option<usize>, status: StatusCode, took: Option<Duration>) {
        let last = self.0.len() - 1;
        let of = &self.0[operation.unwrap_or(last).min(last)];
        let place = STATUSES.iter().position(|known| *known == status.as_u16());
        of.statuses[place.unwrap_or(STATUSES.len())].add_one();
        if let Some(took) = took {
            of.took.note_span(took);
        }
    }

    /// The calls of each operation by its number; without one, of all others.
    pub fn all(&self) -> impl Iterator<Item = (Option<usize>, &CallsOf)> {
        let last = self.0.len() - 1;
        self.0.iter().enumerate().map(move |(number, of)| ((number < last).then_some(number), of))
    }
}

impl CallsOf {
    /// How often each status was answered that was; 0 stands for all that are not told apart.
    pub fn by_status(&self) -> impl Iterator<Item = (u16, u64)> {
        let counted = STATUSES.into_iter().chain([0]).zip(&self.statuses);
        counted.map(|(status, counter)| (status, counter.get())).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_with_its_operation_or_with_all_others() {
        let calls = Calls::of(2);
        calls.note(Some(1), StatusCode::OK, Some(Duration::from_millis(3)));
        calls.note(Some(1), StatusCode::OK, None);
        calls.note(None, StatusCode::IM_A_TEAPOT, None);
        calls.note(Some(99), StatusCode::NOT_FOUND, None);
        let told: Vec<_> = calls
            .all()
            .map(|(operation, of)| (operation, of.by_status().collect::<Vec<_>>(), of.took.told().count))
            .collect();
        let expected =
            [(Some(0), vec![], 0), (Some(1), vec![(200, 2)], 1), (None, vec![(404, 1), (0, 1)], 0)];
        assert_eq!(told, expected);
    }
}
