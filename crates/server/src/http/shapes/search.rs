//! Searches for existing data as they are shown.

use serde::Serialize;
use sixpack_model::find::Search;
use utoipa::ToSchema;

use super::word::{WhyGivenUpWord, Word};

/// How existing data was looked for.
#[derive(Serialize, ToSchema)]
#[schema(as = Search)]
pub(in crate::http) struct SearchJson<'a> {
    /// How often the supplier was asked.
    asked: u32,
    /// Why it was made after all; absent while it is looked for, and when it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<GivenUpJson<'a>>,
}

/// Why nothing was found.
#[derive(Serialize, ToSchema)]
#[schema(as = GivenUp)]
struct GivenUpJson<'a> {
    #[schema(inline)]
    code: WhyGivenUpWord,
    message: &'a str,
}

impl<'a> From<&'a Search> for SearchJson<'a> {
    fn from(search: &'a Search) -> Self {
        let given_up = search.given_up.as_ref();
        let given_up =
            given_up.map(|given_up| GivenUpJson { code: Word(given_up.why), message: &given_up.message });
        Self { asked: search.asked, given_up }
    }
}
