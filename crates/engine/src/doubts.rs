//! Doubts: a capability that is not believed is probed with one dataset in stock every ten seconds.
//!
//! What has a part of it is not handed out meanwhile, which the store holds.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use sixpack_model::contract::{Contract, Owner};
use sixpack_model::doubt::{Doubt, PROBE_PAUSE_MS};
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::recheck::Why;
use sixpack_storage::doubts::Probing;
use sixpack_storage::stock::Stocked;

use crate::Engine;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// Lines that are read at once.
const LINES: u32 = 500;

/// Datasets out of stock that are read at once.
const SUSPECTS: u32 = 200;

/// A capability that is doubted, and whom to ask about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubted {
    /// Since when, and why.
    pub doubt: Doubt,
    /// Who owns the capability.
    pub owner: Owner,
}

impl Doubted {
    /// What that means for stock, why, and whom to ask, in a sentence.
    pub fn told(&self) -> String {
        self.doubt.told_with(&self.owner)
    }
}

/// With what a capability was probed last, so that others come next; when that is forgotten, they begin anew.
#[derive(Debug, Clone, Copy)]
enum Probed {
    Stock(LineId, Stocked),
    Suspect(TreeId),
}

/// How far the probes have come; an entry for each capability that was doubted since the start.
#[derive(Default)]
pub(crate) struct ProbeWalks(Mutex<HashMap<(String, ContractName), Probed>>);

impl Engine {
    /// Probes what is doubted with one dataset each; what is gone from stock altogether is doubted no longer.
    pub(crate) async fn probe_doubted(&self) -> Result<(), Refusal> {
        let doubts = self.store().doubts().await?;
        if doubts.is_empty() {
            return Ok(());
        }
        let now = self.store().now().await?;
        let pause = SignedDuration::from_millis(PROBE_PAUSE_MS.cast_signed());
        for doubt in doubts {
            if doubt.probed_at.is_some_and(|at| now.duration_since(at) < pause) {
                continue;
            }
            let (environment, contract) = (&doubt.environment, &doubt.contract);
            let lines = self.lines_that_need(&doubt).await?;
            let Some(next) = self.next_probe(&doubt, &lines).await? else {
                self.store().end_doubt(environment, contract).await?;
                self.beat();
                continue;
            };
            let (tree, why) = match next {
                Probed::Stock(_, stocked) => (stocked.tree, Why::Patrol),
                Probed::Suspect(tree) => (tree, Why::Suspect),
            };
            self.inner.probes.put(&doubt, next);
            if self.store().begin_probe(environment, contract, tree).await? == Probing::Begun {
                self.recheck(tree, why, false).await?;
            }
        }
        Ok(())
    }

    /// The first capability that is doubted and has a part in datasets of a contract.
    pub(crate) async fn doubted_in(
        &self,
        environment: &str,
        shelf: &Shelf,
        contract: &Contract,
    ) -> Result<Option<Doubted>, Refusal> {
        let doubts = self.store().doubts().await?;
        let needs = |doubt: &Doubt| {
            doubt.environment == environment && self.needs(environment, shelf, contract, &doubt.contract)
        };
        let doubt = doubts.into_iter().find(needs);
        Ok(doubt.map(|doubt| {
            let owner = shelf.last_known(&doubt.contract).map(|contract| contract.owner.clone());
            let team = doubt.contract.domain().to_owned();
            let owner = owner.unwrap_or(Owner { team, contact: None, issues: None });
            Doubted { doubt, owner }
        }))
    }

    /// Whether datasets of a contract have a part of another one.
    pub(crate) fn needs(
        &self,
        environment: &str,
        shelf: &Shelf,
        contract: &Contract,
        part: &ContractName,
    ) -> bool {
        contract.name == *part || self.inner.stock.pins(environment, shelf, contract).contains_key(part)
    }

    /// Lines that are not to be asked about now but by probes.
    pub(crate) async fn doubted_lines(&self) -> Result<HashSet<LineId>, Refusal> {
        let mut lines = HashSet::new();
        for doubt in self.store().doubts().await? {
            lines.extend(self.lines_that_need(&doubt).await?);
        }
        Ok(lines)
    }

    /// Lines whose datasets have a part of a capability that is doubted, by number.
    async fn lines_that_need(&self, doubt: &Doubt) -> Result<Vec<LineId>, Refusal> {
        let Some(shelf) = self.shelf(&doubt.environment) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut needs: HashMap<ContractName, bool> = HashMap::new();
        let mut after = None;
        loop {
            let page = self.store().lines(after, LINES).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.line.id);
            for stored in page.into_iter().filter(|stored| stored.environment == doubt.environment) {
                let name = stored.line.contract;
                let of_contract = || {
                    let contract: Option<Arc<Contract>> = shelf.last_known(&name);
                    contract.is_some_and(|contract| {
                        self.needs(&doubt.environment, &shelf, &contract, &doubt.contract)
                    })
                };
                let is_needed = match needs.get(&name) {
                    Some(known) => *known,
                    None => of_contract(),
                };
                needs.insert(name, is_needed);
                if is_needed {
                    found.push(stored.line.id);
                }
            }
        }
    }

    /// The dataset behind the one that was probed last, in the order of lines and of what is in them, and after the last of
    /// them the first again; one that is out of stock already when there is nothing in stock.
    async fn next_probe(&self, doubt: &Doubt, lines: &[LineId]) -> Result<Option<Probed>, Refusal> {
        let last = self.inner.probes.get(doubt);
        let from = match last {
            Some(Probed::Stock(line, _)) => lines.partition_point(|known| *known < line),
            Some(Probed::Suspect(_)) | None => 0,
        };
        let (before, behind) = lines.split_at(from);
        let place_in = |line: LineId| match last {
            Some(Probed::Stock(known, stocked)) if known == line => Some(stocked),
            _ => None,
        };
        let first_time = behind.iter().map(|line| (*line, place_in(*line)));
        let second_time = before.iter().chain(behind.first()).map(|line| (*line, None));
        for (line, after) in first_time.chain(second_time) {
            if let Some(stocked) = self.store().stocked(line, after.as_ref(), 1).await?.pop() {
                return Ok(Some(Probed::Stock(line, stocked)));
            }
        }
        self.next_suspect(last, lines).await
    }

    async fn next_suspect(&self, last: Option<Probed>, lines: &[LineId]) -> Result<Option<Probed>, Refusal> {
        let last = match last {
            Some(Probed::Suspect(tree)) => Some(tree),
            Some(Probed::Stock(..)) | None => None,
        };
        let mut first = None;
        let mut after = None;
        loop {
            let page = self.store().suspects(after, SUSPECTS).await?;
            let Some((end, _)) = page.last() else { return Ok(first.map(Probed::Suspect)) };
            after = Some(*end);
            for tree in page.into_iter().filter(|(_, is_wanted)| !is_wanted).map(|(tree, _)| tree) {
                let line = self.tree(tree).await?.and_then(|tree| tree.line);
                if line.is_none_or(|line| lines.binary_search(&line).is_err()) {
                    continue;
                }
                if last.is_none_or(|last| tree > last) {
                    return Ok(Some(Probed::Suspect(tree)));
                }
                first = first.or(Some(tree));
            }
        }
    }
}

impl ProbeWalks {
    fn get(&self, doubt: &Doubt) -> Option<Probed> {
        let walks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        walks.get(&(doubt.environment.clone(), doubt.contract.clone())).copied()
    }

    fn put(&self, doubt: &Doubt, probed: Probed) {
        let mut walks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        walks.insert((doubt.environment.clone(), doubt.contract.clone()), probed);
    }
}
