//! Pages: lists are read in key order, a bounded number of rows at a time.

/// Which rows of a list to read.
#[derive(Debug, Clone)]
pub struct Page<K> {
    /// Continue behind this key; `None` begins.
    pub after: Option<K>,
    /// At most so many rows.
    pub limit: u32,
}

impl<K> Page<K> {
    /// The first rows of a list.
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }
}

/// A page of a list with filters.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<R, K> {
    /// What was found, at most as much as was asked for.
    pub rows: Vec<R>,
    /// Behind which key the list goes on; `None` at its end.
    ///
    /// What no index tells is compared row by row, and a page looks at no more than [`LOOK`] rows of each index that it
    /// goes through: it may hold fewer rows than were asked for, even none, and have a next page all the same.
    pub next: Option<K>,
}

/// Rows that a page of a list looks at for those that its filters leave: some ten milliseconds.
pub const LOOK: u32 = 5_000;

impl<R, K> Listed<R, K> {
    /// A list without rows.
    pub fn empty() -> Self {
        Self { rows: Vec::new(), next: None }
    }
}
