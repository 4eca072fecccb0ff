//! New requests, turned into columns before any transaction begins, and what is found for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use sixpack_model::ids::{LeaseId, LineId, RequestId, TokenId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::request::Request;

use super::changes::{ChangeRow, pins_text};
use super::events::EventRow;
use super::requests::{selection_text, units_text};
use crate::requests::{Idempotency, Looking, NewRequest, Quota, UnitFill};
use crate::stock::StockWish;

/// A dataset for a unit that has none, turned into columns before any transaction begins.
pub(crate) struct UnitFillRow {
    pub(crate) request: RequestId,
    pub(crate) unit: u32,
    pub(crate) wish: Option<Arc<WishRow>>,
    pub(crate) looking: Looking,
    pub(crate) but: BTreeSet<TreeId>,
    pub(crate) tree: Option<ChangeRow>,
    pub(crate) leases: Vec<LeaseId>,
}

impl From<UnitFill> for UnitFillRow {
    fn from(fill: UnitFill) -> Self {
        Self {
            request: fill.request,
            unit: fill.unit,
            wish: fill.wish.as_ref().map(|wish| Arc::new(WishRow::new(wish))),
            looking: fill.looking,
            but: fill.but,
            tree: fill.tree.map(ChangeRow::from),
            leases: fill.leases,
        }
    }
}

/// A request to be accepted, turned into columns before any transaction begins.
pub(crate) struct NewRequestRow {
    pub(crate) request: Request,
    pub(crate) units: String,
    pub(crate) selection: Option<String>,
    pub(crate) line: Option<LineId>,
    pub(crate) trees: Vec<ChangeRow>,
    pub(crate) wishes: Vec<Option<Arc<WishRow>>>,
    pub(crate) looking: Looking,
    pub(crate) leases: Vec<LeaseId>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) quota: Quota,
    pub(crate) event: EventRow,
}

impl From<NewRequest> for NewRequestRow {
    fn from(new: NewRequest) -> Self {
        let NewRequest { request, trees, wishes, looking, leases, idempotency, quota, event } = new;
        let mut rows: Vec<(Arc<StockWish>, Arc<WishRow>)> = Vec::new();
        // Units that wish the same go on doing so.
        let wishes = wishes.into_iter().map(|wish| {
            let wish = wish?;
            if let Some((_, row)) = rows.iter().find(|(known, _)| Arc::ptr_eq(known, &wish)) {
                return Some(Arc::clone(row));
            }
            let row = Arc::new(WishRow::new(&wish));
            rows.push((wish, Arc::clone(&row)));
            Some(row)
        });
        Self {
            wishes: wishes.collect(),
            looking,
            units: units_text(&request.units),
            selection: selection_text(&request.selection),
            line: None,
            trees: trees.into_iter().map(ChangeRow::from).collect(),
            leases,
            idempotency,
            quota,
            event: EventRow::from(event).of_request(request.id),
            request,
        }
    }
}

impl NewRequestRow {
    /// The same as one that refills stock.
    pub(crate) fn refilling(self, line: LineId) -> Self {
        Self { line: Some(line), ..self }
    }

    /// The only wish of a request that takes one dataset from stock at once or nothing, whoever repeats it.
    pub(crate) fn only_wish(&self) -> Option<&WishRow> {
        let takes_one = self.request.units.len() == 1 && self.wishes.len() == 1 && self.trees.is_empty();
        let is_plain = self.looking == Looking::Fresh && self.line.is_none() && self.idempotency.is_none();
        let wish = self.wishes.first()?.as_deref()?;
        (takes_one && is_plain && wish.wish.select.is_none()).then_some(wish)
    }

    /// Whether another one takes the same for the same token, under the same limits.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let alike =
            |one: &WishRow, other: &WishRow| Arc::ptr_eq(&one.wish, &other.wish) || one.wish == other.wish;
        let same_wish =
            matches!((self.only_wish(), other.only_wish()), (Some(one), Some(other)) if alike(one, other));
        same_wish && self.taker() == other.taker() && self.quota == other.quota
    }

    /// Whose quotas it takes from: those of a token, in an environment.
    pub(crate) fn taker(&self) -> (&str, TokenId) {
        (&self.request.environment, self.request.token)
    }

    /// The tree of a request that refills stock.
    pub(crate) fn only_tree(&self) -> &ChangeRow {
        self.trees.first().expect("what refills stock makes one dataset")
    }
}

/// What a wish looks for, as columns.
pub(crate) struct WishRow {
    pub(crate) wish: Arc<StockWish>,
    pub(crate) pins: String,
}

impl WishRow {
    pub(crate) fn new(wish: &Arc<StockWish>) -> Self {
        Self { wish: Arc::clone(wish), pins: pins_text(&wish.pins) }
    }

    /// Whether any of these contracts has a part in what is wished for.
    pub(crate) fn is_among(&self, contracts: &BTreeSet<ContractName>) -> bool {
        contracts.iter().any(|name| *name == self.wish.contract || self.wish.pins.contains_key(name))
    }
}

/// What was found for one unit.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// A dataset in stock.
    Ready { line: LineId, ready_at: i64, tree: TreeId },
    /// A dataset in stock that has to be asked about first.
    Due { line: LineId, ready_at: i64, tree: TreeId },
    /// One that is being made for it.
    Coming { line: LineId, tree: TreeId },
    /// Nothing; its own is made, and it stands in this line meanwhile.
    Own { line: Option<LineId> },
}
