//! Conservation: whatever happens in whatever order, every dataset is in one place, is used once, and leaves nothing behind.
//!
//! A random sequence of what consumers, suppliers, owners and the clock may do is played against an engine. Behind each step
//! the tables are held against each other; at the end everything is given back, and nothing may be left.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use serde_json::json;
use sixpack_engine::{Assignment, DatasetFilter, DatasetView, LeaseFilter, Page, Sweep, Wanted};
use sixpack_model::ids::{DatasetId, RequestId, SessionId, TreeId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::plan::Answer;
use sixpack_model::request::Source;
use sixpack_model::stock::{RuleEdit, RuleState};
use sixpack_model::tree::{Operation, PartStatus, Tree, Verdict};
use tokio::runtime::Runtime;

use crate::joining::OUTER;
use crate::place::CASES;
use crate::stock::{from, stock_first};
use crate::town::{ALL, Town, capability, refused, with, with_pair};

/// How often the tables are read again when two reads do not fit: what a step has begun may still be on its way.
const READ_AGAIN: usize = 200;

/// The rules that are kept: for pairs, and for what has a pair in it.
const RULES: [&str; 2] = ["pairs", "outers"];

/// Rounds in which everything has to come to rest, each a minute long.
const ROUNDS: usize = 60;

/// Something that somebody does.
#[derive(Debug, Clone)]
enum Step {
    /// A consumer asks for so many.
    Ask { stock_only: bool, count: usize },
    /// A consumer asks for what has a pair in it.
    AskForMore,
    /// A consumer does not want one of its open requests any more.
    Cancel(usize),
    /// A holder gives a dataset back.
    Release(usize, LeaseOutcome),
    /// A supplier takes some tasks, and answers each like this.
    Serve { second: bool, count: u32, mood: Mood },
    /// Both suppliers do all that there is to do, and stock is full.
    Fill,
    /// Time passes.
    Pass(i64),
    /// A loop looks.
    Look(usize),
    /// One of the rules is changed.
    Edit { rule: usize, target: u32, state: RuleState },
    /// The second capability gets another version, which is compatible.
    Publish,
}

/// How a supplier answers.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Well,
    /// Checks say that the state does not hold; the rest goes well.
    Drifted,
    /// Checks cannot tell.
    Unsure,
    /// What is to be made is refused.
    Refusing,
    /// Whatever is asked fails for now.
    Stumbling,
}

/// What a run knows of itself: how much there may be to act on.
#[derive(Debug, Clone)]
struct Known {
    asked: usize,
    versions: u32,
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Known;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Known> {
        Just(Known { asked: 0, versions: 1 }).boxed()
    }

    fn transitions(_: &Known) -> BoxedStrategy<Step> {
        let mood = prop_oneof![
            6 => Just(Mood::Well),
            1 => Just(Mood::Drifted),
            1 => Just(Mood::Unsure),
            1 => Just(Mood::Refusing),
            1 => Just(Mood::Stumbling),
        ];
        let outcome = prop_oneof![
            1 => Just(LeaseOutcome::Used),
            2 => Just(LeaseOutcome::Unused),
            1 => Just(LeaseOutcome::Broken),
        ];
        let state = prop_oneof![
            4 => Just(RuleState::Active),
            1 => Just(RuleState::Paused),
            1 => Just(RuleState::Draining),
        ];
        prop_oneof![
            4 => (any::<bool>(), 1..4_usize).prop_map(|(stock_only, count)| Step::Ask { stock_only, count }),
            2 => Just(Step::AskForMore),
            1 => any::<usize>().prop_map(Step::Cancel),
            3 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Release(which, outcome)),
            8 => (any::<bool>(), 1..6_u32, mood)
                .prop_map(|(second, count, mood)| Step::Serve { second, count, mood }),
            2 => Just(Step::Fill),
            2 => (1..400_i64).prop_map(Step::Pass),
            4 => (0..Sweep::ALL.len()).prop_map(Step::Look),
            1 => (0..RULES.len(), 1..5_u32, state)
                .prop_map(|(rule, target, state)| Step::Edit { rule, target, state }),
            1 => Just(Step::Publish),
        ]
        .boxed()
    }

    fn apply(mut known: Known, step: &Step) -> Known {
        match step {
            Step::Ask { .. } | Step::AskForMore => known.asked += 1,
            Step::Publish => known.versions += 1,
            _ => {}
        }
        known
    }

    fn preconditions(known: &Known, step: &Step) -> bool {
        // A few versions show all there is to see, and each costs a type check.
        !matches!(step, Step::Publish) || known.versions < 4
    }
}

