//! What came from stock as a part of another dataset, as it is shown.

use serde::Serialize;
use sixpack_model::ids::DatasetId;
use sixpack_model::tree::Tree;
use utoipa::ToSchema;

use super::scalar::{Text, Time};

/// The dataset that was in stock, and is a part of this one now.
#[derive(Serialize, ToSchema)]
#[schema(as = FromStock)]
pub(in crate::http) struct FromStockJson {
    /// What it was in stock: that one is gone.
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    /// When that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ready_at: Option<Time>,
}

impl FromStockJson {
    /// Of the part itself.
    pub(super) fn of(tree: &Tree, part: u32) -> Option<Self> {
        let node = tree.parts.get(part as usize)?;
        let from = node.from_stock()?;
        Some(Self { dataset_id: Text(from.root()), ready_at: node.ready_at.map(Time) })
    }

    /// Of the part, or the nearest above it that came from stock with it.
    pub(super) fn at_or_above(tree: &Tree, part: u32) -> Option<Self> {
        std::iter::successors(Some(part), |at| tree.parts.get(*at as usize)?.parent)
            .find_map(|at| Self::of(tree, at))
    }
}
