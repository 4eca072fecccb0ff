//! Turns: which writes of this process are under way, so that a claim can wait for those that came before it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Numbers of the writes that are under way, in the order of their first polls.
#[derive(Default)]
pub(super) struct Turns {
    // Every write under way belongs to one waiting caller, and callers are limited before they come here.
    under_way: Mutex<UnderWay>,
    ended: Notify,
}

#[derive(Default)]
struct UnderWay {
    last: u64,
    numbers: BTreeSet<u64>,
}

/// A write that is under way, until this is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// Takes the next number.
    pub(super) fn take(self: &Arc<Self>) -> Turn {
        let mut under_way = self.lock();
        under_way.last += 1;
        let number = under_way.last;
        under_way.numbers.insert(number);
        drop(under_way);
        Turn { turns: Arc::clone(self), number }
    }

    /// The number of the last write that has come.
    pub(super) fn last(&self) -> u64 {
        self.lock().last
    }

    /// Returns when every write up to this number has ended.
    pub(super) async fn until(&self, number: u64) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // From here on no end is missed, also one before the wait begins.
            ended.as_mut().enable();
            if self.lock().numbers.first().is_none_or(|first| *first > number) {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().numbers.remove(&self.number);
        self.turns.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_claim_waits_for_the_writes_before_it_and_for_no_other() {
        let turns = Arc::new(Turns::default());
        let (first, second) = (turns.take(), turns.take());
        let last = turns.last();
        let third = turns.take();
        let waiting = turns.until(last);
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(second);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(first);
        assert!(futures::poll!(&mut waiting).is_ready());
        drop(third);
    }

    #[tokio::test]
    async fn nothing_is_waited_for_when_nothing_is_under_way() {
        let turns = Arc::new(Turns::default());
        drop(turns.take());
        turns.until(turns.last()).await;
    }
}
