//! Waiting for a request: until it ends, or until there is news of it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use sixpack_model::ids::RequestId;
use sixpack_model::lease::Lease;
use sixpack_model::request::{Request, RequestStatus};
use sixpack_model::tree::Tree;
use sixpack_storage::StoreError;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::RequestView;
use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::watch::Watching;

/// Whoever waits for a request reads it again after this long even if nothing woke it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A request that was accepted, now or by an earlier call; its end is watched for as long as this lives.
pub struct Made {
    /// The request.
    pub id: RequestId,
    /// True when the same call had made it before.
    pub replayed: bool,
    /// The request as it was written just now, when nothing of it can have ended with that.
    pub(super) open: Option<Request>,
    /// What it was given, when everything was in stock.
    pub(super) fulfilled: Option<Fulfilment>,
    pub(super) watching: Watching<RequestId, Fulfilment>,
}

/// What the write that fulfils a request leaves to be told.
#[derive(Debug, Clone)]
pub(crate) struct Fulfilment {
    pub(crate) revision: u64,
    pub(crate) leases: Vec<Lease>,
}

impl Engine {
    /// Waits until a request that was made has ended, or the time is up; answers how it stands then.
    pub async fn wait_for_made(
        &self,
        caller: &Caller,
        made: &Made,
        wait: Duration,
    ) -> Result<RequestView, Refusal> {
        let until = Instant::now() + wait;
        if let (Some(open), Some(fulfilment)) = (&made.open, &made.fulfilled) {
            return self.fulfilled(open, fulfilment).await;
        }
        if let Some(open) = made.open.as_ref().filter(|_| !wait.is_zero()) {
            let news = made.watching.next();
            if made.watching.news().is_none() {
                let _ = tokio::time::timeout_at(until.min(Instant::now() + LOOK_AGAIN), news).await;
            }
            if let Some(fulfilment) = made.watching.news() {
                return self.fulfilled(open, fulfilment).await;
            }
        }
        self.wait_until(caller, made.id, until, || made.watching.next(), Request::has_ended).await
    }

    /// Reads a request once it has ended, or has a revision above `after` if that is given, or the time is up.
    pub async fn wait_for_request(
        &self,
        caller: &Caller,
        id: RequestId,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<RequestView, Refusal> {
        let until = Instant::now() + wait;
        match after {
            None => {
                let watching = self.inner.ended.watch(id);
                self.wait_until(caller, id, until, || watching.next(), Request::has_ended).await
            }
            Some(after) => {
                let watching = self.inner.requests.watch(id);
                let changed = |request: &Request| request.has_ended() || request.revision > after;
                self.wait_until(caller, id, until, || watching.next(), changed).await
            }
        }
    }

    /// Reads a request again with each wake-up, until it is as wished or the time is up.
    async fn wait_until(
        &self,
        caller: &Caller,
        id: RequestId,
        until: Instant,
        next: impl Fn() -> OwnedNotified,
        wished: impl Fn(&Request) -> bool,
    ) -> Result<RequestView, Refusal> {
        loop {
            // Listening begins before looking: a change in between is not missed.
            let news = next();
            let request = self.visible_request(caller, id).await?;
            if wished(&request) || Instant::now() >= until {
                return self.view(request).await;
            }
            // Woken or not, it is read again.
            let _ = tokio::time::timeout_at(until.min(Instant::now() + LOOK_AGAIN), news).await;
        }
    }

    /// A request as the write that fulfilled it has left it.
    async fn fulfilled(&self, open: &Request, fulfilment: &Fulfilment) -> Result<RequestView, Refusal> {
        let Fulfilment { revision, leases } = fulfilment.clone();
        let request = Request {
            status: RequestStatus::Fulfilled,
            revision,
            ready: open.units.len() as u32,
            ended_at: leases.first().map(|lease| lease.granted_at),
            ..open.clone()
        };
        match self.trees_under(&leases).await? {
            Some(trees) => self.view_with_trees(request, leases, trees).await,
            None => self.view_with(request, leases).await,
        }
    }

    /// The trees under leases that were granted a moment ago, as they were then or later; `None` when one has gone elsewhere.
    async fn trees_under(&self, leases: &[Lease]) -> Result<Option<Vec<Arc<Tree>>>, Refusal> {
        let read = |lease: &Lease| {
            let (tree, id) = (lease.tree, lease.id);
            async move {
                match self.inner.trees.under_lease(tree, id) {
                    Some(known) => Ok(Some(known)),
                    None => Ok::<_, StoreError>(self.store().load_tree(tree).await?.map(Arc::new)),
                }
            }
        };
        let trees = try_join_all(leases.iter().map(read)).await?.into_iter().zip(leases);
        let theirs =
            |(tree, lease): (Option<Arc<Tree>>, &Lease)| tree.filter(|tree| tree.request == lease.request);
        Ok(trees.map(theirs).collect())
    }
}
