//! Debts: effects that could not be undone, until somebody has looked after them.
//!
//! ```text
//! undoing --undo is exhausted--> debt --somebody resolves it--> gone
//! ```

use jiff::Timestamp;

/// That somebody has looked after an effect that could not be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedDebt {
    /// The name of the token that said so.
    pub by: String,
    /// What has become of it, in their words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}
