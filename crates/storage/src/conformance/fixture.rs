//! The fixture: a store to be tested, a clock that only tests move, and the steps that cases are made of.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sixpack_model::contract::Owner;
use sixpack_model::event::Event;
use sixpack_model::failure::{Failure, FailureClass, Retried};
use sixpack_model::find::Origin;
use sixpack_model::ids::{LeaseId, RequestId, SessionId, TokenId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::plan::{Change, Outcome, Readiness};
use sixpack_model::request::{Request, RequestStatus, Selection, Source, Unit};
use sixpack_model::session::{Session, SessionStatus};
use sixpack_model::tree::{Claim, Operation, Part, PartStatus, Task, Tree};
use uuid::Uuid;

use super::factories::{Decision, ENVIRONMENT, FRESH_FOR_MS, Order, Supplier, TTL_MS, ready_task};
use crate::clock::{Clock, ManualClock};
use crate::contracts::Publication;
use crate::requests::{Created, Looking, NewRequest, Quota};
use crate::sessions::{NewSession, Registered, Service};
use crate::tasks::{Claimed, Claims};
use crate::trees::{Guard, TreeWrite, Written};
use crate::{Store, StoreError};

/// A store to be tested.
pub struct Fixture {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its clock; it stands still.
    pub clock: ManualClock,
    ids: AtomicU64,
    // What has to live as long as the store: a folder, a server.
    _held: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// The time at which a fixture's clock should start.
    pub fn start() -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000).expect("a time within the range")
    }

    /// A fixture around an empty store that takes its time from `clock`.
    pub fn new(store: Arc<dyn Store>, clock: ManualClock, held: impl Any + Send + Sync) -> Self {
        Self { store, clock, ids: AtomicU64::new(1), _held: Box::new(held) }
    }

    /// The store's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A time so long after now.
    pub fn in_ms(&self, ms: i64) -> Timestamp {
        self.now() + SignedDuration::from_millis(ms)
    }

    /// An id like those of version 7: the time, then a counter.
    pub fn id(&self) -> Uuid {
        let at = u128::from(self.now().as_millisecond().unsigned_abs());
        Uuid::from_u128((at << 80) | u128::from(self.ids.fetch_add(1, Ordering::Relaxed)))
    }

    /// An event that tells of nothing in particular.
    pub fn event(&self, kind: &'static str) -> Event {
        Event {
            sequence: 0,
            at: self.now(),
            environment: ENVIRONMENT.to_owned(),
            kind: kind.into(),
            request: None,
            tree: None,
            part: 0,
            duration_ms: None,
            data: json!({}),
        }
    }

    /// Registers a supplier; returns its session.
    pub async fn supplier(&self, supplier: Supplier) -> SessionId {
        let id = SessionId(self.id());
        let new = self.new_session(id, supplier).await;
        let registered = self.store.register_session(new).await.expect("a store that works");
        assert!(matches!(registered, Registered::Live { .. }), "{registered:?}");
        id
    }

    /// What a supplier registers with, decided upon the catalogue as it is now.
    pub async fn new_session(&self, id: SessionId, supplier: Supplier) -> NewSession {
        let catalogue = self.store.catalogue(&supplier.environment).await.expect("a store that works");
        let publication = Publication {
            expected_revision: catalogue.map_or(0, |catalogue| catalogue.revision),
            ..Publication::default()
        };
        let name = |service: &Service| service.contract.rsplit('/').next().unwrap_or_default().to_owned();
        let session = Session {
            id,
            environment: supplier.environment,
            domain: "shop".to_owned(),
            instance: supplier.instance.unwrap_or_else(|| id.to_string()),
            channel: supplier.channel,
            build: Some("git:1a2b3c".to_owned()),
            sdk: None,
            token: TokenId(Uuid::nil()),
            capabilities: supplier.services.iter().map(name).collect(),
            status: SessionStatus::Live,
            created_at: self.now(),
            seen_at: self.now(),
            ended_at: None,
        };
        NewSession { session, services: supplier.services, publication, events: Vec::new() }
    }

    /// Accepts a request; returns it with its trees as they are stored.
    pub async fn accept(&self, order: Order) -> (Request, Vec<Tree>) {
        let new = self.new_request(order);
        let (request, trees) = (new.request.clone(), trees_of(&new));
        assert_eq!(self.store.create_request(new).await.expect("a store that works"), Created::Accepted);
        (request, trees)
    }

    /// Accepts a request for one tree with one part of this capability, whose task is ready.
    pub async fn one(&self, contract: &str) -> Tree {
        let (_, trees) = self.accept(Order::of(&[contract])).await;
        trees.into_iter().next().expect("a request has a tree")
    }

    /// A request with its first decisions: for every tree a root and one part for each capability, all tasks ready.
    pub fn new_request(&self, order: Order) -> NewRequest {
        let id = RequestId(self.id());
        let changes: Vec<Change> = (0..order.units).map(|unit| self.plant(id, unit, &order)).collect();
        let units = changes.iter().map(|change| {
            let root = change.tree.root();
            Unit {
                contract: root.contract.clone(),
                version: root.version,
                input: Arc::clone(&root.input),
                given: None,
            }
        });
        let request = Request {
            id,
            environment: order.environment.clone(),
            units: units.collect(),
            listed: false,
            rerun_of: order.rerun_of,
            source: Source::Fresh,
            selection: Selection::default(),
            refills: None,
            ttl_ms: TTL_MS,
            holder: "a test".to_owned(),
            token: order.token,
            priority: order.priority,
            channel: order.channel.clone(),
            status: RequestStatus::Building,
            revision: 1,
            ready: 0,
            created_at: self.now(),
            deadline_at: self.in_ms(order.timeout_ms),
            ended_at: None,
            failure: None,
        };
        let leases = changes.iter().map(|_| LeaseId(self.id())).collect();
        let event = Event { request: Some(id), ..self.event("request.accepted") };
        NewRequest {
            request,
            trees: changes,
            wishes: Vec::new(),
            looking: Looking::Fresh,
            leases,
            idempotency: None,
            quota: Quota::UNLIMITED,
            event,
        }
    }

    /// A decision that changes nothing yet: cases add what they are about.
    pub fn change(&self, tree: &Tree) -> Change {
        Change {
            tree: Arc::new(Tree { version: tree.version + 1, ..tree.clone() }),
            expected: tree.version,
            at: self.now(),
            created: Vec::new(),
            changed: Vec::new(),
            ready: Vec::new(),
            withdrawn: Vec::new(),
            pins_changed: false,
            entities: Vec::new(),
            uses: Vec::new(),
            owns: Vec::new(),
            found: None,
            joins: None,
            outcome: None,
            said: Vec::new(),
            upon: None,
            events: Vec::new(),
        }
    }

    /// A decision that a part is made.
    pub fn made(&self, tree: &Tree, part: u32) -> Change {
        self.part_change(tree, part, |part| {
            part.status = PartStatus::Ready;
            part.output = Some(Arc::new(json!({ "id": 7 })));
            part.task = None;
        })
    }

    /// A decision that the whole tree is ready to be leased.
    pub fn ready(&self, tree: &Tree) -> Change {
        let mut change = self.part_change(tree, 0, |root| root.status = PartStatus::Ready);
        change.outcome = Some(self.readiness());
        change
    }

    /// That a dataset is ready now, with evidence that is fresh for five minutes.
    pub fn readiness(&self) -> Outcome {
        Outcome::Ready(Readiness {
            ready_at: self.now(),
            checked_at: self.now(),
            fresh_until: self.in_ms(FRESH_FOR_MS),
            selectable: serde_json::Map::new(),
        })
    }

    /// A decision that the task of a part is done, and another one about it is ready.
    pub fn next_of_part(&self, tree: &Tree, part: u32) -> Change {
        let mut change = self.part_change(tree, part, |part| {
            let task = part.task.as_mut().expect("a part that has a task");
            (task.serial, task.attempt, task.ready_at) = (task.serial + 1, 0, self.now());
        });
        change.ready.extend(ready_task(&change.tree.parts[part as usize].clone()));
        change
    }

    /// A decision that changes one part.
    pub fn part_change(&self, tree: &Tree, part: u32, edit: impl FnOnce(&mut Part)) -> Change {
        let mut change = self.change(tree);
        edit(&mut Arc::make_mut(&mut change.tree).parts[part as usize]);
        change.changed.push(part);
        change
    }

    /// Writes a decision under a guard.
    pub async fn write(&self, guard: Guard, change: Change) -> Written {
        self.try_write(guard, change).await.expect("a store that works")
    }

    /// Writes a decision under a guard, whatever comes of it.
    pub async fn try_write(&self, guard: Guard, change: Change) -> Result<Written, StoreError> {
        let leases = (0..8).map(|_| LeaseId(self.id())).collect::<Vec<_>>();
        let trees = self.store.trees_of(change.tree.request).await?;
        let leases = leases.into_iter().take(trees.len()).collect();
        self.store.write_tree(TreeWrite { guard, change, leases }).await
    }

    /// Makes a tree of a request ready without a supplier; returns it as it is afterwards.
    pub async fn finish(&self, tree: &Tree) -> Tree {
        let written = self.write(Guard::None, self.ready(tree)).await;
        assert!(matches!(written, Written::Done(_)), "{written:?}");
        self.load(tree.id).await
    }

    /// A dataset in somebody's hands.
    pub async fn leased(&self) -> (Tree, Lease) {
        let tree = self.one("shop/customer").await;
        let tree = self.finish(&tree).await;
        let leases = self.store.leases_of(tree.request).await.expect("a store that works");
        (tree, leases.into_iter().next().expect("a fulfilled request has a lease"))
    }

    /// Reads a tree that is there.
    pub async fn load(&self, tree: TreeId) -> Tree {
        self.store.load_tree(tree).await.expect("a store that works").expect("a tree that is there")
    }

    /// Claims for a live session.
    pub async fn claim(&self, session: SessionId, max: u32) -> Vec<Claimed> {
        match self.store.claim_tasks(session, max).await.expect("a store that works") {
            Claims::Given { tasks, .. } => tasks,
            Claims::NotLive => panic!("the session is not live"),
        }
    }

    /// Claims for a live session; returns when to look again.
    pub async fn next_at(&self, session: SessionId) -> Option<Timestamp> {
        match self.store.claim_tasks(session, 1).await.expect("a store that works") {
            Claims::Given { next_at, .. } => next_at,
            Claims::NotLive => panic!("the session is not live"),
        }
    }

    /// Claims the one task that is there.
    pub async fn claim_one(&self, session: SessionId) -> Claim {
        let tasks = self.claim(session, 100).await;
        assert_eq!(tasks.len(), 1, "exactly one task is ready");
        tasks[0].claim
    }

    /// A failure of a part.
    pub fn failure(&self) -> Failure {
        Failure {
            path: "customer › shop/customer@1".to_owned(),
            class: FailureClass::Rejected,
            code: Some("blocked".to_owned()),
            message: "the country is not served".to_owned(),
            details: Some(json!({ "country": "XX" })),
            contract: "shop/customer".parse().expect("a name"),
            version: 1,
            part: 1,
            owner: Owner { team: "Shop".to_owned(), contact: Some("#shop".to_owned()), issues: None },
            attempts: 2,
            retried: vec![Retried { path: "ready › shop/ready-customer@1".to_owned(), attempts: 3 }],
            blocked: vec!["order › shop/order@1".to_owned()],
        }
    }

    /// The first decision about a new tree.
    fn plant(&self, request: RequestId, unit: u32, order: &Order) -> Change {
        let ready_at = order.ready_at.unwrap_or_else(|| self.now());
        let root = self.part(0, None, &order.root, Value::Object(serde_json::Map::new()));
        let mut parts = vec![root];
        let mut ready = Vec::new();
        for (part, contract) in (1u32..).zip(&order.parts) {
            let mut leaf = self.part(part, Some(0), contract, json!({ "country": "FR" }));
            leaf.version = order.version;
            leaf.serials = 1;
            leaf.started_at = Some(self.now());
            leaf.task = Some(Task {
                serial: 1,
                operation: Operation::Produce,
                ready_at,
                priority: order.priority,
                attempt: 0,
                spent_from: 0,
                cancelled: false,
                message: None,
            });
            ready.extend(ready_task(&leaf));
            parts.push(leaf);
        }
        let created = (0..).take(parts.len()).collect();
        let tree = Tree {
            id: TreeId(self.id()),
            version: 1,
            environment: Arc::from(order.environment.as_str()),
            request,
            unit,
            priority: order.priority,
            channel: order.channel.as_deref().map(Arc::from),
            pins: Arc::new(BTreeMap::from([("shop/customer".parse().expect("a name"), 3)])),
            seed: (1 << 53) - 1,
            unique: "k7f3".to_owned(),
            line: order.line,
            takes_stock: false,
            recheck: None,
            lease: None,
            ending: None,
            made: 0,
            parts,
        };
        Change { expected: 0, created, ready, ..self.change(&tree) }.with_version(1)
    }

    fn part(&self, part: u32, parent: Option<u32>, contract: &str, input: Value) -> Part {
        Part {
            part,
            parent,
            step: if part == 0 { String::new() } else { format!("step_{part}") },
            index: None,
            contract: contract.parse().expect("a name"),
            version: 1,
            input: Arc::new(input),
            origin: Origin::Made,
            search: None,
            join: None,
            output: None,
            facts: None,
            evidence: None,
            handed: None,
            set_aside: None,
            status: PartStatus::Building,
            state: None,
            task: None,
            serials: 0,
            made: None,
            effect_possible: false,
            orphans: Vec::new(),
            undone: 0,
            settle_until: None,
            deadline_at: None,
            attempt_until: None,
            failed_attempts: 0,
            attempts_before: 0,
            retrying: None,
            failure: None,
            resolved: None,
            extension: None,
            created_at: self.now(),
            started_at: None,
            ready_at: None,
            ended_at: None,
        }
    }
}

fn trees_of(new: &NewRequest) -> Vec<Tree> {
    new.trees.iter().map(|change| change.tree.as_ref().clone()).collect()
}
