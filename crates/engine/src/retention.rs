//! Retention: what has ended goes after a while, a little at a time.
//!
//! ```text
//! resting --ten minutes--> leases -> datasets -> requests -> sessions -> events -> resting
//! ```
//!
//! A pass is cut into looks of a few seconds, and a look into steps of some milliseconds with a pause behind each, so that whoever
//! waits for the store hardly notices. Where a pass stands is in memory only: a new server begins anew, and finds what is left.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sixpack_model::ids::{LeaseId, RequestId, SessionId, TreeId};
use tokio::sync::Mutex;

use crate::Engine;
use crate::refusal::Refusal;

/// How many rows one step looks at: some milliseconds, also when all of them go.
const PAGE: u32 = 100;

/// How many events go with one step, on a store that takes them away one by one.
const EVENTS: u32 = 2_000;

/// How long one look may take: a server that is stopped waits for it.
const LOOK: Duration = Duration::from_secs(2);

/// How long whoever else writes is left alone behind a step, as a multiple of what the step took: pruning gets a third of the
/// writer at most.
const PAUSES: u32 = 2;

/// Between the beginnings of two passes. What is kept for days may stay for minutes longer.
const PASS_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Datasets that are gone or failed, their leases and requests; `None` for ever. As long as it is kept, a dataset can be looked
    /// at, and asked for again.
    pub datasets: Option<Duration>,
    /// Events; `None` for ever.
    pub events: Option<Duration>,
    /// Sessions of suppliers; `None` for ever.
    pub sessions: Option<Duration>,
}

impl Default for Retention {
    /// A month, to look back at the last releases; a week for sessions, of which nothing else depends.
    fn default() -> Self {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        Self { datasets: days(30), events: days(30), sessions: days(7) }
    }
}

/// Where a pass stands.
#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    #[default]
    Resting,
    Leases(Option<LeaseId>),
    Trees(Option<TreeId>),
    Requests(Option<RequestId>),
    Sessions(Option<SessionId>),
    Events,
}

impl Stage {
    /// What comes when there is nothing left of this one, or it has to wait for the next pass.
    fn following(self) -> Self {
        match self {
            Self::Leases(_) => Self::Trees(None),
            Self::Trees(_) => Self::Requests(None),
            Self::Requests(_) => Self::Sessions(None),
            Self::Sessions(_) => Self::Events,
            Self::Events | Self::Resting => Self::Resting,
        }
    }
}

/// The pass that is under way, and when the next one begins.
#[derive(Default)]
pub(crate) struct PrunePass(Mutex<(Stage, Option<Timestamp>)>);

impl Engine {
    /// Goes on with a pass, or begins one when it is time.
    pub(crate) async fn prune(&self) -> Result<(), Refusal> {
        let mut pass = self.inner.prune_pass.0.lock().await;
        let (stage, next_at) = &mut *pass;
        if matches!(stage, Stage::Resting) {
            let now = self.store().now().await?;
            if next_at.is_some_and(|next_at| now < next_at) {
                return Ok(());
            }
            *next_at = Some(now + PASS_EVERY);
            self.store().make_room_for_events().await?;
            *stage = Stage::Leases(None);
        }
        let until = Instant::now() + LOOK;
        while !matches!(stage, Stage::Resting) && Instant::now() < until {
            let begun = Instant::now();
            match self.prune_step(*stage).await {
                Ok(next) => *stage = next,
                Err(error) => {
                    // What cannot be taken away now keeps nothing else from it.
                    *stage = stage.following();
                    return Err(error);
                }
            }
            tokio::time::sleep(begun.elapsed() * PAUSES).await;
        }
        Ok(())
    }

    /// Takes a little away; returns where to go on.
    async fn prune_step(&self, stage: Stage) -> Result<Stage, Refusal> {
        let Retention { datasets, events, sessions } = self.inner.settings.retention;
        let store = self.store();
        Ok(match stage {
            Stage::Resting => Stage::Resting,
            Stage::Leases(after) => match datasets {
                Some(keep) => {
                    let pruned = store.prune_leases(ms(keep), after, PAGE).await?;
                    pruned.next.map_or(stage.following(), |last| Stage::Leases(Some(last)))
                }
                None => Stage::Sessions(None),
            },
            Stage::Trees(after) => match datasets {
                Some(keep) => {
                    let pruned = store.prune_trees(ms(keep), after, PAGE).await?;
                    self.inner.trees.forget(&pruned.gone);
                    pruned.next.map_or(stage.following(), |last| Stage::Trees(Some(last)))
                }
                None => Stage::Sessions(None),
            },
            Stage::Requests(after) => match datasets {
                Some(keep) => {
                    let pruned = store.prune_requests(ms(keep), after, PAGE).await?;
                    pruned.next.map_or(stage.following(), |last| Stage::Requests(Some(last)))
                }
                None => Stage::Sessions(None),
            },
            Stage::Sessions(after) => match sessions {
                Some(keep) => {
                    let pruned = store.prune_sessions(ms(keep), after, PAGE).await?;
                    pruned.next.map_or(stage.following(), |last| Stage::Sessions(Some(last)))
                }
                None => Stage::Events,
            },
            Stage::Events => match events {
                Some(keep) if store.prune_events(ms(keep), EVENTS).await? => Stage::Events,
                _ => Stage::Resting,
            },
        })
    }

    /// Whether events behind a place were taken away that whoever stands there has not seen. The very beginning is the oldest that
    /// there is.
    pub async fn has_missed_events(&self, after: u64) -> Result<bool, Refusal> {
        Ok(after > 0 && after < self.store().events_gone().await?)
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