/// The engine and what its people remember.
struct World {
    runtime: Runtime,
    town: Town,
    sessions: [SessionId; 2],
    requests: Vec<RequestId>,
    /// What is really there in the two services, by the key under which it was made.
    effects: BTreeSet<String>,
    versions: u32,
}

impl StateMachineTest for Machine {
    type SystemUnderTest = World;
    type Reference = Self;

    fn init_test(_: &Known) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (town, a, b) = runtime.block_on(with_pair());
        runtime.block_on(town.apply(OUTER));
        let rule = json!({ "contract": "shop/pair", "target": 2, "max_age_s": 900, "check_every_s": 60 });
        runtime.block_on(town.keep("pairs", rule));
        let rule = json!({ "contract": "shop/outer", "target": 1, "check_every_s": 60 });
        runtime.block_on(town.keep("outers", rule));
        World { runtime, town, sessions: [a, b], requests: Vec::new(), effects: BTreeSet::new(), versions: 1 }
    }

    fn apply(mut world: World, _: &Known, step: Step) -> World {
        let runtime = std::mem::replace(
            &mut world.runtime,
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        );
        runtime.block_on(world.act(step));
        world.runtime = runtime;
        world
    }

    fn check_invariants(world: &World, _: &Known) {
        world.runtime.block_on(world.is_whole());
    }

    fn teardown(mut world: World, _: Known) {
        let runtime = std::mem::replace(
            &mut world.runtime,
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        );
        runtime.block_on(world.comes_to_rest());
    }
}

impl World {
    async fn act(&mut self, step: Step) {
        match step {
            Step::Ask { stock_only, count } => {
                let source = if stock_only { Source::StockOnly } else { Source::StockFirst };
                let one = from(source, "shop/pair", json!({}));
                let wanted = Wanted { units: vec![one.units[0].clone(); count], ..one };
                // Refused when there is nothing in stock.
                if let Ok(id) = self.town.ask_for(wanted).await {
                    self.requests.push(id);
                }
            }
            Step::AskForMore => {
                let id = self.town.ask_for(stock_first("shop/outer")).await.expect("it is accepted");
                self.requests.push(id);
            }
            Step::Cancel(which) => {
                if let Some(id) = pick(&self.requests, which) {
                    self.town.engine.cancel_request(&self.town.consumer(), id).await.expect("it is there");
                }
            }
            Step::Release(which, outcome) => {
                let held: Vec<Lease> = self
                    .leases()
                    .await
                    .into_iter()
                    .filter(|lease| lease.status == LeaseStatus::Held)
                    .collect();
                if let Some(lease) = pick(&held, which) {
                    let consumer = self.town.consumer();
                    // It may have run out in the meantime.
                    let _ =
                        self.town.engine.release_lease(&consumer, lease.id, lease.fence, outcome, None).await;
                }
            }
            Step::Serve { second, count, mood } => {
                let session = self.sessions[usize::from(second)];
                self.serve(session, count, mood).await;
            }
            Step::Fill => self.fill().await,
            Step::Pass(seconds) => self.pass(seconds).await,
            Step::Look(which) => {
                self.town.engine.sweep(Sweep::ALL[which]).await.expect("a sweep goes through");
            }
            Step::Edit { rule, target, state } => {
                let edit = RuleEdit { target: Some(target), state: Some(state) };
                let name = RULES[rule].parse().expect("a name");
                let supplier = self.town.supplier();
                self.town.engine.edit_rule(&supplier, "default", &name, edit, None).await.expect("edited");
            }
            Step::Publish => {
                self.versions += 1;
                let more = format!("more_{}", self.versions);
                let grown = json!({ "input": { "properties": { more: { "type": "string" } } } });
                self.sessions[1] = self.town.connect("b", &[with(capability("second", ALL), grown)]).await;
            }
        }
    }

    async fn fill(&mut self) {
        loop {
            self.town.tend().await;
            let mut served = 0;
            for session in self.sessions {
                served += self.serve(session, 100, Mood::Well).await;
            }
            if served == 0 {
                return;
            }
        }
    }

