//! What is read of a part to tell statistics from it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use sixpack_model::ids::DatasetId;
use sixpack_model::statistics::PartSample;

use super::failures::StoredFailure;
use super::joins::StoredJoin;
use super::values::time;

/// The few members of a part's detail that say how its making went.
#[derive(Deserialize)]
pub(crate) struct StoredMaking<'a> {
    /// Of what was not made.
    #[serde(default)]
    origin: Option<Cow<'a, str>>,
    #[serde(default)]
    join: Option<StoredJoin<'a>>,
    #[serde(default)]
    failure: Option<StoredFailure<'a>>,
    #[serde(default)]
    ready_at: Option<i64>,
    #[serde(default)]
    ended_at: Option<i64>,
}

impl StoredMaking<'_> {
    /// The part as a sample.
    pub(crate) fn into_sample(self, id: DatasetId, begun_at: Timestamp) -> Result<PartSample, String> {
        // One that is still being undone has failed since it was begun: nothing tells it better here.
        let failed_at = self.ended_at.map_or(begun_at, time);
        let failure = self.failure.map(StoredFailure::into_failure).transpose()?;
        Ok(PartSample {
            id,
            begun_at,
            ready_at: self.ready_at.map(time),
            // What joined from stock was made as another part, which says how.
            is_made: self.origin.is_none() && !matches!(self.join, Some(StoredJoin::From { .. })),
            failure: failure.map(|failure| (failure, failed_at)),
        })
    }
}
