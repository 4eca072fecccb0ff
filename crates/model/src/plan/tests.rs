//! The planner told in scenes: a tree is begun, suppliers answer, and what follows is looked at.

mod building;
mod channels;
mod diagnosing;
mod doubting;
mod extending;
mod failing;
mod finding;
mod joining;
mod orchestrating;
mod owning;
mod random;
mod rerunning;
mod retrying;
mod settling;
mod sizes;
mod timing;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::channel::{Overlay, is_of_channel};
use crate::failure::{Failure, FailureClass};
use crate::ids::{RequestId, SessionId, TreeId};
use crate::manifest::CapabilityDefinition;
use crate::task::{OpenTask, Standing};
use crate::tree::{PartStatus, Retrying, Verdict, Wish};

/// The contracts of a test.
#[derive(Default)]
struct Landscape {
    contracts: HashMap<(ContractName, u32), Arc<Contract>>,
    current: HashMap<ContractName, u32>,
    /// What is kept in stock.
    stocked: Vec<(ContractName, Value)>,
    /// How often a version was looked up.
    looks: std::cell::Cell<usize>,
}

impl Versions for Landscape {
    fn version(&self, name: &ContractName, version: u32) -> Option<Arc<Contract>> {
        self.looks.set(self.looks.get() + 1);
        self.contracts.get(&(name.clone(), version)).cloned()
    }

    fn current(&self, name: &ContractName) -> Option<Arc<Contract>> {
        self.version(name, *self.current.get(name)?)
    }

    fn is_stocked(&self, name: &ContractName, input: &Value) -> bool {
        self.stocked.iter().any(|(stocked, of)| stocked == name && of == input)
    }
}

impl Landscape {
    fn add(&mut self, contract: Contract) {
        self.current.insert(contract.name.clone(), contract.version);
        self.contracts.insert((contract.name.clone(), contract.version), Arc::new(contract));
    }

    /// A capability whose output is `{"id": text}`, with these operations.
    fn capability(mut self, name: &str, operations: &[&str]) -> Self {
        self.add(capability(name, operations, json!({})));
        self
    }

    /// The same capability in another version, which is the current one from now on.
    fn version(mut self, name: &str, version: u32) -> Self {
        self.add(Contract { version, ..capability(name, ALL, json!({})) });
        self
    }

    fn scenario(mut self, text: &str) -> Self {
        let draft = crate::scenario::parse("test.yaml", text).expect("the scenario can be read");
        self.add(draft.unchecked(1));
        self
    }
}

fn capability(name: &str, operations: &[&str], settings: Value) -> Contract {
    let (domain, local) = name.split_once('/').expect("domain/name");
    let mut definition = json!({
        "name": local,
        "description": "",
        "owner": { "team": domain, "contact": format!("{domain}@shop.test") },
        "labels": {},
        "input": true,
        "output": {
            "type": "object",
            "properties": { "id": { "type": "string", "x-entity": domain } },
            "required": ["id"],
        },
        "operations": operations,
        "retry": { "max_attempts": 3, "first_delay_ms": 100, "max_delay_ms": 1000 },
        "settle_s": 10,
    });
    for (key, value) in settings.as_object().expect("settings are an object") {
        definition[key] = value.clone();
    }
    CapabilityDefinition::from_json(&definition)
        .and_then(|definition| definition.into_contract(domain, 1))
        .expect("the definition is whole")
}

/// Who answers in every scene.
fn by() -> Answerer {
    Answerer { build: Some(Arc::from("build-7")), instance: Some(Arc::from("one")) }
}

/// When every scene begins.
fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn new_tree(landscape: &Landscape, contract: &str, input: Value) -> NewTree {
    let name: ContractName = contract.parse().expect("a name");
    let contract = landscape.current(&name).expect("the contract is there");
    NewTree {
        id: TreeId(Uuid::from_u128(7)),
        environment: Arc::from("test"),
        request: RequestId(Uuid::from_u128(8)),
        unit: 0,
        input: Arc::new(contract.input.with_defaults(input)),
        contract,
        priority: Priority::Pipeline,
        channel: None,
        line: None,
        overlay: Overlay::default(),
        given: BTreeMap::new(),
        seed: 1,
        unique: "u".to_owned(),
        until: None,
        beginning: Beginning::Make,
        takes_stock: false,
    }
}