    /// Lets time pass, with both suppliers alive all the while.
    async fn pass(&self, seconds: i64) {
        for _ in 0..seconds.div_euclid(5) {
            self.town.clock.advance_ms(5_000);
            for session in self.sessions {
                self.town.engine.heartbeat(&self.town.supplier(), session, &[]).await.expect("it is alive");
            }
        }
        self.town.clock.advance_ms(seconds.rem_euclid(5) * 1_000);
    }

    async fn serve(&mut self, session: SessionId, count: u32, mood: Mood) -> usize {
        let supplier = self.town.supplier();
        let claimed = self.town.engine.claim(&supplier, session, count, std::time::Duration::ZERO).await;
        let tasks = claimed.expect("the session is live");
        for task in &tasks {
            let answer = self.answer(task, mood);
            self.town.answer(session, task, answer).await;
        }
        tasks.len()
    }

    /// What a supplier says, and what it has done to its service.
    fn answer(&mut self, task: &Assignment, mood: Mood) -> Answer {
        let effect = task.idempotency_key.clone();
        if matches!(mood, Mood::Stumbling) {
            return refused(true);
        }
        match (task.operation, mood) {
            (Operation::Produce, Mood::Refusing) => refused(false),
            (Operation::Find, _) => Answer::Nothing { message: None },
            (Operation::Produce, _) => {
                self.effects.insert(effect);
                // As unique as the dataset: two of them own nothing in common.
                crate::town::made(&task.idempotency_key)
            }
            (Operation::Check, mood) => {
                let verdict = match mood {
                    Mood::Drifted => Verdict::Invalid,
                    Mood::Unsure => Verdict::Unknown,
                    _ => Verdict::Valid,
                };
                Answer::Checked { verdict, facts: None, message: None }
            }
            (Operation::Undo, _) => {
                self.effects.remove(&effect);
                Answer::Undone
            }
        }
    }

    async fn trees(&self) -> BTreeMap<TreeId, DatasetView> {
        let mut all = BTreeMap::new();
        let mut after: Option<DatasetId> = None;
        loop {
            let page = Page { after, limit: 500 };
            let found = self
                .town
                .engine
                .datasets(&self.town.consumer(), DatasetFilter::default(), page)
                .await
                .expect("a list");
            all.extend(found.rows.into_iter().map(|view| (view.tree.id, view)));
            after = found.next;
            if after.is_none() {
                return all;
            }
        }
    }

    async fn leases(&self) -> Vec<Lease> {
        let page = Page::first(10_000);
        let leases = self.town.engine.leases(&self.town.consumer(), LeaseFilter::default(), page).await;
        leases.expect("a list").rows.into_iter().map(|(lease, _)| lease).collect()
    }

    /// Holds the tables against each other; what a step has begun may need a moment to show everywhere.
    async fn is_whole(&self) {
        let mut wrong = Vec::new();
        for _ in 0..READ_AGAIN {
            wrong = self.faults().await;
            if wrong.is_empty() {
                return;
            }
            self.town.engine.ping().await.expect("a store that works");
        }
        panic!("{wrong:#?}");
    }

    async fn faults(&self) -> Vec<String> {
        let (trees, leases) = (self.trees().await, self.leases().await);
        let mut wrong = Vec::new();
        let held: BTreeMap<TreeId, &Lease> = leases
            .iter()
            .filter(|lease| lease.status == LeaseStatus::Held)
            .map(|lease| (lease.tree, lease))
            .collect();
        let count = leases.iter().filter(|lease| lease.status == LeaseStatus::Held).count();
        if held.len() != count {
            wrong.push(format!("{count} leases are held on {} datasets", held.len()));
        }
        for (id, view) in &trees {
            let root = view.tree.root().status;
            let lease = held.get(id).map(|lease| lease.id);
            if (root == PartStatus::Leased) != lease.is_some() || view.tree.lease != lease {
                wrong.push(format!("{id} is {root:?} with {:?}, and held is {lease:?}", view.tree.lease));
            }
        }
        wrong.extend(used_twice(&leases));
        wrong.extend(self.stock_faults(&trees).await);
        wrong
    }

