//! Rechecks: datasets that stand are asked about again, each for its own reason.
//!
//! At hand-over, by patrol, after a change of their contract, when they come back, and when their holder wants to know.

use std::collections::{HashMap, HashSet};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::plan::Happened;
use sixpack_model::recheck::{Offline, Why};
use sixpack_model::request::Request;
use sixpack_model::tree::Tree;
use sixpack_storage::requests::{How, Served};
use sixpack_storage::stock::Stocked;
use sixpack_storage::trees::Guard;

use crate::Engine;
use crate::refusal::Refusal;
use crate::sweeps::Outcome;
use crate::trees::Changed;

/// How long the services are waited for at hand-over: a tester waits with us, and a service that does not answer in this
/// time is as good as away.
pub(crate) const HAND_OVER_ALLOWED_MS: u64 = 2_000;

/// The same when nobody waits.
const UNHURRIED_ALLOWED_MS: u64 = 60_000;

/// Datasets that one look of the patrol asks about, of one line.
const PATROL_BATCH: usize = 50;

/// Rows that one look of the patrol goes through, of one line.
const PATROL_ROWS: u32 = 1_000;

/// Rows that one look takes.
const PAGE: u32 = 200;

/// The first pause before a suspect is asked about again that nobody could tell about.
const SUSPECT_PAUSE_MS: u64 = 10_000;

/// The longest: whoever comes back is noticed as soon as a contract or a supplier changes; see [`Engine::ask_suspects_soon`].
const SUSPECT_PAUSE_LONGEST_MS: u64 = 300_000;

/// When suspects are asked about again, and the pause after that. What is forgotten is asked about at once.
#[derive(Default)]
pub(crate) struct SuspectPauses {
    pauses: std::sync::Mutex<HashMap<TreeId, (Timestamp, u64)>>,
    /// Some may be asked about that are not waited with.
    pub(crate) wake: tokio::sync::Notify,
}

/// How far the patrol has come in each line; a walk begins anew at the end of the line.
#[derive(Default)]
pub(crate) struct PatrolWalks(std::sync::Mutex<HashMap<LineId, Stocked>>);

impl Engine {
    /// Begins to ask about a dataset.
    pub(crate) async fn recheck(&self, id: TreeId, why: Why, strict: bool) -> Result<Changed, Refusal> {
        self.recheck_for(id, why, (strict, false)).await
    }

    /// Begins to ask about a dataset that a request was given from stock.
    async fn recheck_at_hand_over(&self, id: TreeId, request: &Request) -> Result<Changed, Refusal> {
        self.recheck_for(id, Why::HandOver, (request.selection.require_fresh, !request.makes())).await
    }

    async fn recheck_for(
        &self,
        id: TreeId,
        why: Why,
        (strict, at_once): (bool, bool),
    ) -> Result<Changed, Refusal> {
        let offline = match self.tree(id).await? {
            Some(tree) => self.offline_parts(&tree).await?,
            None => return Ok(Changed::Unknown),
        };
        let allow_ms = match why {
            Why::HandOver | Why::Diagnosis => HAND_OVER_ALLOWED_MS,
            Why::Patrol | Why::Return | Why::Suspect | Why::Retry => UNHURRIED_ALLOWED_MS,
        };
        let happened = Happened::Recheck { why, allow_ms, strict, at_once, offline };
        self.change_tree(id, Guard::None, happened).await
    }

    /// Capabilities of parts of a tree that nobody performs now in the version that made them.
    pub(crate) async fn offline_parts(&self, tree: &Tree) -> Result<Vec<Offline>, Refusal> {
        let supply = self.supply(&tree.environment).await?;
        let mut offline: Vec<Offline> = Vec::new();
        for part in tree.parts.iter().filter(|part| part.made.is_some()) {
            let is_served = supply.performs(&part.contract, part.version) > 0;
            if !is_served && !offline.iter().any(|known| known.contract == part.contract) {
                let since = self.store().served_until(&tree.environment, &part.contract.to_string()).await?;
                offline.push(Offline { contract: part.contract.clone(), since });
            }
        }
        Ok(offline)
    }

    /// Counts what a request was given from stock, and asks about what has evidence that is too old.
    pub(crate) fn hand_over(&self, request: &Request, served: &Served) {
        if let Some(leases) = &served.leases {
            self.inner.measures.request_fulfilled(&request.environment, leases.len());
        }
        for taken in served.taken.iter().filter(|taken| taken.how == How::Suspect) {
            let (engine, tree, request) = (self.clone(), taken.tree, request.clone());
            tokio::spawn(async move {
                if let Err(error) = engine.recheck_at_hand_over(tree, &request).await {
                    tracing::warn!(%tree, %error, "a dataset could not be asked about; it is tried again");
                }
            });
        }
    }

