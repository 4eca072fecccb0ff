//! Tokens: found by their hash, revoked once; and the store's own time.

use sixpack_model::ids::TokenId;
use sixpack_model::token::{LAST_USE_MS, Role, Token};

use super::fixture::Fixture;

fn token(f: &Fixture, hash: u8) -> Token {
    Token {
        id: TokenId(f.id()),
        name: "ci".to_owned(),
        role: Role::Supplier,
        environment: Some("staging".to_owned()),
        domain: None,
        hash: [hash; 32],
        created_at: f.now(),
        expires_at: Some(f.in_ms(1_000)),
        last_used_at: None,
        revoked_at: None,
    }
}

pub async fn a_token_is_found_by_its_hash_only(f: &Fixture) {
    let (one, other) = (token(f, 1), token(f, 2));
    for token in [&one, &other] {
        f.store.create_token(token.clone(), f.event("token.created")).await.unwrap();
    }
    assert_eq!(f.store.token_by_hash(&[1; 32]).await.unwrap(), Some(one.clone()));
    assert_eq!(f.store.token_by_hash(&[3; 32]).await.unwrap(), None);
    assert_eq!(f.store.tokens().await.unwrap(), [other, one]);
    assert_eq!(f.store.last_sequence().await.unwrap(), 2);
}

pub async fn a_token_is_taken_back_once(f: &Fixture) {
    let one = token(f, 1);
    f.store.create_token(one.clone(), f.event("token.created")).await.unwrap();
    f.clock.advance_ms(5);
    let revoked = Token { revoked_at: Some(f.now()), ..one.clone() };
    let taken = f.store.revoke_token(one.id, f.event("token.revoked")).await.unwrap();
    assert_eq!(taken, Some(revoked.clone()));
    f.clock.advance_ms(5);
    let again = f.store.revoke_token(one.id, f.event("token.revoked")).await.unwrap();
    assert_eq!(again, Some(revoked.clone()));
    assert_eq!(f.store.token_by_hash(&[1; 32]).await.unwrap(), Some(revoked));
    assert_eq!(f.store.last_sequence().await.unwrap(), 2);
    let unknown = f.store.revoke_token(TokenId(f.id()), f.event("token.revoked")).await.unwrap();
    assert_eq!(unknown, None);
}

pub async fn the_last_use_of_a_token_is_kept_to_the_minute(f: &Fixture) {
    let (one, other) = (token(f, 1), token(f, 2));
    for token in [&one, &other] {
        f.store.create_token(token.clone(), f.event("token.created")).await.unwrap();
    }
    let kept = async || {
        let tokens = f.store.tokens().await.unwrap();
        (tokens[1].last_used_at, tokens[0].last_used_at)
    };
    let first = f.now();
    f.store.note_token_uses(vec![(one.id, first), (TokenId(f.id()), first)]).await.unwrap();
    assert_eq!(kept().await, (Some(first), None));
    let soon = f.in_ms(LAST_USE_MS as i64 - 1);
    f.store.note_token_uses(vec![(one.id, soon), (other.id, soon)]).await.unwrap();
    assert_eq!(kept().await, (Some(first), Some(soon)));
    let later = f.in_ms(LAST_USE_MS as i64);
    f.store.note_token_uses(vec![(one.id, later), (other.id, first)]).await.unwrap();
    assert_eq!(kept().await, (Some(later), Some(soon)));
    assert_eq!(f.store.last_sequence().await.unwrap(), 2, "nothing is told of a use");
}

pub async fn the_time_is_that_of_the_clock(f: &Fixture) {
    assert_eq!(f.store.now().await.unwrap(), f.now());
    f.clock.advance_ms(7);
    assert_eq!(f.store.now().await.unwrap(), f.now());
    f.store.ping().await.unwrap();
}

pub async fn a_write_that_fails_leaves_the_others_that_wait_with_it(f: &Fixture) {
    let one = token(f, 1);
    let twin = Token { hash: [2; 32], ..one.clone() };
    let other = token(f, 3);
    f.store.create_token(one.clone(), f.event("token.created")).await.unwrap();
    // Queued together: the second has the id of a token that is there.
    let (before, failing, after) = futures::join!(
        f.store.create_token(token(f, 4), f.event("token.created")),
        f.store.create_token(twin, f.event("token.created")),
        f.store.create_token(other.clone(), f.event("token.created")),
    );
    before.unwrap();
    failing.unwrap_err();
    after.unwrap();
    assert_eq!(f.store.token_by_hash(&[2; 32]).await.unwrap(), None);
    assert_eq!(f.store.token_by_hash(&[3; 32]).await.unwrap(), Some(other));
    assert_eq!(f.store.last_sequence().await.unwrap(), 3);
}
