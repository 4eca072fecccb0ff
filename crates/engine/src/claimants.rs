//! Claimants: suppliers that have a task from the write that makes it ready, where a store does so.
//!
//! Over a store that others use as well a claim is a transaction of its own, and whoever writes says for whom it would be. What is not
//! claimed with the write is claimed behind it, as everywhere.

use futures::future::join_all;
use sixpack_storage::StoreError;
use sixpack_storage::tasks::{Claimant, Claimed, Claims};

use crate::Engine;
use crate::parked::Poller;
use crate::successors::Successors;
use crate::trees::{Offered, Offers};

impl Engine {
    /// Submits a write, with who would claim what it makes ready, and behind it a claim for each supplier that can have more.
    pub(crate) async fn commit_claiming<T, W>(
        &self,
        write: impl FnOnce(Vec<Claimant>) -> W,
        offers: Offers,
        successors: &Successors,
    ) -> (Result<T, StoreError>, Vec<Offered>)
    where
        W: Future<Output = Result<(T, Vec<Claimed>), StoreError>>,
    {
        let Offers { pollers, tasks, claimants } = offers;
        let (written, mut claimed) = match write(claimants.clone()).await {
            Ok((written, claimed)) => (Ok(written), claimed),
            Err(error) => {
                if matches!(error, StoreError::Unanswered { .. }) {
                    self.return_unanswered(&claimants).await;
                }
                (Err(error), Vec::new())
            }
        };
        let is_left = tasks.iter().any(|offer| !claimed.iter().any(|one| one.claim.task == offer.task));
        let claims: Vec<_> = pollers
            .into_iter()
            .map(|poller| {
                // A call that is parked has room for what others were promised on behalf of its session.
                let offered = |one: &Claimed| {
                    one.claim.session == poller.session
                        && tasks.iter().any(|offer| offer.task == one.claim.task)
                };
                let mut given = Vec::new();
                while given.len() < poller.max as usize
                    && let Some(place) = claimed.iter().position(offered)
                {
                    given.push(claimed.swap_remove(place));
                }
                self.claim_more(poller, given, is_left)
            })
            .collect();
        successors.claimed(claimed);
        let offered = join_all(claims).await;
        self.leave_what_nobody_took(tasks, offered.iter().map(|(_, claims)| claims));
        (written, offered)
    }

    /// What a supplier gets that was offered tasks: those that it has, and more if something is left and it has room.
    async fn claim_more(&self, poller: Poller, given: Vec<Claimed>, is_left: bool) -> Offered {
        if poller.is_returning() {
            return (poller, Ok(Claims::Given { tasks: given, next_at: None, exhausted: false }));
        }
        if given.is_empty() {
            let claims = self.claim_in_store(poller.session, poller.max).await;
            return (poller, claims);
        }
        let mut tasks = given;
        let room = poller.max.saturating_sub(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
        if is_left && room > 0 {
            // What went wrong with it the next claim tells the supplier itself.
            if let Ok(Claims::Given { tasks: more, .. }) = self.claim_in_store(poller.session, room).await {
                tasks.extend(more);
            }
        }
        (poller, Ok(Claims::Given { tasks, next_at: None, exhausted: false }))
    }

    /// Gives back what may have been claimed by a write of which nobody knows whether it was done: nobody was told of these tasks, and
    /// their sessions are at work.
    async fn return_unanswered(&self, claimants: &[Claimant]) {
        for (task, session) in claimants {
            let returned = async {
                let mut claims = self.store().claims_of(*session).await?;
                claims.retain(|claim| claim.task == *task);
                if claims.is_empty() { Ok(()) } else { self.store().return_claims(&claims).await }
            };
            if let Err(error) = returned.await {
                // The next heartbeat that does not name it brings it back.
                tracing::warn!(%task, %error, "a task may be claimed by a write whose answer was lost");
            }
        }
    }
}
