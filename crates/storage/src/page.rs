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
