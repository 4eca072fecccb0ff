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
    /// What is stored is not ours.
    #[error("this is not a store that this build can open: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// What is stored was written by a newer build.
    #[error("this store is newer than this build: {reason}")]
    Newer {
        /// Which version was found, and which is known.
        reason: String,
    },
    /// What is stored is of an older version, and is to be brought up to date first.
    #[error("this store is older than this build: {reason}")]
    Older {
        /// Which version was found, and what to do.
        reason: String,
    },
    /// Somebody else is at it.
    #[error("the store is busy: {reason}")]
    Busy {
        /// Who is at what.
        reason: String,
    },
    /// It was put back to an earlier state while this server ran, which knows more than is true now: the process has to end.
    #[error("the store was restored while this server ran: what it remembers is not true any more")]
    Restored,
    /// The database is too old, or is set up so that it may lose what it acknowledges.
    #[error("this database cannot hold a store: {reason}")]
    Unsuitable {
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The database does not let us in, or does not let us do what a store needs.
    #[error("the database refused {doing}")]
    Denied {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store refused what it never refuses, or holds what cannot be read: the process has to end, and somebody to look.
    #[error("the store failed while {doing}")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Reading or writing failed, so that nobody knows what is on the disk: the process has to end, and the next one to recover.
    #[error("the disk failed while {doing}: what is on it is not known")]
    InDoubt {
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
    /// A commit was begun and not confirmed, because the database was lost or had no room to finish it: whether it is done is not
    /// known. Everything goes on.
    #[error("the commit was not confirmed while {doing}: it may have been done, or not")]
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

impl StoreError {
    /// Whether the store does nothing any more until the process has ended, and another has opened it.
    pub fn ends_process(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::InDoubt { .. } | Self::Restored)
    }
}
