//! Health: which store it is, and whether it gets on. Answered from memory, so that nobody waits for a database here.

use std::time::Duration;

/// What is behind the traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// A file of this machine.
    Sqlite,
    /// A database that many servers share.
    Postgres,
}

impl StoreKind {
    /// Its word in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// Tells of the store itself.
pub trait Health: Send + Sync {
    /// What is behind the traits.
    fn kind(&self) -> StoreKind;

    /// The version of the schema that this build writes.
    fn schema_version(&self) -> u32;

    /// How long the one who writes has been at what it does now; zero while nothing waits for it, and for a store where
    /// writing is not the matter of one.
    fn writing_for(&self) -> Duration;
}
