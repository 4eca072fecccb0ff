//! Migrations: how far a schema is on its way from one version to the next, and which builds may work with it meanwhile.
//!
//! ```text
//! version N, finalized --up: statements--> N+1, expanded --up: rows in batches--> moved --finalize--> closed --rows once more--> finalized
//!                      builds N and N+1 work side by side from here            to here | builds that know N are refused from here on
//! ```
//!
//! Every step is a transaction of its own and leaves a state that is written down: whoever ends in the middle is followed by whoever
//! begins again, and nobody is held up for longer than a step takes.

use std::fmt;

use crate::error::StoreError;

/// How far a version of the schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its tables and columns are there; rows of before have the old form.
    Expanded,
    /// Rows of before have been brought to the new form. What an older build writes meanwhile has the old one.
    Moved,
    /// Builds of the version before are refused; what they have written last is brought to the new form.
    Closed,
    /// Every row has the new form.
    Finalized,
}

impl Stage {
    /// Its word in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expanded => "expanded",
            Self::Moved => "moved",
            Self::Closed => "closed",
            Self::Finalized => "finalized",
        }
    }
}

/// Which schema a store has, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The version; 0 when there is no store yet.
    pub version: u32,
    /// How far this version is.
    pub stage: Stage,
    /// Rows that were brought to its form so far.
    pub moved: u64,
    /// The newest version that this build knows.
    pub known: u32,
}

/// Whether a build can work with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It can.
    Fits,
    /// The schema is to be brought up to date first.
    Older,
    /// The build knows too little.
    Newer,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It was done, and there is more to do.
    More,
    /// There was nothing left to do.
    Done,
}

impl Schema {
    /// The oldest version that a build must know: nobody of the version before is refused until the change is closed.
    pub fn oldest_build(self) -> u32 {
        if self.stage >= Stage::Closed { self.version } else { self.version.saturating_sub(1) }
    }

    /// Whether this build can work with it.
    pub fn fit(self) -> Fit {
        if self.version < self.known {
            Fit::Older
        } else if self.known < self.oldest_build() {
            Fit::Newer
        } else {
            Fit::Fits
        }
    }

    /// Nothing, when this build can work with the store at `place`; or else why not, and what to do.
    pub(crate) fn check(self, place: &impl fmt::Display) -> Result<(), StoreError> {
        let Self { version, known, .. } = self;
        match self.fit() {
            Fit::Fits => Ok(()),
            Fit::Older => Err(StoreError::Older {
                reason: format!(
                    "{place} has schema version {version}, this build works with {known}: bring it up to date with \
                     `sixpack migrate up`, which may be done while servers of the build before go on"
                ),
            }),
            Fit::Newer => Err(self.newer(place)),
        }
    }

    pub(crate) fn newer(self, place: &impl fmt::Display) -> StoreError {
        let Self { version, known, .. } = self;
        let oldest = self.oldest_build();
        StoreError::Newer {
            reason: format!(
                "{place} has schema version {version}, {}, and needs a build that knows {oldest}; this one knows {known}: \
                 start the newer build that wrote it",
                self.stage.name()
            ),
        }
    }

    /// That a further version has to wait for this one.
    pub(crate) fn unfinished(self, place: &impl fmt::Display) -> StoreError {
        let version = self.version;
        StoreError::Older {
            reason: format!(
                "schema version {version} of {place} is not finalized, so that a further one cannot begin: when no server of the \
                 build before it runs any more, run `sixpack migrate finalize`, then `sixpack migrate up`"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_works_with_its_own_version_and_the_next_one_until_that_is_closed() {
        use Fit::{Fits, Newer, Older};
        use Stage::{Closed, Expanded, Finalized, Moved};
        for (version, stage, known, fit) in [
            (4, Finalized, 5, Older),
            (4, Expanded, 5, Older),
            (5, Expanded, 5, Fits),
            (5, Moved, 5, Fits),
            (5, Closed, 5, Fits),
            (5, Finalized, 5, Fits),
            (6, Expanded, 5, Fits),
            (6, Moved, 5, Fits),
            (6, Closed, 5, Newer),
            (6, Finalized, 5, Newer),
            (7, Expanded, 5, Newer),
            (7, Finalized, 5, Newer),
        ] {
            let schema = Schema { version, stage, moved: 0, known };
            assert_eq!(schema.fit(), fit, "{schema:?}");
            assert_eq!(schema.check(&"here").is_ok(), fit == Fits, "{schema:?}");
        }
    }
}
