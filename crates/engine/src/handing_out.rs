//! Handing out: what is claimed reaches those who are parked for it, or goes back.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use sixpack_model::ids::SessionId;
use sixpack_model::tree::Claim;
use sixpack_storage::tasks::Claims;

use crate::Engine;
use crate::assignment::Assignment;
use crate::parked::{Delivery, Given, KEPT_FOR, Queue};
use crate::trees::{Offered, Offers};

impl Engine {
    /// Gives what parked suppliers were offered to them; what nobody takes any more goes back.
    pub(crate) async fn hand_out(&self, offered: Vec<Offered>) {
        for (poller, claims) in offered {
            let session = poller.session;
            let given = match claims {
                Ok(Claims::Given { tasks, .. }) if !tasks.is_empty() => {
                    Given::Tasks(self.assignments(tasks).await)
                }
                // Asking again tells the supplier itself what is wrong.
                Ok(_) | Err(_) => Given::Nothing,
            };
            match self.inner.parked.give(poller, given) {
                Ok(Delivery::Kept) => self.see_collected(session),
                Err(Given::Tasks(tasks)) => self.give_back(session, &tasks).await,
                Ok(Delivery::Arrived) | Err(_) => {}
            }
        }
    }

    /// Sees to it that what is kept for a session goes back if nobody asks for it.
    fn see_collected(&self, session: SessionId) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT_FOR).await;
            if let Some(inner) = inner.upgrade() {
                let uncollected = inner.parked.take_uncollected(session);
                if !uncollected.is_empty() {
                    Self { inner }.give_back(session, &uncollected).await;
                }
            }
        });
    }

    /// Offers a queue's tasks to a supplier that is parked for it, here or elsewhere.
    pub(crate) async fn offer(&self, queue: &Queue) {
        let pollers = self.inner.parked.take(queue, 1);
        if pollers.is_empty() {
            self.tell_task(queue);
            return;
        }
        let offers = Offers::to(pollers);
        let ((), offered) = self.commit_with_offers(std::future::ready(()), offers).await;
        self.hand_out(offered).await;
    }

    /// The same on its own.
    pub(crate) fn offer_soon(&self, queue: Queue) {
        if self.inner.parked.waits(&queue) {
            tokio::spawn(self.clone().offer_later(queue));
        } else {
            self.tell_task(&queue);
        }
    }

    /// Offers so many tasks that another server has left to those who are parked here.
    pub(crate) fn offer_what_others_left(&self, queue: &Queue, tasks: u32) {
        let pollers = self.inner.parked.take(queue, tasks as usize);
        if pollers.is_empty() {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            let ((), offered) = engine.commit_with_offers(std::future::ready(()), Offers::to(pollers)).await;
            engine.hand_out(offered).await;
        });
    }

    /// Boxed, because offering may give back, and giving back offers.
    fn offer_later(self, queue: Queue) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.offer(&queue).await })
    }

    /// Offers the queue's tasks once they are due.
    pub(crate) fn remind(&self, queue: Queue, now: Timestamp, at: Timestamp) {
        let pause = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        // A pause may last a day; it must not keep the store of an engine open that nobody uses any more.
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(inner) = inner.upgrade() {
                Self { inner }.offer(&queue).await;
            }
        });
    }

    /// Gives tasks back that never reached their supplier.
    pub(crate) async fn give_back(&self, session: SessionId, tasks: &[Assignment]) {
        let claims: Vec<Claim> =
            tasks.iter().map(|task| Claim { task: task.task, attempt: task.attempt, session }).collect();
        if let Err(error) = self.store().return_claims(&claims).await {
            // The heartbeat of the session does not name them, and brings them back.
            return tracing::warn!(%error, "tasks that nobody took could not be given back at once");
        }
        for task in tasks {
            let Ok(Some(tree)) = self.tree(task.task.tree).await else {
                self.inner.parked.leave_everywhere();
                continue;
            };
            let queue = Queue::of(&tree, &task.contract, task.version);
            self.inner.parked.leave([&queue]);
            // Not awaited: whoever is offered them may give them back in turn.
            self.offer_soon(queue);
        }
    }
}
