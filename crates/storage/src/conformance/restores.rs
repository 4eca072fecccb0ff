//! Restores: nothing that was said before a restore is mistaken for something that is true behind it.

use sixpack_model::lease::{FENCE_EPOCH, LeaseStatus};
use sixpack_model::session::SessionStatus;

use super::factories::{Order, Supplier};
use super::fixture::Fixture;
use crate::events::EventFilter;
use crate::leases::Renewed;
use crate::requests::{Created, Idempotency};
use crate::restores::Restored;
use crate::tasks::Claims;

pub async fn leases_of_before_are_over_and_fences_are_above_all_of_theirs(f: &Fixture) {
    let (_, lease) = f.leased().await;
    f.clock.advance_ms(1_000);
    let restored = f.store.after_restore("a backup").await.unwrap();
    assert_eq!((restored.leases, restored.sessions, restored.in_stock), (1, 0, 0));
    assert!(restored.fence_epoch * FENCE_EPOCH > lease.fence, "{restored:?}");
    let renewed = f.store.renew_lease(lease.id, lease.fence, None).await.unwrap();
    assert!(matches!(renewed, Renewed::Ended(_)), "{renewed:?}");
    let overdue = f.store.overdue_leases(None, 10).await.unwrap();
    assert_eq!(
        overdue.iter().map(|lease| (lease.id, lease.status)).collect::<Vec<_>>(),
        [(lease.id, LeaseStatus::Held)]
    );
}

pub async fn every_restore_raises_the_fences(f: &Fixture) {
    let Restored { fence_epoch: first, .. } = f.store.after_restore("a backup").await.unwrap();
    let Restored { fence_epoch: second, .. } = f.store.after_restore("a backup").await.unwrap();
    assert!(second > first, "also within one minute");
    f.clock.advance_ms(3_600_000);
    let Restored { fence_epoch: third, .. } = f.store.after_restore("a backup").await.unwrap();
    assert!(third > second);
}

pub async fn sessions_of_before_are_dead_and_their_tasks_come_back(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    let restored = f.store.after_restore("a backup").await.unwrap();
    assert_eq!(restored.sessions, 1);
    assert_eq!(f.store.session(session).await.unwrap().unwrap().status, SessionStatus::Dead);
    assert_eq!(f.store.touch_session(session).await.unwrap(), Some(SessionStatus::Dead));
    assert!(matches!(f.store.claim_tasks(session, 1).await.unwrap(), Claims::NotLive));
    assert_eq!(f.store.count_live_sessions().await.unwrap(), []);
    let abandoned = f.store.abandoned_claims(None, 10).await.unwrap();
    assert_eq!(abandoned.iter().map(|abandoned| abandoned.claim).collect::<Vec<_>>(), [claim]);
}

pub async fn keys_of_before_stand_for_what_they_stood_for(f: &Fixture) {
    let mut new = f.new_request(Order::of(&["shop/customer"]));
    let key = Idempotency { token: new.request.token, key: "k".to_owned(), body: [7; 32] };
    new.idempotency = Some(key.clone());
    let id = new.request.id;
    assert_eq!(f.store.create_request(new).await.unwrap(), Created::Accepted);
    f.store.after_restore("a backup").await.unwrap();
    assert_eq!(f.store.find_idempotent(&key).await.unwrap(), Some(Created::Replayed(id)));
}

pub async fn a_reader_of_before_has_missed_events_and_reads_of_the_restore_first(f: &Fixture) {
    f.one("shop/customer").await;
    let seen = f.store.last_sequence().await.unwrap();
    let before = f.store.events(&EventFilter::default(), 0, 1_000).await.unwrap();
    f.store.after_restore("nightly.sixpack").await.unwrap();
    f.one("shop/customer").await;
    let gone = f.store.events_gone().await.unwrap();
    // It went on after the backup, and somebody has read what is not known any more.
    assert!(gone > seen + 1_000_000_000, "{gone}");
    let behind = f.store.events(&EventFilter::default(), seen + 1_000_000, 100).await.unwrap();
    assert_eq!((behind[0].kind.as_ref(), behind[0].sequence), ("store.restored", gone + 1));
    assert_eq!(behind[0].data, serde_json::json!({ "from": "nightly.sixpack", "behind": seen }));
    assert!(behind.len() > 1 && behind[1].sequence == gone + 2, "{behind:?}");
    let all = f.store.events(&EventFilter::default(), 0, 1_000).await.unwrap();
    assert_eq!(all[..before.len()], before, "what was told before is still there");
    assert_eq!(all[before.len()..], behind);
}
