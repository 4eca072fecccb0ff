//! Grants: what is leased, to whom and for how long.

use sixpack_model::ids::{LeaseId, RequestId, TokenId, TreeId};

use super::entities::Owned;

/// To whom leases are granted, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) request: RequestId,
    pub(crate) ttl_ms: i64,
    pub(crate) holder: &'a str,
    pub(crate) token: TokenId,
}

/// A tree that is to be leased.
pub(crate) struct Grant {
    pub(crate) tree: TreeId,
    pub(crate) unit: u32,
    /// The number of this lease among those of the tree.
    pub(crate) counter: u64,
    pub(crate) owns: Vec<Owned>,
}

/// A lease that is being granted.
pub(crate) struct Granting<'a> {
    pub(crate) terms: Terms<'a>,
    pub(crate) grant: Grant,
    pub(crate) lease: LeaseId,
}
