//! Pages: lists are read behind a key, and a sealed cursor carries the key to the next call.

use std::str::FromStr;

use serde::Serialize;
use sixpack_engine::{Caller, Page};
use utoipa::ToSchema;

use crate::edge::cursor::{CursorScope, CursorSeal};
use crate::edge::problem::Problem;
use crate::edge::query::Limit;

/// Entries of a page when nobody says: a screen or two.
const LIMIT_DEFAULT: u32 = 100;

/// What the seal is made with. It keeps cursors of other lists, filters and tokens apart and guards no secret: who
/// forges one only begins a list that is theirs to read at another place.
const SEAL: &[u8] = b"sixpack page cursors";

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct PageJson<T> {
    /// At most `limit` entries; where filters have to be compared entry by entry, fewer or even none although there is a
    /// next page: only so many are looked at for one.
    items: Vec<T>,
    /// Where the next page begins; absent at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One list as one caller sees it with one set of filters.
pub(super) struct Listing<K> {
    endpoint: &'static str,
    scope: String,
    limit: usize,
    after: Option<K>,
}

impl<K: FromStr + Clone> Listing<K> {
    /// Begins or continues a list. Two calls belong together when endpoint, caller and filters are the same.
    pub(super) fn new(
        endpoint: &'static str,
        caller: &Caller,
        filters: &impl Serialize,
        limit: Option<Limit>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let filters = serde_json::to_string(filters).expect("filters are texts and numbers");
        let scope = format!("{} {filters}", caller.token);
        let limit = limit.map_or(LIMIT_DEFAULT, |limit| {
            u32::try_from(limit.get()).expect("the type of a limit keeps it small")
        });
        let mut listing = Self { endpoint, scope, limit: limit as usize, after: None };
        if let Some(cursor) = cursor {
            let position = CursorSeal::new(SEAL).open(listing.cursor_scope(), cursor)?;
            let key = String::from_utf8(position).ok().and_then(|position| position.parse().ok());
            listing.after = Some(key.ok_or_else(bad_cursor)?);
        }
        Ok(listing)
    }

    /// What to ask the engine for when it says itself where the list goes on.
    pub(super) fn page_as_shown(&self) -> Page<K> {
        Page { after: self.after.clone(), limit: self.limit as u32 }
    }

    /// What to ask the engine for: one more than is shown tells whether there is a next page.
    pub(super) fn page(&self) -> Page<K> {
        Page { after: self.after.clone(), limit: self.limit as u32 + 1 }
    }

    /// Takes the rows of this page out of a list that is in memory as a whole, in the order of the list.
    pub(super) fn cut<T>(&self, rows: Vec<T>, is_behind: impl Fn(&T, &K) -> bool) -> Vec<T> {
        let behind = rows
            .into_iter()
            .skip_while(|row| self.after.as_ref().is_some_and(|after| !is_behind(row, after)));
        behind.take(self.limit + 1).collect()
    }

    /// The answer: `rows` as they came, and the cursor behind the last one shown.
    pub(super) fn answer<'r, R, T>(
        &self,
        rows: &'r [R],
        key: impl Fn(&R) -> String,
        shape: impl Fn(&'r R) -> Option<T>,
    ) -> PageJson<T> {
        let shown = &rows[..rows.len().min(self.limit)];
        let next_cursor = match shown.last() {
            Some(last) if rows.len() > self.limit => Some(self.seal(&key(last))),
            _ => None,
        };
        PageJson { items: shown.iter().filter_map(shape).collect(), next_cursor }
    }

    /// The answer of a list that says itself where it goes on.
    pub(super) fn answer_as_found<T>(&self, items: Vec<T>, next: Option<K>) -> PageJson<T>
    where
        K: ToString,
    {
        PageJson { items, next_cursor: next.map(|key| self.seal(&key.to_string())) }
    }

    fn seal(&self, key: &str) -> String {
        CursorSeal::new(SEAL).seal(self.cursor_scope(), key.as_bytes())
    }

    fn cursor_scope(&self) -> CursorScope<'_> {
        CursorScope { endpoint: self.endpoint, filter: &self.scope }
    }
}

fn bad_cursor() -> Problem {
    Problem::unreadable(
        "bad_cursor",
        "The cursor is not one of this list; ask for the first page without a cursor.",
    )
}
