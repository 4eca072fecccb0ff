//! Wake-ups: what servers of one store tell each other, so that who waits need not wait for the next look.
//!
//! A wake-up is a hint. It may be lost, doubled or late, and nobody depends on one: whoever waits looks again by itself, and
//! what a wake-up says is held against the store.

use std::sync::Arc;

use async_trait::async_trait;
use sixpack_model::ids::{RequestId, SessionId, TreeId};

/// What has happened, as far as others may wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wakeup {
    /// A task is ready, and nobody waits for it here.
    Task {
        /// Where.
        environment: Arc<str>,
        /// The capability, `domain/name`.
        contract: Arc<str>,
        /// Set for the queue of a supplier under development.
        channel: Option<Arc<str>>,
    },
    /// A request has changed.
    Request(RequestId),
    /// A tree has this version.
    Tree(TreeId, u64),
    /// A session takes no tasks any more.
    Session(SessionId),
    /// A catalogue has changed, or its stock rules.
    Catalogue,
    /// There are new lines of stock.
    Lines,
    /// A token was taken back.
    Tokens,
    /// Something was told.
    Events,
    /// Anything may have happened: what was told for a while was not heard.
    Anything,
}

/// How far a wake-up of this server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// There are no other servers, and never will be.
    Alone,
    /// There may be others, and what they tell is not heard for certain.
    Doubtful,
    /// There may be others, and a wake-up was heard a moment ago.
    Proven,
}

/// Tells and hears wake-ups.
#[async_trait]
pub trait Wakeups: Send + Sync {
    /// How far a wake-up gets.
    fn reach(&self) -> Reach;

    /// How many servers share the store, this one among them, as was seen some seconds ago; one as long as nobody has looked.
    fn servers(&self) -> u32;

    /// Tells all other servers of the store. Returns at once: what is told together goes on its way together, a few milliseconds
    /// later.
    fn tell(&self, wakeup: Wakeup);

    /// Waits for what other servers have told; returns it with how often each was told since this was last asked.
    async fn heard(&self) -> Vec<(Wakeup, u32)>;
}
