//! Searches for existing data as they are stored with their part.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sixpack_model::find::{GivenUp, Search, WhyGivenUp};
use sixpack_model::schema::Entity;

/// How far a search has come.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredSearch<'a> {
    asked: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_up: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> From<&'a Search> for StoredSearch<'a> {
    fn from(search: &'a Search) -> Self {
        let refused = search.refused.iter();
        let refused = refused.map(|entity| (entity.kind.as_str().into(), entity.key.as_str().into()));
        let given_up = search.given_up.as_ref();
        let given_up =
            given_up.map(|given_up| (given_up.why.name().into(), given_up.message.as_str().into()));
        Self { asked: search.asked, refused: refused.collect(), given_up }
    }
}

impl StoredSearch<'_> {
    pub(crate) fn into_search(self) -> Result<Search, String> {
        let refused = self.refused.into_iter();
        let refused = refused.map(|(kind, key)| Entity { kind: kind.into_owned(), key: key.into_owned() });
        let read = |(why, message): (Cow<'_, str>, Cow<'_, str>)| {
            let unknown = || format!("{why} is no reason for which nothing is found");
            let why = WhyGivenUp::from_name(&why).ok_or_else(unknown)?;
            Ok::<_, String>(GivenUp { why, message: message.into_owned() })
        };
        let given_up = self.given_up.map(read).transpose()?;
        Ok(Search { asked: self.asked, refused: refused.collect(), given_up })
    }
}