    /// Asks about everything that has to be before it goes anywhere; finds again what a server has left that is gone.
    pub(crate) async fn recheck_suspects(&self) -> Result<(), Refusal> {
        let doubted = self.doubted_lines().await?;
        let now = self.store().now().await?;
        let (mut after, mut seen) = (None, HashSet::new());
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().suspects(after, PAGE).await?;
            let Some((last, _)) = page.last() else {
                self.inner.suspects.keep_only(&seen);
                return outcome.told();
            };
            after = Some(*last);
            let mut due = Vec::with_capacity(page.len());
            for (tree, is_wanted) in page {
                seen.insert(tree);
                let line = if is_wanted || doubted.is_empty() { Ok(None) } else { self.line_of(tree).await };
                let Some(line) = outcome.keep(line)? else { continue };
                let is_doubted = line.is_some_and(|line| doubted.contains(&line));
                if is_wanted || (!is_doubted && self.inner.suspects.is_due(tree, now)) {
                    due.push((tree, is_wanted));
                }
            }
            let asks = due.into_iter().map(|(tree, is_wanted)| async move {
                let request = match self.tree(tree).await? {
                    Some(tree) if is_wanted => self.store().request(tree.request).await?,
                    _ => None,
                };
                match request {
                    Some(request) => self.recheck_at_hand_over(tree, &request).await,
                    None if is_wanted => self.recheck(tree, Why::HandOver, false).await,
                    None => self.recheck(tree, Why::Suspect, false).await,
                }
            });
            for asked in join_all(asks).await {
                outcome.keep(asked)?;
            }
        }
    }

    /// Has suspects asked about now: somebody has connected who may be able to tell.
    pub(crate) fn ask_suspects_soon(&self) {
        self.inner.suspects.keep_only(&HashSet::new());
        self.inner.suspects.wake.notify_one();
    }

    /// A dataset is suspect after all. If somebody has connected while it was being asked about, it is asked about again at once.
    pub(crate) fn stays_suspect(&self, tree: TreeId) {
        if !self.inner.suspects.waits(tree) {
            self.inner.suspects.wake.notify_one();
        }
    }

    async fn line_of(&self, tree: TreeId) -> Result<Option<LineId>, Refusal> {
        Ok(self.tree(tree).await?.and_then(|tree| tree.line))
    }

    /// Takes what was made with other versions than those on offer out of stock, to be asked about.
    pub(crate) async fn suspect_older(
        &self,
        line: LineId,
        version: u32,
        pins: &std::collections::BTreeMap<sixpack_model::name::ContractName, u32>,
    ) -> Result<(), Refusal> {
        loop {
            let suspects = self.store().suspect_stock(line, version, pins, PAGE).await?;
            self.inner.trees.forget(&suspects);
            let asks = suspects.iter().map(|tree| self.recheck(*tree, Why::Suspect, true));
            for asked in join_all(asks).await {
                asked?;
            }
            if suspects.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Asks about a part of what is in stock: each dataset once in the time that its rule says.
    pub(crate) async fn patrol(&self) -> Result<(), Refusal> {
        let now = self.store().now().await?;
        let doubted = self.doubted_lines().await?;
        let mut outcome = Outcome::default();
        for known in self.inner.stock.all() {
            let Some(check_every_s) = known.check_every_s else { continue };
            let line = known.line.id;
            // Asking about all of it would only tell again that a capability is not to be believed.
            if doubted.contains(&line) {
                continue;
            }
            let walks = &self.inner.patrol.0;
            let lock = || walks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let after = lock().get(&line).copied();
            let rows = self.store().stocked(line, after.as_ref(), PATROL_ROWS).await?;
            let due_before = now.checked_sub(SignedDuration::from_secs(check_every_s.into())).unwrap_or(now);
            let due: Vec<&Stocked> =
                rows.iter().filter(|row| row.checked_at <= due_before).take(PATROL_BATCH).collect();
            let came_to = match due.last() {
                // There is more to ask about behind it.
                Some(last) if due.len() == PATROL_BATCH => Some(**last),
                _ if rows.len() == PATROL_ROWS as usize => rows.last().copied(),
                _ => None,
            };
            match came_to {
                Some(row) => lock().insert(line, row),
                None => lock().remove(&line),
            };
            for asked in join_all(due.iter().map(|row| self.recheck(row.tree, Why::Patrol, false))).await {
                outcome.keep(asked)?;
            }
        }
        outcome.told()
    }
}

impl SuspectPauses {
    /// Whether a suspect is to be asked about now; the pause until the next time begins then.
    fn is_due(&self, tree: TreeId, now: Timestamp) -> bool {
        let mut pauses = self.lock();
        let (next, pause_ms) = pauses.get(&tree).copied().unwrap_or((now, SUSPECT_PAUSE_MS));
        if now < next {
            return false;
        }
        let next = now.checked_add(SignedDuration::from_millis(pause_ms.cast_signed())).unwrap_or(now);
        pauses.insert(tree, (next, (pause_ms * 2).min(SUSPECT_PAUSE_LONGEST_MS)));
        true
    }

    /// Whether it is to be left alone for a while.
    fn waits(&self, tree: TreeId) -> bool {
        self.lock().contains_key(&tree)
    }

    /// Forgets all but these.
    fn keep_only(&self, trees: &HashSet<TreeId>) {
        self.lock().retain(|tree, _| trees.contains(tree));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TreeId, (Timestamp, u64)>> {
        // Single inserts and removals: a panic elsewhere leaves nothing half done.
        self.pauses.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
