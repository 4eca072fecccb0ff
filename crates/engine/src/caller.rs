//! Callers: who is asking, and what they may see.

use sixpack_model::ids::TokenId;
use sixpack_model::token::{Role, Token};

/// Who makes a call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token that was shown.
    pub token: TokenId,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only environment it may touch, if it is bound to one.
    pub environment: Option<String>,
    /// The only domain it may supply, if it is bound to one.
    pub domain: Option<String>,
}

impl Caller {
    /// Whether anything in the environment exists for this caller.
    pub fn sees(&self, environment: &str) -> bool {
        self.environment.as_deref().is_none_or(|bound| bound == environment)
    }

    /// Narrows a wish for one environment, or for all, to what exists for the caller; false when nothing is left.
    pub(crate) fn narrow(&self, wanted: &mut Option<String>) -> bool {
        let Some(bound) = &self.environment else { return true };
        wanted.get_or_insert_with(|| bound.clone()) == bound
    }

    /// Whether the caller may publish in the domain.
    pub fn supplies(&self, domain: &str) -> bool {
        self.domain.as_deref().is_none_or(|bound| bound == domain)
    }

    /// Whether the caller may act on what that token has made.
    pub fn owns(&self, token: TokenId) -> bool {
        self.role == Role::Admin || self.token == token
    }
}

impl From<&Token> for Caller {
    fn from(token: &Token) -> Self {
        Self {
            token: token.id,
            name: token.name.clone(),
            role: token.role,
            environment: token.environment.clone(),
            domain: token.domain.clone(),
        }
    }
}
