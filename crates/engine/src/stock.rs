//! Stock in memory: which lines there are, what a request would take from them, and which have to be looked after.
//!
//! All of it is a copy of what the store has, read again from time to time: whoever finds less in here than there is makes
//! its dataset fresh, and whoever finds more is told so by the store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sixpack_model::contract::Contract;
use sixpack_model::ids::LineId;
use sixpack_model::limits::STOCK_HISTORY_EVERY_S;
use sixpack_model::name::ContractName;
use sixpack_model::plan::pins_of;
use sixpack_model::request::Selection;
use sixpack_model::schema::canonical_json;
use sixpack_model::stock::{Keeping, Line, LineCounts, matches, prefers};
use sixpack_storage::requests::{How, Served};
use sixpack_storage::stock::{StockWish, WishedLine};
use sixpack_storage::stock_history::NotedLevel;
use tokio::sync::Notify;

use crate::shelf::Shelf;

/// A line, and how old what is handed out from it may be.
#[derive(Debug, Clone)]
pub(crate) struct KnownLine {
    /// Its input as it is compared.
    canonical: String,
    pub(crate) environment: Arc<str>,
    pub(crate) line: Line,
    pub(crate) max_age_s: Option<u32>,
    pub(crate) check_every_s: Option<u32>,
}

impl KnownLine {
    pub(crate) fn new(environment: &str, line: Line, keeping: &Keeping) -> Self {
        Self {
            canonical: canonical_json(&line.input),
            environment: Arc::from(environment),
            line,
            max_age_s: keeping.max_age_s,
            check_every_s: keeping.check_every_s,
        }
    }

    /// What is older than this is too old.
    pub(crate) fn not_before(&self, now: Timestamp) -> Option<Timestamp> {
        let age = SignedDuration::from_secs(self.max_age_s?.into());
        Some(now.checked_sub(age).unwrap_or(Timestamp::MIN))
    }
}

/// All lines, by what they are looked for with.
#[derive(Default)]
struct Known {
    by_contract: HashMap<Arc<str>, HashMap<ContractName, Vec<Arc<KnownLine>>>>,
}

/// How often everything is looked after, whether or not anybody has said that it has to be: what other servers do, and
/// what follows from the time alone, such as an age or a window.
const EVERYTHING_EVERY_S: i64 = 10;

/// How long a look waits at least for more to look at: under load each line is looked at so often and no more.
const GATHER: Duration = Duration::from_millis(10);

/// Counting takes at most one part in so many of the time, of all servers together, as long as no look waits for longer than
/// [`GATHER_LIMIT`] for that: what is taken from a line that has much more is no hurry.
const COUNTING: u32 = 10;

/// How long a look waits at most: a line that is being filled has enough under way for so long.
const GATHER_LIMIT: Duration = Duration::from_millis(250);

/// What is to be looked after.
#[derive(Default)]
struct ToTend {
    /// When everything was looked after; `None` when it has to be.
    everything_at: Option<Timestamp>,
    lines: BTreeSet<LineId>,
}

/// The versions that everything below a contract has.
type Pins = Arc<BTreeMap<ContractName, u32>>;

/// The pins of contracts that were asked for at one revision of a catalogue.
#[derive(Default)]
struct PinsKnown {
    revision: u64,
    by_contract: HashMap<ContractName, Pins>,
}

/// What the engine knows of stock.
#[derive(Default)]
pub(crate) struct StockKnown {
    known: RwLock<Known>,
    to_tend: Mutex<ToTend>,
    /// What lines have come to that is not counted in the store yet.
    counts: Mutex<HashMap<LineId, LineCounts>>,
    pub(crate) wake: Notify,
    /// By environment.
    pins: Mutex<HashMap<String, PinsKnown>>,
    /// For how many microseconds was counted with the last look.
    counted: AtomicU64,
    /// In which span this server has last noted what lines have, and of which lines.
    noted: Mutex<(u64, HashSet<LineId>)>,
}

