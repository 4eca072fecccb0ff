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

/// Ids for so many leases: those that came, and new ones. Whoever writes about a tree may not know how many its request has
/// by then: units that had none are given one by others.
pub(crate) fn lease_ids(given: &[LeaseId], needed: usize, now_ms: i64) -> Vec<LeaseId> {
    let at = uuid::Timestamp::from_unix(uuid::NoContext, now_ms.unsigned_abs() / 1000, 0);
    let more = (given.len()..needed).map(|_| LeaseId(uuid::Uuid::new_v7(at)));
    given.iter().copied().chain(more).take(needed).collect()
}