/// One tree with its ready tasks, as a store would keep them.
struct Scene {
    landscape: Landscape,
    now: Timestamp,
    tree: Tree,
    /// Ready and claimed tasks by part; the attempt last handed out.
    open: BTreeMap<u32, ReadyTask>,
    withdrawn: Vec<ReadyTask>,
    outcomes: Vec<Outcome>,
    events: Vec<Event>,
}

impl Scene {
    /// What its decisions meant for the request, by name.
    fn ended_as(&self) -> Vec<&'static str> {
        let name = |outcome: &Outcome| match outcome {
            Outcome::Ready(_) => "ready",
            Outcome::Confirmed(_) => "confirmed",
            Outcome::HeldBack(_) => "held back",
            Outcome::Extended => "extended",
            Outcome::Quarantined(_) => "quarantined",
            Outcome::Failed(_) => "failed",
            Outcome::Ended => "ended",
        };
        self.outcomes.iter().map(name).collect()
    }

    fn begin(landscape: Landscape, contract: &str, input: Value) -> Self {
        let new = new_tree(&landscape, contract, input);
        Self::begin_with(landscape, new)
    }

    /// The same, asked for in a channel whose versions are the current ones of the landscape.
    fn begin_in(channel: Option<&str>, landscape: Landscape, contract: &str, input: Value) -> Self {
        let overlay = landscape.current.iter().filter(|(_, version)| is_of_channel(**version));
        let overlay = Overlay::of(overlay.map(|(name, version)| (name.clone(), *version)));
        let new =
            NewTree { channel: channel.map(Arc::from), overlay, ..new_tree(&landscape, contract, input) };
        Self::begin_with(landscape, new)
    }

    fn begin_with(landscape: Landscape, new: NewTree) -> Self {
        let now = start();
        let change = begin(new, World { versions: &landscape, now, chance: 0.5 });
        assert_eq!((change.expected, change.tree.version), (0, 1));
        let mut scene = Self {
            landscape,
            now,
            tree: Tree::clone(&change.tree),
            open: BTreeMap::new(),
            withdrawn: Vec::new(),
            outcomes: Vec::new(),
            events: Vec::new(),
        };
        scene.take(change);
        scene
    }

    fn take(&mut self, change: Change) {
        assert_eq!(change.tree.version, change.expected + 1);
        for ready in &change.ready {
            let before = self.open.insert(ready.part, ready.clone());
            assert!(
                before.is_none_or(|before| before.serial < ready.serial || before.attempt < ready.attempt),
                "a task is handed out again only as another attempt: {ready:?}"
            );
        }
        for (number, part) in change.tree.parts.iter().enumerate() {
            assert_eq!(part.part as usize, number);
            if part.task.is_none() {
                self.open.remove(&part.part);
            }
        }
        self.withdrawn.extend(change.withdrawn);
        self.outcomes.extend(change.outcome);
        self.events.extend(change.events);
        self.tree = Tree::clone(&change.tree);
    }

    fn happen(&mut self, happened: Happened) {
        let world = World { versions: &self.landscape, now: self.now, chance: 0.5 };
        let change = decide(&self.tree, happened, world);
        self.take(change);
    }

    fn pass_ms(&mut self, ms: i64) {
        self.now = self.now.checked_add(SignedDuration::from_millis(ms)).expect("within range");
    }

    /// The number of the part at these steps; of several attempts that of the last one.
    fn at(&self, steps: &str) -> u32 {
        let found = self.tree.parts.iter().rev().find(|part| self.tree.steps_to(part.part) == steps);
        found.unwrap_or_else(|| panic!("no part `{steps}` in {:?}", self.paths())).part
    }

    fn paths(&self) -> Vec<String> {
        self.tree.parts.iter().map(|part| self.tree.steps_to(part.part)).collect()
    }

    fn part(&self, steps: &str) -> &Part {
        &self.tree.parts[self.at(steps) as usize]
    }

    /// What suppliers are asked for now: `produce customer`, in order of the parts.
    fn asked(&self) -> Vec<String> {
        self.open
            .values()
            .map(|ready| {
                format!("{} {}", ready.operation.name(), self.tree.steps_to(ready.part)).trim().to_owned()
            })
            .collect()
    }

    fn attempt(&self, steps: &str) -> Attempt {
        self.attempt_at(self.at(steps))
    }

    fn attempt_at(&self, part: u32) -> Attempt {
        let ready = self.open.get(&part).unwrap_or_else(|| panic!("nothing is asked of part {part}"));
        Attempt { part, serial: ready.serial, number: ready.attempt + 1 }
    }

    fn answer(&mut self, steps: &str, answer: Answer) {
        self.answer_at(self.at(steps), answer);
    }

    fn answer_at(&mut self, part: u32, answer: Answer) {
        let attempt = self.attempt_at(part);
        self.happen(Happened::Answered { attempt, session: SessionId(Uuid::nil()), by: by(), answer });
    }

    /// Makes a part; its id is its own name.
    fn produce(&mut self, steps: &str) {
        let output = json!({ "id": steps });
        self.answer(steps, Answer::Produced { output, facts: None });
    }

    fn check(&mut self, steps: &str, verdict: Verdict, facts: Value) {
        self.answer(steps, Answer::Checked { verdict, facts: Some(facts), message: None });
    }

    fn fail(&mut self, steps: &str, retryable: bool) {
        self.answer(steps, no(retryable));
    }

    fn undo(&mut self, steps: &str) {
        self.answer(steps, Answer::Undone);
    }

    fn status(&self, steps: &str) -> PartStatus {
        self.part(steps).status
    }

    /// The time comes at which something follows by itself, and it is looked at; the store knows of no task.
    fn due(&mut self) {
        self.due_with(Vec::new());
    }

    fn due_with(&mut self, open: Vec<OpenTask>) {
        let at = self.tree.due_at().expect("something follows from the time alone");
        self.now = at.max(self.now);
        self.happen(Happened::Due { open });
        let next = self.tree.due_at();
        assert!(next.is_none_or(|next| next > self.now), "what was due is done: {next:?}");
    }

    /// What the store knows of the open task of a part.
    fn standing(&self, steps: &str, standing: Standing) -> OpenTask {
        let ready = &self.open[&self.at(steps)];
        OpenTask { part: ready.part, serial: ready.serial, standing }
    }

    /// The path that the last event of a kind tells, if it tells one.
    fn told_path(&self, kind: &str) -> Option<&str> {
        let event = self.events.iter().rfind(|event| event.kind == kind);
        event.unwrap_or_else(|| panic!("no {kind}")).data.get("path")?.as_str()
    }

    fn failure(&self) -> &Failure {
        match &self.outcomes[..] {
            [Outcome::Failed(failure), ..] => failure,
            other => panic!("not failed first: {other:?}"),
        }
    }
}

