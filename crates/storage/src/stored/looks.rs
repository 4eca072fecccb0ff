//! Looks: lists go backwards through an index, compare what the index does not tell, and stop after a bounded number of rows.

use crate::page::{LOOK, Listed};

/// A way through an index, newest first, and what has to hold of a row besides.
pub(crate) struct Source<V> {
    /// The columns of the key, with the table's short name.
    pub(crate) keys: &'static str,
    /// Tables, and the conditions that the index answers.
    from: String,
    /// The key in the order of the list.
    pub(crate) order: &'static str,
    /// What is compared row by row.
    matches: Vec<String>,
    pub(crate) values: Vec<V>,
    /// How many of the values, the first, belong to the way itself.
    bound: usize,
    /// What stands before the number of a value.
    mark: char,
}

impl<V> Source<V> {
    pub(crate) fn new(mark: char, keys: &'static str, order: &'static str) -> Self {
        Self { keys, from: String::new(), order, matches: Vec::new(), values: Vec::new(), bound: 0, mark }
    }

    /// Takes a value; returns its place in the statement.
    pub(crate) fn value(&mut self, value: V) -> String {
        self.values.push(value);
        format!("{}{}", self.mark, self.values.len())
    }

    /// Says where the rows come from: tables, and the conditions that the index answers. The values of these come before others.
    pub(crate) fn come_from(&mut self, from: String) {
        self.bound = self.values.len();
        self.from = from;
    }

    pub(crate) fn from(&self) -> &str {
        &self.from
    }

    /// The values that the way itself has.
    pub(crate) fn values_of_the_way(&self) -> &[V] {
        &self.values[..self.bound]
    }

    /// Adds a condition that is compared row by row.
    pub(crate) fn matching(&mut self, condition: impl Into<String>) {
        self.matches.push(condition.into());
    }

    /// All of these conditions as one.
    pub(crate) fn matches(&self) -> String {
        if self.matches.is_empty() { "1 = 1".to_owned() } else { self.matches.join(" AND ") }
    }
}

/// What came of going through one index.
pub(crate) struct Look<K> {
    /// Keys that were found, newest first.
    pub(crate) keys: Vec<K>,
    /// The last key that was looked at, when the index goes on behind it.
    pub(crate) ended_at: Option<K>,
}

/// Puts several looks together, each of which found at most `limit` keys: what is newer than where the first of them stopped
/// was found by all.
pub(crate) fn together<K: Copy + Ord>(looks: Vec<Look<K>>, limit: usize) -> Listed<K, K> {
    let next = looks.iter().filter_map(|look| look.ended_at).max();
    let mut rows: Vec<K> = looks.into_iter().flat_map(|look| look.keys).collect();
    rows.retain(|key| next.is_none_or(|next| *key >= next));
    rows.sort_unstable_by(|one, other| other.cmp(one));
    if rows.len() <= limit {
        return Listed { rows, next };
    }
    rows.truncate(limit);
    let next = rows.last().copied();
    Listed { rows, next }
}

/// Rows of an index that a look goes through, when a page goes through so many.
pub(crate) fn rows_of_each(sources: usize) -> usize {
    (LOOK as usize / sources.max(1)).max(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(keys: &[u32], ended_at: Option<u32>) -> Look<u32> {
        Look { keys: keys.to_vec(), ended_at }
    }

    #[test]
    fn a_page_ends_where_the_first_look_has_stopped() {
        let listed = |looks: Vec<Look<u32>>, limit| {
            let listed = together(looks, limit);
            (listed.rows, listed.next)
        };
        assert_eq!(listed(vec![], 3), (vec![], None));
        assert_eq!(listed(vec![look(&[9, 5], None), look(&[7], None)], 3), (vec![9, 7, 5], None));
        assert_eq!(listed(vec![look(&[9, 5], None), look(&[7, 4], None)], 3), (vec![9, 7, 5], Some(5)));
        // The first was not looked at behind 8: what the second found there may not be the next.
        assert_eq!(listed(vec![look(&[9], Some(8)), look(&[7], None)], 3), (vec![9], Some(8)));
        assert_eq!(listed(vec![look(&[], Some(8)), look(&[], Some(2))], 3), (vec![], Some(8)));
        assert_eq!(listed(vec![look(&[9, 8, 7], Some(7)), look(&[], None)], 3), (vec![9, 8, 7], Some(7)));
    }
}
