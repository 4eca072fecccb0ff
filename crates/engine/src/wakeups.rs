//! Wake-ups between servers of one store: what happens here is told to those who wait elsewhere, and the other way round.
//!
//! What is heard is a hint like every wake-up. What must be right, whatever another server has done a moment ago, is read from the
//! store: trees that are shown, catalogues that are decided by. What is remembered of them serves only decisions that the store
//! guards by a version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sixpack_model::ids::{RequestId, TreeId};
use sixpack_storage::StoreError;
use sixpack_storage::wakeups::{Reach, Wakeup};
use tokio::sync::Mutex;

use crate::Engine;
use crate::parked::Queue;

/// Whoever is parked looks again after this long even if nothing woke it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The same while what other servers tell is heard for certain: a server may be killed between its write and its wake-up.
const LOOK_AGAIN_PROVEN: Duration = Duration::from_secs(5);

/// Looks at what other servers may have changed, shared by all who want to know at the same time.
#[derive(Default)]
pub(crate) struct Looks {
    begun: AtomicU64,
    /// The number of the last look that came to its end.
    ended: Mutex<u64>,
}

impl Looks {
    /// Looks, unless somebody does so who begins from now on.
    pub(crate) async fn look<E>(&self, look: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut ended = self.ended.lock().await;
        if *ended > before {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        look.await?;
        *ended = number;
        Ok(())
    }
}

impl Engine {
    /// Whether this is the only server of its store, so that what it remembers is what there is.
    pub(crate) fn is_alone(&self) -> bool {
        self.store().reach() == Reach::Alone
    }

    /// After how long a parked call looks again by itself.
    pub(crate) fn look_again(&self) -> Duration {
        match self.store().reach() {
            Reach::Alone | Reach::Doubtful => LOOK_AGAIN,
            Reach::Proven => LOOK_AGAIN_PROVEN,
        }
    }

    /// Wakes those who wait for news of a request, here and elsewhere.
    pub(crate) fn wake_request(&self, id: RequestId) {
        self.inner.requests.wake(id);
        self.store().tell(Wakeup::Request(id));
    }

    /// Wakes those who wait for anything to be told, here and elsewhere.
    pub(crate) fn beat(&self) {
        self.inner.committed.beat();
        self.store().tell(Wakeup::Events);
    }

    /// The same behind a change of a catalogue.
    pub(crate) fn beat_published(&self) {
        self.beat();
        self.store().tell(Wakeup::Catalogue);
    }

    /// Tells that a tree has changed.
    pub(crate) fn tell_tree(&self, id: TreeId, version: u64) {
        self.store().tell(Wakeup::Tree(id, version));
    }

    /// Tells that there is a task that nobody here waits for.
    pub(crate) fn tell_task(&self, queue: &Queue) {
        if !self.is_alone() {
            self.store().tell(queue.wakeup());
        }
    }

    /// Sees to it that all catalogues are at least as new as this call.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        if self.is_alone() {
            return Ok(());
        }
        self.inner.looks.look(self.refresh_catalogues()).await
    }

    /// Waits for what other servers tell, and wakes whoever it concerns.
    pub async fn hear(&self) {
        for (wakeup, times) in self.store().heard().await {
            self.take_in(wakeup, times).await;
        }
    }

    async fn take_in(&self, wakeup: Wakeup, times: u32) {
        match wakeup {
            Wakeup::Task { environment, contract, channel } => {
                let queue = Queue::new(&environment, &contract, channel.as_ref());
                self.inner.parked.leave([&queue]);
                self.offer_what_others_left(&queue, times);
            }
            Wakeup::Request(id) => {
                self.inner.requests.wake(id);
                self.inner.ended.wake(id);
            }
            Wakeup::Tree(id, version) => self.inner.trees.forget_before(id, version),
            Wakeup::Session(id) => self.inner.parked.release(id),
            Wakeup::Catalogue => self.catch_up_with_news().await,
            Wakeup::Lines => self.inner.stock.tend_all(),
            Wakeup::Tokens => self.inner.tokens.forget_all(),
            Wakeup::Events => self.inner.committed.beat(),
            Wakeup::Anything => {
                self.inner.tokens.forget_all();
                self.inner.trees.forget_all();
                self.inner.requests.wake_all();
                self.inner.ended.wake_all();
                self.inner.committed.beat();
                self.catch_up_with_news().await;
                self.inner.stock.tend_all();
                self.inner.parked.leave_everywhere();
                self.inner.parked.wake_all();
            }
        }
    }

    async fn catch_up_with_news(&self) {
        if let Err(error) = self.catch_up().await {
            // The sweep comes by in any case.
            tracing::debug!(%error, "a catalogue that another server has changed could not be read yet");
        }
    }
}

impl Queue {
    fn wakeup(&self) -> Wakeup {
        let (environment, contract, channel) = self.parts();
        Wakeup::Task {
            environment: Arc::clone(environment),
            contract: Arc::clone(contract),
            channel: channel.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_serves_those_who_came_before_it_began_and_nobody_else() {
        let looks = Looks::default();
        let counted = AtomicU64::new(0);
        let look = || async {
            tokio::task::yield_now().await;
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, ()>(())
        };
        // The first begins at once, so that it may have missed what the others know of; one more serves them all.
        let all = [(); 8].map(|()| looks.look(look()));
        assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
        assert_eq!(counted.load(Ordering::SeqCst), 2);
        looks.look(look()).await.unwrap();
        assert_eq!(counted.load(Ordering::SeqCst), 3);
        looks.look(async { Err::<(), ()>(()) }).await.unwrap_err();
        looks.look(look()).await.unwrap();
        assert_eq!(counted.load(Ordering::SeqCst), 4, "a look that failed serves nobody");
    }
}
