//! Tokens: only hashes are kept.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::event::Event;
use sixpack_model::ids::TokenId;
#[cfg(doc)]
use sixpack_model::token::LAST_USE_MS;
use sixpack_model::token::Token;

use crate::error::StoreError;

/// Reads and writes tokens, and tells the time.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// The store's own time: the only one that deadlines are compared with.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Proves that the store can be written to.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Keeps a token. Times in it are the caller's reading of [`Tokens::now`].
    async fn create_token(&self, token: Token, event: Event) -> Result<(), StoreError>;

    /// Finds a token by the hash of its secret, revoked and expired ones too.
    async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError>;

    /// All tokens, newest first, at most 1,000.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// Notes when tokens were last used. A use that is not [`LAST_USE_MS`] later than what is kept changes nothing, and
    /// neither does one of a token that is not there.
    async fn note_token_uses(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<(), StoreError>;

    /// Takes a token back; `None` when there is none, else as it is now. Taking it back twice changes nothing.
    async fn revoke_token(&self, id: TokenId, event: Event) -> Result<Option<Token>, StoreError>;
}
