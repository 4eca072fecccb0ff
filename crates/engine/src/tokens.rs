//! Tokens: made once, shown once, and looked up by their hash.
//!
//! ```text
//! used --not within the last minute--> noted --the sweep, many at once--> kept
//! ```
//!
//! When a token was last used is kept to the minute. No call waits for it: uses are noted in memory, and one write keeps
//! those of many tokens. A server that is killed forgets the uses of the last few seconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use serde_json::json;
use sixpack_model::event::Event;
use sixpack_model::ids::TokenId;
use sixpack_model::token::{LAST_USE_MS, Role, Token};
use sixpack_storage::wakeups::Wakeup;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::{Engine, mint};

/// What every token begins with, so that scanners find leaked ones.
const PREFIX: &str = "sxp_";

/// Random characters of a token: 238 bits.
const RANDOM_CHARS: usize = 40;

/// Characters of the checksum: 32 bits.
const CHECK_CHARS: usize = 6;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token that was taken back is refused after this long at the latest, on every server.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Where events without an environment are told.
const EVERYWHERE: &str = "";

/// Tokens whose uses are noted before they are kept: as many as are remembered. A use that finds no room is noted again
/// with the next call.
const NOTED: usize = 10_000;

/// Tokens seen lately, by the hash of their secret.
pub(crate) struct TokenCache {
    tokens: Cache<[u8; 32], Option<Arc<KnownToken>>>,
}

struct KnownToken {
    token: Token,
    /// When it was last used as far as this server has noted or read it, in milliseconds.
    used_ms: AtomicI64,
}

impl KnownToken {
    fn new(token: Token) -> Self {
        let used_ms = token.last_used_at.map_or(i64::MIN, Timestamp::as_millisecond);
        Self { token, used_ms: AtomicI64::new(used_ms) }
    }
}

/// Uses of tokens that are not kept yet, the latest of each.
#[derive(Default)]
pub(crate) struct TokenUses(Mutex<HashMap<TokenId, Timestamp>>);

impl TokenUses {
    /// Notes a use unless one of the same minute is known already.
    fn note(&self, known: &KnownToken, now: Timestamp) {
        let (now_ms, used_ms) = (now.as_millisecond(), known.used_ms.load(Ordering::Relaxed));
        if now_ms < used_ms.saturating_add(LAST_USE_MS as i64) {
            return;
        }
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < NOTED || uses.contains_key(&known.token.id) {
            uses.insert(known.token.id, now);
            known.used_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    fn of(&self, token: TokenId) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&token).copied()
    }

    fn all(&self) -> Vec<(TokenId, Timestamp)> {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.iter().map(|(token, at)| (*token, *at)).collect()
    }

    /// Forgets uses that are kept by now.
    fn forget(&self, kept: &[(TokenId, Timestamp)]) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (token, at) in kept {
            if uses.get(token) == Some(at) {
                uses.remove(token);
            }
        }
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self { tokens: Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED).build() }
    }
}

impl TokenCache {
    /// Forgets all that can be read again.
    pub(crate) fn forget_all(&self) {
        self.tokens.invalidate_all();
    }
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only environment it shall be good for.
    pub environment: Option<String>,
    /// The only domain it may supply.
    pub domain: Option<String>,
    /// How long it is good; `None` for ever.
    pub lifetime: Option<Duration>,
}

/// A token just made, with its secret.
#[derive(Debug, Clone)]
pub struct MintedToken {
    /// What is kept.
    pub token: Token,
    /// What is shown this once.
    pub secret: String,
}

impl Engine {
    /// Makes a token.
    pub async fn create_token(&self, new: NewToken) -> Result<MintedToken, Refusal> {
        let secret = new_secret();
        let now = self.store().now().await?;
        let expires_at = new.lifetime.map(|lifetime| {
            SignedDuration::try_from(lifetime).ok().and_then(|span| now.checked_add(span).ok())
        });
        let token = Token {
            id: TokenId(mint::id(now)),
            name: new.name,
            role: new.role,
            environment: new.environment,
            domain: new.domain,
            hash: hash(&secret),
            created_at: now,
            expires_at: expires_at.map(|at| at.unwrap_or(Timestamp::MAX)),
            last_used_at: None,
            revoked_at: None,
        };
        let environment = token.environment.as_deref().unwrap_or(EVERYWHERE);
        let told = json!({ "token": token.id.to_string(), "name": token.name, "role": token.role.name() });
        let event = Event::of_environment(environment, now, "token.created", told);
        self.store().create_token(token.clone(), event).await?;
        Ok(MintedToken { token, secret })
    }

