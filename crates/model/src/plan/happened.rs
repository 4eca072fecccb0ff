//! Happened: everything that a tree has to be told, from suppliers, from consumers, and from the clock.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::HeldEntity;
use crate::ids::SessionId;
use crate::name::ContractName;
use crate::recheck::{Offline, Why};
use crate::task::{OpenTask, Standing};
use crate::tree::{Answerer, Tree, Verdict, Wish};

/// What a supplier answered to one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `produce`: it is there. `find`: it was there already.
    Produced {
        /// What was made.
        output: Value,
        /// What the service says about it.
        facts: Option<Value>,
    },
    /// `check`: this is how it stands.
    Checked {
        /// The verdict.
        verdict: Verdict,
        /// What the service read back.
        facts: Option<Value>,
        /// Why.
        message: Option<String>,
    },
    /// `undo`: nothing of it is left.
    Undone,
    /// Not finished: ask again later, with this state. No attempt is used up.
    Again {
        /// Not earlier than after this time.
        after_ms: u64,
        /// To be sent along next time.
        state: Option<Value>,
        /// What it is waiting for.
        message: Option<String>,
    },
    /// It could not be done.
    Failed {
        /// Whether trying again may help.
        retryable: bool,
        /// The domain's code.
        code: String,
        /// The domain's reason.
        message: String,
        /// More, as given.
        details: Option<Value>,
    },
    /// `find`: there is nothing that fits.
    Nothing {
        /// What was looked for.
        message: Option<String>,
    },
    /// An orchestrator wants these children first.
    Obtain {
        /// Each by its name.
        children: Vec<Wish>,
    },
}

/// What happened to a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// A supplier answered an attempt.
    Answered {
        /// Which attempt.
        attempt: Attempt,
        /// Who answered.
        session: SessionId,
        /// The same as it is kept beside what it says.
        by: Answerer,
        /// What it said.
        answer: Answer,
    },
    /// An attempt will never be answered: its session is gone.
    Crashed(Attempt),
    /// An attempt was not answered in its time.
    TimedOut(Attempt),
    /// A task was taken back before anybody had claimed it.
    Withdrawn {
        /// Its part.
        part: u32,
        /// Its number.
        serial: u32,
    },
    /// Nobody performs the task's capability.
    Unserved {
        /// Its part.
        part: u32,
        /// Its number.
        serial: u32,
        /// Since when the task has been waiting.
        since: Timestamp,
    },
    /// A result came when nobody waited for it any more.
    Orphaned {
        /// Its part.
        part: u32,
        /// What the supplier says that it has made; `None` when it only says that it has done something.
        output: Option<Value>,
    },
    /// A moment has come at which something follows from the time alone; see [`Tree::due_at`].
    Due {
        /// The tasks that the tree waits for, as the store has them: a step that is out of time says what it was doing.
        open: Vec<OpenTask>,
    },
    /// The request has ended without this dataset.
    Unwanted,
    /// The lease has ended.
    LeaseEnded {
        /// True when the dataset was not used up: it goes back into stock if it still holds.
        keep: bool,
    },
    /// The dataset stands, and is to be asked about as a whole.
    Recheck {
        /// Why.
        why: Why,
        /// How long answers are waited for.
        allow_ms: u64,
        /// True when only fresh evidence will do.
        strict: bool,
        /// True when whoever waits gets another one or nothing, rather than wait for a service that cannot be asked.
        at_once: bool,
        /// What nobody performs now.
        offline: Vec<Offline>,
    },
    /// Its holder wants it to be extended.
    Extended {
        /// The version of the tree that this was found to be possible upon.
        seen: u64,
        /// By what.
        contract: ContractName,
        /// In which version.
        version: u32,
        /// From what: valid, with defaults filled in.
        input: Value,
    },
    /// Somebody has decided what becomes of a dataset that was set aside.
    Resolved {
        /// What.
        resolution: Resolution,
        /// The name of the token that decided.
        by: String,
        /// Why.
        reason: String,
        /// What nobody performs now.
        offline: Vec<Offline>,
    },
    /// Somebody has looked after an effect that could not be undone.
    DebtResolved {
        /// The part that owes it.
        part: u32,
        /// The name of the token that says so.
        by: String,
        /// What has become of it.
        reason: String,
    },
    /// Somebody has looked for a part of it in stock; see [`super::Change::sought`].
    Sought {
        /// The part.
        part: u32,
        /// What is there, as it is stored; `None` when there is nothing that fits.
        found: Option<Arc<Tree>>,
    },
    /// Its request is complete, and it cannot be leased with it: something that it has made is somebody else's.
    EntityHeld(HeldEntity),
}

/// What somebody has decided about a dataset in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// It is asked about again, and goes back into stock if it holds.
    Retry,
    /// It is undone.
    Undo,
    /// It is forgotten as it is: whatever is left of it is looked after elsewhere.
    Discard,
    /// It goes back into stock unasked.
    Return,
}

impl Resolution {
    /// Every resolution with its name on the wire.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Retry, "retry"), (Self::Undo, "undo"), (Self::Discard, "discard"), (Self::Return, "return")];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(resolution, _)| *resolution == self).expect("every resolution is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(resolution, _)| *resolution)
    }
}

/// One attempt at one task of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The part.
    pub part: u32,
    /// The task's number within the part.
    pub serial: u32,
    /// The attempt's number within the task.
    pub number: u32,
}

impl Happened {
    /// What it says about tasks that the tree waits for.
    pub(super) fn open_tasks(&self) -> Vec<OpenTask> {
        let claimed = |part, serial, attempt| {
            vec![OpenTask { part, serial, standing: Standing::Claimed { attempt, since: None } }]
        };
        match self {
            Self::Due { open } => open.clone(),
            Self::Answered { attempt, .. } | Self::Crashed(attempt) | Self::TimedOut(attempt) => {
                claimed(attempt.part, attempt.serial, attempt.number)
            }
            Self::Unserved { part, serial, .. } => {
                let standing = Standing::Unclaimed { served: false };
                vec![OpenTask { part: *part, serial: *serial, standing }]
            }
            Self::Withdrawn { .. }
            | Self::Orphaned { .. }
            | Self::Unwanted
            | Self::LeaseEnded { .. }
            | Self::Recheck { .. }
            | Self::Extended { .. }
            | Self::Resolved { .. }
            | Self::DebtResolved { .. }
            | Self::Sought { .. }
            | Self::EntityHeld(_) => Vec::new(),
        }
    }
}
