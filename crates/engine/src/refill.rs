//! Refill: a level-triggered loop that looks at each line, compares it with its rules, and acts.
//!
//! ```text
//! too many, or too old -> discarded -> undone
//! too few              -> as many requests as are missing, a limited number at once
//! cannot be filled     -> left alone, longer each time, and the rule says why; together with all that need the same
//! ```
//!
//! What is missing is counted by the store in the transaction that accepts the requests: any number of servers may refill
//! one line at once, whatever they have seen before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use sixpack_model::channel::Overlay;
use sixpack_model::contract::Contract;
use sixpack_model::ids::{LineId, TokenId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::{Change, pins_of};
use sixpack_model::request::{Priority, RequestStatus, Selection, Source};
use sixpack_model::schema::canonical_json;
use sixpack_model::stock::{Keeping, Line, StockRule};
use sixpack_storage::requests::NewRequest;
use sixpack_storage::stock::{Discard, FillTo, Level, SharedTrouble, StoredLine};
use sixpack_storage::stock_history::NotedLevel;
use uuid::Uuid;

use crate::Engine;
use crate::measures::StockMeasured;
use crate::refusal::Refusal;
use crate::requests::{Asked, new_request};
use crate::shelf::Shelf;
use crate::stock::KnownLine;

/// Datasets of one line that are made at once: more than any capability takes at a time, few enough that those of a line
/// that is not wanted any more are soon gone.
const AHEAD: u32 = 256;

/// The same while a line could not be filled lately: one to try with.
const AHEAD_IN_TROUBLE: u32 = 1;

/// Requests that one write accepts, so that others get their turn in between.
const BATCH: u32 = 64;

/// Datasets that one write discards.
const DISCARD_BATCH: u32 = 200;

/// Lines that are read at once.
const PAGE: u32 = 500;

/// How far beyond what a line keeps it is counted: what is more than that is discarded in several turns.
const COUNTED_BEYOND: u32 = 1_000;

/// How long a dataset for stock may take, when its scenario does not say; nobody waits for it.
const TIMEOUT_MS: u64 = 15 * 60_000;

/// How long what is leased from a refill would last; nothing ever is.
const NO_TTL_MS: u64 = 0;

/// One line with everything that decides what becomes of it.
struct Tended {
    stored: StoredLine,
    keeping: Keeping,
    /// The rule that asks for the most.
    rule: Option<StockRule>,
    shelf: Arc<Shelf>,
    /// What several lines fail for, and this one needs as well.
    shared: Vec<SharedTrouble>,
}

impl Engine {
    /// Looks after what has to be looked after.
    pub(crate) async fn tend_stock(&self) -> Result<(), Refusal> {
        self.catch_up().await?;
        let counts = self.inner.stock.take_counts();
        for (_, counts) in &counts {
            self.inner.measures.stock_served[0].add(counts.hits);
            self.inner.measures.stock_served[1].add(counts.misses);
        }
        if !counts.is_empty() {
            self.store().count_in_lines(counts).await?;
        }
        let now = self.store().now().await?;
        let only = self.inner.stock.take_to_tend(now);
        if only.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(());
        }
        let mut lines = self.read_lines(only.as_ref()).await?;
        if only.is_none() {
            self.suspect_outdated(&lines).await?;
        }
        self.inner.stock.begin_counting();
        // Whoever is filled first has the first turn with the suppliers.
        lines.sort_by_key(|tended| (std::cmp::Reverse(tended.keeping.priority), tended.stored.line.id));
        // Of those that are tried on behalf of others, the one first whose own turn is longest ago.
        lines.sort_by_key(Tended::turn_on_behalf);
        let mut outcome = Ok(());
        let mut levels = Vec::new();
        for tended in &lines {
            match self.tend_line(tended).await {
                // One without a rule is nobody's concern.
                Ok(level) if tended.rule.is_some() => levels.push(tended.noted(level)),
                Ok(_) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        if only.is_none() {
            let all = lines.iter().map(|tended| tended.stored.line.id).collect();
            outcome = outcome.and(self.note_levels(levels, all, now).await);
        }
        outcome
    }

    /// Learns what lines other servers have made.
    pub(crate) async fn learn_lines(&self) -> Result<(), Refusal> {
        self.inner.lines.look(async { self.read_lines(None).await.map(|_| ()) }).await
    }

    /// Reads some lines, or all, with the rules for each; lines of rules that have none yet are made.
    async fn read_lines(&self, only: Option<&BTreeSet<LineId>>) -> Result<Vec<Tended>, Refusal> {
        let now = self.store().now().await?;
        if only.is_none() {
            self.make_lines().await?;
        }
        let mut stored = Vec::new();
        match only {
            Some(only) => {
                for line in only {
                    let read = self.store().lines(Some(LineId(line.0 - 1)), 1).await?;
                    stored.extend(read.into_iter().filter(|read| read.line.id == *line));
                }
            }
            None => loop {
                let after = stored.last().map(|last: &StoredLine| last.line.id);
                let page = self.store().lines(after, PAGE).await?;
                let full = page.len() == PAGE as usize;
                stored.extend(page);
                if !full {
                    break;
                }
            },
        }
        let troubles = self.store().shared_troubles().await?;
        let mut shelves: HashMap<String, (Arc<Shelf>, Rules)> = HashMap::new();
        let mut tended = Vec::with_capacity(stored.len());
        for stored in stored {
            let (shelf, rules) = shelves.entry(stored.environment.clone()).or_insert_with(|| {
                let shelf = self.shelf(&stored.environment).unwrap_or_default();
                let rules = Rules::of(&shelf);
                (shelf, rules)
            });
            let of_line = rules.of_line(&stored.line);
            let keeping = Keeping::of(of_line.iter().map(|(rule, fits)| (rule, *fits)), now);
            let rule = of_line.iter().max_by_key(|(rule, _)| rule.target).map(|(rule, _)| rule.clone());
            let shared = self.shared_with(&stored, shelf, &troubles);
            tended.push(Tended { stored, keeping, rule, shelf: Arc::clone(shelf), shared });
        }
        if only.is_none() {
            let known = tended.iter().map(|tended| {
                KnownLine::new(&tended.stored.environment, tended.stored.line.clone(), &tended.keeping)
            });
            self.inner.stock.put(known.collect());
        }
        Ok(tended)
    }

    /// What several lines fail for that this one needs as well.
    fn shared_with(&self, stored: &StoredLine, shelf: &Shelf, all: &[SharedTrouble]) -> Vec<SharedTrouble> {
        let here: Vec<_> = all.iter().filter(|shared| shared.environment == stored.environment).collect();
        let contract = if here.is_empty() { None } else { shelf.last_known(&stored.line.contract) };
        let Some(contract) = contract else { return Vec::new() };
        let needs =
            |shared: &SharedTrouble| self.needs(&stored.environment, shelf, &contract, &shared.contract);
        here.into_iter().filter(|shared| needs(shared)).cloned().collect()
    }

    async fn make_lines(&self) -> Result<(), Refusal> {
        let known: HashSet<(Arc<str>, ContractName, String)> = self
            .inner
            .stock
            .all()
            .iter()
            .map(|known| {
                (
                    Arc::clone(&known.environment),
                    known.line.contract.clone(),
                    canonical_json(&known.line.input),
                )
            })
            .collect();
        for environment in self.store().environments().await? {
            let Some(shelf) = self.shelf(&environment.name) else { continue };
            let name: Arc<str> = Arc::from(environment.name.as_str());
            for (_, stored) in shelf.rules() {
                let Some(contract) = shelf.last_known(&stored.rule.contract) else { continue };
                let input = stored.rule.full_input(&contract);
                let key = (Arc::clone(&name), contract.name.clone(), canonical_json(&input));
                if !known.contains(&key) {
                    self.store().line(&environment.name, &contract.name, &input).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes what was made with other versions than those on offer out of stock. Reads all of it, which is why it is done
    /// with every look at everything and not with each at one line; until then nobody is given any of it.
    async fn suspect_outdated(&self, lines: &[Tended]) -> Result<(), Refusal> {
        for tended in lines {
            let line = &tended.stored.line;
            if let Ok(contract) = tended.shelf.requestable(&line.contract) {
                let pins = pins_of(&contract, &*tended.shelf, &BTreeMap::new());
                self.suspect_older(line.id, contract.version, &pins).await?;
            }
        }
        Ok(())
    }

    /// Does for one line what is to be done now; returns what it had before.
    async fn tend_line(&self, tended: &Tended) -> Result<Level, Refusal> {
        let Tended { stored, keeping, .. } = tended;
        let line = stored.line.id;
        let now = self.store().now().await?;
        let known = KnownLine::new(&stored.environment, stored.line.clone(), keeping);
        let made_before = known.not_before(now);
        let begun = Instant::now();
        let mut level = self.store().level(line, keeping.keep.saturating_add(COUNTED_BEYOND)).await?;
        self.inner.stock.counted(begun.elapsed());
        let too_old = level.oldest_at.zip(made_before).is_some_and(|(oldest, before)| oldest < before);
        // What was imported stays, however many there are: nobody could make it again. What came back stays beside what was made as long as
        // anything is kept: somebody has said that it is good.
        let counted = level.ready - if keeping.keep > 0 { level.came_back } else { 0 };
        let too_many = counted > u64::from(keeping.keep) && counted > level.imported;
        if too_many || too_old {
            let discard = Discard { keep: keeping.keep, made_before };
            loop {
                let discarded = self.store().discard_stock(line, discard, DISCARD_BATCH).await?;
                self.inner.trees.forget(&discarded);
                if discarded.len() < DISCARD_BATCH as usize {
                    break;
                }
            }
            self.inner.sweeps.unwanted.notify_one();
            level = self.store().level(line, keeping.keep.saturating_add(COUNTED_BEYOND)).await?;
        }
        let rule = tended.rule.as_ref().map(|rule| &rule.name);
        let measured = rule.map(|rule| StockMeasured::new(&stored.environment, rule, level, keeping.fill_to));
        self.inner.measures.stock_looked_at(line, measured);
        let surplus = (level.ready + level.coming).saturating_sub(keeping.keep.into());
        let surplus = surplus.min(level.coming - level.importing);
        if surplus > 0 {
            self.cancel_refills(line, u32::try_from(surplus).unwrap_or(u32::MAX)).await?;
        }
        if level.ready + level.coming < u64::from(keeping.fill_to) {
            self.fill(tended, level, now).await?;
        }
        Ok(level)
    }

    /// Cancels those that were begun last.
    async fn cancel_refills(&self, line: LineId, count: u32) -> Result<(), Refusal> {
        for id in self.store().refills(line, count).await? {
            if let Some(request) = self.store().request(id).await? {
                self.end_request(&request, RequestStatus::Cancelled, "request.cancelled").await?;
            }
        }
        Ok(())
    }

    async fn fill(&self, tended: &Tended, level: Level, now: Timestamp) -> Result<(), Refusal> {
        let Tended { stored, keeping, rule, shelf, .. } = tended;
        let (Ok(contract), Some(rule)) = (shelf.requestable(&stored.line.contract), rule) else {
            return Ok(());
        };
        let line = stored.line.id;
        if tended.waits(now) {
            self.inner.stock.tend_later(line);
            return Ok(());
        }
        let in_trouble = stored.trouble.is_some() || !tended.shared.is_empty();
        // Requests that nobody can perform would only fail after a while.
        if self.first_unserved(&stored.environment, shelf, &contract).await?.is_some() {
            self.inner.stock.tend_later(line);
            return Ok(());
        }
        let ahead = if in_trouble { AHEAD_IN_TROUBLE } else { AHEAD };
        let fill_to = FillTo { target: keeping.fill_to, ahead };
        // As far as it was counted; the store counts again before it accepts any.
        let (mut missing, mut room) = (
            u64::from(keeping.fill_to).saturating_sub(level.ready + level.coming),
            u64::from(ahead).saturating_sub(level.coming),
        );
        loop {
            let count = u32::try_from(missing.min(room)).unwrap_or(u32::MAX).min(BATCH);
            if count == 0 {
                return Ok(());
            }
            let new = |_| self.new_refill(&stored.environment, shelf, &contract, &stored.line, rule, now);
            let requests: Vec<NewRequest> = (0..count).map(new).collect();
            if self.accept_refills(line, fill_to, requests).await? < count as usize {
                // Another line may be tried on behalf of this one.
                self.inner.stock.tend_later(line);
                return Ok(());
            }
            (missing, room) = (missing - u64::from(count), room - u64::from(count));
        }
    }

    fn new_refill(
        &self,
        environment: &str,
        shelf: &Shelf,
        contract: &Arc<Contract>,
        line: &Line,
        rule: &StockRule,
        now: Timestamp,
    ) -> NewRequest {
        let asked = Asked {
            environment,
            stock: None,
            source: Source::Fresh,
            selection: Selection::default(),
            refills: Some(rule.name.clone()),
            again: None,
            listed: false,
            ttl_ms: NO_TTL_MS,
            holder: format!("stock rule {}", rule.name),
            token: TokenId(Uuid::nil()),
            priority: Priority::Stock,
            channel: None,
            timeout_ms: TIMEOUT_MS,
        };
        let unit = (Arc::clone(contract), Arc::clone(&line.input));
        new_request(asked, &[unit], &[Some(line.id)], (shelf, &Overlay::default()), now)
    }

    /// Writes requests that refill a line, and offers what they make ready; returns how many were accepted.
    async fn accept_refills(
        &self,
        line: LineId,
        fill_to: FillTo,
        requests: Vec<NewRequest>,
    ) -> Result<usize, Refusal> {
        let engine = self.clone();
        // Detached, like every write that offers tasks.
        let accepting =
            tokio::spawn(async move { engine.accept_refills_here(line, fill_to, requests).await });
        accepting.await.map_err(|_| Refusal::Busy)?
    }

    async fn accept_refills_here(
        &self,
        line: LineId,
        fill_to: FillTo,
        requests: Vec<NewRequest>,
    ) -> Result<usize, Refusal> {
        let changes: Vec<Change> =
            requests.iter().flat_map(|request| request.trees.iter().cloned()).collect();
        let offers = self.offers(&changes);
        changes.iter().for_each(|change| self.inner.trees.expect(&change.tree));
        let (accepted, offered) =
            self.commit_with_offers(self.store().refill(line, fill_to, requests), offers).await;
        let count = accepted.as_ref().copied().unwrap_or(0);
        for change in &changes[..count] {
            if change.outcome.is_none() {
                self.inner.trees.keep(&change.tree);
            }
            if let Some(due_at) = change.tree.due_at() {
                self.remind_of_due(change.at, due_at);
            }
        }
        changes.iter().for_each(|change| self.inner.trees.expect_no_more(change.tree.id));
        self.beat();
        self.hand_out(offered).await;
        Ok(accepted?)
    }

    /// The first capability below a contract that nobody performs now; a line is not filled while there is one.
    pub(crate) async fn first_unserved(
        &self,
        environment: &str,
        shelf: &Shelf,
        contract: &Arc<Contract>,
    ) -> Result<Option<Arc<Contract>>, Refusal> {
        let supply = self.supply(environment).await?;
        let leaves = crate::contracts::leaves(shelf, contract);
        let is_served = |leaf: &Arc<Contract>| supply.performs(&leaf.name, leaf.version) > 0;
        Ok(leaves.into_iter().find(|leaf| !is_served(leaf)))
    }
}

impl Tended {
    fn noted(&self, level: Level) -> NotedLevel {
        let Level { ready, coming, .. } = level;
        NotedLevel { line: self.stored.line.id, ready, coming, target: self.keeping.keep }
    }

    /// Whether it is left alone for now, because of what it has met itself or what others have.
    fn waits(&self, now: Timestamp) -> bool {
        let own = self.stored.trouble.as_ref();
        // One that has not failed itself may show at once that it works.
        own.is_some_and(|trouble| trouble.retry_at > now)
            || self
                .shared
                .iter()
                .any(|shared| shared.is_tried || (own.is_some() && shared.trouble.retry_at > now))
    }

    /// When it was its turn to be tried, if it is on behalf of others as well; nothing comes before everything.
    fn turn_on_behalf(&self) -> Option<Timestamp> {
        let own = self.stored.trouble.as_ref().map_or(Timestamp::MIN, |trouble| trouble.retry_at);
        (!self.shared.is_empty()).then_some(own)
    }
}

/// The rules of an environment by what they keep.
struct Rules(BTreeMap<(ContractName, String), Vec<(StockRule, bool)>>);

impl Rules {
    fn of(shelf: &Shelf) -> Self {
        let mut rules: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, stored) in shelf.rules() {
            let Some(contract) = shelf.last_known(&stored.rule.contract) else { continue };
            let key = (contract.name.clone(), canonical_json(&stored.rule.full_input(&contract)));
            let fits = shelf.rule_faults(&stored.rule).is_empty();
            rules.entry(key).or_default().push((stored.rule.clone(), fits));
        }
        Self(rules)
    }

    fn of_line(&self, line: &Line) -> &[(StockRule, bool)] {
        let key = (line.contract.clone(), canonical_json(&line.input));
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}