    /// What is ready is in stock, or with its request; and nothing else is in stock.
    async fn stock_faults(&self, trees: &BTreeMap<TreeId, DatasetView>) -> Vec<String> {
        let mut waiting = BTreeSet::new();
        for id in &self.requests {
            let view = self.town.request(*id).await;
            let is_ready = |tree: &&std::sync::Arc<Tree>| tree.root().status == PartStatus::Ready;
            // Of one that has ended they wait to be taken back.
            waiting.extend(view.trees.iter().filter(is_ready).map(|tree| tree.id));
        }
        // What was discarded has no line any more, and waits to be taken down.
        let is_ready =
            |view: &&DatasetView| view.tree.root().status == PartStatus::Ready && view.tree.line.is_some();
        let ready: Vec<_> =
            trees.values().filter(is_ready).filter(|view| !waiting.contains(&view.tree.id)).collect();
        let mut stocked = 0;
        for rule in RULES {
            stocked += self.town.stock(rule).await.ready;
        }
        if stocked as usize == ready.len() {
            return Vec::new();
        }
        let told: Vec<String> = ready.iter().map(|view| format!("{:?}", view.tree)).collect();
        let told = told.join("\n");
        vec![format!("{} are in stock, and these are ready and belong to nobody: {told}", stocked)]
    }

    /// Everything is given back, nothing is wanted any more, and all services do as they are told.
    async fn comes_to_rest(&mut self) {
        for rule in 0..RULES.len() {
            self.act(Step::Edit { rule, target: 1, state: RuleState::Draining }).await;
        }
        for _ in 0..ROUNDS {
            for lease in self.leases().await.into_iter().filter(|lease| lease.status == LeaseStatus::Held) {
                let (consumer, outcome) = (self.town.consumer(), LeaseOutcome::Used);
                let _ = self.town.engine.release_lease(&consumer, lease.id, lease.fence, outcome, None).await;
            }
            self.pass(60).await;
            self.town.sweep().await;
            for session in self.sessions {
                while self.serve(session, 100, Mood::Well).await > 0 {}
            }
            let (trees, open) = (self.trees().await, self.open_requests().await);
            let at_rest = |view: &DatasetView| is_over(view.tree.root().status);
            if open == 0 && trees.values().all(at_rest) {
                return self.left_behind(&trees);
            }
        }
        let trees = self.trees().await;
        let moving: Vec<String> = trees
            .values()
            .filter(|view| !is_over(view.tree.root().status))
            .map(|view| format!("{:#?}", view.tree))
            .collect();
        panic!("{} requests are open, and these move: {}", self.open_requests().await, moving.join("\n"));
    }

    async fn open_requests(&self) -> usize {
        let mut open = 0;
        for id in &self.requests {
            open += usize::from(!self.town.request(*id).await.request.has_ended());
        }
        open
    }

    /// What is left in the services belongs to what was set aside for a person.
    fn left_behind(&self, trees: &BTreeMap<TreeId, DatasetView>) {
        for key in &self.effects {
            let mut dataset: DatasetId = key.parse().expect("a key names a dataset");
            // What was in stock may be a part of another dataset by now.
            while let Some(moved) = trees[&dataset.tree].tree.moved(dataset.part) {
                dataset = moved;
            }
            let tree = &trees[&dataset.tree].tree;
            let status = tree.root().status;
            assert!(
                matches!(status, PartStatus::Quarantined | PartStatus::Debt),
                "{key} is left behind by a dataset that is {status:?}: {tree:#?}"
            );
        }
    }
}

fn is_over(status: PartStatus) -> bool {
    status.ended() || status == PartStatus::Quarantined
}

/// A dataset has another holder only after one who has not used it.
fn used_twice(leases: &[Lease]) -> Vec<String> {
    let mut by_tree: BTreeMap<TreeId, Vec<&Lease>> = BTreeMap::new();
    for lease in leases {
        by_tree.entry(lease.tree).or_default().push(lease);
    }
    let mut wrong = Vec::new();
    for leases in by_tree.values_mut() {
        leases.sort_by_key(|lease| lease.fence);
        for pair in leases.windows(2) {
            let unused =
                pair[0].status == LeaseStatus::Released && pair[0].outcome == Some(LeaseOutcome::Unused);
            let apart = pair[0].ended_at.is_some_and(|ended| ended <= pair[1].granted_at);
            if !unused || !apart || pair[0].fence >= pair[1].fence {
                wrong.push(format!("{:?} and then {:?}", pair[0], pair[1]));
            }
        }
    }
    wrong
}

fn pick<T: Clone>(from: &[T], which: usize) -> Option<T> {
    from.get(which.checked_rem(from.len())?).cloned()
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: CASES, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_dataset_is_in_one_place_and_used_once_and_leaves_nothing_behind(sequential 10..60 => Machine);
}
