//! What a part has to do with stock, as it is stored with it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sixpack_model::ids::DatasetId;
use sixpack_model::join::{Join, MadeAs};

use super::values::{ms, time};

/// What a part has to do with stock, as it is stored with it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredJoin<'a> {
    Sought(i64),
    From { dataset: Cow<'a, str>, seed: u64, unique: Cow<'a, str> },
    Into(Cow<'a, str>),
}

impl<'a> From<&'a Join> for StoredJoin<'a> {
    fn from(join: &'a Join) -> Self {
        match join {
            Join::Sought { until } => Self::Sought(ms(*until)),
            Join::From(made_as) => Self::From {
                dataset: made_as.dataset.to_string().into(),
                seed: made_as.seed,
                unique: made_as.unique.as_str().into(),
            },
            Join::Into(dataset) => Self::Into(dataset.to_string().into()),
        }
    }
}

impl StoredJoin<'_> {
    pub(crate) fn into_join(self) -> Result<Join, String> {
        let read = |dataset: Cow<'_, str>| dataset.parse::<DatasetId>().map_err(|error| error.to_string());
        Ok(match self {
            Self::Sought(until) => Join::Sought { until: time(until) },
            Self::From { dataset, seed, unique } => {
                Join::From(MadeAs { dataset: read(dataset)?, seed, unique: unique.into_owned() })
            }
            Self::Into(dataset) => Join::Into(read(dataset)?),
        })
    }
}
