//! Lists: as many rows as were asked for, over as many pages as it takes.

use clap::Args;
use serde::Serialize;
use serde_json::json;
use sixpack::wire::Page;

use crate::fault::Fault;
use crate::printing::{Output, note};

/// The largest page that the server gives.
pub(crate) const PAGE_MAX: u32 = 1_000;

/// How a list is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct Listing {
    /// Most rows to show
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Rows of a list.
pub(crate) struct Rows<T> {
    rows: Vec<T>,
    /// Whether there are more than were asked for.
    more: bool,
}

impl Listing {
    /// Reads rows, newest first; `page` reads one page of at most that many rows from that cursor.
    pub(crate) async fn read<T>(
        &self,
        mut page: impl AsyncFnMut(u32, Option<String>) -> Result<Page<T>, sixpack::Error>,
    ) -> Result<Rows<T>, Fault> {
        let limit = self.limit as usize;
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let wanted = u32::try_from(limit - rows.len()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let read = page(wanted, cursor).await?;
            rows.extend(read.items);
            let more = read.next_cursor.is_some() || rows.len() > limit;
            rows.truncate(limit);
            if !more || rows.len() == limit {
                return Ok(Rows { rows, more });
            }
            cursor = read.next_cursor;
        }
    }

    /// Prints rows: as one JSON object, or as a table; `row` makes the cells.
    pub(crate) fn print<T: Serialize, const N: usize>(
        &self,
        output: &mut Output,
        rows: &Rows<T>,
        header: [&str; N],
        none: &str,
        row: impl Fn(&T) -> [String; N],
    ) -> Result<(), Fault> {
        self.print_with(output, rows, header, none, |one| (row(one), Vec::new()))
    }

    /// The same, with lines below a row; `row` makes the cells and these.
    pub(crate) fn print_with<T: Serialize, const N: usize>(
        &self,
        output: &mut Output,
        rows: &Rows<T>,
        header: [&str; N],
        none: &str,
        row: impl Fn(&T) -> ([String; N], Vec<String>),
    ) -> Result<(), Fault> {
        if self.json {
            return output.json(&json!({ "items": rows.rows, "more": rows.more }));
        }
        if rows.rows.is_empty() {
            note(none);
            return Ok(());
        }
        output.table_with(header, rows.rows.iter().map(row))?;
        if rows.more {
            note(format!("there are more than {}; see them with --limit", self.limit));
        }
        Ok(())
    }
}

/// What to write in place of a word that a filter does not know.
pub(crate) fn one_of(words: &[impl ToString]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    format!("write one of {}", words.join(", "))
}

/// An optional text, or a dash.
pub(crate) fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(count: usize, next_cursor: Option<&str>) -> Page<usize> {
        let rows: Vec<_> = (0..count).collect();
        serde_json::from_value(json!({ "items": rows, "next_cursor": next_cursor })).unwrap()
    }

    async fn read(limit: u32, pages: Vec<Page<usize>>) -> (usize, bool, usize) {
        let mut pages = pages.into_iter();
        let mut asked = 0;
        let rows = Listing { limit, json: false }
            .read(async |_, _| {
                asked += 1;
                Ok(pages.next().expect("no page is asked for after the last"))
            })
            .await
            .unwrap();
        (rows.rows.len(), rows.more, asked)
    }

    #[tokio::test]
    async fn pages_are_read_until_there_are_enough_rows_or_no_more_pages() {
        assert_eq!(read(10, vec![page(0, None)]).await, (0, false, 1));
        assert_eq!(read(10, vec![page(10, None)]).await, (10, false, 1));
        assert_eq!(read(10, vec![page(10, Some("a"))]).await, (10, true, 1));
        assert_eq!(read(10, vec![page(6, Some("a")), page(3, None)]).await, (9, false, 2));
        assert_eq!(read(10, vec![page(6, Some("a")), page(6, None)]).await, (10, true, 2));
    }
}
