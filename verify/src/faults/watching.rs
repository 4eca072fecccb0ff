//! Watching: somebody looks at the stock and at the servers' own counts at random moments, while everything is struck.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::journal::{Act, Call, Journal};
use crate::api::Api;

/// So much time goes by between two looks, in milliseconds.
const LOOK_MS: std::ops::Range<u64> = 20..150;

/// Who looks, in the history: behind all consumers.
const WATCHER: usize = 1_000;

/// What a server counts of writes that it carried out again.
const RETRIES: &str = "sixpack_store_retries_total";

/// Looks until it is told to stop.
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    retries: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watcher {
    /// Looks at the rule through any of these servers, and at the counts of each at its own address.
    pub(crate) fn start(
        servers: Vec<Api>,
        counting: Vec<Api>,
        rule: &'static str,
        journal: &Journal,
    ) -> Self {
        let (stop, retries) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let looks = Looks { servers, rule, journal: journal.clone(), random: rng() };
        let counts = Counts { servers: counting.into_iter().map(|api| (api, 0)).collect(), random: rng() };
        let tasks = vec![
            tokio::spawn(looks.go_on(Arc::clone(&stop))),
            tokio::spawn(counts.go_on(Arc::clone(&stop), Arc::clone(&retries))),
        ];
        Self { stop, retries, tasks }
    }

    /// Stops looking; returns how many writes were seen to be carried out again. What a server has counted since it was last looked at
    /// before it was killed is not known.
    pub(crate) async fn stop(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await?;
        }
        Ok(self.retries.load(Ordering::SeqCst))
    }
}

fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed(fastrand::u64(..))
}

struct Looks {
    servers: Vec<Api>,
    rule: &'static str,
    journal: Journal,
    random: fastrand::Rng,
}

impl Looks {
    async fn go_on(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            let server = self.random.usize(..self.servers.len());
            let begun_us = self.journal.now_us();
            let reply = self.servers[server].look(self.rule).await;
            let subject = self.rule.to_owned();
            let call = Call {
                consumer: WATCHER,
                act: Act::LookAtStock,
                subject,
                fence: None,
                outcome: None,
                server,
            };
            self.journal.note(call, begun_us, &reply);
            tokio::time::sleep(Duration::from_millis(self.random.u64(LOOK_MS))).await;
        }
    }
}

struct Counts {
    /// Each server, with what it had counted when it was last looked at.
    servers: Vec<(Api, u64)>,
    random: fastrand::Rng,
}

impl Counts {
    async fn go_on(mut self, stop: Arc<AtomicBool>, retries: Arc<AtomicU64>) {
        while !stop.load(Ordering::SeqCst) {
            for (api, seen) in &mut self.servers {
                // One that is away or stands still is looked at later.
                if let Some(now) = api.text("/metrics").await.ok().and_then(|text| counted(&text, RETRIES)) {
                    retries.fetch_add(more(*seen, now), Ordering::SeqCst);
                    *seen = now;
                }
            }
            tokio::time::sleep(Duration::from_millis(self.random.u64(LOOK_MS))).await;
        }
    }
}

/// What was counted beyond what had been seen: a server that was started again begins anew.
fn more(seen: u64, now: u64) -> u64 {
    if now < seen { now } else { now - seen }
}

/// A count without labels, from a page of metrics.
fn counted(page: &str, name: &str) -> Option<u64> {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_from_a_page_and_goes_on_over_the_lives_of_a_server() {
        let page = "# TYPE sixpack_store_retries_total counter\nsixpack_store_retries_total 12\nother 3\n";
        assert_eq!(counted(page, RETRIES), Some(12));
        assert_eq!(counted("", RETRIES), None);
        assert_eq!((more(10, 12), more(10, 4)), (2, 4));
    }
}