impl StockKnown {
    /// Puts what was read in place of what was known.
    pub(crate) fn put(&self, lines: Vec<KnownLine>) {
        let mut known = Known::default();
        for line in lines.into_iter().map(Arc::new) {
            let of_environment = known.by_contract.entry(Arc::clone(&line.environment)).or_default();
            of_environment.entry(line.line.contract.clone()).or_default().push(line);
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Adds lines that were not known before.
    pub(crate) fn learn(&self, lines: impl IntoIterator<Item = KnownLine>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for line in lines.into_iter().map(Arc::new) {
            let of_environment = known.by_contract.entry(Arc::clone(&line.environment)).or_default();
            let lines = of_environment.entry(line.line.contract.clone()).or_default();
            if lines.iter().all(|other| other.line.id != line.line.id) {
                lines.push(line);
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<KnownLine>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_contract.values().flat_map(HashMap::values).flatten().cloned().collect()
    }

    fn of_contract(&self, environment: &str, contract: &ContractName) -> Vec<Arc<KnownLine>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_contract.get(environment).and_then(|lines| lines.get(contract)).cloned().unwrap_or_default()
    }

    /// What a request would take for one dataset, by the input that was given and the one with defaults that it would be made from; `None`
    /// when nothing of its kind is kept. What is preferred comes first, and then what is as it would be made.
    pub(crate) fn wish(
        &self,
        environment: &str,
        shelf: &Shelf,
        (contract, given, input): (&Contract, &Value, &Value),
        selection: &Selection,
        now: Timestamp,
    ) -> Option<Arc<StockWish>> {
        let mut lines = self.of_contract(environment, &contract.name);
        lines.retain(|known| matches(given, &known.line.input));
        if lines.is_empty() {
            return None;
        }
        let met = |wanted: &Value, known: &KnownLine| prefers(wanted, &known.line.input);
        let preferred = selection.prefer.as_deref();
        lines.sort_by_cached_key(|known| {
            let preferred = preferred.map_or(0, |preferred| met(preferred, known));
            std::cmp::Reverse((preferred, met(input, known)))
        });
        let own = canonical_json(input);
        let wished = |known: &Arc<KnownLine>| WishedLine {
            id: known.line.id,
            same_input: known.canonical == own,
            not_before: known.not_before(now),
        };
        Some(Arc::new(StockWish {
            environment: Arc::clone(&lines[0].environment),
            contract: contract.name.clone(),
            lines: lines.iter().map(wished).collect(),
            select: selection.select.as_deref().cloned(),
            version: contract.version,
            pins: self.pins(environment, shelf, contract),
        }))
    }

    /// Whether anything is kept of a contract that is made from this very input.
    pub(crate) fn keeps(&self, environment: &str, contract: &ContractName, input: &Value) -> bool {
        self.line_of(environment, contract, input).is_some()
    }

    /// The line of what is made from this very input.
    pub(crate) fn line_of(
        &self,
        environment: &str,
        contract: &ContractName,
        input: &Value,
    ) -> Option<LineId> {
        self.line_of_same(environment, contract, input).map(|known| known.line.id)
    }

    /// What a part would take that is made from this very input, with these versions below; `None` when nothing of its kind
    /// is kept.
    pub(crate) fn wish_of_same(
        &self,
        environment: &Arc<str>,
        (contract, input): (&Contract, &Value),
        pins: Pins,
        now: Timestamp,
    ) -> Option<Arc<StockWish>> {
        let known = self.line_of_same(environment, &contract.name, input)?;
        let line = WishedLine { id: known.line.id, same_input: true, not_before: known.not_before(now) };
        Some(Arc::new(StockWish {
            environment: Arc::clone(environment),
            contract: contract.name.clone(),
            lines: vec![line],
            select: None,
            version: contract.version,
            pins,
        }))
    }

    fn line_of_same(
        &self,
        environment: &str,
        contract: &ContractName,
        input: &Value,
    ) -> Option<Arc<KnownLine>> {
        let lines = self.of_contract(environment, contract);
        // Most contracts have none, and their inputs need not be written out.
        let own = lines.first().map(|_| canonical_json(input))?;
        lines.into_iter().find(|known| known.canonical == own)
    }

    /// The versions that everything below a contract has now; looked up once for each state of the catalogue.
    pub(crate) fn pins(&self, environment: &str, shelf: &Shelf, contract: &Contract) -> Pins {
        let mut known = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let of_environment = known.entry(environment.to_owned()).or_default();
        if of_environment.revision != shelf.revision {
            *of_environment = PinsKnown { revision: shelf.revision, ..PinsKnown::default() };
        }
        if let Some(pins) = of_environment.by_contract.get(&contract.name) {
            return Arc::clone(pins);
        }
        let pins = Arc::new(pins_of(contract, shelf, &BTreeMap::new()));
        of_environment.by_contract.insert(contract.name.clone(), Arc::clone(&pins));
        pins
    }

    /// A look begins.
    pub(crate) fn begin_counting(&self) {
        self.counted.store(0, Ordering::Relaxed);
    }

    /// A line was counted with this look, for so long.
    pub(crate) fn counted(&self, took: Duration) {
        self.counted.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 2), Ordering::Relaxed);
    }

    /// How long the next look waits for more to look at, where so many servers look.
    pub(crate) fn gather(&self, servers: u32) -> Duration {
        let counted = Duration::from_micros(self.counted.load(Ordering::Relaxed));
        (GATHER + counted.saturating_mul(COUNTING.saturating_mul(servers))).min(GATHER_LIMIT)
    }

    /// Has one line looked after soon.
    pub(crate) fn tend(&self, line: LineId) {
        self.to_tend().lines.insert(line);
        self.wake.notify_one();
    }

    /// Has one line looked after with the next look, whenever that comes.
    pub(crate) fn tend_later(&self, line: LineId) {
        self.to_tend().lines.insert(line);
    }

    /// Has everything looked after soon: rules, contracts or suppliers have changed.
    pub(crate) fn tend_all(&self) {
        self.to_tend().everything_at = None;
        self.wake.notify_one();
    }

    /// What is to be looked after now; `None` for everything.
    pub(crate) fn take_to_tend(&self, now: Timestamp) -> Option<BTreeSet<LineId>> {
        let mut to_tend = self.to_tend();
        let lines = std::mem::take(&mut to_tend.lines);
        match to_tend.everything_at {
            Some(at) if now.duration_since(at).as_secs() < EVERYTHING_EVERY_S => Some(lines),
            _ => {
                to_tend.everything_at = Some(now);
                None
            }
        }
    }

    fn to_tend(&self) -> MutexGuard<'_, ToTend> {
        self.to_tend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a request was given, and what it would have taken.
    pub(crate) fn note_served(&self, served: Option<&Served>, wishes: &[Option<Arc<StockWish>>]) {
        let hit = |unit: usize| {
            let taken = served.iter().flat_map(|served| &served.taken);
            taken
                .clone()
                .find(|taken| taken.unit as usize == unit && taken.how != How::Coming)
                .map(|taken| taken.line)
        };
        let mut counted = self.counts();
        for (unit, wish) in wishes.iter().enumerate() {
            let Some(wish) = wish else { continue };
            let first = wish.lines.first().map(|line| line.id);
            match (hit(unit), first) {
                (Some(line), _) => counted.entry(line).or_default().hits += 1,
                (None, Some(line)) => counted.entry(line).or_default().misses += 1,
                (None, None) => {}
            }
        }
    }

    /// Notes that a dataset of a line has become a part of another one.
    pub(crate) fn note_hit(&self, line: LineId) {
        self.counts().entry(line).or_default().hits += 1;
    }

    /// Notes that a part would have been taken from a line, and was not there.
    pub(crate) fn note_miss(&self, line: LineId) {
        self.counts().entry(line).or_default().misses += 1;
    }

    /// Notes that a refill has made a dataset of a line.
    pub(crate) fn note_made(&self, line: LineId) {
        self.counts().entry(line).or_default().made += 1;
    }

    /// Notes that a refill of a line has failed.
    pub(crate) fn note_failed(&self, line: LineId) {
        self.counts().entry(line).or_default().failed += 1;
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<LineId, LineCounts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lines have come to since this was last asked.
    pub(crate) fn take_counts(&self) -> Vec<(LineId, LineCounts)> {
        std::mem::take(&mut *self.counts()).into_iter().collect()
    }

    /// Whether this server has noted nothing yet in the span that it is now, and what of these it has not noted in it.
    pub(crate) fn to_note(&self, levels: Vec<NotedLevel>, now: Timestamp) -> (bool, Vec<NotedLevel>) {
        let mut noted = self.noted();
        let is_first = noted.0 != span_of(now);
        if is_first {
            *noted = (span_of(now), HashSet::new());
        }
        (is_first, levels.into_iter().filter(|level| !noted.1.contains(&level.line)).collect())
    }

    /// Remembers what was noted in the span that it was then.
    pub(crate) fn note(&self, lines: impl IntoIterator<Item = LineId>, then: Timestamp) {
        let mut noted = self.noted();
        if noted.0 == span_of(then) {
            noted.1.extend(lines);
        }
    }

    fn noted(&self) -> MutexGuard<'_, (u64, HashSet<LineId>)> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the span that a time is in, from 1.
fn span_of(now: Timestamp) -> u64 {
    let second = u64::try_from(now.as_second()).unwrap_or(0);
    1 + second / u64::from(STOCK_HISTORY_EVERY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counting_takes_is_shared_by_all_servers() {
        let stock = StockKnown::default();
        assert_eq!(stock.gather(3), GATHER);
        stock.counted(Duration::from_millis(1));
        stock.counted(Duration::from_millis(3));
        assert_eq!(stock.gather(1), Duration::from_millis(50));
        assert_eq!(stock.gather(3), Duration::from_millis(130));
        assert_eq!(stock.gather(u32::MAX), GATHER_LIMIT);
        stock.begin_counting();
        assert_eq!(stock.gather(1), GATHER);
    }
}