    /// Who shows this secret; `None` when it is not good, for whatever reason.
    pub async fn authenticate(&self, secret: &str) -> Result<Option<Caller>, Refusal> {
        if !well_formed(secret) {
            return Ok(None);
        }
        let hash = hash(secret);
        let known = match self.inner.tokens.tokens.get(&hash) {
            Some(known) => known,
            None => {
                let found = self.store().token_by_hash(&hash).await?;
                let found = found.map(|token| Arc::new(KnownToken::new(token)));
                self.inner.tokens.tokens.insert(hash, found.clone());
                found
            }
        };
        let Some(known) = known else { return Ok(None) };
        let now = self.store().now().await?;
        let token = &known.token;
        let good = token.revoked_at.is_none() && token.expires_at.is_none_or(|end| now < end);
        if !good {
            return Ok(None);
        }
        self.inner.token_uses.note(&known, now);
        Ok(Some(Caller::from(token)))
    }

    /// All tokens, newest first, with the uses that this server has not kept yet.
    pub async fn tokens(&self) -> Result<Vec<Token>, Refusal> {
        let mut tokens = self.store().tokens().await?;
        for token in &mut tokens {
            token.last_used_at = token.last_used_at.max(self.inner.token_uses.of(token.id));
        }
        Ok(tokens)
    }

    /// Keeps the uses that were noted.
    pub(crate) async fn keep_token_uses(&self) -> Result<(), Refusal> {
        let uses = self.inner.token_uses.all();
        if uses.is_empty() {
            return Ok(());
        }
        self.store().note_token_uses(uses.clone()).await?;
        self.inner.token_uses.forget(&uses);
        Ok(())
    }

    /// Takes a token back.
    pub async fn revoke_token(&self, id: TokenId) -> Result<Token, Refusal> {
        let now = self.store().now().await?;
        let told = json!({ "token": id.to_string() });
        let event = Event::of_environment(EVERYWHERE, now, "token.revoked", told);
        let token = self.store().revoke_token(id, event).await?;
        let token = token.ok_or_else(|| Refusal::unknown("token", id))?;
        self.inner.tokens.tokens.invalidate(&token.hash);
        self.store().tell(Wakeup::Tokens);
        Ok(token)
    }
}

fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

fn new_secret() -> String {
    let mut random = String::with_capacity(RANDOM_CHARS);
    while random.len() < RANDOM_CHARS {
        let mut bytes = [0u8; 64];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        // Values from 248 up are left out, so that every character is equally likely.
        let chars =
            bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(BASE62[usize::from(byte % 62)]));
        random.extend(chars.take(RANDOM_CHARS - random.len()));
    }
    let check = checksum(&random);
    format!("{PREFIX}{random}{check}")
}

fn checksum(random: &str) -> String {
    let mut rest = crc32fast::hash(random.as_bytes());
    let mut chars = [b'0'; CHECK_CHARS];
    for char in chars.iter_mut().rev() {
        *char = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    chars.iter().map(|byte| char::from(*byte)).collect()
}

/// A mistyped token is told by its checksum, without asking the store.
fn well_formed(secret: &str) -> bool {
    let Some(rest) = secret.strip_prefix(PREFIX) else { return false };
    rest.len() == RANDOM_CHARS + CHECK_CHARS
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && checksum(&rest[..RANDOM_CHARS]) == rest[RANDOM_CHARS..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_is_well_formed_and_never_the_same() {
        let (one, other) = (new_secret(), new_secret());
        assert!(well_formed(&one) && well_formed(&other));
        assert_ne!(one, other);
    }

    #[test]
    fn a_mistyped_secret_is_refused_without_asking_the_store() {
        let secret = new_secret();
        let flipped = if secret.as_bytes()[10] == b'a' { "b" } else { "a" };
        let mistyped = format!("{}{flipped}{}", &secret[..10], &secret[11..]);
        let with_zero = format!("{secret}0");
        for wrong in ["", "sxp_", &secret[..49], &mistyped, &with_zero, "sxp_ä"] {
            assert!(!well_formed(wrong), "{wrong}");
        }
    }
}
