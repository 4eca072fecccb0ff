//! Outcome: what has come of the rows of a sweep, one after the other.

use sixpack_storage::StoreError;
use sixpack_storage::mutants::{self, Mutant};

use crate::refusal::Refusal;

/// What has come of the rows of a sweep. One that cannot be handled hides none behind it; a store that is away is not asked for each of
/// them, as all would take as long to fail.
#[derive(Default)]
pub(crate) struct Outcome {
    first: Option<Refusal>,
    failed_in_a_row: u32,
}

/// So many rows in a row that fail because the database could not be used are one that is away, and not rows that take it too long.
const AWAY: u32 = 3;

impl Outcome {
    /// Keeps what came of a row, or the error, which is told in the end; fails when it is of no use to go on.
    pub(crate) fn keep<T>(&mut self, result: Result<T, impl Into<Refusal>>) -> Result<Option<T>, Refusal> {
        let error = match result {
            Ok(done) => {
                self.failed_in_a_row = 0;
                return Ok(Some(done));
            }
            Err(error) => error.into(),
        };
        let is_away = matches!(&error, Refusal::Store(StoreError::Unavailable { .. }));
        self.failed_in_a_row = if is_away { self.failed_in_a_row + 1 } else { 0 };
        let is_over = matches!(
            &error,
            Refusal::Store(
                StoreError::Closed | StoreError::Full | StoreError::InDoubt { .. } | StoreError::Restored
            )
        );
        if is_over || self.failed_in_a_row == AWAY || mutants::on(Mutant::SweepEndsAtError) {
            return Err(error);
        }
        self.first.get_or_insert(error);
        Ok(None)
    }

    /// The first error.
    pub(crate) fn told(self) -> Result<(), Refusal> {
        self.first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: StoreError) -> Result<u32, Refusal> {
        Err(Refusal::Store(error))
    }

    fn away() -> Result<u32, Refusal> {
        failed(StoreError::Unavailable { doing: "looking", cause: "gone".into() })
    }

    fn broken(what: &'static str) -> Result<u32, Refusal> {
        failed(StoreError::Broken { doing: what, cause: "nonsense".into() })
    }

    #[test]
    fn a_row_that_cannot_be_handled_hides_none_behind_it_and_is_told() {
        let mut outcome = Outcome::default();
        for _ in 0..AWAY {
            assert_eq!(outcome.keep(broken("reading")).unwrap(), None);
            assert_eq!(outcome.keep(away()).unwrap(), None);
            assert_eq!(outcome.keep(Ok::<_, Refusal>(7)).unwrap(), Some(7));
        }
        assert!(outcome.told().unwrap_err().to_string().contains("reading"));
        assert!(Outcome::default().told().is_ok());
    }

    #[test]
    fn a_store_that_is_away_is_not_asked_for_each_row() {
        let mut outcome = Outcome::default();
        for _ in 1..AWAY {
            assert_eq!(outcome.keep(away()).unwrap(), None);
        }
        assert!(outcome.keep(away()).is_err());
        assert!(Outcome::default().keep(failed(StoreError::Closed)).is_err());
    }
}
