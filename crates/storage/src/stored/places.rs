//! Places: where a tree is kept, and what stock keeps of a dataset that is ready.

use sixpack_model::ids::LineId;
use sixpack_model::plan::Readiness;
use sixpack_model::tree::PartStatus;

use super::values::ms;

/// Where a tree is kept; the numbers stand in the migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// With its request.
    Request,
    /// With its request, which refills stock.
    Coming,
    /// With its request, which would take one from stock that is ready earlier.
    Waiting,
    /// In stock, and with no request.
    Stock,
    /// With no request and out of stock: it is asked about, set aside, or taken down.
    Apart,
}

impl Place {
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::Request => 0,
            Self::Coming => 1,
            Self::Waiting => 2,
            Self::Stock => 3,
            Self::Apart => 4,
        }
    }

    pub(crate) fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Coming,
            2 => Self::Waiting,
            3 => Self::Stock,
            4 => Self::Apart,
            _ => Self::Request,
        }
    }
}

/// A tree as a write finds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) version: i64,
    pub(crate) line: Option<LineId>,
    pub(crate) place: Place,
}

/// What stock keeps of a dataset that is ready, as columns.
pub(crate) struct ReadinessRow {
    pub(crate) ready_at: i64,
    pub(crate) checked_at: i64,
    pub(crate) fresh_until: i64,
    pub(crate) selectable: Option<String>,
}

impl From<&Readiness> for ReadinessRow {
    fn from(readiness: &Readiness) -> Self {
        let selectable = &readiness.selectable;
        Self {
            ready_at: ms(readiness.ready_at),
            checked_at: ms(readiness.checked_at),
            fresh_until: ms(readiness.fresh_until),
            selectable: (!selectable.is_empty())
                .then(|| serde_json::to_string(selectable).expect("a map is always JSON")),
        }
    }
}

/// True for a tree that is being made, or is made and in nobody's hands.
pub(crate) fn is_unwanted(status: PartStatus) -> bool {
    match status {
        PartStatus::Pending
        | PartStatus::Building
        | PartStatus::Checking
        | PartStatus::Ready
        | PartStatus::Suspect => true,
        PartStatus::Skipped
        | PartStatus::Leased
        | PartStatus::Quarantined
        | PartStatus::Undoing
        | PartStatus::Gone
        | PartStatus::Failed
        | PartStatus::Debt => false,
    }
}

/// Whether nothing is left of a tree whose root stands so, and nothing is going to happen to it.
pub(crate) fn is_over(status: PartStatus) -> bool {
    matches!(status, PartStatus::Skipped | PartStatus::Gone | PartStatus::Failed)
}
