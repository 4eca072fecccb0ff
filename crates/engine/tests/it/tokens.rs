//! Tokens: their last use is kept to the minute, and no call waits for it.

use jiff::{SignedDuration, Timestamp};
use sixpack_engine::{MintedToken, NewToken, Sweep};
use sixpack_model::token::Role;

use crate::town::Town;

async fn minted(town: &Town) -> MintedToken {
    let new = NewToken {
        name: "ci".to_owned(),
        role: Role::Consumer,
        environment: None,
        domain: None,
        lifetime: None,
    };
    town.engine.create_token(new).await.expect("the token is made")
}

async fn is_good(town: &Town, token: &MintedToken) -> bool {
    town.engine.authenticate(&token.secret).await.expect("the store works").is_some()
}

async fn last_use(town: &Town) -> Option<Timestamp> {
    town.engine.tokens().await.expect("the store works")[0].last_used_at
}

#[tokio::test]
async fn a_use_is_shown_at_once_and_kept_by_the_sweep() {
    let town = Town::new().await;
    let token = minted(&town).await;
    assert_eq!(last_use(&town).await, None);
    let first = town.engine.now().await.unwrap();
    assert!(is_good(&town, &token).await);
    assert_eq!(last_use(&town).await, Some(first));
    let town = town.restarted().await;
    assert_eq!(last_use(&town).await, None, "a server that is killed forgets what it has only noted");
    assert!(is_good(&town, &token).await);
    town.engine.sweep(Sweep::TokenUses).await.unwrap();
    assert_eq!(last_use(&town.restarted().await).await, Some(first));
}

#[tokio::test]
async fn a_use_within_a_minute_of_the_last_is_not_noted_again() {
    let town = Town::new().await;
    let token = minted(&town).await;
    let first = town.engine.now().await.unwrap();
    for (advance_ms, expected_ms) in [(0, 0), (59_999, 0), (1, 60_000), (30_000, 60_000), (100_000, 190_000)]
    {
        town.clock.advance_ms(advance_ms);
        assert!(is_good(&town, &token).await);
        let expected = first + SignedDuration::from_millis(expected_ms);
        assert_eq!(last_use(&town).await, Some(expected), "after {advance_ms} ms more");
        town.engine.sweep(Sweep::TokenUses).await.unwrap();
        assert_eq!(last_use(&town).await, Some(expected), "and once it is kept");
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_not_used() {
    let town = Town::new().await;
    let token = minted(&town).await;
    town.engine.revoke_token(token.token.id).await.unwrap();
    assert!(!is_good(&town, &token).await);
    assert_eq!(last_use(&town).await, None);
}
