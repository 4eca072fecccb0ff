//! What can go wrong with a store itself; refusals are outcomes of the methods, not errors.

/// A store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room left; nothing was changed and reads go on.
    #[error("the store is full: free some disk space; nothing was changed")]
    Full,
    /// Another server owns the data folder.
    #[error("the data folder is in use by another server: {path}")]
    InUse {
        /// The lock file.
        path: String,
    },
    /// What is stored is not ours, or not of a version that this build can read.
    #[error("this is not a store that this build can open: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// Reading or writing failed: the store can no longer be trusted and the process has to end.
    #[error("the store failed while {doing}")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database cannot be reached, or did not do it in time. Nothing was changed; it may be tried again.
    #[error("the database could not be used while {doing}; nothing was changed")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database was lost between being told to commit and saying that it has: whether it was done is not known.
    #[error("the database's answer was lost while {doing}: it may have been done, or not")]
    Unanswered {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}
