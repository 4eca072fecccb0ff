//! Finding: data that a service has already takes the place of data that would be made.
//!
//! ```text
//! looking -> found: checked and leased like what was made, and never undone
//!    |  ^      |
//!    |  +------+ it does not hold
//!    +--> made: nothing fits, or too much of what fits is somebody else's, or looking itself fails
//! ```

use crate::limits::{FIND_ASKS, FIND_REFUSED};
use crate::schema::Entity;

/// Where the data of a part comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It is made for the dataset, and undone with it.
    #[default]
    Made,
    /// Its service had it already when it was asked for something that fits.
    Found,
    /// Somebody has said that its service has it.
    Imported,
}

impl Origin {
    /// Every origin with its name on the wire and in the store.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Made, "made"), (Self::Found, "found"), (Self::Imported, "imported")];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(origin, _)| *origin == self).expect("every origin is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(origin, _)| *origin)
    }

    /// Whether it was there before anybody asked for it: such data is never undone.
    pub fn existed(self) -> bool {
        self != Self::Made
    }
}

/// How far the search for existing data of a part has come.
///
/// Searching goes before making: the first tasks of the part, as many as were asked, are those of the search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// How often the service was asked.
    pub asked: u32,
    /// What it had and could not be taken: not to be answered once more.
    pub refused: Vec<Entity>,
    /// Why the part is made after all.
    pub given_up: Option<GivenUp>,
}

/// Why nothing was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// Which of the reasons it is.
    pub why: WhyGivenUp,
    /// The same for people.
    pub message: String,
}

/// The reasons for which nothing is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhyGivenUp {
    /// The service has nothing that fits.
    Nothing,
    /// What fits could not be taken, too often.
    Refused,
    /// Looking for it failed.
    Failed,
    /// The answer breaks the contract.
    ContractViolation,
}

impl WhyGivenUp {
    /// Every reason with its name on the wire and in the store.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Nothing, "nothing_found"),
        (Self::Refused, "refused"),
        (Self::Failed, "find_failed"),
        (Self::ContractViolation, "contract_violation"),
    ];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(why, _)| *why == self).expect("every reason is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(why, _)| *why)
    }
}

impl Search {
    /// Whether the service may be asked once more.
    pub(crate) fn may_go_on(&self) -> bool {
        self.given_up.is_none() && self.asked < FIND_ASKS
    }

    /// Notes what is not to be answered once more.
    pub(crate) fn refuse(&mut self, entities: impl IntoIterator<Item = Entity>) {
        for entity in entities {
            if self.refused.len() < FIND_REFUSED && !self.refused.contains(&entity) {
                self.refused.push(entity);
            }
        }
    }
}