fn no(retryable: bool) -> Answer {
    let (code, message) = ("no".to_owned(), "the domain says no".to_owned());
    Answer::Failed { retryable, code, message, details: None }
}

const ALL: &[&str] = &["produce", "check", "undo"];
const MAKE: &[&str] = &["produce"];
const MAKE_AND_UNDO: &[&str] = &["produce", "undo"];

/// The landscape of the design: a customer, and what follows from it.
fn shop(operations: &[&str]) -> Landscape {
    Landscape::default()
        .capability("customer/active-customer", operations)
        .capability("billing/payment-account", operations)
        .capability("delivery/serviceable-address", operations)
        .capability("order/prepared-order", operations)
        .scenario(READY_CUSTOMER)
}

const READY_CUSTOMER: &str = r#"
scenario: checkout/ready-customer
owner: { team: Checkout }
input: { type: object, properties: { country: { type: string, default: FR } } }
steps:
  customer: { uses: customer/active-customer, with: { country: "${{ input.country }}" } }
  payment:  { uses: billing/payment-account, with: { customer_id: "${{ steps.customer.id }}" } }
  address:  { uses: delivery/serviceable-address, with: { customer_id: "${{ steps.customer.id }}" } }
  order:    { uses: order/prepared-order, with: { customer_id: "${{ steps.customer.id }}" }, needs: [payment] }
output:
  customer_id: "${{ steps.customer.id }}"
  order_id: "${{ steps.order.id }}"
"#;
