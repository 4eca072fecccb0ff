//! Tokens: who may call, and as what.

use jiff::Timestamp;

use crate::ids::TokenId;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Publish capabilities and answer their tasks.
    Supplier,
    /// Request and lease datasets, and read.
    Consumer,
}

impl Role {
    /// Every role with its name on the wire.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Admin, "admin"), (Self::Supplier, "supplier"), (Self::Consumer, "consumer")];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(role, _)| *role == self).expect("every role is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
    }
}

/// The last use of a token is kept to the minute: enough to find tokens that nobody needs any more, and little to write.
pub const LAST_USE_MS: u64 = 60_000;

/// What is kept of a token; the secret itself is shown once and never stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// The id.
    pub id: TokenId,
    /// What it is for, in words.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only environment it is good for, if it is bound to one.
    pub environment: Option<String>,
    /// The only domain it may supply, if it is bound to one.
    pub domain: Option<String>,
    /// The hash of the secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being good.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to [`LAST_USE_MS`].
    pub last_used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}
