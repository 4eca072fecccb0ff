//! Changes: everything that one decision makes different, to be written as a whole.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::event::Event;
use crate::failure::Failure;
use crate::name::ContractName;
use crate::request::Priority;
use crate::schema::Entity;
use crate::tree::{Operation, Tree};

/// Everything that one decision changes about one tree.
#[derive(Debug, Clone)]
pub struct Change {
    /// The tree as it will be; its version is `expected + 1`.
    pub tree: Arc<Tree>,
    /// The version that was decided upon; 0 when the tree is new.
    pub expected: u64,
    /// The time at which it was decided.
    pub at: Timestamp,
    /// Numbers of the parts that are new.
    pub created: Vec<u32>,
    /// Numbers of the parts that exist already and are different now.
    pub changed: Vec<u32>,
    /// Tasks to hand out from their `ready_at` on.
    pub ready: Vec<ReadyTask>,
    /// Tasks that nobody wants any more: a ready one goes to the withdrawn, a claimed one is marked as cancelled.
    pub withdrawn: Vec<ReadyTask>,
    /// True when [`Tree::pins`] has grown and has to be written again.
    pub pins_changed: bool,
    /// Entities that parts hold from now on.
    pub entities: Vec<(u32, Entity)>,
    /// Entities that parts were given in their input, and only use: they are found by them, and hold them against nobody.
    pub uses: Vec<(u32, Entity)>,
    /// Entities that the tree owns once it is leased, each with the part that has made it; together with
    /// [`Outcome::Ready`] and [`Outcome::Extended`] only.
    pub owns: Vec<(u32, Entity)>,
    /// What the tree owns from now on because it was there already, in place of what it did; nothing when empty, and as
    /// before when `None`.
    pub found: Option<Vec<(u32, Entity)>>,
    /// What becomes of the dataset that joins the tree as a part: written with it, as long as that is in stock as it was when
    /// this was decided. What that one owned because it was there before, the tree owns from then on.
    pub joins: Option<Box<Change>>,
    /// What it means for the request.
    pub outcome: Option<Outcome>,
    /// What capabilities have said about their parts of a dataset that is there for stock.
    pub said: Vec<Said>,
    /// The capability on whose word alone a dataset that is there for stock goes away; not while it is doubted.
    pub upon: Option<ContractName>,
    /// What to tell.
    pub events: Vec<Event>,
}

/// A task for the queue of its capability.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyTask {
    /// The part that it is about.
    pub part: u32,
    /// Its number within the part.
    pub serial: u32,
    /// What is to be done.
    pub operation: Operation,
    /// Who performs it.
    pub contract: ContractName,
    /// The version of the contract that the tree was begun with.
    pub version: u32,
    /// Who waits for it.
    pub priority: Priority,
    /// Not handed out earlier.
    pub ready_at: Timestamp,
    /// The number of the last attempt; the next claim has the number after it.
    pub attempt: u32,
}

/// How one invariant stands over the facts that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The part that is the scenario.
    pub part: u32,
    /// What the invariant says.
    pub says: String,
    /// Why it does not hold; `None` when it does.
    pub broken: Option<String>,
}

/// What a capability has said about its part of a dataset that is there for stock; never that it cannot tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Which capability.
    pub contract: ContractName,
    /// Whether its part holds.
    pub holds: bool,
    /// What it added.
    pub message: Option<String>,
}

/// What stock has to know of a dataset that is ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// When it was made.
    pub ready_at: Timestamp,
    /// When the part that was not asked for longest was last found valid; when it was made, if no part can be asked.
    pub checked_at: Timestamp,
    /// Until when its evidence is fresh enough to be handed over unasked; [`Timestamp::MAX`] if no part can be asked.
    pub fresh_until: Timestamp,
    /// What of its output a consumer may choose it by.
    pub selectable: Map<String, Value>,
}

/// What a decision means for the request of the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The dataset is ready to be leased, or to be kept in stock.
    Ready(Readiness),
    /// A dataset in stock was found to hold.
    Confirmed(Readiness),
    /// A dataset that is leased was extended: what it owns now is in `owns`.
    Extended,
    /// A dataset in stock, or on its way from there, does not hold any more, and is set aside: why.
    Quarantined(Box<Failure>),
    /// A dataset in stock, or on its way from there, is kept in stock, and asked about before anybody gets it: it does not hold by the
    /// word of a capability that is doubted, or nobody could tell in time.
    HeldBack(Readiness),
    /// The dataset could not be made.
    Failed(Box<Failure>),
    /// Everything that could be undone is undone.
    Ended,
}
